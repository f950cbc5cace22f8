"""A notebook is made from its chapter, the same way every time."""

from __future__ import annotations

from pathlib import Path

import build_notebooks
import nbformat
import pytest
from build_notebooks import build_notebook, install_code, notebook_text
from front_matter import FRONT_MATTER
from nbformat import NotebookNode, v4

CHAPTER = (
    FRONT_MATTER
    + """# Attention

$$
y = x
$$ (eq-11-a)

```{code-cell} ipython3
:tags: [nbval-check-output]

print(1 + 1)
```

```{code-cell} ipython3
---
mystnb:
  figure:
    name: fig-11-a
    caption: See {eq}`eq-11-a`.
  image:
    alt: One line.
---
plot()
```

```{code-cell} ipython3
:tags: [solution]

answer = 42
```
"""
)


@pytest.fixture(autouse=True)
def no_address_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BOOK_REPOSITORY_URL", raising=False)


@pytest.fixture
def chapter(tmp_path: Path) -> Path:
    (tmp_path / "_config.yml").write_text("repository:\n  url: ''\n")
    path = tmp_path / "notebooks" / "11_attention.md"
    path.parent.mkdir()
    path.write_text(CHAPTER)
    return path


def build(chapter: Path, frozen: dict[str, NotebookNode] | None = None) -> NotebookNode:
    return build_notebook(chapter, frozen or {}, root=chapter.parent.parent)


def executed(source: str) -> dict[str, NotebookNode]:
    outputs = [
        v4.new_output("stream", name="stdout", text="2"),
        v4.new_output("stream", name="stderr", text="noise\n"),
        v4.new_output("stream", name="stdout", text="\n"),
        v4.new_output("display_data", data={"image/png": "abc", "text/plain": "<Figure>"}),
    ]
    return {source: v4.new_code_cell(source, outputs=outputs, execution_count=7)}


def test_the_same_source_gives_the_same_bytes(chapter: Path) -> None:
    root = chapter.parent.parent
    assert notebook_text(chapter, {}, root) == notebook_text(chapter, {}, root)
    nbformat.validate(build(chapter))


def test_editing_a_cell_leaves_the_ids_of_the_others(chapter: Path) -> None:
    before = [cell.id for cell in build(chapter).cells]
    chapter.write_text(CHAPTER.replace("print(1 + 1)", "print(2 + 2)"))
    after = [cell.id for cell in build(chapter).cells]
    assert sum(old != new for old, new in zip(before, after, strict=True)) == 1


def test_equal_cells_have_ids_of_their_own(chapter: Path) -> None:
    chapter.write_text(CHAPTER + "\n```{code-cell} ipython3\nplot()\n```\n")
    ids = [cell.id for cell in build(chapter).cells]
    assert len(set(ids)) == len(ids)


def test_the_title_has_its_number_and_the_equation_its_tag(chapter: Path) -> None:
    text = build(chapter).cells[1].source
    assert text.startswith("# 11 Attention")
    assert r"\tag{11.1}" in text


def test_a_figure_is_followed_by_its_caption_and_its_words(chapter: Path) -> None:
    cells = build(chapter).cells
    drawn = next(i for i, cell in enumerate(cells) if cell.source == "plot()")
    assert "mystnb" not in cells[drawn].metadata
    assert cells[drawn + 1].source.startswith("**Fig. 11.1** See (11.1).")
    assert "One line." in cells[drawn + 1].source


def test_drawn_figures_and_files_are_counted_together(chapter: Path) -> None:
    picture = ":::{figure} a.svg\n:name: fig-11-b\n:alt: A square.\n\nA.\n:::"
    (chapter.parent / "a.svg").write_text("<svg/>")
    chapter.write_text(f"{CHAPTER}\n{picture}\n\nSee {{numref}}`fig-11-b`.\n")
    last = build(chapter).cells[-1].source
    assert "**Fig. 11.2** A." in last
    assert last.endswith("See Fig. 11.2.")


def test_a_solution_is_folded(chapter: Path) -> None:
    cell = build(chapter).cells[-1]
    assert cell.metadata["jupyter"]["source_hidden"]
    assert cell.metadata["cellView"] == "form"
    assert cell.source.startswith("# @title")


def test_only_the_text_of_a_frozen_cell_is_stored(chapter: Path) -> None:
    cell = next(c for c in build(chapter, executed("print(1 + 1)")).cells if "1 + 1" in c.source)
    assert [(output.output_type, output.text) for output in cell.outputs] == [("stream", "2\n")]
    assert cell.execution_count == 2  # the install cell is the first


def test_a_cell_that_is_not_frozen_stores_nothing(chapter: Path) -> None:
    cells = build(chapter, executed("plot()")).cells
    assert not any(c.outputs for c in cells if c.cell_type == "code")


def test_a_frozen_output_does_not_outlive_a_change_of_its_cell(chapter: Path) -> None:
    notebook = chapter.with_suffix(".ipynb")
    root = chapter.parent.parent
    notebook.write_text(notebook_text(chapter, executed("print(1 + 1)"), root))
    assert build_notebooks.stored_outputs(notebook)
    chapter.write_text(CHAPTER.replace("1 + 1", "1 + 2"))
    cells = build(chapter, build_notebooks.stored_outputs(notebook)).cells
    assert not any(c.outputs for c in cells if c.cell_type == "code")


def test_the_first_cell_installs_from_the_address_that_stands_in_the_configuration(
    chapter: Path,
) -> None:
    config = chapter.parent.parent / "_config.yml"
    config.write_text("repository:\n  url: https://example.org/me/book\n")
    assert "git+https://example.org/me/book" in build(chapter).cells[0].source


def test_a_fork_sets_its_address_by_one_variable(
    chapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOOK_REPOSITORY_URL", "https://example.org/fork/book")
    assert "git+https://example.org/fork/book" in build(chapter).cells[0].source


def test_without_an_address_the_first_cell_says_how_to_install() -> None:
    assert "pip install" in install_code("")
    compile(install_code(""), "install", "exec")


def test_an_unknown_role_names_the_chapter_and_the_cell(chapter: Path) -> None:
    chapter.write_text(CHAPTER.replace("# Attention", "# Attention\n\n{sparkle}`x`"))
    with pytest.raises(ValueError, match=r"11_attention.md, cell 1: role \{sparkle\}"):
        build(chapter)
