"""Checks of the exercises on warm-up and schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from tutorial_lib.exercises.checker import Checker

check = Checker(32)

Answer = Callable[..., float]


def _compare(
    answer: Answer, right: Answer, cases: Iterable[tuple], mistakes: Mapping[str, Answer]
) -> None:
    """Compare in all cases; name the mistake that gives what the answer gives in each of them."""
    name, cases = right.__name__.removeprefix("_"), list(cases)
    for case in cases:
        call = f"{name}({', '.join(map(str, case))})"
        try:
            got = answer(*case)
        except ZeroDivisionError:
            raise AssertionError(f"{call} divides by zero") from None
        assert isinstance(got, int | float), f"{call} returns {got!r}, a number is needed"
        if not _same(got, right(*case)):
            found = [said for said, wrong in mistakes.items() if _agree(answer, wrong, cases)]
            why = f": {found[0]}" if found else ""
            needed = right(*case)
            raise AssertionError(f"{call} is {got:.4g}, it should be {needed:.4g}{why}")


def _agree(answer: Answer, wrong: Answer, cases: list[tuple]) -> bool:
    return all(_same(_value(answer, case), _value(wrong, case)) for case in cases)


def _value(function: Answer, case: tuple) -> float:
    try:
        return float(function(*case))
    except (TypeError, ZeroDivisionError):
        return math.nan


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, abs_tol=1e-9) or (math.isnan(one) and math.isnan(other))


@check.exercise(1, hint="With w warm-up steps, step s < w has the factor (s + 1) / (w + 1).")
def _warms_up_and_stays(answer: Answer) -> None:
    cases = [(step, warmup) for warmup in (4, 1, 0) for step in (0, 1, 3, 4, 5, 1000)]
    mistakes: dict[str, Answer] = {
        "the first step has no rate, so a batch is computed and nothing learned": (
            lambda s, w: min(1.0, s / w) if w else 1.0
        ),
        "the peak is reached a step before warmup_steps": (
            lambda s, w: min(1.0, (s + 1) / w) if w else 1.0
        ),
        "it goes on to rise past the peak": lambda s, w: (s + 1) / (w + 1),
    }
    _compare(answer, _constant_with_warmup, cases, mistakes)


def _constant_with_warmup(step: int, warmup_steps: int) -> float:
    return min(1.0, (step + 1) / (warmup_steps + 1))


@check.exercise(2, hint="Round up twice within an epoch: to whole batches, and to whole steps.")
def _steps_are_counted(answer: Answer) -> None:
    cases = [
        (1000, 100, 1, 3),
        (1000, 128, 1, 2),
        (1000, 100, 5, 1),
        (1000, 100, 4, 2),
        (50_000, 128, 4, 10),
        (5, 8, 4, 7),
    ]
    mistakes: dict[str, Answer] = {
        "these are the batches: `accumulate` of them make one step": (
            lambda n, b, a, e: e * math.ceil(n / b)
        ),
        "a last, smaller batch counts, too: round up": lambda n, b, a, e: e * (n // b // a),
        "what is left over at the end of an epoch makes a step, too: round up there as well": (
            lambda n, b, a, e: e * (math.ceil(n / b) // a)
        ),
        "a step does not reach into the next epoch: round up within each": (
            lambda n, b, a, e: math.ceil(e * math.ceil(n / b) / a)
        ),
        "this is one epoch": lambda n, b, a, e: math.ceil(math.ceil(n / b) / a),
    }
    _compare(answer, _optimizer_steps, cases, mistakes)


def _optimizer_steps(num_examples: int, batch_size: int, accumulate: int, epochs: int) -> int:
    return epochs * math.ceil(math.ceil(num_examples / batch_size) / accumulate)


@check.exercise(3, hint="The factor is the smallest of three: the rise, 1, and the fall.")
def _three_parts(answer: Answer) -> None:
    steps = (0, 1, 2, 3, 4, 10, 15, 16, 19, 20, 21, 40)
    settings = ((4, 5, 20), (0, 5, 20), (4, 0, 20), (0, 0, 3))
    cases = [(step, *three) for three in settings for step in steps]
    mistakes: dict[str, Answer] = {
        "past the end it goes on to fall, below 0": (
            lambda s, w, d, t: min(_rise(s, w), (t - s) / max(d, 1))
        ),
        "it does not fall": lambda s, w, d, t: 0.0 if s >= t else _rise(s, w),
        "the fall begins a step early: at total_steps - decay_steps it is still 1": (
            lambda s, w, d, t: max(0.0, min(_rise(s, w), (t - s - 1) / max(d, 1)))
        ),
        "it falls from the end of the warm-up on: it should stay at 1 until decay_steps are left": (
            lambda s, w, d, t: max(0.0, min(_rise(s, w), (t - s) / max(t - w, 1)))
        ),
        "the first step has no rate": (
            lambda s, w, d, t: 0.0 if s >= t else min(_late(s, w), (t - s) / max(d, 1))
        ),
    }
    _compare(answer, _trapezoid, cases, mistakes)


def _trapezoid(step: int, warmup_steps: int, decay_steps: int, total_steps: int) -> float:
    fall = (total_steps - step) / decay_steps if decay_steps else math.inf
    return 0.0 if step >= total_steps else min(_rise(step, warmup_steps), fall)


def _rise(step: int, warmup_steps: int) -> float:
    return min(1.0, (step + 1) / (warmup_steps + 1))


def _late(step: int, warmup_steps: int) -> float:
    return min(1.0, step / warmup_steps) if warmup_steps else 1.0


@check.exercise(4, hint="Count t up from 1, and skip the steps at which rho_t is not above 5.")
def _rectified_adam(answer: Answer) -> None:
    cases = [(0.98, 0.9), (0.98, 0.05), (0.999, 0.9), (0.999, 0.01), (0.9, 0.5)]
    mistakes: dict[str, Answer] = {
        "one too few, t counts from 1": lambda b, share: _radam_warmup(b, share) - 1,
        "one too many, this is the step after the first": (
            lambda b, share: _radam_warmup(b, share) + 1
        ),
        "a step with rho_t between 4 and 5 is taken, and 5 is the threshold here": (
            lambda b, share: _radam_warmup(b, share, threshold=4)
        ),
        "r_t is a root, and its square was compared with the share": (
            lambda b, share: _radam_warmup(b, share**0.5)
        ),
        "this is the rule of thumb 2 / (1 - beta2), not the step that is asked for": (
            lambda b, share: round(2 / (1 - b))
        ),
    }
    _compare(answer, _radam_warmup, cases, mistakes)


def _radam_warmup(beta2: float, share: float, *, threshold: float = 5) -> int:
    """Count the steps until RAdam's factor reaches a share, Liu et al. (2020), algorithm 2."""
    rho_inf, t = 2 / (1 - beta2) - 1, 1
    while True:
        rho = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
        if rho > threshold:
            top, bottom = (rho - 4) * (rho - 2) * rho_inf, (rho_inf - 4) * (rho_inf - 2) * rho
            if math.sqrt(top / bottom) >= share:
                return t
        t += 1
