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
    "starts at 0": (1, lambda s, w: min(1.0, s / w) if w else 1.0, "the first step has no rate"),
    "reaches the peak a step early": (
        1,
        lambda s, w: min(1.0, (s + 1) / w) if w else 1.0,
        "a step before warmup_steps",
    ),
    "divides by zero without warm-up": (
        1,
        lambda s, w: min(1.0, (s + 1) / (w + 1)) if w else 1 / w,
        "constant_with_warmup(0, 0) divides by zero",
    ),
    "never stops rising": (1, lambda s, w: (s + 1) / (w + 1), "rise past the peak"),
    "something else": (1, lambda s, w: 0.5, "(0, 4) is 0.5, it should be 0.2"),
    "counts batches": (2, lambda n, b, a, e: e * math.ceil(n / b), "these are the batches"),
    "drops the short batch": (2, lambda n, b, a, e: e * (n // b // a), "smaller batch counts"),
    "drops the short step": (
        2,
        lambda n, b, a, e: e * (math.ceil(n / b) // a),
        "left over at the end of an epoch",
    ),
    "accumulates across epochs": (
        2,
        lambda n, b, a, e: math.ceil(e * math.ceil(n / b) / a),
        "does not reach into the next epoch",
    ),
    "one epoch": (2, lambda n, b, a, e: right_2(n, b, a, 1), "this is one epoch"),
    "takes one step too many": (
        2,
        lambda n, b, a, e: e * math.ceil(n / b / a) + 1,
        "(1000, 100, 1, 3) is 31, it should be 30",
    ),
    "goes below 0": (
        3,
        lambda s, w, d, t: min(1.0, (s + 1) / (w + 1), (t - s) / max(d, 1)),
        "goes on to fall, below 0",
    ),
    "never falls": (
        3,
        lambda s, w, d, t: 0.0 if s >= t else min(1.0, (s + 1) / (w + 1)),
        "it does not fall",
    ),
    "falls a step early": (
        3,
        lambda s, w, d, t: max(0.0, min(1.0, (s + 1) / (w + 1), (t - s - 1) / max(d, 1))),
        "the fall begins a step early",
    ),
    "falls all the way": (
        3,
        lambda s, w, d, t: max(0.0, min(1.0, (s + 1) / (w + 1), (t - s) / max(t - w, 1))),
        "it should stay at 1 until decay_steps are left",
    ),
    "starts at 0 again": (
        3,
        lambda s, w, d, t: 0.0 if s == 0 and w else right_3(s - 1 if s < w else s, w, d, t),
        "(0, 4, 5, 20) is 0, it should be 0.2",
    ),
    "no rate at first": (
        3,
        lambda s, w, d, t: s / w if s < w else right_3(s, w, d, t),
        "the first step has no rate",
    ),
    "divides by zero without decay": (
        3,
        lambda s, w, d, t: max(0.0, min(1.0, (s + 1) / (w + 1), (t - s) / d)),
        "trapezoid(0, 4, 0, 20) divides by zero",
    ),
    "counts from 0": (4, lambda b, share: right_4(b, share) - 1, "t counts from 1"),
    "counts on": (4, lambda b, share: right_4(b, share) + 1, "one too many"),
    "forgets the threshold": (
        4,
        lambda b, share: right_4(b, share, threshold=4.0),
        "5 is the threshold here",
    ),
    "forgets the root": (4, lambda b, share: right_4(b, share**0.5), "r_t is a root"),
    "the rule of thumb": (4, lambda b, share: round(2 / (1 - b)), "the rule of thumb"),
    "the stub": (4, lambda b, share: None, "a number is needed"),
}


@pytest.mark.parametrize("number", RIGHT)
def test_the_right_answer_passes(number):
    assert check.problem(number, RIGHT[number]) is None


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)


@pytest.mark.parametrize("number", RIGHT)
def test_an_answer_of_nothing_is_not_yet_right(number):
    assert "a number is needed" in (check.problem(number, lambda *_: None) or "")
