"""The command line: ``python -m tutorial_lib fit --config reverse``."""

from __future__ import annotations

from collections.abc import Sequence

import pytorch_lightning as pl
from pytorch_lightning.cli import LightningCLI


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: What stands after ``python -m tutorial_lib``; taken from there when left out.

    Returns:
        The exit status.
    """
    LightningCLI(
        pl.LightningModule,
        pl.LightningDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        args=None if args is None else list(args),
    )
    return 0
