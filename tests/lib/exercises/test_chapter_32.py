import math

import pytest

from tutorial_lib.exercises.chapter_32 import check


def right_1(step, warmup_steps):
    return min(1.0, (step + 1) / (warmup_steps + 1))


def right_2(num_examples, batch_size, accumulate, epochs):
    return epochs * math.ceil(math.ceil(num_examples / batch_size) / accumulate)


def right_3(step, warmup_steps, decay_steps, total_steps):
    if step >= total_steps:
        return 0.0
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    start = total_steps - decay_steps
    return 1.0 if step < start else (total_steps - step) / decay_steps


def right_4(beta2, share, threshold=5.0):
    last, t = 2 / (1 - beta2) - 1, 0
    while True:
        t += 1
        rho = last - 2 * t * beta2**t / (1 - beta2**t)
        square = (rho - 4) * (rho - 2) * last / ((last - 4) * (last - 2) * rho)
        if rho > threshold and square >= share**2:
            return t


RIGHT = {1: right_1, 2: right_2, 3: right_3, 4: right_4}

WRONG = {
    "starts at 0": (1, lambda s, w: min(1.0, s / w) if w else 1.0),
    "reaches the peak a step early": (1, lambda s, w: min(1.0, (s + 1) / w) if w else 1.0),
    "divides by zero without warm-up": (1, lambda s, w: min(1.0, s / w)),
    "never stops rising": (1, lambda s, w: (s + 1) / (w + 1)),
    "counts batches": (2, lambda n, b, a, e: e * math.ceil(n / b)),
    "drops the short batch": (2, lambda n, b, a, e: e * (n // b // a)),
    "accumulates across epochs": (2, lambda n, b, a, e: math.ceil(e * math.ceil(n / b) / a)),
    "takes one step too many": (2, lambda n, b, a, e: e * math.ceil(n / b / a) + 1),
    "rises again or goes below 0": (
        3,
        lambda s, w, d, t: min(1.0, (s + 1) / (w + 1), (t - s) / max(d, 1)),
    ),
    "never falls": (3, lambda s, w, d, t: 0.0 if s >= t else min(1.0, (s + 1) / (w + 1))),
    "falls a step early": (
        3,
        lambda s, w, d, t: max(0.0, min(1.0, (s + 1) / (w + 1), (t - s - 1) / max(d, 1))),
    ),
    "divides by zero without decay": (
        3,
        lambda s, w, d, t: max(0.0, min(1.0, (s + 1) / (w + 1), (t - s) / d)),
    ),
    "counts from 0": (4, lambda b, share: right_4(b, share) - 1),
    "forgets the threshold": (4, lambda b, share: right_4(b, share, threshold=4.0)),
    "the rule of thumb": (4, lambda b, share: round(2 / (1 - b))),
    "the stub": (4, lambda b, share: None),
}


@pytest.mark.parametrize("number", RIGHT)
def test_the_right_answer_passes(number):
    assert check.problem(number, RIGHT[number]) is None


@pytest.mark.parametrize("name", WRONG)
def test_an_answer_that_is_wrong_in_this_way_fails(name):
    number, answer = WRONG[name]
    assert check.problem(number, answer)


@pytest.mark.parametrize("number", RIGHT)
def test_an_answer_of_nothing_is_not_yet_right(number):
    assert "a number is needed" in (check.problem(number, lambda *_: None) or "")
