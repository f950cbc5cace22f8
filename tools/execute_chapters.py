"""Run the chapters whose cached outputs are out of date, side by side.

The site's build reads outputs from the same cache, so it finds every chapter executed. Usage::

    python tools/execute_chapters.py [--jobs N] [NN ...]

With numbers of chapters, only those.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Collection
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, cast

from chapters import ROOT, chapter_paths, read_chapter
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn, JupyterCacheAbstract
from jupyter_cache.executors.utils import ExecutionResult, single_nb_execution
from nbformat import NotebookNode

CACHE = ROOT / "_build" / ".jupyter_cache"
TIMEOUT = 600  # seconds for a cell; a chapter takes at most two minutes


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
            outcome = "failed after" if result.err else "took"
            print(
                f"[{count}/{len(waiting)}] {path.stem} {outcome} {result.time:.0f} s "
                f"({time.monotonic() - started:.0f} s in all)",
                flush=True,
            )
            if result.err:
                failed += 1
                print(result.exc_string, file=sys.stderr, flush=True)
            else:
                _store(cache, path, result)
    return failed


def outputs_of(path: Path) -> dict[str, NotebookNode]:
    """Give a chapter's executed code cells, by their source."""
    notebook, _ = executed(path)
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


def _execute(path: Path) -> ExecutionResult:
    return single_nb_execution(
        read_chapter(path),
        cwd=str(path.parent),
        timeout=TIMEOUT,
        allow_errors=False,
        extra_arguments=["--log-level=ERROR"],  # the kernel's, not the chapter's
    )


def _store(cache: JupyterCacheAbstract, path: Path, result: ExecutionResult) -> None:
    bundle = CacheBundleIn(result.nb, str(path), data={"execution_seconds": result.time})
    cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


if __name__ == "__main__":
    sys.exit(main())
