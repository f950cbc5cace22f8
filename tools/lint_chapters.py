"""Lint and format the code of the chapters.

Usage::

    python tools/lint_chapters.py [--fix] [NN ...]

ruff reads notebooks, so each chapter's code cells are handed to it as one, and with ``--fix`` what
ruff changed goes back into the chapter. The rules are those of the package but for a narrower
line, which fits the page's column, and what only modules need.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import jupytext
import nbformat
from chapters import ROOT, chapter_paths
from nbformat import NotebookNode, v4

COLUMN = 85  # characters of code that fit the page
SETTINGS = f"""
extend = "{ROOT / "pyproject.toml"}"
line-length = {COLUMN}
[lint]
extend-ignore = [
  "D",  # the text around a cell explains it
  "E402",  # a notebook imports where the page needs it
  "F811",  # a solution defines the stub's name again
  "B905",  # `strict` is noise where the lengths are in sight
  "B023",  # cells run at once: no closure outlives its loop
  "N803", "N816",  # matrices are capital letters
  "PT017", "PT018",  # claims are not tests
  "RUF001",  # the sign that stands for a space, and the like
]
[lint.isort]
known-first-party = ["tutorial_lib"]
"""
CELL = re.compile(
    r"^(?P<open>```\{code-cell\} ipython3\n)(?P<body>.*?)(?P<close>^```$)",
    re.MULTILINE | re.DOTALL,
)
OPTIONS = re.compile(r"\A(---\n(?s:.*?)^---\n|(?::[\w-]+:.*\n)+\n?)", re.MULTILINE)


def main() -> int:
    """Report or mend; return 1 if something is left to do."""
    parser = argparse.ArgumentParser(description="Lint and format the chapters' code.")
    parser.add_argument("--fix", action="store_true", help="mend what ruff can mend")
    parser.add_argument("numbers", nargs="*", type=int, metavar="NN", help="chapters; all if none")
    options = parser.parse_args()
    chosen = chapter_paths(numbers=options.numbers)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in chosen:
            nbformat.write(code_of(path), folder / path.with_suffix(".ipynb").name)
        (folder / "ruff.toml").write_text(SETTINGS)
        if options.fix:
            _ruff(folder, "check", "--fix", "--silent")
            _ruff(folder, "format", "--silent")
        wrong = _ruff(folder, "check", "--output-format=concise")
        wrong |= _ruff(folder, "format", "--check")
        if options.fix:
            for path in chosen:
                mended = nbformat.read(folder / path.with_suffix(".ipynb").name, as_version=4)
                replace_code(path, [cell.source for cell in mended.cells])
    return wrong


def code_of(path: Path) -> NotebookNode:
    """Give a chapter's code cells as a notebook."""
    cells = [c for c in jupytext.read(path).cells if c.cell_type == "code"]
    return v4.new_notebook(
        cells=[v4.new_code_cell(cell.source) for cell in cells],
        metadata={"language_info": {"name": "python"}},
    )


def replace_code(path: Path, sources: list[str]) -> None:
    """Write the code cells of a chapter anew, and nothing else of it."""
    waiting = iter(sources)

    def replaced(cell: re.Match[str]) -> str:
        options = OPTIONS.match(cell["body"])
        head = "" if options is None else options[0]
        return f"{cell['open']}{head}{next(waiting)}\n{cell['close']}"

    text = path.read_text("utf-8")
    mended = CELL.sub(replaced, text)
    if next(waiting, None) is not None:
        raise ValueError(f"{path.name}: a code cell is not written as the others are")
    if mended != text:
        path.write_text(mended, "utf-8")
        print(f"formatted {path.relative_to(ROOT)}")


def _ruff(folder: Path, *words: str) -> int:
    return subprocess.run(["ruff", *words, "."], cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
