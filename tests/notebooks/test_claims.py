"""Every claim of every chapter was held against other machines, in the chapter's present form."""

from __future__ import annotations

from pathlib import Path

import pytest
from chapters import chapter_paths, computation_digest
from claim_record import ChapterRecord, number_of, pinned_torch, read_record

each_chapter = pytest.mark.parametrize("path", chapter_paths(), ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def record() -> dict[str, ChapterRecord]:
    return read_record()


def record_of(record: dict[str, ChapterRecord], path: Path) -> ChapterRecord:
    number = number_of(path)
    assert number in record, f"run `make claims {number}`"
    return record[number]


@each_chapter
def test_the_record_is_of_what_the_chapter_computes(
    record: dict[str, ChapterRecord], path: Path
) -> None:
    chapter = record_of(record, path)
    assert chapter.digest == computation_digest(path), f"run `make claims {path.stem[:2]}`"


@each_chapter
def test_every_claim_held_in_every_run(record: dict[str, ChapterRecord], path: Path) -> None:
    counts = record_of(record, path).counts()
    assert [claim for claim, held, made in counts if held < made] == []
    assert min(made for _, _, made in counts) >= 1


@each_chapter
def test_the_pinned_pytorch_is_among_the_runs(record: dict[str, ChapterRecord], path: Path) -> None:
    assert pinned_torch() in {run["torch"] for run in record_of(record, path).runs}


def test_the_record_has_no_chapter_that_is_gone(record: dict[str, ChapterRecord]) -> None:
    assert sorted(record) == sorted(path.stem[:2] for path in chapter_paths())
