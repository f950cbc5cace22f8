"""Write the notebooks that nbval runs: those that Colab opens, with the outputs of the site.

Frozen cells keep the output that is committed with them. Every other cell gets what it printed
when the book was built, so that one run shows both that a notebook works as it is opened elsewhere
and that the published outputs come again. Usage::

    python tools/nbval_notebooks.py    writes _build/nbval/*.ipynb, and their paths, those that take
                                       longest first, into _build/nbval/order.txt
"""

from __future__ import annotations

from pathlib import Path

import nbformat
from build_notebooks import without_title
from chapters import ROOT, chapter_paths
from execute_chapters import by_source, executed
from nbformat import NotebookNode

FOLDER = ROOT / "_build" / "nbval"


def main() -> None:
    """Write all of them, and nothing else into the folder."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.ipynb"):
        old.unlink()
    seconds: dict[Path, float] = {}
    for path in chapter_paths():
        notebook = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
        chapter, taken = executed(path)
        fill(notebook, by_source(chapter))
        target = FOLDER / path.with_suffix(".ipynb").name
        nbformat.write(notebook, target)
        seconds[target] = taken
    # Two long ones at the end would leave a core without work.
    longest_first = sorted(seconds, key=lambda target: -seconds[target])
    (FOLDER / "order.txt").write_text("".join(f"{target}\n" for target in longest_first), "utf-8")


def fill(notebook: NotebookNode, ran: dict[str, NotebookNode]) -> None:
    """Give each code cell that has no stored output what it printed when the book was built.

    Args:
        notebook: The notebook as it is committed.
        ran: The chapter's executed cells, by their source.

    Raises:
        ValueError: If a cell of the notebook is not in its chapter.
    """
    for cell in notebook.cells:
        if cell.cell_type != "code" or cell.execution_count is not None:
            continue
        if "install" in cell.metadata.get("tags", []):  # the site has no such cell
            continue
        source = without_title(cell.source)
        if source not in ran:
            raise ValueError(f"the notebook is out of date: run `make notebooks`\n{cell.source}")
        cell.outputs = ran[source].outputs
        cell.execution_count = ran[source].execution_count


if __name__ == "__main__":
    main()
