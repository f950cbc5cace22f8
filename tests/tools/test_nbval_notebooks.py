"""What nbval runs: the notebook that is committed, with the outputs that the site shows."""

from __future__ import annotations

import nbformat
import pytest
from nbformat import NotebookNode, v4
from nbval_notebooks import fill


def printed(source: str, text: str) -> NotebookNode:
    output = v4.new_output("stream", name="stdout", text=text)
    return v4.new_code_cell(source, outputs=[output], execution_count=3)


def test_cells_get_the_outputs_of_the_site_and_frozen_ones_keep_their_own() -> None:
    install = v4.new_code_cell("install()", metadata={"tags": ["install"]})
    solution = v4.new_code_cell("# @title Show the solution\nanswer()")
    frozen = printed("frozen()", "as committed\n")
    notebook = v4.new_notebook(cells=[install, v4.new_markdown_cell("x"), frozen, solution])
    fill(
        notebook,
        {"frozen()": printed("frozen()", "drifted\n"), "answer()": printed("answer()", "42\n")},
    )
    nbformat.validate(notebook)
    assert notebook.cells[0].execution_count is None
    assert [cell.outputs[0].text for cell in notebook.cells[2:]] == ["as committed\n", "42\n"]
    assert notebook.cells[3].execution_count == 3  # without a count nbval compares nothing


def test_a_cell_that_its_chapter_does_not_have_is_refused() -> None:
    notebook = v4.new_notebook(cells=[v4.new_code_cell("old()")])
    with pytest.raises(ValueError, match="out of date: run `make notebooks`"):
        fill(notebook, {"new()": printed("new()", "1\n")})
