"""What is known of the chapters' claims: book/claims.json, which goes with the repository.

For each chapter it holds a digest of what the chapter computes, its claims, and the runs that were
made, with the claims that did not hold in each. Nothing in it names a machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from chapters import ROOT, computation_digest, read_chapter
from claim_runs import Run, Variant, outcomes
from nbformat import NotebookNode

RECORD = ROOT / "book" / "claims.json"
WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass
class ChapterRecord:
    """What is known of one chapter.

    Args:
        digest: Of what the chapter computes.
        claims: Each claim's cell, text, and whether it speaks of the chapter's own seed.
        runs: For each run the instruction set, the threads, the shift of the seeds, the version of
            PyTorch, and the numbers of the claims that did not hold.
    """

    digest: str
    claims: list[dict[str, Any]]
    runs: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, path: Path, known: ChapterRecord | None = None) -> ChapterRecord:
        """Give a chapter's record: what is known of it, or a new one if it has changed since."""
        digest = computation_digest(path)
        if known is not None and known.digest == digest:
            return known
        return cls(digest, cls.claims_in(read_chapter(path)))

    @staticmethod
    def claims_in(notebook: NotebookNode) -> list[dict[str, Any]]:
        """List a chapter's claims as the record holds them."""
        return [
            {"cell": o.cell, "text": o.claim.text}
            | ({"own_seed": True} if o.claim.own_seed else {})
            for o in outcomes(notebook, [])
        ]

    def with_run(self, variant: Variant, run: Run) -> ChapterRecord:
        """Add a run, in the place of one on the same machine."""
        made: dict[str, Any] = {
            "instructions": run.instructions,
            "threads": variant.threads,
            "shift": variant.shift,
            "torch": run.torch.partition("+")[0],
        }
        others = [known for known in self.runs if {**known, "failed": 0} != {**made, "failed": 0}]
        made["failed"] = [number for number, o in enumerate(run.outcomes) if o.found]
        runs = sorted([*others, made], key=lambda one: [str(value) for value in one.values()])
        return ChapterRecord(self.digest, self.claims, runs)

    def has(self, variant: Variant) -> bool:
        """Tell whether a run on a variant was made, whatever the processor it was made on."""
        return any(_is_on(run, variant) for run in self.runs)

    def counts(self) -> list[tuple[dict[str, Any], int, int]]:
        """Give each claim, in how many runs it held, and of how many."""
        counted = []
        for number, claim in enumerate(self.claims):
            runs = [run for run in self.runs if not (claim.get("own_seed") and run["shift"])]
            held = sum(number not in run["failed"] for run in runs)
            counted.append((claim, held, len(runs)))
        return counted

    def summary(self) -> str:
        """Say in a sentence what was run and what came out."""
        counts = self.counts()
        broken = sum(held < made for _, held, made in counts)
        runs = len(self.runs)
        made = f"{runs} of {runs} runs" if runs > 1 else "the one run that was made"
        what = f"{len(counts)} claims, each held in {made}"
        if broken:
            what = f"{len(counts)} claims, {broken} of which did not hold in every run"
        return f"{what}: {self.machines()}"

    def machines(self) -> str:
        """Say what the runs differed in."""
        sets = {run["instructions"] for run in self.runs}
        threads = {run["threads"] for run in self.runs}
        shifts = {run["shift"] for run in self.runs} - {0}
        versions = {run["torch"] for run in self.runs}
        return ", ".join(
            [
                _count(len(sets), "instruction set"),
                f"{min(threads)} to {max(threads)} threads" if len(threads) > 1 else "one thread",
                _count(len(shifts), "other seed"),
                f"{_count(len(versions), 'version')} of PyTorch",
            ]
        )


def _count(number: int, noun: str) -> str:
    word = WORDS[number] if number < len(WORDS) else str(number)
    return f"{word} {noun}{'' if number == 1 else 's'}"


def read_record(path: Path = RECORD) -> dict[str, ChapterRecord]:
    """Read what is known, by the chapters' numbers."""
    if not path.is_file():
        return {}
    chapters = json.loads(path.read_text("utf-8"))
    return {number: ChapterRecord(**chapter) for number, chapter in chapters.items()}


def write_record(record: Mapping[str, ChapterRecord], path: Path = RECORD) -> None:
    """Write it, a line for each claim and each run, so that a change shows as one."""
    chapters = []
    for number, chapter in sorted(record.items()):
        claims, runs = (_lines(part) for part in (chapter.claims, chapter.runs))
        chapters.append(
            f'  "{number}": {{\n    "digest": "{chapter.digest}",\n'
            f'    "claims": {claims},\n    "runs": {runs}\n  }}'
        )
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text("{\n" + ",\n".join(chapters) + "\n}\n", "utf-8")
    unfinished.replace(path)


def _lines(items: list[dict[str, Any]]) -> str:
    lines = ",\n".join(f"      {json.dumps(item, ensure_ascii=False)}" for item in items)
    return f"[\n{lines}\n    ]"


def number_of(path: Path) -> str:
    """Give the number by which the record knows a chapter."""
    return path.stem[:2]


def _is_on(run: Mapping[str, Any], variant: Variant) -> bool:
    if (run["threads"], run["shift"]) != (variant.threads, variant.shift):
        return False
    if (run["torch"] != pinned_torch()) != bool(variant.torch):
        return False
    # Torch's names of the sets. On a processor without AVX, every run is one on an old processor.
    names = {"sse": {"DEFAULT", "NO AVX"}, "avx2": {"AVX2", "DEFAULT", "NO AVX"}}
    return run["instructions"] in names.get(variant.instructions, {run["instructions"]})


@cache
def pinned_torch(root: Path = ROOT) -> str:
    """Read the version of PyTorch that builds the book."""
    for line in (root / "requirements.txt").read_text("utf-8").splitlines():
        if line.startswith("torch=="):
            return line.removeprefix("torch==")
    raise ValueError("requirements.txt does not pin torch")
