"""The table of results holds what the chapters printed."""

from __future__ import annotations

import pytest
from chapters import ROOT
from nbformat import NotebookNode, v4
from results_table import row

from tutorial_lib.results import result_line

PATH = ROOT / "notebooks" / "42_odd_one_out.md"


def notebook_that_prints(*lines: str) -> NotebookNode:
    outputs = [v4.new_output("stream", name="stdout", text=f"{line}\n") for line in lines]
    cell = v4.new_code_cell("...", metadata={"tags": ["result"]}, outputs=outputs)
    other = v4.new_output("stream", name="stdout", text="something else\n")
    return v4.new_notebook(cells=[v4.new_code_cell("...", outputs=[other]), cell])


def test_a_row_links_the_chapter_and_repeats_its_results() -> None:
    lines = [
        result_line("accuracy", [0.5, 0.75], baselines={"chance": 0.1}),
        result_line("bits", [2.0], baselines={"counting": 3.0}, percent=False),
    ]
    assert row(PATH, notebook_that_prints(*lines), 12.4).splitlines() == [
        "* - {doc}`/notebooks/42_odd_one_out`",
        "  - accuracy: 62.5 % (50.0 to 75.0, 2 seeds); bits: 2.0 (2.0 to 2.0, 1 seed)",
        "  - chance 10.0 %; counting 3.0",
        "  - 12",
    ]


@pytest.mark.parametrize("lines", [(), ("accuracy 62 %",)])
def test_a_result_in_another_form_is_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="a result is written by result_line, got"):
        row(PATH, notebook_that_prints(*lines), 1.0)
