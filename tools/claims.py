"""Run the chapters as other readers' machines would, and count how often each claim held.

Usage::

    python tools/claims.py [NN ...]                     make the runs that book/claims.json lacks
    python tools/claims.py --try VARIANT ... -- [NN ...]  make these runs, and record nothing
    python tools/claims.py --carry BASE [NN ...]        keep the runs of chapters that compute
                                                        what they did at this commit

A variant is put together with plus signs: ``sse+threads=2+shift=1000``. ``plain`` is this machine
as it is, ``sse`` and ``avx2`` make its processor pass for an older one, ``shift`` is added to every
seed, and ``torch=FOLDER`` names a folder with another version of PyTorch.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

from chapters import chapter_paths, computation_digest, read_chapter
from claim_carry import NotCarriedError, base_tree, carried
from claim_record import ChapterRecord, number_of, read_record, write_record
from claim_runs import Run, Variant, run_notebook

SHIFTS = [1000 * number for number in range(1, 11)]
PERTURBED = Variant(instructions="sse", threads=2, shift=4242)  # all at once


def plan(newest_torch: str = "") -> list[Variant]:
    """List the runs that a chapter's record holds.

    The first is this machine as it is. Each of the others has seeds of its own, and half of them
    differ in one thing more: a run costs minutes, and every claim has to hold in all of them.

    Args:
        newest_torch: A folder with the newest PyTorch; without it, the run uses the pinned one.
    """
    machines = [
        Variant(),
        Variant("sse"),
        Variant(threads=2),
        Variant(threads=4),
        Variant("avx2"),
        Variant(torch=newest_torch),
    ]
    machines += [Variant()] * (len(SHIFTS) - len(machines))
    shifted = [replace(one, shift=shift) for one, shift in zip(machines, SHIFTS, strict=True)]
    return [Variant(), *shifted]


def main() -> int:
    """Run what is asked for; return 1 if a claim did not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("numbers", nargs="*", type=int, metavar="NN", help="chapters; all if none")
    parser.add_argument("--try", nargs="+", dest="tried", metavar="VARIANT", default=[])
    parser.add_argument("--keep", action="store_true", help="record the runs that are tried")
    parser.add_argument("--perturbed", action="store_true", help="one run, all changes at once")
    parser.add_argument("--carry", metavar="BASE", help="a commit, or a folder with the book")
    parser.add_argument("--newest-torch", metavar="FOLDER", default="")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    tried = [Variant.parse(text) for text in options.tried]
    tried += [PERTURBED] if options.perturbed else []
    chosen = chapter_paths(numbers=options.numbers)
    if options.carry:
        return carry(chosen, options.carry, options.jobs)
    if tried:
        work = [(path, variant) for path in chosen for variant in tried]
        return make_runs(work, options.jobs, keep=options.keep)
    newest = str(Path(options.newest_torch).resolve()) if options.newest_torch else ""
    record = read_record()
    known = {path: ChapterRecord.of(path, record.get(number_of(path))) for path in chosen}
    work = [(path, v) for v in plan(newest) for path in chosen if not known[path].has(v)]
    make_runs(work, options.jobs, keep=True)
    return print_table(chosen)


def make_runs(work: Sequence[tuple[Path, Variant]], jobs: int = 1, *, keep: bool = False) -> int:
    """Run chapters on variants, side by side; return 1 if a claim did not hold.

    Args:
        work: What to run.
        jobs: Threads of computation at a time.
        keep: Whether each run goes into the record, as soon as it is over.
    """
    started, wrong = time.monotonic(), 0
    with ThreadPoolExecutor(jobs) as pool:
        runs = {pool.submit(_run, *item): item for item in work}
        for count, future in enumerate(as_completed(runs), start=1):
            path, variant = runs[future]
            if error := future.exception():  # the others are not lost with it
                wrong += 1
                print(f"[{count}/{len(work)}] {path.stem} {variant}: {error!r}", flush=True)
                continue
            digest, run = future.result()
            counted = [o for o in run.outcomes if not (variant.shift and o.claim.own_seed)]
            failed = [outcome for outcome in counted if outcome.found]
            wrong += len(failed)
            print(
                f"[{count}/{len(work)}] {path.stem} {variant}: {len(counted) - len(failed)} of "
                f"{len(counted)} claims held, {run.seconds:.0f} s "
                f"({time.monotonic() - started:.0f} s in all)",
                flush=True,
            )
            for outcome in failed:
                text = f"cell {outcome.cell}: {outcome.claim.text}"
                print(f"    {text}\n        {outcome.found}", flush=True)
            if keep and digest == computation_digest(path):
                record = read_record()
                known = ChapterRecord.of(path, record.get(number_of(path)))
                record[number_of(path)] = known.with_run(variant, run)
                write_record(record)
            elif keep:
                print("    not recorded: what the chapter computes was changed meanwhile")
    return bool(wrong)


def carry(paths: Collection[Path], base: str, jobs: int = 1) -> int:
    """Keep the runs of the chapters that give what they gave; return 1 if one does not.

    Args:
        paths: The chapters; those whose record is up to date are left alone.
        base: The commit, or the folder, at which their records were.
        jobs: Chapters that run side by side.
    """
    record, wrong = read_record(), 0
    waiting = [
        path
        for path in paths
        if number_of(path) in record and record[number_of(path)].digest != computation_digest(path)
    ]
    if not waiting:
        print("Every record is of what its chapter computes.")
        return 0
    with base_tree(base) as tree, ThreadPoolExecutor(jobs) as pool:
        carried_ones = {
            pool.submit(carried, path, record[number_of(path)], tree): path for path in waiting
        }
        for done in as_completed(carried_ones):
            path = carried_ones[done]
            try:
                kept = done.result()
            except NotCarriedError as error:
                wrong += 1
                print(f"{path.stem}: not carried: {error}", flush=True)
                continue
            write_record(read_record() | {number_of(path): kept})
            print(f"{path.stem}: {len(kept.runs)} runs are kept", flush=True)
    return bool(wrong)


def _run(path: Path, variant: Variant) -> tuple[str, Run]:
    """Make a run, and say what the chapter computed when it started."""
    return computation_digest(path), run_notebook(read_chapter(path), path.parent, variant)


def print_table(paths: Collection[Path]) -> int:
    """Print how often each claim held; return 1 if one did not."""
    record, wrong = read_record(), 0
    for path in paths:
        chapter = record.get(number_of(path))
        if chapter is None:
            continue
        print(f"{path.stem}: {chapter.summary()}")
        for claim, held, made in chapter.counts():
            wrong += held < made
            print(f"    {held:2} of {made:2}  cell {claim['cell']:2}  {claim['text'][:100]}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
