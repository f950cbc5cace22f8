"""Learning-rate schedules: pure functions of the optimizer step, and the scheduler made of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from tutorial_lib.validation import require_counts


def cosine_with_warmup(
    step: int, *, warmup_steps: int, total_steps: int, floor: float = 0.0
) -> float:
    r"""Rise in a straight line to the peak, then fall along half a cosine to the floor.

    .. math::
        f(s) = \begin{cases}
        \dfrac{s + 1}{w + 1} & s < w \\[1ex]
        f_0 + (1 - f_0) \cdot \tfrac{1}{2}\left(1 + \cos \pi \dfrac{s - w}{T - w}\right)
        & w \le s < T \\[1ex]
        f_0 & s \ge T
        \end{cases}

    The first step is already above 0, step w is the peak and exactly 1.

    Args:
        step: Optimizer steps taken so far, s; the first is 0.
        warmup_steps: Steps below the peak, w; 0 starts at the peak.
        total_steps: Steps until the floor, T; above ``warmup_steps``.
        floor: Where the factor ends and stays, from 0 to 1.

    Returns:
        The factor for the peak learning rate.

    Raises:
        TypeError: If a number of steps is not an integer.
        ValueError: If ``step`` or ``warmup_steps`` is negative, ``total_steps`` does not exceed
            ``warmup_steps``, or ``floor`` lies outside [0, 1].

    Source: Loshchilov and Hutter (2017), equation 5, one period, after a linear warm-up.
    Taught in :doc:`/notebooks/32_warmup_and_schedules`.
    """
    step, warmup_steps, total_steps = require_counts(
        step=step, warmup_steps=warmup_steps, total_steps=total_steps
    )
    if total_steps <= warmup_steps:
        raise ValueError(f"total_steps must exceed warmup_steps={warmup_steps}, got {total_steps}")
    if not 0.0 <= floor <= 1.0:
        raise ValueError(f"floor must lie from 0 to 1, got {floor}")
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    progress = min(1.0, (step - warmup_steps) / (total_steps - warmup_steps))
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * progress))


def inverse_sqrt_with_warmup(step: int, *, warmup_steps: int) -> float:
    r"""Rise in a straight line to the peak, then fall with the inverse square root of the step.

    .. math:: f(s) = \min\left(\frac{s + 1}{w + 1}, \sqrt{\frac{w + 1}{s + 1}}\right)

    This is the paper's schedule for step number s + 1 and w + 1 warm-up steps, divided by its
    peak :math:`(d\,(w + 1))^{-1/2}`.

    Args:
        step: Optimizer steps taken so far, s; the first is 0.
        warmup_steps: Steps below the peak, w; 0 starts at the peak.

    Returns:
        The factor for the peak learning rate.

    Raises:
        TypeError: If a number of steps is not an integer.
        ValueError: If ``step`` or ``warmup_steps`` is negative.

    Source: Vaswani et al. (2017), equation 3.
    Taught in :doc:`/notebooks/32_warmup_and_schedules`.
    """
    step, warmup_steps = require_counts(step=step, warmup_steps=warmup_steps)
    ratio = (step + 1) / (warmup_steps + 1)
    return min(ratio, ratio**-0.5)


def make_scheduler(
    optimizer: Optimizer, schedule: Callable[..., float], **settings: float
) -> LambdaLR:
    """Let a schedule set the optimizer's rates; call its ``step()`` after every optimizer step.

    Args:
        optimizer: Its current rates are the peaks.
        schedule: A function of this module.
        settings: The schedule's keyword arguments.

    Returns:
        A scheduler that multiplies each parameter group's peak rate by ``schedule(step)``.

    Raises:
        TypeError: If the schedule does not take one of the settings, or lacks one.
        ValueError: If the schedule refuses a setting.

    Taught in :doc:`/notebooks/32_warmup_and_schedules`.
    """
    return LambdaLR(optimizer, partial(schedule, **settings))
