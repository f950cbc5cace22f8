"""The record of the claims counts what was run, and belongs to what the chapter computes."""

from __future__ import annotations

from pathlib import Path

import pytest
from chapters import ROOT, computation_digest
from claim_record import ChapterRecord, pinned_torch, read_record, write_record
from claim_runs import Outcome, Run, Variant
from claim_syntax import Claim
from claims import plan
from claims_on_the_site import row, with_claims

CHAPTER = ROOT / "notebooks" / "11_scaled_dot_product_attention.md"
CLAIMS = [
    {"cell": 0, "text": "every cell runs to its end"},
    {"cell": 2, "text": "assert x == 1.25", "own_seed": True},
    {"cell": 2, "text": "assert x > 1"},
]


def a_run(*failed: int, instructions: str = "AVX2", torch: str = "") -> Run:
    outcomes = [
        Outcome(claim["cell"], Claim(claim["text"], "own_seed" in claim), "x is 0" * (k in failed))
        for k, claim in enumerate(CLAIMS)
    ]
    return Run(outcomes, instructions, torch or f"{pinned_torch()}+cpu", 1.0)


def test_a_claim_of_one_seed_is_not_counted_where_seeds_are_moved() -> None:
    record = ChapterRecord("abc", CLAIMS).with_run(Variant(), a_run())
    record = record.with_run(Variant(shift=1000), a_run(1, 2))
    assert [(held, made) for _, held, made in record.counts()] == [(2, 2), (1, 1), (1, 2)]


def test_the_summary_says_what_was_run() -> None:
    record = ChapterRecord("abc", CLAIMS).with_run(Variant(), a_run())
    assert record.summary() == (
        "3 claims, each held in the one run that was made: "
        "one instruction set, one thread, no other seeds, one version of PyTorch"
    )
    for variant, run in (
        (Variant("sse"), a_run(instructions="DEFAULT")),
        (Variant(threads=4), a_run()),
        (Variant(shift=1000), a_run()),
        (Variant(shift=2000), a_run(torch="2.99.0")),
    ):
        record = record.with_run(variant, run)
    machines = "two instruction sets, 1 to 4 threads, two other seeds, two versions of PyTorch"
    assert record.summary() == f"3 claims, each held in 5 of 5 runs: {machines}"
    broken = record.with_run(Variant(), a_run(0))
    assert broken.summary() == (f"3 claims, 1 of which did not hold in every run: {machines}")


def test_a_run_on_the_same_machine_takes_the_place_of_the_one_before() -> None:
    record = ChapterRecord("abc", CLAIMS).with_run(Variant(), a_run(2))
    assert len(record.with_run(Variant(), a_run()).runs) == 1


def test_the_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "claims.json"
    record = {"11": ChapterRecord("abc", CLAIMS).with_run(Variant(), a_run(2))}
    assert read_record(path) == {}
    write_record(record, path)
    assert read_record(path) == record
    assert [file.name for file in tmp_path.iterdir()] == ["claims.json"]


@pytest.mark.parametrize(
    ("run", "variant", "expected"),
    [
        (a_run(), Variant(), True),
        (a_run(), Variant("avx2"), True),
        (a_run(), Variant("sse"), False),
        (a_run(), Variant(torch="folder"), False),
        (a_run(torch="2.99.0"), Variant(torch="folder"), True),
        (a_run(torch="2.99.0"), Variant(), False),
        (a_run(), Variant(shift=1000), False),
        (a_run(), Variant(threads=2), False),
    ],
)
def test_a_run_that_was_made_is_not_made_again(run: Run, variant: Variant, expected: bool) -> None:
    record = ChapterRecord("abc", CLAIMS).with_run(Variant(), run)
    assert record.has(variant) is expected


def test_a_run_of_what_the_chapter_was_counts_for_nothing() -> None:
    record = ChapterRecord("abc", CLAIMS).with_run(Variant(), a_run())
    fresh = ChapterRecord.of(CHAPTER, record)
    assert not fresh.has(Variant())
    assert fresh.runs == []
    assert fresh.digest == computation_digest(CHAPTER)


def test_only_what_is_computed_changes_the_digest(tmp_path: Path) -> None:
    for folder in ("notebooks", "tutorial_lib"):
        (tmp_path / folder).mkdir()
    (tmp_path / "requirements.txt").write_text("# run\ntorch==2.13.0\n\n# tests\npytest==9\n")
    module, path = tmp_path / "tutorial_lib" / "one.py", tmp_path / "notebooks" / "11_one.md"
    module.write_text('"""Words."""\n\ndef f():\n    """Words."""\n    return 1\n')
    front = CHAPTER.read_text("utf-8").partition("\n# ")[0]
    text = f"{front}\n# One\n\n```{{code-cell}} ipython3\nfrom tutorial_lib.one import f\n```\n"
    path.write_text(text)

    def digest() -> str:
        return computation_digest(path, tmp_path)

    first = digest()
    module.write_text("'''Others.'''\ndef f():  # why\n    'Others.'\n    return (1)\n")
    path.write_text(text.replace("# One", "# Another title"))
    (tmp_path / "requirements.txt").write_text("# run\ntorch==2.13.0\n\n# tests\npytest==10\n")
    assert digest() == first
    module.rename(module.with_name("two.py"))
    path.write_text(text.replace("tutorial_lib.one", "tutorial_lib.two"))
    assert digest() == first
    module.write_text("def f():\n    return 2\n")
    path.write_text(text)
    assert digest() != first
    second = digest()
    path.write_text(text.replace("import f\n", "import f\n\nassert f() == 2\n"))
    assert digest() != second
    third = digest()
    (tmp_path / "requirements.txt").write_text("# run\ntorch==2.14.0\n\n# tests\npytest==10\n")
    assert digest() != third


def test_the_page_says_what_is_known_of_its_claims() -> None:
    text = "# T\n\n:::{admonition} At a glance\n:class: at-a-glance\n\nGoals\n:::\n\nText\n"
    record = ChapterRecord("abc", CLAIMS).with_run(Variant(), a_run())
    page = with_claims(text, record)
    assert "Goals\n\n**Checked:** {ref}`3 claims, each held in the one run that was made:" in page
    assert "PyTorch <claims>`\n:::\n\nText\n" in page
    assert "not counted since this page was last changed" in with_claims(text, None)
    assert with_claims("# T\n", record) == "# T\n"


def test_a_row_of_the_table_counts_the_claims_and_the_runs() -> None:
    record = ChapterRecord("abc", CLAIMS).with_run(Variant(), a_run(2))
    record = record.with_run(Variant("sse", 2, 1000), a_run(instructions="DEFAULT"))
    cells = [line.strip(" *-") for line in row(CHAPTER, record).splitlines()]
    assert cells[1:] == ["3", "2", "2", "AVX2, DEFAULT", "1, 2", "1", pinned_torch()]
    assert "not counted since it was last changed" in row(CHAPTER, None)


def test_the_runs_differ_in_machine_and_seeds() -> None:
    runs = plan("folder")
    assert {run.instructions for run in runs} == {"", "sse", "avx2"}
    assert {run.threads for run in runs} == {1, 2, 4}
    assert {run.torch for run in runs} == {"", "folder"}
    assert len({run.shift for run in runs}) == len(runs) > 10
