"""Checks of the exercises on warm-up and schedules."""

from __future__ import annotations

import math
from collections.abc import Callable

from tutorial_lib.exercises.checker import Checker

check = Checker(32)


def _require(call: str, got: object, needed: int | float) -> None:
    assert isinstance(got, int | float), f"{call} returns {got!r}, a number is needed"
    assert math.isclose(got, needed, abs_tol=1e-9), (
        f"{call} is {got:.4g}, it should be {needed:.4g}"
    )


@check.exercise(1, hint="With w warm-up steps, step s < w has the factor (s + 1) / (w + 1).")
def _constant_with_warmup(answer: Callable[[int, int], float]) -> None:
    for warmup_steps in (4, 1, 0):
        for step in (0, 1, 3, 4, 5, 1000):
            needed = min(1.0, (step + 1) / (warmup_steps + 1))
            call = f"constant_with_warmup({step}, {warmup_steps})"
            _require(call, answer(step, warmup_steps), needed)


@check.exercise(2, hint="Round up twice within an epoch: to whole batches, and to whole steps.")
def _optimizer_steps(answer: Callable[[int, int, int, int], int]) -> None:
    cases = {
        (1000, 100, 1, 3): 30,
        (1000, 128, 1, 2): 16,
        (1000, 100, 5, 1): 2,
        (1000, 100, 4, 2): 6,
        (50_000, 128, 4, 10): 980,
        (5, 8, 4, 7): 7,
    }
    for arguments, needed in cases.items():
        _require(f"optimizer_steps{arguments}", answer(*arguments), needed)


@check.exercise(3, hint="The factor is the smallest of three: the rise, 1, and the fall.")
def _trapezoid(answer: Callable[[int, int, int, int], float]) -> None:
    for warmup, decay, total in ((4, 5, 20), (0, 5, 20), (4, 0, 20), (0, 0, 3)):
        for step in (0, 1, 2, 3, 4, 10, 15, 16, 19, 20, 21, 40):
            fall = (total - step) / decay if decay else math.inf
            needed = 0.0 if step >= total else min(1.0, (step + 1) / (warmup + 1), fall)
            call = f"trapezoid({step}, {warmup}, {decay}, {total})"
            _require(call, answer(step, warmup, decay, total), needed)


@check.exercise(4, hint="Count t up from 1, and skip the steps at which rho_t is not above 5.")
def _radam_warmup(answer: Callable[[float, float], int]) -> None:
    for beta2, share in ((0.98, 0.9), (0.98, 0.05), (0.999, 0.9), (0.999, 0.01), (0.9, 0.5)):
        _require(f"radam_warmup({beta2}, {share})", answer(beta2, share), _first(beta2, share))


def _first(beta2: float, share: float) -> int:
    """Count the steps until RAdam's factor reaches a share, Liu et al. (2020), algorithm 2."""
    rho_inf, t = 2 / (1 - beta2) - 1, 1
    while True:
        rho = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
        if rho > 5:
            top, bottom = (rho - 4) * (rho - 2) * rho_inf, (rho_inf - 4) * (rho_inf - 2) * rho
            if math.sqrt(top / bottom) >= share:
                return t
        t += 1
