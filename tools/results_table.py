"""The table of results on the landing page, made from what the chapters printed.

A chapter prints its result with :func:`tutorial_lib.results.result_line` in a cell tagged
``result``. The directive ``results`` collects these lines from the cache of executed chapters.
"""

from __future__ import annotations

import re
from pathlib import Path

from chapters import ROOT, chapter_paths, read_chapter
from docutils import nodes
from docutils.statemachine import StringList
from execute_chapters import LAST_RUN, executed
from nbformat import NotebookNode
from sphinx.util.docutils import SphinxDirective
from sphinx.util.logging import getLogger

TAG = "result"
LINE = re.compile(r"(?P<result>.+?)\. Baselines: (?P<baselines>.+)\.")
HEAD = """:::{list-table}
:header-rows: 1
* - Task
  - Result
  - Compared with
  - Seconds for the whole chapter"""


class ResultsTable(SphinxDirective):
    """A row for each chapter that states a result."""

    def run(self) -> list[nodes.Node]:
        """Build the table, and build it again when a chapter has run again."""
        self.env.note_dependency(str(LAST_RUN))
        rows = []
        for path in chapter_paths():
            if not any(is_result(cell) for cell in read_chapter(path).cells):
                continue
            self.env.note_dependency(str(path))
            try:
                notebook, seconds = executed(path)
                rows.append(row(path, notebook, seconds))
            except (KeyError, ValueError) as error:
                getLogger(__name__).warning(
                    "%s has no result: %s", path.stem, error, location=self.get_location()
                )
        text = "\n".join([HEAD, *rows, ":::"])
        container = nodes.container()
        lines = StringList(text.splitlines(), source=self.get_source_info()[0])
        self.state.nested_parse(lines, self.content_offset, container)
        return container.children


def is_result(cell: NotebookNode) -> bool:
    """Tell whether a cell prints its chapter's result."""
    return TAG in cell.metadata.get("tags", [])


def row(path: Path, notebook: NotebookNode, seconds: float) -> str:
    """Write a chapter's row.

    Args:
        path: The chapter.
        notebook: As it was executed.
        seconds: How long that took.

    Raises:
        ValueError: If a result is not written as ``result_line`` writes it.
    """
    lines = [
        line
        for cell in notebook.cells
        if is_result(cell)
        for output in cell.outputs
        for line in output.get("text", "").splitlines()
    ]
    found = [match for line in lines if (match := LINE.fullmatch(line))]
    if not found or len(found) != len(lines):
        raise ValueError(f"a result is written by result_line, got {lines}")
    docname = path.relative_to(ROOT).with_suffix("").as_posix()
    results = "; ".join(match["result"] for match in found)
    baselines = "; ".join(dict.fromkeys(match["baselines"] for match in found))
    return f"* - {{doc}}`/{docname}`\n  - {results}\n  - {baselines}\n  - {seconds:.0f}"
