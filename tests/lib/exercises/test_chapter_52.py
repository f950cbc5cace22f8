"""The checks of chapter 52 take tests that find the fault, and name what other tests miss."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import pytest
import torch

from tutorial_lib.exercises.chapter_52 import check


def _sees_the_future(model, x, *, modes=(True, False)):
    for mode in modes:
        model.train(mode)
        for i in range(1, x.shape[1]):
            if not torch.allclose(model(x[:, :i]), model(x)[:, :i], atol=1e-6):
                return True
    return False


def _future_by_gradient(model, x):
    for mode in (True, False):
        model.train(mode)
        x = x.detach().clone().requires_grad_()
        weights = torch.randn_like(x)
        for i in range(x.shape[1] - 1):
            (gradient,) = torch.autograd.grad((weights * model(x))[:, i].sum(), x)
            if gradient[:, i + 1 :].abs().max() > 1e-9:
                return True
    return False


def _last_token_in_this_mode(model, x):
    changed = x.clone()
    changed[:, -1] += torch.randn_like(x[:, -1])
    return not torch.allclose(model(changed)[:, :-1], model(x)[:, :-1])


def _looks_at_one_example(model, x, *, example):
    changed = x.clone()
    changed[:, -1] = x[:, -1].flip(-1)
    found = False
    for mode in (True, False):
        model.train(mode)
        found = found or not torch.allclose(model(changed)[example, :-1], model(x)[example, :-1])
    return found


def _is_sound(schedule, *, warmups=(0, 1, 10), steps=150, peak=1.0):
    for warmup in warmups:
        try:
            rate = [schedule(s, warmup_steps=warmup, total_steps=50) for s in range(steps)]
        except ZeroDivisionError:
            return False
        falling = rate[rate.index(max(rate)) :]
        if rate[0] <= 0 or min(rate) < 0 or (peak is not None and max(rate) != peak):
            return False
        if any(later > earlier for earlier, later in pairwise(falling)):
            return False
    return True


def _is_shifted(split, tokens=None):
    tokens = torch.arange(15).view(3, 5) if tokens is None else tokens
    before = tokens.clone()
    inputs, labels = split(tokens)
    right = inputs.equal(before[:, :-1]) and labels.equal(before[:, 1:])
    return right and tokens.equal(before)


def _against_itself(split):
    tokens = torch.arange(15).view(3, 5)
    inputs, labels = split(tokens)
    return inputs.equal(tokens[:, :-1]) and labels.equal(tokens[:, 1:])


def _shapes_only(split):
    inputs, labels = split(torch.arange(15).view(3, 5))
    return inputs.shape == labels.shape == (3, 4)


def _exactly_equal(model, x):
    return any(not model(x[:, :i]).equal(model(x)[:, :i]) for i in range(1, x.shape[1]))


def _next_token_only(model, x):
    for mode in (True, False):
        model.train(mode)
        for i in range(x.shape[1] - 1):
            changed = x.clone()
            changed[:, i + 1] += torch.randn_like(x[:, i + 1])
            if not torch.allclose(model(changed)[:, i], model(x)[:, i]):
                return True
    return False


def _first_output_only(model, x):
    changed = x.clone()
    changed[:, -1] += torch.randn_like(x[:, -1])
    found = False
    for mode in (True, False):
        model.train(mode)
        found = found or not torch.allclose(model(changed)[:, 0], model(x)[:, 0])
    return found


def _falls_to_zero(schedule):
    return _is_sound(schedule) and schedule(60, warmup_steps=10, total_steps=50) < 0.5


def _ends_only(schedule):
    for warmup in (0, 10):
        try:
            rate = [schedule(s, warmup_steps=warmup, total_steps=50) for s in range(150)]
        except ZeroDivisionError:
            return False
        if rate[0] <= 0 or min(rate) < 0 or max(rate) != 1 or rate[49] > rate[warmup]:
            return False
        if any(later > earlier for earlier, later in pairwise(rate[50:])):
            return False
    return True


def _one_step_on(split):
    tokens = torch.arange(15).view(3, 5)
    before = tokens.clone()
    inputs, labels = split(tokens)
    return inputs[:, 1:].equal(labels[:, :-1]) and tokens.equal(before)


def _labels_only(split):
    tokens = torch.arange(15).view(3, 5)
    before = tokens.clone()
    return split(tokens)[1].equal(before[:, 1:]) and tokens.equal(before)


def _but_the_last(split):
    tokens = torch.arange(15).view(3, 5)
    before = tokens.clone()
    inputs, labels = split(tokens)
    if inputs.shape != (3, 4) or labels.shape != (3, 4) or not tokens.equal(before):
        return False
    return inputs.equal(before[:, :-1]) and labels[:, :-1].equal(before[:, 1:-1])


def _same_memory(split):
    tokens = torch.arange(15).view(3, 5)
    return _is_shifted(split) and split(tokens)[0].data_ptr() == tokens.data_ptr()


RIGHT = {
    "beginnings alone": (1, _sees_the_future),
    "gradients": (1, _future_by_gradient),
    "the ends of the schedule": (2, _is_sound),
    "tokens that all differ": (3, _is_shifted),
}


@pytest.mark.parametrize(("number", "answer"), RIGHT.values(), ids=RIGHT)
def test_the_right_answer_passes(number, answer):
    torch.manual_seed(0)
    assert check.problem(number, answer) is None


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_stub_does_not_pass(number):
    assert "True or False, got None" in check.problem(number, lambda *args: None)


def _look_at(example):
    return partial(_looks_at_one_example, example=example)


WRONG = {
    "the mode it came in": (1, _last_token_in_this_mode, "only while training"),
    "training mode only": (1, lambda m, x: _sees_the_future(m, x, modes=[True]), "while training"),
    "evaluation mode only": (1, lambda m, x: _sees_the_future(m, x, modes=[False]), "evaluation"),
    "first example only": (1, _look_at(0), "the last example does not get"),
    "last example only": (1, _look_at(-1), "the first example does not get"),
    "one output": (1, _first_output_only, "change the very next token too"),
    "next token only": (1, _next_token_only, "change all later tokens"),
    "no tolerance": (1, _exactly_equal, "for a causal decoder the answer must be False, got True"),
    "always True": (1, lambda model, x: True, "says that every model sees the future"),
    "always False": (1, lambda model, x: False, "says that no model sees the future"),
    "the other way": (1, lambda m, x: not _sees_the_future(m, x), "gives True for False"),
    "a tensor": (1, lambda m, x: torch.tensor(_sees_the_future(m, x)), "got tensor(False)"),
    "never without warm-up": (2, lambda s: _is_sound(s, warmups=[10]), "without warm-up"),
    "not past the end": (2, lambda s: _is_sound(s, steps=50), "rises again"),
    "no look at the peak": (2, lambda s: _is_sound(s, peak=None), "peak"),
    "looks at the ends": (2, _ends_only, "rises to 1 again on the way down the answer must be"),
    "asks for an end at 0": (2, _falls_to_zero, "a rate that stays is sound"),
    "always sound": (2, lambda s: True, "says that every schedule is sound"),
    "never sound": (2, lambda s: False, "says that no schedule is sound"),
    "unsound": (2, lambda s: not _is_sound(s), "gives True for False"),
    "shapes only": (3, _shapes_only, "labels that are not shifted"),
    "one row": (3, lambda s: _is_shifted(s, torch.arange(5)[None]), "first row only"),
    "equal tokens": (3, lambda s: _is_shifted(s, torch.arange(3)[:, None].repeat(1, 5)), "shifted"),
    "one step on": (3, _one_step_on, "a start token that is never read"),
    "labels only": (3, _labels_only, "a decoder that reads what it should say"),
    "but the last": (3, _but_the_last, "labels whose last one is another token"),
    "same memory": (3, _same_memory, "compare values, not identity"),
    "always right": (3, lambda s: True, "says that every split is right"),
    "never right": (3, lambda s: False, "says that no split is right"),
    "wrong for right": (3, lambda s: not _is_shifted(s), "gives True for False"),
    "no clone": (3, _against_itself, "changes the tokens"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    torch.manual_seed(0)
    assert says in check.problem(number, answer)
