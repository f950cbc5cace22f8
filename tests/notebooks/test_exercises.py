"""Every exercise: its stub does not pass, its solution does, as executed for the site."""

from __future__ import annotations

import importlib
from pathlib import Path

import execute_chapters
import jupytext
import pytest
from chapters import chapter_number, chapter_paths
from nbformat import NotebookNode

CHAPTERS = chapter_paths()
each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def printed(cell: NotebookNode) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


def executed_cells(path: Path, tag: str) -> list[NotebookNode]:
    """Give the executed cells with a tag, in order."""
    executed = execute_chapters.outputs_of(path)
    cells = [c for c in jupytext.read(path).cells if tag in c.metadata.get("tags", [])]
    return [executed[cell.source] for cell in cells]


@each_chapter
def test_every_stub_is_told_not_yet_and_given_a_hint(path: Path) -> None:
    number = chapter_number(f"notebooks/{path.stem}")
    stubs = executed_cells(path, "exercise")
    assert len(stubs) >= 3
    for count, stub in enumerate(stubs, start=1):
        assert f"Exercise {number}.{count}: not yet, " in printed(stub)
        assert "Hint: " in printed(stub)


@each_chapter
def test_every_solution_is_told_correct(path: Path) -> None:
    number = chapter_number(f"notebooks/{path.stem}")
    solutions = executed_cells(path, "solution")
    assert len(solutions) == len(executed_cells(path, "exercise"))
    for count, solution in enumerate(solutions, start=1):
        assert f"Exercise {number}.{count}: correct." in printed(solution).splitlines()
        assert "not yet" not in printed(solution)


@each_chapter
def test_every_check_of_the_package_is_used_on_its_page(path: Path) -> None:
    number = chapter_number(f"notebooks/{path.stem}")
    check = importlib.import_module(f"tutorial_lib.exercises.chapter_{number}").check
    assert sorted(check.exercises) == list(range(1, len(executed_cells(path, "exercise")) + 1))
