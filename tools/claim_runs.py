"""Run a chapter as another reader's machine would, and say what became of its claims.

A run needs nothing of the site: only the notebook, the hook, and the packages of the chapter.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from chapters import ROOT
from claim_syntax import Claim, claims_of
from kernels import execute
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

PERTURBED = Path(__file__).resolve().parent / "perturbed"
TIMEOUT = 1800  # seconds for a cell: a slow variant is slow, and a hang is found all the same
RUNS_TO_ITS_END = "every cell runs to its end"
SOLUTIONS_PASS = "every solution passes its check"
NOT_REACHED = "it was not reached"

# What makes a processor pass for an older one. A name is also what the hook reports of a run.
INSTRUCTION_SETS = {
    "sse": {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
    },
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
    },
}


@dataclass(frozen=True)
class Variant:
    """A reader's machine.

    Args:
        instructions: The newest instructions that are used; what the processor has when empty.
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
                variant = replace(variant, torch=str(Path(value).resolve()))
            elif name == "threads":
                variant = replace(variant, threads=int(value))
            elif name == "shift":
                variant = replace(variant, shift=int(value))
            elif name != "plain":
                raise ValueError(f"variant {text!r}: {word!r} is unknown")
        return variant

    def __str__(self) -> str:
        words = [self.instructions] if self.instructions else []
        words += [f"threads={self.threads}"] if self.threads > 1 else []
        words += [f"shift={self.shift}"] if self.shift else []
        words += [f"torch={Path(self.torch).name}"] if self.torch else []
        return "+".join(words) or "plain"

    def environment(self) -> dict[str, str]:
        """Give the environment of a process on this machine."""
        changes = {
            "SEED_SHIFT": str(self.shift),
            "THREADS": str(self.threads),
            "OMP_NUM_THREADS": str(self.threads),
            # Threads that wait must not take the cores of those that compute.
            "OMP_WAIT_POLICY": "PASSIVE",
            **INSTRUCTION_SETS.get(self.instructions, {}),
        }
        inherited = os.environ.get("PYTHONPATH", "")
        folders = [str(PERTURBED), self.torch, inherited]
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


@dataclass(frozen=True)
class Run:
    """A chapter's run to its end.

    Args:
        outcomes: What became of each claim.
        instructions: The instruction set that torch used, such as ``AVX2``.
        torch: The version of PyTorch.
        seconds: How long it took.
    """

    outcomes: list[Outcome]
    instructions: str
    torch: str
    seconds: float


def run_notebook(
    notebook: NotebookNode, folder: Path, variant: Variant, package: Path = ROOT
) -> Run:
    """Run a chapter to its end on a variant.

    Args:
        notebook: The chapter; it gets the outputs.
        folder: Where it runs.
        variant: What it runs on.
        package: The folder whose ``tutorial_lib`` it imports.
    """
    with tempfile.TemporaryDirectory() as temporary:
        report = Path(temporary) / "report"
        started, stopped = time.monotonic(), ""
        try:
            environment = variant.environment() | {"CLAIMS_REPORT": str(report)}
            path = os.pathsep.join([str(package), environment["PYTHONPATH"]])
            environment["PYTHONPATH"] = path
            execute(notebook, folder, timeout=TIMEOUT, allow_errors=True, environment=environment)
        except (CellTimeoutError, DeadKernelError) as error:
            stopped = f"{type(error).__name__}: {error}".splitlines()[0]
        seconds = time.monotonic() - started
        lines = report.read_text("utf-8").splitlines() if report.is_file() else []
    machine, *cells = [json.loads(line) for line in lines] or [{"instructions": "", "torch": ""}]
    found = outcomes(notebook, cells, stopped)
    return Run(found, machine["instructions"], machine["torch"], seconds)


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
        results = {} if ran is None else ran["outcomes"]
        if ran is not None and ran["error"]:
            errors.append(f"cell {number}: {ran['error']}".splitlines()[0])
        for index, claim in enumerate(claims_of(cell.source)):
            found.append(Outcome(number, claim, results.get(str(index), NOT_REACHED)))
        if "solution" in cell.metadata.get("tags", []):
            printed = "".join(output.get("text", "") for output in cell.get("outputs", []))
            if ": correct." not in printed:
                refused.append(f"cell {number}: {printed.strip() or 'nothing was printed'}")
    whole = ((RUNS_TO_ITS_END, errors), (SOLUTIONS_PASS, refused))
    return [Outcome(0, Claim(text, False), "; ".join(wrong)) for text, wrong in whole] + found
