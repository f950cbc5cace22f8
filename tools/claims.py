"""Run the chapters as other readers' machines would, and count how often each claim held.

Usage::

    python tools/claims.py [NN ...]                 what is out of date in book/claims.json
    python tools/claims.py --try VARIANT ... [NN ...]   some variants, without a record

A variant is a name as the table of ``--list`` shows it, or is put together with plus signs:
``sse+threads=2+shift=1000``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from chapters import chapter_paths, read_chapter
from claim_syntax import Claim, claims_of
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

TOOLS = Path(__file__).resolve().parent
TIMEOUT = 1800  # seconds for a cell: a slow variant is slow, and a hang is found all the same
RUNS_TO_ITS_END = "every cell runs to its end"
SOLUTIONS_PASS = "every solution passes its check"

INSTRUCTION_SETS = {  # what imitates an older processor, oldest first, and the flag of a newer one
    "sse": (
        {
            "ATEN_CPU_CAPABILITY": "default",
            "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
            "ONEDNN_MAX_CPU_ISA": "SSE41",
        },
        "avx2",
    ),
    "avx2": (
        {
            "ATEN_CPU_CAPABILITY": "avx2",
            "MKL_ENABLE_INSTRUCTIONS": "AVX2",
            "ONEDNN_MAX_CPU_ISA": "AVX2",
        },
        "avx512f",
    ),
}


@dataclass(frozen=True)
class Variant:
    """A reader's machine.

    Args:
        instructions: The processor's newest instructions that are used; all when empty.
        threads: Threads that torch computes with.
        shift: What is added to every seed.
        torch: A folder with another version of PyTorch; the installed one when empty.
    """

    instructions: str = ""
    threads: int = 1
    shift: int = 0
    torch: str = ""

    @classmethod
    def parse(cls, text: str) -> Variant:
        """Read ``sse+threads=2+shift=1000+torch=FOLDER``; ``plain`` is the machine as it is."""
        variant = cls()
        for word in text.split("+"):
            name, _, value = word.partition("=")
            if name in INSTRUCTION_SETS:
                variant = replace(variant, instructions=name)
            elif name == "torch":
                variant = replace(variant, torch=value)
            elif name in ("threads", "shift"):
                variant = replace(variant, **{name: int(value)})
            elif name != "plain":
                raise ValueError(f"variant {text!r}: {word!r} is unknown")
        return variant

    def __str__(self) -> str:
        words = [self.instructions] if self.instructions else []
        words += [f"threads={self.threads}"] if self.threads > 1 else []
        words += [f"shift={self.shift}"] if self.shift else []
        words += ["torch"] if self.torch else []
        return "+".join(words) or "plain"

    def environment(self) -> dict[str, str]:
        """Give the environment of a process on this machine."""
        changes = {
            "SEED_SHIFT": str(self.shift),
            "THREADS": str(self.threads),
            "OMP_NUM_THREADS": str(self.threads),
            # Threads that wait must not take the cores of those that compute.
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        if self.instructions:
            changes |= INSTRUCTION_SETS[self.instructions][0]
        inherited = os.environ.get("PYTHONPATH", "")
        folders = [str(TOOLS / "perturbed"), self.torch, str(TOOLS), inherited]
        changes["PYTHONPATH"] = os.pathsep.join(filter(None, folders))
        return os.environ | changes


@dataclass(frozen=True)
class Outcome:
    """What became of one claim in one run.

    Args:
        cell: Number of the code cell, from 1; 0 for the chapter as a whole.
        claim: The claim.
        found: Empty if it held, else what was found instead.
    """

    cell: int
    claim: Claim
    found: str


def run_chapter(path: Path, variant: Variant) -> tuple[list[Outcome], float]:
    """Run a chapter to its end on a variant; give each claim's outcome, and the seconds it took."""
    notebook = read_chapter(path)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report"
        client = NotebookClient(
            notebook,
            timeout=TIMEOUT,
            allow_errors=True,
            extra_arguments=["--log-level=ERROR", "--ext=claim_hook"],
            resources={"metadata": {"path": str(path.parent)}},
        )
        started, stopped = time.monotonic(), ""
        try:
            client.execute(env=variant.environment() | {"CLAIMS_REPORT": str(report)})
        except (CellTimeoutError, DeadKernelError) as error:
            stopped = f"{type(error).__name__}: {error}".splitlines()[0]
        seconds = time.monotonic() - started
        lines = report.read_text().splitlines() if report.is_file() else []
    return outcomes(notebook, [json.loads(line) for line in lines], stopped), seconds


def outcomes(notebook: NotebookNode, report: Sequence[dict], stopped: str = "") -> list[Outcome]:
    """Match what the hook reported with the claims of a notebook.

    Args:
        notebook: As it was executed.
        report: A dictionary for each cell that ran, in order.
        stopped: Why the run ended early, if it did.
    """
    found: list[Outcome] = []
    errors = [stopped] if stopped else []
    refused: list[str] = []
    waiting = list(report)
    for number, cell in enumerate((c for c in notebook.cells if c.cell_type == "code"), start=1):
        ran = waiting.pop(0) if waiting and waiting[0]["source"] == cell.source else None
        if ran is not None and ran["error"]:
            errors.append(f"cell {number}: {ran['error']}".splitlines()[0])
        for index, claim in enumerate(claims_of(cell.source)):
            result = (
                "not reached" if ran is None else ran["outcomes"].get(str(index), "not reached")
            )
            found.append(Outcome(number, claim, result))
        if "solution" in cell.metadata.get("tags", []):
            printed = "".join(output.get("text", "") for output in cell.get("outputs", []))
            if ": correct." not in printed:
                refused.append(f"cell {number}: {printed.strip() or 'nothing was printed'}")
    whole = ((RUNS_TO_ITS_END, errors), (SOLUTIONS_PASS, refused))
    return [Outcome(0, Claim(text, False), "; ".join(wrong)) for text, wrong in whole] + found


def main() -> int:
    """Run what is asked for; return 1 if a claim did not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("numbers", nargs="*", type=int, metavar="NN", help="chapters; all if none")
    parser.add_argument("--try", nargs="+", dest="tried", metavar="VARIANT", default=[])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    chosen = chapter_paths(numbers=options.numbers)
    work = [(path, Variant.parse(text)) for path in chosen for text in options.tried]
    wrong = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        runs = {pool.submit(run_chapter, *item): item for item in work}
        for run in as_completed(runs):
            path, variant = runs[run]
            found, seconds = run.result()
            counted = [o for o in found if not (variant.shift and o.claim.own_seed)]
            failed = [o for o in counted if o.found]
            wrong += len(failed)
            print(
                f"{path.stem} {variant}: {len(counted) - len(failed)} of {len(counted)} claims "
                f"held, {seconds:.0f} s",
                flush=True,
            )
            for outcome in failed:
                print(f"    cell {outcome.cell}: {outcome.claim.text}\n        {outcome.found}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
