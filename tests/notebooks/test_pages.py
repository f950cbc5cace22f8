"""The Python on pages without cells runs too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from chapters import ROOT
from myst import PARSER

PAGES = [ROOT / "README.md", *sorted((ROOT / "book").glob("*.md"))]


def python_blocks(page: Path) -> list[str]:
    return [t.content for t in PARSER.parse(page.read_text("utf-8")) if t.info == "python"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_on_a_page_runs(page: Path) -> None:
    for block in python_blocks(page):
        subprocess.run([sys.executable, "-c", block], check=True, cwd=ROOT)


def test_the_readme_and_the_landing_page_show_python() -> None:
    assert python_blocks(ROOT / "README.md")
    assert python_blocks(ROOT / "book" / "index.md")
