"""The site's markup becomes what Colab shows; what is unknown is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from architecture import words_of
from myst_to_markdown import to_markdown
from references import References


@pytest.fixture
def references(tmp_path: Path) -> References:
    (tmp_path / "book").mkdir()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "12_heads.md").write_text("# Many heads\n")
    (tmp_path / "notebooks" / "drawing.svg").write_text("<svg/>")
    folder = tmp_path / "book" / "_static" / "architecture"
    folder.mkdir(parents=True)
    (folder / "transformer-encoder.svg").write_text("<svg/>")
    (folder / "head.svg").write_text("<svg/>")
    (tmp_path / "book" / "notation.md").write_text("# Notation\n")
    (tmp_path / "book" / "glossary.md").write_text(
        "# Glossary\n\n```{glossary}\npad\npadding\n  Fills up.\n\n"
        "query\n  What *asks*, unlike a {term}`key <keys>`.\n"
        "  On two lines.\n```\n"
    )
    (tmp_path / "book" / "references.bib").write_text(
        "@article{one2001, author={Ann One}, title={First}, journal={J}, year={2001}}\n"
        "@article{two2002, author={Ann One and Bo Two}, title={The {BIG} One}, journal={J},"
        " year={2002}, eprint={2002.00001}}\n"
        "@article{three2003, author={A. One and B. Two and C. Three}, title={T}, journal={J},"
        " year={2003}}\n"
    )
    return References(
        root=tmp_path,
        docname="notebooks/11_attention",
        numbers={"eq-11-a": "11.1", "fig-11-b": "11.2"},
        sections={"sec": "A section"},
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("plain $x_{1}$ and `code`", "plain $x_{1}$ and `code`"),
        ("see {eq}`eq-11-a`.", "see (11.1)."),
        ("see {numref}`fig-11-b`.", "see Fig. 11.2."),
        ("see {doc}`12_heads`.", "see [Many heads](12_heads.ipynb)."),
        ("see {doc}`heads <12_heads>`.", "see [heads](12_heads.ipynb)."),
        ("see {doc}`../book/notation`.", "see *Notation*."),
        ("see {ref}`sec`.", "see A section."),
        ("{func}`~tutorial_lib.masks.causal_mask`", "`causal_mask()`"),
        ("{class}`tutorial_lib.masks.Mask`", "`tutorial_lib.masks.Mask`"),
        ("{cite:t}`one2001`", "One (2001)"),
        ("{cite:t}`two2002`", "One and Two (2002)"),
        ("{cite:p}`three2003,one2001`", "(One et al., 2003; One, 2001)"),
        ("{eq}`eq-11-a` `` {eq}`eq-11-a` `` {eq}`eq-11-a`", "(11.1) `` {eq}`eq-11-a` `` (11.1)"),
        ("`a\nb` {eq}`eq-11-a`", "`a\nb` (11.1)"),
        ("- item {eq}`eq-11-a`\n- next", "- item (11.1)\n- next"),
        ("| a |\n|---|\n| {eq}`eq-11-a` |", "| a |\n|---|\n| (11.1) |"),
        ("% a comment\n\ntext", "text"),
        ("$$\nx\n$$ (eq-11-a)", "$$\nx \\tag{11.1}\n$$"),
        ("```{math}\n:label: eq-11-a\nx\n```", "$$\nx \\tag{11.1}\n$$"),
        ("```python\n{eq}`eq-11-a`\n```", "```python\n{eq}`eq-11-a`\n```"),
        (":::{note}\nA {eq}`eq-11-a`.\n:::", "> **Note**\n>\n> A (11.1)."),
        (
            ":::{admonition} At a glance\n:class: at-a-glance\n\n- one\n- two\n:::",
            "> **At a glance**\n>\n> - one\n> - two",
        ),
        (
            ":::{figure} drawing.svg\n:name: fig-11-b\n:alt: A square.\n\nA {eq}`eq-11-a`.\n:::",
            "![A square.](drawing.svg)\n\n**Fig. 11.2** A (11.1).",
        ),
        (
            ":::{dropdown} More\nA {eq}`eq-11-a`.\n:::",
            "<details><summary>More</summary>\n\nA (11.1).\n\n</details>",
        ),
        (
            "```{list-table} Costs\n:header-rows: 1\n\n* - layer\n  - cost\n"
            "* - {eq}`eq-11-a`\n  - $|n|$\n    squared\n```",
            "**Costs**\n\n| layer | cost |\n| --- | --- |\n| (11.1) | $\\|n\\|$ squared |",
        ),
        (
            "- item\n\n  :::{tip}\n  inside\n  :::\n",
            "- item\n\n  > **Tip**\n  >\n  > inside",
        ),
    ],
)
def test_markup_becomes_plain_markdown(source: str, expected: str, references: References) -> None:
    assert to_markdown(source, references) == expected


def test_a_picture_of_the_architecture_is_an_image_with_its_words(references: References) -> None:
    source = ":::{architecture} transformer\n:part: encoder\n\nSee {eq}`eq-11-a`.\n:::"
    image, caption = to_markdown(source, references).split("\n\n")
    title, description = words_of("transformer", "encoder")
    file = "../book/_static/architecture/transformer-encoder.svg"
    assert image == f"![{title}. {description}]({file})"
    assert caption == "**You are here:** the encoder. See (11.1)."
    references.repository = "https://example.org/me/book"
    there = "https://example.org/me/book/raw/main/book/_static/architecture/"
    assert f"]({there}transformer-encoder.svg)" in to_markdown(source, references)


def test_a_detailed_picture_of_the_architecture_is_numbered(references: References) -> None:
    source = ":::{architecture} head\n:name: fig-11-b\n\nOne head.\n:::"
    image, caption = to_markdown(source, references).split("\n\n")
    assert image.endswith("](../book/_static/architecture/head.svg)")
    assert caption == "**Fig. 11.2** One head."


def test_a_term_carries_its_definition_without_markup(references: References) -> None:
    assert to_markdown("a {term}`query`", references) == (
        'a <abbr title="What asks, unlike a key. On two lines.">query</abbr>'
    )


def test_terms_that_share_a_definition_both_carry_it(references: References) -> None:
    for term in ("pad", "padding"):
        expected = f'<abbr title="Fills up.">{term}</abbr>'
        assert to_markdown(f"{{term}}`{term}`", references) == expected


def test_with_an_address_every_page_has_a_link(references: References) -> None:
    references.repository = "https://example.org/me/book"
    assert to_markdown("{doc}`../book/notation`", references) == (
        "[Notation](https://example.org/me/book/blob/main/book/notation.md)"
    )


def test_a_target_becomes_an_anchor(references: References) -> None:
    assert to_markdown("(sec)=\n## A section", references) == ('<a id="sec"></a>\n## A section')


def test_with_an_address_chapters_link_to_the_repository(references: References) -> None:
    references.repository = "https://example.org/me/book"
    assert to_markdown("{doc}`12_heads`", references) == (
        "[Many heads](https://example.org/me/book/blob/main/notebooks/12_heads.ipynb)"
    )


def test_papers_are_listed_in_the_order_of_their_citation(references: References) -> None:
    to_markdown("{cite:t}`two2002` {cite:p}`one2001` {cite:t}`two2002`", references)
    assert references.bibliography().splitlines()[2:] == [
        "- One and Two (2002). *The BIG One*. J. "
        "[arXiv:2002.00001](https://arxiv.org/abs/2002.00001)",
        "- One (2001). *First*. J.",
    ]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{sparkle}`x`", r"role \{sparkle\} is unknown"),
        ("```{sparkle}\nx\n```", r"directive \{sparkle\} is unknown"),
        (":::{sparkle}\nx\n:::", r"directive \{sparkle\} is unknown"),
        ("::: sparkle\nx\n:::", "names no directive"),
        ("[x](12_heads.md)", r"use \{doc\}"),
        ("{doc}`13_missing`", "page '13_missing' does not exist"),
        ("{eq}`eq-11-missing`", "label 'eq-11-missing' is not defined"),
        ("{numref}`fig-11-missing`", "label 'fig-11-missing' is not defined"),
        ("{ref}`missing`", "section label 'missing' is not defined"),
        ("{term}`missing`", "term 'missing' is not in the glossary"),
        ("{cite:t}`missing`", "citation 'missing' is not in"),
        ("{eq}`eq-11-\na`", "must stand on one line"),
        (":::{note}\n:sparkle: x\n\ntext\n:::", r"directive \{note\}"),
        ("```{list-table}\n* - a\n  - b\n* - c\n```", "rows differ in length"),
        (":::{figure} drawing.svg\n:name: fig-11-b\n\nA.\n:::", "an option alt is needed"),
        (":::{architecture} robot\n\nA.\n:::", "picture 'robot' is unknown"),
        (":::{architecture} head\n:part: nose\n\nA.\n:::", "part 'nose' is unknown"),
        (":::{figure} no.svg\n:name: fig-11-b\n:alt: A.\n\nA.\n:::", "'no.svg' does not exist"),
    ],
)
def test_what_would_reach_the_reader_raw_is_refused(
    source: str, message: str, references: References
) -> None:
    with pytest.raises(ValueError, match=message):
        to_markdown(source, references)
