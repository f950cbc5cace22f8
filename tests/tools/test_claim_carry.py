"""A record is carried over a change that changes no number, and over no other."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from chapters import computation_digest
from claim_carry import (
    NotCarriedError,
    base_tree,
    carried,
    claims_of_both,
    masked,
    notebook_of,
    shown,
)
from claim_record import ChapterRecord
from front_matter import FRONT_MATTER
from nbformat import NotebookNode, v4

CHAPTER = """# One

```{code-cell} ipython3
from tutorial_lib.one import double
```

```{code-cell} ipython3
import time

import torch

x = double(torch.rand(3, generator=torch.Generator().manual_seed(1)))
print(x, f"{time.perf_counter()} s", object())
assert x.sum() > 0
```
"""
RUNS = [{"instructions": "AVX2", "threads": 1, "shift": 0, "torch": "2.13.0", "failed": []}]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A small book, and its copy in the folder that is given."""
    book = tmp_path / "base"
    for folder in ("notebooks", "tutorial_lib"):
        (book / folder).mkdir(parents=True)
    for name in ("requirements.txt", "constraints.txt"):
        (book / name).write_text("# run\ntorch==2.13.0\n")
    (book / "_toc.yml").write_text("root: book/index\n")
    (book / "notebooks" / "11_one.md").write_text(FRONT_MATTER + CHAPTER)
    (book / "tutorial_lib" / "__init__.py").write_text("")
    (book / "tutorial_lib" / "one.py").write_text("def double(x):\n    return 2 * x\n")
    shutil.copytree(book, tmp_path / "now")
    return book


@pytest.fixture
def chapter(base: Path) -> Path:
    """The chapter as it is now."""
    return base.parent / "now" / "notebooks" / "11_one.md"


def record_of(book: Path) -> ChapterRecord:
    path = book / "notebooks" / "11_one.md"
    claims = ChapterRecord.claims_in(notebook_of(path, book))
    return ChapterRecord(computation_digest(path, book), claims, RUNS)


def carry(base: Path, code: str, known: ChapterRecord | None = None) -> ChapterRecord:
    now = base.parent / "now"
    (now / "tutorial_lib" / "one.py").write_text(code)
    return carried(now / "notebooks" / "11_one.md", known or record_of(base), base, now)


@pytest.mark.parametrize("tags", ["live", "draw"])
def test_runs_are_kept_where_only_a_figure_to_touch_is_added(
    base: Path, chapter: Path, tags: str
) -> None:
    cell = f"\n```{{code-cell}} ipython3\n:tags: [{tags}]\n\nprint('seen')\n```\n"
    known = record_of(base)
    chapter.write_text(chapter.read_text() + cell)
    same = "def double(x):\n    return 2 * x\n"
    if tags == "live":
        assert carry(base, same, known).runs == RUNS
    else:
        with pytest.raises(NotCarriedError, match="there were 2 code cells, and there are 3"):
            carry(base, same, known)


def test_runs_are_kept_where_nothing_came_out_differently(base: Path, chapter: Path) -> None:
    known = record_of(base)
    kept = carry(base, "def double(x):\n    twice = x + x\n    return twice\n", known)
    assert kept.digest == computation_digest(chapter, base.parent / "now") != known.digest
    assert kept.runs == RUNS
    assert kept.claims == known.claims


def test_the_first_cell_that_gives_something_else_is_named(base: Path) -> None:
    differs = r"code cell 2 gave\n.*tensor.*\nand gives\n.*tensor"
    with pytest.raises(NotCarriedError, match=differs):
        carry(base, "def double(x):\n    return 2.001 * x\n")


def test_a_base_of_another_digest_is_refused(base: Path) -> None:
    with pytest.raises(NotCarriedError, match="the record is of abc: a base that computes what"):
        carry(base, "double = abs", ChapterRecord("abc", [], RUNS))


def test_a_claim_may_move_to_another_cell_and_may_not_change(base: Path, chapter: Path) -> None:
    old = notebook_of(base / "notebooks" / "11_one.md", base)
    text = chapter.read_text()
    moved = "```{code-cell} ipython3\nassert x.sum() > 0\n```\n"
    chapter.write_text(text.replace("assert x.sum() > 0\n", "") + moved)
    claims = claims_of_both(old, notebook_of(chapter, base.parent / "now"))
    assert [claim["cell"] for claim in claims] == [0, 0, 3]
    chapter.write_text(text.replace("x.sum() > 0", "x.sum() > 1"))
    with pytest.raises(NotCarriedError, match=r"assert x.sum\(\) > 0\n    became .* > 1"):
        claims_of_both(old, notebook_of(chapter, base.parent / "now"))
    chapter.write_text(text.replace("assert x.sum() > 0\n", "assert x.sum() > 0\nassert True\n"))
    with pytest.raises(NotCarriedError, match="there were 3 claims, and there are 4"):
        claims_of_both(old, notebook_of(chapter, base.parent / "now"))


def a_cell(*outputs: NotebookNode) -> NotebookNode:
    return v4.new_code_cell("x", outputs=list(outputs))


def test_pictures_and_streams_are_compared_whatever_their_pieces() -> None:
    pieces = [v4.new_output("stream", name="stdout", text=text) for text in ("a", "b\n")]
    whole = v4.new_output("stream", name="stdout", text="ab\n")
    assert shown(a_cell(*pieces)) == shown(a_cell(whole)) == ["stdout: ab"]
    pictures = [v4.new_output("display_data", {"image/png": data}) for data in ("AAAA", "AAAB")]
    assert shown(a_cell(pictures[0])) != shown(a_cell(pictures[1]))


def test_times_and_addresses_are_masked_and_numbers_are_not() -> None:
    assert masked("1.5 s <object at 0x7f0011223344>") == masked("2.5 s <object at 0x7f0099887766>")
    assert masked("loss 0.123456") != masked("loss 0.123457")


def test_the_base_is_a_folder_or_a_commit(base: Path, tmp_path: Path) -> None:
    with base_tree(str(base)) as tree:
        assert tree == base
    git = ("git", "-C", str(base), "-c", "user.name=me", "-c", "user.email=me@example.org")
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "All"]):
        subprocess.run([*git, *command], check=True)
    (base / "notebooks" / "11_one.md").write_text("changed")
    with base_tree("HEAD", base) as tree:
        assert (tree / "notebooks" / "11_one.md").read_text() == FRONT_MATTER + CHAPTER
    assert not tree.exists()
    with (
        pytest.raises(ValueError, match="base 'gone': a commit or a folder"),
        base_tree("gone", base),
    ):
        pass
