"""The checks of chapter 11 take the right answers, and name what is wrong with others."""

from __future__ import annotations

import math

import pytest
import torch

from tutorial_lib.exercises.chapter_11 import check


def _attend(query, keys, values):
    return (keys @ query / math.sqrt(len(query))).softmax(dim=0) @ values


def _window_mask(length, width):
    position = torch.arange(length)
    return (position[:, None] - position[None, :]).abs() <= width


def _weights(query, key, temperature):
    return (query @ key.T / (math.sqrt(query.shape[-1]) * temperature)).softmax(dim=-1)


def _entropy(query, key, temperature):
    return torch.special.entr(_weights(query, key, temperature)).sum(dim=-1)


def _score_gradient(weights, upstream):
    return weights * (upstream - (weights * upstream).sum(dim=-1, keepdim=True))


@pytest.mark.parametrize(
    ("number", "answer"),
    [(1, _attend), (2, _window_mask), (3, _entropy), (4, _score_gradient)],
)
def test_the_right_answer_passes(number, answer):
    assert check.problem(number, answer) is None


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_the_stub_does_not_pass(number):
    assert "must be a tensor" in check.problem(number, lambda *args: None)


WRONG = {
    "no scale": (1, lambda q, k, v: (k @ q).softmax(0) @ v, "not divided"),
    "scaled by the number of keys": (
        1,
        lambda q, k, v: (k @ q / math.sqrt(len(k))).softmax(0) @ v,
        "not the average",
    ),
    "divided by d_k": (1, lambda q, k, v: (k @ q / len(q)).softmax(0) @ v, "not the average"),
    "weights instead of the output": (1, lambda q, k, v: (k @ q).softmax(0), "shape"),
    "looks back only": (2, lambda n, w: _window_mask(n, w).tril(), "wrong for length 6"),
    "reversed": (2, lambda n, w: ~_window_mask(n, w), "reversed"),
    "one too narrow": (2, lambda n, w: _window_mask(n, w - 1), "wrong for length 6"),
    "float mask": (2, lambda n, w: _window_mask(n, w).float(), "boolean"),
    "0 log 0": (
        3,
        lambda q, k, t: -(_weights(q, k, t) * _weights(q, k, t).log()).sum(-1),
        "NaN",
    ),
    "in bits": (3, lambda q, k, t: _entropy(q, k, t) / math.log(2), "temperature 1 is wrong"),
    "no temperature": (3, lambda q, k, t: _entropy(q, k, 1.0), "1e8"),
    "sharpness for temperature": (3, lambda q, k, t: _entropy(q, k, 1 / t), "1e8"),
    "summed over the queries": (3, lambda q, k, t: _entropy(q, k, t).sum(), "shape"),
    "diagonal only": (4, lambda a, g: a * (1 - a) * g, "differs from autograd"),
    "sum over everything": (4, lambda a, g: a * (g - (a * g).sum()), "differs from autograd"),
    "outer product over one query": (4, lambda a, g: a * g - a @ (a.mT @ g), "differs"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
