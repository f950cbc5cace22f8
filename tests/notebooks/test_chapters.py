"""Every chapter has the form that CONTRIBUTING.md asks for, and its notebook is fresh."""

from __future__ import annotations

import ast
import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import build_notebooks
import jupytext
import nbformat
import pytest
from chapters import ROOT, chapter_number, chapter_paths
from claim_syntax import claims_of, without_magics
from folded_cells import CHECK, DRAW, LIVE, title_of
from myst import PARSER
from nbformat import NotebookNode

CHAPTERS = chapter_paths()
MOST_LINES = 15
SECTIONS_AT_THE_END = ["What can go wrong", "Exercises", "Summary", "Going further"]

each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


@cache
def chapter(path: Path) -> NotebookNode:
    return jupytext.read(path)


def cells_of(path: Path, kind: str) -> list[NotebookNode]:
    return [cell for cell in chapter(path).cells if cell.cell_type == kind]


def headings_of(path: Path, level: int) -> list[str]:
    headings = []
    for cell in cells_of(path, "markdown"):
        tokens = PARSER.parse(cell.source)
        headings += [
            inline.content
            for token, inline in pairwise(tokens)
            if token.type == "heading_open" and token.tag == f"h{level}"
        ]
    return headings


def has_tag(cell: NotebookNode, tag: str) -> bool:
    return tag in cell.metadata.get("tags", [])


def test_every_chapter_on_disk_is_in_the_table_of_contents() -> None:
    assert sorted(CHAPTERS) == sorted((ROOT / "notebooks").glob("*.md"))


@each_chapter
def test_the_notebook_is_made_from_its_source(path: Path) -> None:
    notebook = path.with_suffix(".ipynb")
    expected = build_notebooks.notebook_text(path, build_notebooks.stored_outputs(notebook))
    assert notebook.read_text("utf-8") == expected, "run `make notebooks`"


@each_chapter
def test_every_frozen_cell_has_a_stored_output(path: Path) -> None:
    notebook = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
    nbformat.validate(notebook)
    frozen = [cell for cell in notebook.cells if has_tag(cell, build_notebooks.FROZEN)]
    assert frozen, "a chapter freezes at least one exact result"
    for cell in frozen:
        assert cell.outputs, f"run `make notebooks-freeze`: {cell.source}"
        assert cell.execution_count


@each_chapter
def test_no_line_of_prose_begins_with_a_sign_that_markdown_reads(path: Path) -> None:
    # A line that begins with a percent sign is a comment; one with a plus opens a list, and so does
    # one with "1." in the middle of a paragraph.
    for cell in cells_of(path, "markdown"):
        assert not [line for line in cell.source.splitlines() if line.startswith("%")]
        assert not [token for token in PARSER.parse(cell.source) if token.markup == "+"]
        assert not re.findall(r"(?<=[a-z,;:])\n1[.)] ", cell.source)


@each_chapter
def test_no_cell_hides_its_value_behind_a_semicolon(path: Path) -> None:
    # IPython honours it, nbval does not: it would see an output that the site has not.
    for cell in cells_of(path, "code"):
        assert not cell.source.splitlines()[-1].split("#")[0].rstrip().endswith(";"), cell.source


@each_chapter
def test_only_what_measures_time_may_print_something_else_next_time(path: Path) -> None:
    for cell in cells_of(path, "code"):
        if has_tag(cell, "nbval-ignore-output"):
            assert "perf_counter()" in cell.source


@each_chapter
def test_only_frozen_cells_have_a_stored_output(path: Path) -> None:
    notebook = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code" and not has_tag(cell, build_notebooks.FROZEN):
            assert not cell.outputs
            assert cell.execution_count is None


@each_chapter
def test_no_markup_of_the_site_is_left_in_the_notebook(path: Path) -> None:
    notebook = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for token in PARSER.parse(cell.source):
                assert not token.info.startswith("{"), cell.source
                assert token.type not in ("myst_target", "myst_line_comment", "math_block_label")
                assert all(child.type != "myst_role" for child in token.children or [])


@each_chapter
def test_no_tooltip_shows_raw_mathematics(path: Path) -> None:
    for cell in nbformat.read(path.with_suffix(".ipynb"), as_version=4).cells:
        for line in cell.source.splitlines():
            assert all("\\" not in title.split('"')[0] for title in line.split(' title="')[1:])


