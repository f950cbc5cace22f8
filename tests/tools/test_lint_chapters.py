"""The chapters' code is linted where it stands, and only the code is changed."""

from __future__ import annotations

from pathlib import Path

import lint_chapters
import pytest
from front_matter import FRONT_MATTER

CHAPTER = (
    FRONT_MATTER
    + """# Title

Prose  with `code`.

```{code-cell} ipython3
:tags: [check]

assert  1==1
```

```{code-cell} ipython3
---
mystnb:
  figure:
    caption: Two  words.
tags: [draw]
---
x = {'a':1}
print("$x$")
```

```python
x  =  1
```
"""
)


@pytest.fixture
def chapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "11_one.md"
    path.write_text(CHAPTER)
    monkeypatch.setattr(lint_chapters, "chapter_paths", lambda numbers: [path])
    monkeypatch.setattr(lint_chapters, "ROOT", tmp_path)
    return path


def test_the_code_of_a_chapter_is_handed_over_cell_by_cell(chapter: Path) -> None:
    cells = lint_chapters.code_of(chapter).cells
    assert [cell.source for cell in cells] == ["assert  1==1", "x = {'a':1}\nprint(\"$x$\")"]


def test_only_code_is_written_back(chapter: Path) -> None:
    lint_chapters.replace_code(chapter, ["assert 1 == 1", 'x = {"a": r"\\1"}'])
    expected = CHAPTER.replace("assert  1==1", "assert 1 == 1")
    expected = expected.replace("x = {'a':1}\nprint(\"$x$\")", 'x = {"a": r"\\1"}')
    assert chapter.read_text() == expected


def test_a_cell_that_is_written_otherwise_is_not_lost(chapter: Path) -> None:
    with pytest.raises(ValueError, match=r"11_one.md: a code cell is not written"):
        lint_chapters.replace_code(chapter, ["1", "2", "3"])
    assert chapter.read_text() == CHAPTER
