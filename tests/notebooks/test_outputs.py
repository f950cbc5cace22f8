"""What the chapters wrote when they were executed for the site."""

from __future__ import annotations

from pathlib import Path

import execute_chapters
import pytest
from chapters import chapter_paths


@pytest.mark.parametrize("path", chapter_paths(), ids=lambda path: path.stem)
def test_no_chapter_complains(path: Path) -> None:
    # A warning on a page names folders of the machine that built it.
    for cell in execute_chapters.outputs_of(path).values():
        complaints = [output.text for output in cell.outputs if output.get("name") == "stderr"]
        assert complaints == [], cell.source