@each_chapter
def test_the_page_opens_with_its_goals_and_what_it_needs(path: Path) -> None:
    opening = cells_of(path, "markdown")[0].source
    for part in (
        ":class: at-a-glance",
        "After this chapter you can",
        "Before you start:",
        "Run time on two CPU cores:",
        "Seed",
    ):
        assert part in opening


@each_chapter
def test_the_sections_follow_the_template(path: Path) -> None:
    (title,) = headings_of(path, 1)
    sections = headings_of(path, 2)
    assert title
    assert sections[-4:] == SECTIONS_AT_THE_END
    assert 3 <= len(sections[:-4]) <= 5


@each_chapter
def test_no_cell_is_longer_than_a_reader_takes_in(path: Path) -> None:
    for cell in cells_of(path, "code"):
        # However the lines are broken, and without comments.
        lines = ast.unparse(ast.parse(without_magics(cell.source))).splitlines()
        code = [line for line in lines if line.strip()]
        assert len(code) <= MOST_LINES, f"{len(code)} lines:\n{cell.source}"


@each_chapter
def test_at_most_two_cells_of_a_section_show_their_checks(path: Path) -> None:
    section, shown = "", {}
    for cell in chapter(path).cells:
        if cell.cell_type == "markdown":
            titles = re.findall(r"^## (.+)$", cell.source, re.MULTILINE)
            section = titles[-1] if titles else section
        elif claims_of(cell.source) and not title_of(cell.metadata.get("tags", []), cell.source):
            shown.setdefault(section, []).append(cell.source)
    for title, sources in shown.items():
        assert len(sources) <= 2, f"section {title!r}: {len(sources)} cells with checks in view"
        for source in sources:
            assert len(claims_of(source)) <= 3, source


@each_chapter
def test_a_folded_check_only_checks(path: Path) -> None:
    for cell in cells_of(path, "code"):
        if has_tag(cell, CHECK):
            assert claims_of(cell.source), cell.source
            assert "plt.show()" not in cell.source
            assert "print(" not in cell.source


def names_in(tree: ast.AST) -> tuple[set[str], set[str]]:
    """Give the names that a cell sets for the cells below, and those that it reads from above."""
    nodes = list(ast.walk(tree))
    own = {node.arg for node in nodes if isinstance(node, ast.arg)}
    for node in nodes:
        if isinstance(node, ast.comprehension):
            own |= {part.id for part in ast.walk(node.target) if isinstance(part, ast.Name)}
    names = [node for node in nodes if isinstance(node, ast.Name)]
    stored = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    return stored - own, {node.id for node in names} - stored - own


@each_chapter
def test_what_a_folded_check_defines_is_used_by_no_cell_in_view(path: Path) -> None:
    folded: set[str] = set()
    for cell in cells_of(path, "code"):
        stored, read = names_in(ast.parse(without_magics(cell.source)))
        if has_tag(cell, CHECK):
            folded |= stored
        else:
            assert not folded & read, f"{folded & read} in\n{cell.source}"
            folded -= stored


@each_chapter
def test_code_that_is_folded_as_drawing_draws(path: Path) -> None:
    for cell in cells_of(path, "code"):
        if has_tag(cell, DRAW):
            assert "plt.show()" in cell.source


@each_chapter
def test_a_cell_of_a_figure_to_touch_does_nothing_else(path: Path) -> None:
    for cell in cells_of(path, "code"):
        shows = "live_figure(" in cell.source
        assert has_tag(cell, LIVE) == shows
        if shows:
            assert "assert" not in cell.source
            assert "alt=" in cell.source


@each_chapter
def test_every_figure_has_a_name_a_caption_and_words_for_who_cannot_see_it(path: Path) -> None:
    drawing = [cell for cell in cells_of(path, "code") if "plt.show()" in cell.source]
    assert drawing
    number = chapter_number(str(path.relative_to(ROOT)))
    for cell in drawing:
        figure, image = cell.metadata["mystnb"]["figure"], cell.metadata["mystnb"]["image"]
        assert figure["name"].startswith(f"fig-{number}-")
        assert len(figure["caption"]) > 20
        assert len(image["alt"]) > 60
        assert image["alt"].strip() != figure["caption"].strip()
