"""Run the chapters whose cached outputs are out of date, side by side.

The site's build reads outputs from the same cache, so it finds every chapter executed. Usage::

    python tools/execute_chapters.py [--jobs N] [NN ...]

With numbers of chapters, only those.
"""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
import time
from collections.abc import Collection
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from chapters import ROOT, chapter_paths, read_chapter
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn, JupyterCacheAbstract
from kernels import execute
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

CACHE = ROOT / "_build" / ".jupyter_cache"
LAST_RUN = CACHE / "last_run"  # as old as the newest output; the database changes when it is read
TIMEOUT = 900  # seconds for a cell; a chapter takes at most two minutes


@dataclass(frozen=True)
class Result:
    """A chapter's run.

    Args:
        notebook: With its outputs.
        seconds: How long it took.
        failure: The cell that failed and what it said; empty if none did.
    """

    notebook: NotebookNode
    seconds: float
    failure: str


def main() -> int:
    """Execute what is out of date; return the number of chapters that failed."""
    parser = argparse.ArgumentParser(description="Run the chapters that are out of date.")
    parser.add_argument("numbers", nargs="*", type=int, metavar="NN", help="chapters; all if none")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    return run_outdated(options.jobs, options.numbers)


def run_outdated(jobs: int = os.cpu_count() or 1, numbers: Collection[int] = ()) -> int:
    """Execute what is out of date; return the number of chapters that failed.

    Args:
        jobs: Chapters that run side by side.
        numbers: Numbers of the chapters to look at; all of them when empty.
    """
    cache = get_cache(CACHE)
    waiting = [path for path in chapter_paths(numbers=numbers) if not _is_cached(cache, path)]
    if not waiting:
        print("Every chapter's outputs are up to date.")
        return 0
    print(f"Running {len(waiting)} chapter(s), {jobs} side by side.", flush=True)
    failed = 0
    with ProcessPoolExecutor(jobs) as pool:
        started = time.monotonic()
        runs = {pool.submit(_execute, path): path for path in waiting}
        for count, run in enumerate(as_completed(runs), start=1):
            path, result = runs[run], run.result()
            outcome = "failed after" if result.failure else "took"
            print(
                f"[{count}/{len(waiting)}] {path.stem} {outcome} {result.seconds:.0f} s "
                f"({time.monotonic() - started:.0f} s in all)",
                flush=True,
            )
            if result.failure:
                failed += 1
                print(f"{path.stem}, {result.failure}", file=sys.stderr, flush=True)
            else:
                _store(cache, path, result)
    return failed


def outputs_of(path: Path) -> dict[str, NotebookNode]:
    """Give a chapter's executed code cells, by their source."""
    notebook, _ = executed(path)
    return by_source(notebook)


def by_source(notebook: NotebookNode) -> dict[str, NotebookNode]:
    """Give a notebook's code cells, by their source."""
    return {cell.source: cell for cell in notebook.cells if cell.cell_type == "code"}


def executed(path: Path) -> tuple[NotebookNode, float]:
    """Give a chapter with its outputs, and the seconds that its run took.

    Raises:
        KeyError: If the chapter has not run since it was last changed.
    """
    cache = get_cache(CACHE)
    key, notebook = cache.merge_match_into_notebook(read_chapter(path))
    data = cast(Any, cache.get_cache_record(key).data)  # typed as a column of a table
    return notebook, data["execution_seconds"]


def _is_cached(cache: JupyterCacheAbstract, path: Path) -> bool:
    try:
        cache.match_cache_notebook(read_chapter(path))
    except KeyError:
        return False
    return True


def _execute(path: Path) -> Result:
    notebook = read_chapter(path)
    started, failure = time.monotonic(), ""
    try:
        execute(notebook, path.parent, timeout=TIMEOUT)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        failure = describe(notebook, error)
    return Result(notebook, time.monotonic() - started, failure)


def describe(notebook: NotebookNode, error: Exception) -> str:
    """Say which cell failed, and what it said.

    Args:
        notebook: As far as it was executed.
        error: What ended its execution.
    """
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(cells, start=1):
        if any(output.output_type == "error" for output in cell.get("outputs", [])):
            assert isinstance(error, CellExecutionError)
            if error.ename == "AssertionError":
                return f"code cell {number}: {error.evalue}"
            source = textwrap.indent(cell.source, "    ")
            return f"code cell {number}: {error.ename}: {error.evalue}, in\n{source}"
    begun = sum(cell.execution_count is not None for cell in cells)
    return f"code cell {begun}: {type(error).__name__}: {str(error).strip()}"


def _store(cache: JupyterCacheAbstract, path: Path, result: Result) -> None:
    data = {"execution_seconds": result.seconds}
    bundle = CacheBundleIn(result.notebook, str(path), data=data)
    cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
    LAST_RUN.write_text(f"{path.stem}\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
