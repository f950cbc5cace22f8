"""Carry a chapter's record over a change of the code that changes none of its numbers.

A change of the package's code changes the digest of every chapter that imports it, and with it the
record is worth nothing, though each run took minutes. Here a chapter runs once as it was and once
as it is, on the same machine: if each claim came out the same and every output is the same to the
last digit, the runs that were made are runs of what the chapter computes now.
"""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from chapters import ROOT, computation_digest, read_chapter
from claim_record import ChapterRecord
from claim_runs import Run, Variant, run_notebook
from folded_cells import LIVE
from nbformat import NotebookNode

# All at once, on one thread, whose sums are added in one order.
CARRIED = Variant(instructions="sse", shift=4242)
SANITIZE = ROOT / "tests" / "notebooks" / "sanitize.cfg"
ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}\b")


class NotCarriedError(Exception):
    """Says why a chapter's runs do not count for what it computes now."""


@contextmanager
def base_tree(base: str, root: Path = ROOT) -> Iterator[Path]:
    """Give the folder of the repository as it was.

    Args:
        base: A folder, or a commit, which is checked out into a temporary one.
        root: The repository.

    Raises:
        ValueError: If it is neither.
    """
    if (Path(base) / "_toc.yml").is_file():
        yield Path(base).resolve()
        return
    with tempfile.TemporaryDirectory() as temporary:
        tree = Path(temporary) / "tree"
        git = ("git", "-C", str(root), "worktree")
        added = subprocess.run(
            [*git, "add", "--detach", str(tree), base], capture_output=True, text=True
        )
        if added.returncode:
            said = added.stderr.strip()
            raise ValueError(f"base {base!r}: a commit or a folder with a book was needed: {said}")
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def carried(path: Path, known: ChapterRecord, base: Path, root: Path = ROOT) -> ChapterRecord:
    """Give a chapter's record under the digest of what it computes now.

    Args:
        path: The chapter.
        known: Its record, of what it computed in the base.
        base: The folder in which the repository is as it was.
        root: The repository.

    Raises:
        NotCarriedError: If the record is not of the base, or anything came out differently.
    """
    before = base / path.relative_to(root)
    if not before.is_file():
        raise NotCarriedError(f"{before.name} is not in the base")
    digest = computation_digest(before, base)
    if digest != known.digest:
        raise NotCarriedError(
            f"the base computes {digest}, and the record is of {known.digest}: "
            "a base that computes what the record is of was needed"
        )
    old, new = notebook_of(before, base), notebook_of(path, root)
    claims = claims_of_both(old, new)
    old_run, new_run = (run_in(tree, book) for tree, book in ((base, old), (root, new)))
    refuse_a_difference(old, new, old_run, new_run)
    if computation_digest(path, root) != (digest := new.metadata["digest"]):
        raise NotCarriedError(f"the chapter was changed while it ran as {digest}")
    return replace(known, digest=digest, claims=claims)


def notebook_of(path: Path, root: Path) -> NotebookNode:
    """Read a chapter, and note what it computes at this time."""
    notebook = read_chapter(path, root)
    notebook.metadata["digest"] = computation_digest(path, root)
    return notebook


def run_in(tree: Path, notebook: NotebookNode) -> Run:
    """Run a chapter with the package of one tree."""
    return run_notebook(notebook, tree / "notebooks", CARRIED, package=tree)


def claims_of_both(old: NotebookNode, new: NotebookNode) -> list[dict[str, Any]]:
    """List the claims of the chapter as it is; only their cells may have moved.

    Raises:
        NotCarriedError: If their texts differ: the runs say nothing of a claim that is new.
    """
    before, after = (ChapterRecord.claims_in(notebook) for notebook in (old, new))
    unmoved = [[{**claim, "cell": bool(claim["cell"])} for claim in c] for c in (before, after)]
    for was, now in zip(*unmoved, strict=False):
        if was != now:
            raise NotCarriedError(f"a claim has changed: {was['text']}\n    became {now['text']}")
    if len(before) != len(after):
        raise NotCarriedError(f"there were {len(before)} claims, and there are {len(after)}")
    return after


def refuse_a_difference(old: NotebookNode, new: NotebookNode, was: Run, now: Run) -> None:
    """Compare what two runs gave.

    Raises:
        NotCarriedError: At the first cell, or else the first claim, that gave something else.
    """
    cells, others = (list(cells_that_compute(notebook)) for notebook in (old, new))
    if len(cells) != len(others):
        raise NotCarriedError(f"there were {len(cells)} code cells, and there are {len(others)}")
    for number, (cell, other) in enumerate(zip(cells, others, strict=True), start=1):
        timed = "nbval-ignore-output" in cell.metadata.get("tags", [])
        gave = [[] if timed else shown(one) for one in (cell, other)]
        if gave[0] != gave[1]:
            first, second = first_difference(*gave)
            raise NotCarriedError(f"code cell {number} gave\n    {first}\nand gives\n    {second}")
    for one, other in zip(was.outcomes, now.outcomes, strict=True):
        found = [masked(outcome.found) for outcome in (one, other)]
        if found[0] != found[1]:
            said = [text or "it held" for text in found]
            raise NotCarriedError(
                f"code cell {other.cell}: {other.claim.text}\n    was: {said[0]}\n    is: {said[1]}"
            )
    if (was.instructions, was.torch) != (now.instructions, now.torch) or not now.torch:
        raise NotCarriedError(f"ran on torch {was.torch!r}, {was.instructions}; then {now.torch!r}")


def cells_that_compute(notebook: NotebookNode) -> Iterator[NotebookNode]:
    """Give the code cells; a figure to touch shows what others computed, and holds no claim."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and LIVE not in cell.metadata.get("tags", []):
            yield cell


def first_difference(one: list[str], other: list[str]) -> tuple[str, str]:
    """Give the first line in which two lists of lines differ."""
    longest = max(len(one), len(other))
    padded = (lines + ["nothing"] * (longest - len(lines)) for lines in (one, other))
    pairs = zip(*padded, strict=True)
    return next((a[:300], b[:300]) for a, b in pairs if a != b)


def shown(cell: NotebookNode) -> list[str]:
    """Give what a cell wrote, line by line; a picture is its data."""
    lines = []
    streams: dict[str, str] = {}  # sent in pieces, now in more and now in fewer
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            streams[output.name] = streams.get(output.name, "") + output.text
        elif output.output_type == "error":
            lines.append(f"{output.ename}: {masked(output.evalue)}")
        else:
            for kind, data in sorted(output.data.items()):
                text = data if isinstance(data, str) else json.dumps(data, sort_keys=True)
                lines += [f"{kind}: {line}" for line in masked(text).splitlines()]
    for name, text in sorted(streams.items()):
        lines += [f"{name}: {line}" for line in masked(text).splitlines()]
    return lines


def masked(text: str) -> str:
    """Take out of a text what differs from run to run, as nbval does, and addresses in memory."""
    rules = configparser.RawConfigParser()
    rules.read(SANITIZE)
    for name in rules.sections():
        text = re.sub(rules.get(name, "regex"), rules.get(name, "replace"), text)
    return ADDRESS.sub("ADDRESS", text)
