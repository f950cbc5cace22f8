"""Several processes that train together, each started anew, as ``torchrun`` starts them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import IO

from tutorial_lib.validation import require_positive

LAST_LINES = 15  # of what a process has written, when it fails


def run_together(*words: str, processes: int = 2, timeout: float = 300.0) -> list[str]:
    """Run ``python WORDS`` in several processes at once, and wait until all have ended.

    A process learns from its environment which of them it is (``RANK``, ``LOCAL_RANK``), how many
    there are (``WORLD_SIZE``), and where they meet (``MASTER_ADDR``, ``MASTER_PORT``). These are
    the names that ``torchrun`` uses; Lightning's strategy "ddp" and ``torch.distributed`` read
    them. Each process computes on one thread and inherits the rest of the environment.

    None is a copy of the running process: in a copy, PyTorch's threads are missing, and whatever
    waits for them waits for ever.

    Args:
        words: What stands after ``python``: a script and its arguments, or ``-m`` and a module.
        processes: How many.
        timeout: Seconds until those that still run are ended.

    Returns:
        What each process has printed.

    Raises:
        TypeError: If ``processes`` is not an integer.
        ValueError: If ``processes`` is below 1.
        RuntimeError: If a process fails, or the time is over; it says which, and what the process
            wrote last.

    Taught in :doc:`/notebooks/35_command_line_and_devices`.
    """
    require_positive(processes=processes)
    together = {
        "WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "OMP_NUM_THREADS": "1",
    }
    with ExitStack() as stack:
        files: list[tuple[IO[bytes], IO[bytes]]] = []
        started: list[subprocess.Popen[bytes]] = []
        stack.callback(_end, started)
        for rank in map(str, range(processes)):
            out, err = (stack.enter_context(TemporaryFile()) for _ in range(2))
            one = {"RANK": rank, "LOCAL_RANK": rank}
            environment = os.environ | together | one
            command = [sys.executable, *words]
            files.append((out, err))
            started.append(subprocess.Popen(command, env=environment, stdout=out, stderr=err))
        wrong = _wait(started, timeout)
        if wrong is not None:
            rank, what = wrong
            said = "\n".join(_read(files[rank][1]).splitlines()[-LAST_LINES:])
            raise RuntimeError(f"process {rank} of {processes} {what}; it wrote last:\n{said}")
        return [_read(out) for out, _ in files]


def _wait(started: list[subprocess.Popen[bytes]], timeout: float) -> tuple[int, str] | None:
    """Wait for all; give the first that failed or was too slow, and what it did."""
    deadline = time.monotonic() + timeout
    while True:
        states = [process.poll() for process in started]
        for rank, state in enumerate(states):
            if state:
                return rank, f"ended with status {state}"
        if None not in states:
            return None
        if time.monotonic() > deadline:
            return states.index(None), f"was still running after {timeout:g} seconds"
        time.sleep(0.05)


def _end(started: list[subprocess.Popen[bytes]]) -> None:
    for process in started:
        process.kill()  # nothing happens to one that has ended
    for process in started:
        process.wait()


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
