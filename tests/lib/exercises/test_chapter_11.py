"""The checks of chapter 11 take the right answers, and name what is wrong with others."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from tutorial_lib import attention
from tutorial_lib.attention import attention_weights, scaled_dot_product_attention
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
    "no scale": (1, lambda q, k, v: (k @ q).softmax(0) @ v, "are not divided by the root of d_k"),
    "scaled by the number of keys": (
        1,
        lambda q, k, v: (k @ q / math.sqrt(len(k))).softmax(0) @ v,
        "the root of the number of keys",
    ),
    "divided by d_k": (1, lambda q, k, v: (k @ q / len(q)).softmax(0) @ v, "by d_k, not by its"),
    "no softmax": (1, lambda q, k, v: k @ q / math.sqrt(len(q)) @ v, "softmax is missing"),
    "weights instead of the output": (
        1,
        lambda q, k, v: (k @ q / math.sqrt(len(q))).softmax(0),
        "these are weights, now average",
    ),
    "one row": (1, lambda q, k, v: _attend(q, k, v)[None], "must have shape (3,), got (1, 3)"),
    "the sum of the values": (1, lambda q, k, v: v.sum(0), "not the average that the formula"),
    "looks back only": (2, lambda n, w: _window_mask(n, w).tril(), "looks back only"),
    "looks ahead only": (2, lambda n, w: _window_mask(n, w).triu(), "looks ahead only"),
    "reversed": (2, lambda n, w: ~_window_mask(n, w), "reversed"),
    "one too narrow": (2, lambda n, w: _window_mask(n, w - 1), "one too narrow"),
    "one too wide": (2, lambda n, w: _window_mask(n, w + 1), "wrong for length 6, width 1"),
    "right for a narrow one only": (
        2,
        lambda n, w: _window_mask(n, w + (w > 1)),
        "wrong for length 6, width 2",
    ),
    "float mask": (2, lambda n, w: _window_mask(n, w).float(), "boolean"),
    "0 log 0": (
        3,
        lambda q, k, t: -(_weights(q, k, t) * _weights(q, k, t).log()).sum(-1),
        "NaN at temperature 1e-06: where a weight has rounded to 0",
    ),
    "in bits": (3, lambda q, k, t: _entropy(q, k, t) / math.log(2), "in bits"),
    "no temperature": (3, lambda q, k, t: _entropy(q, k, 1.0), "temperature is missing"),
    "sharpness for temperature": (3, lambda q, k, t: _entropy(q, k, 1 / t), "multiplied by the"),
    "no scale in the entropy": (
        3,
        lambda q, k, t: _entropy(q, k, t / math.sqrt(q.shape[-1])),
        "are not divided by the root of d_k",
    ),
    "no minus": (3, lambda q, k, t: -_entropy(q, k, t), "the sign is wrong"),
    "of the values before the softmax": (
        3,
        lambda q, k, t: _entropy(q, k, t) + 1,
        "the entropy at temperature 2 is wrong",
    ),
    "summed over the queries": (3, lambda q, k, t: _entropy(q, k, t).sum(), "shape"),
    "in place": (4, lambda a, g: a.mul_(g - (a * g).sum(-1, keepdim=True)), "1 was changed"),
    "diagonal only": (4, lambda a, g: a * (1 - a) * g, "the diagonal of J alone"),
    "first term only": (4, lambda a, g: a * g, "diag(a) g alone"),
    "sum over everything": (4, lambda a, g: a * (g - (a * g).sum()), "over the queries too"),
    "sum over the queries": (
        4,
        lambda a, g: a * (g - (a * g).sum(-2, keepdim=True)),
        "over the queries, not over the keys",
    ),
    "plain mean": (4, lambda a, g: a * (g - g.mean(-1, keepdim=True)), "weighted with a"),
    "outer product over one query": (4, lambda a, g: a * g - a @ (a.mT @ g), "differs"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)


def _by_torch_module(query, keys, values):
    return F.scaled_dot_product_attention(query[None], keys, values)[0]


def _by_imported_name(query, keys, values):
    return scaled_dot_product_attention(query[None], keys, values)[0][0]


def _by_module_of_the_package(query, keys, values):
    return attention.scaled_dot_product_attention(query[None], keys, values)[0][0]


def _by_weights(query, keys, values):
    return attention_weights(query[None], keys)[0] @ values


def _by_nn_module(query, keys, values):
    module = torch.nn.MultiheadAttention(len(query), 1, batch_first=True).double()
    return module(query[None, None].double(), *2 * [keys[None].double()])[0][0, 0, :3]


@pytest.mark.parametrize(
    "answer",
    [
        _by_torch_module,
        _by_imported_name,
        _by_module_of_the_package,
        _by_weights,
        _by_nn_module,
    ],
)
def test_an_attention_function_is_refused_and_works_again_afterwards(answer):
    assert "it calls an attention function" in check.problem(1, answer)
    assert check.problem(1, _attend) is None
    assert answer(torch.ones(4), torch.ones(2, 4), torch.ones(2, 3)).shape == (3,)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_no_hint_speaks_of_what_only_some_answers_do(number):
    assert "NaN" not in check.exercises[number].hint
