"""The kernel that a chapter runs in, for the site and for the count of its claims."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from nbclient import NotebookClient
from nbformat import NotebookNode
from traitlets.config import Config

TOOLS = Path(__file__).resolve().parent


def execute(
    notebook: NotebookNode,
    folder: Path,
    *,
    timeout: int,
    allow_errors: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> NotebookNode:
    """Run a notebook's cells, in place, in a kernel that watches its claims.

    Args:
        notebook: Gets the outputs.
        folder: Where it runs.
        timeout: Seconds for a cell.
        allow_errors: Whether to go on behind a cell that fails.
        environment: Of the kernel's process.

    Returns:
        The notebook.

    Raises:
        CellExecutionError: If a cell fails, and errors are not allowed.
        CellTimeoutError: If a cell takes too long.
        DeadKernelError: If the kernel dies.
    """
    path = os.pathsep.join(filter(None, [str(TOOLS), environment.get("PYTHONPATH", "")]))
    # Of kernels that start at once, two may be given the same free port: sockets that are files
    # have no ports.
    with tempfile.TemporaryDirectory() as sockets:
        files = {"transport": "ipc", "ip": f"{sockets}/kernel"}
        client = NotebookClient(
            notebook,
            timeout=timeout,
            record_timing=False,  # the cache compares the metadata of cells
            allow_errors=allow_errors,
            # The kernel's log is not the chapter's.
            extra_arguments=["--log-level=ERROR", "--ext=claim_hook"],
            resources={"metadata": {"path": str(folder)}},
            config=Config({"KernelManager": files}),
        )
        return client.execute(env={**environment, "PYTHONPATH": path})
