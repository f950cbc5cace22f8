"""The optimizer and the schedule that the tasks share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch.nn import Parameter

from tutorial_lib.schedules import cosine_with_warmup, inverse_sqrt_with_warmup, make_scheduler

Schedule = Literal["cosine", "inverse_sqrt"]


def scheduled_adam(
    task: pl.LightningModule,
    parameters: Iterable[Parameter] | Iterable[dict[str, Any]],
    *,
    learning_rate: float,
    warmup_steps: int,
    schedule: Schedule = "cosine",
    weight_decay: float = 0.0,
) -> OptimizerLRScheduler:
    r"""Make what ``configure_optimizers`` returns: Adam, and a rate that changes every step.

    .. math:: \eta_s = \eta f(s)

    Args:
        task: Its trainer knows the number of steps, where the cosine ends.
        parameters: What is trained; or groups of it, as PyTorch's optimizers take them, each with
            a peak rate ``lr`` of its own.
        learning_rate: Peak rate, :math:`\eta`, of parameters that have none of their own.
        warmup_steps: Optimizer steps below the peak.
        schedule: The factor f: "cosine" is
            :func:`~tutorial_lib.schedules.cosine_with_warmup`, "inverse_sqrt" is
            :func:`~tutorial_lib.schedules.inverse_sqrt_with_warmup`.
        weight_decay: Share of a weight that a step takes away, times the rate (AdamW); Adam
            where it is 0.

    Returns:
        The optimizer and its scheduler, stepped after every optimizer step.

    Raises:
        TypeError: If ``warmup_steps`` is not an integer.
        ValueError: If ``schedule`` is not known, or ``warmup_steps`` does not lie below the
            trainer's number of steps.

    Taught in :doc:`/notebooks/32_warmup_and_schedules`.
    """
    if schedule not in ("cosine", "inverse_sqrt"):
        raise ValueError(f"schedule must be 'cosine' or 'inverse_sqrt', got {schedule!r}")
    optimizer = (
        torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=weight_decay)
        if weight_decay
        else torch.optim.Adam(parameters, lr=learning_rate)
    )
    if schedule == "cosine":
        total_steps = int(task.trainer.estimated_stepping_batches)
        scheduler = make_scheduler(
            optimizer, cosine_with_warmup, warmup_steps=warmup_steps, total_steps=total_steps
        )
    else:
        scheduler = make_scheduler(optimizer, inverse_sqrt_with_warmup, warmup_steps=warmup_steps)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
