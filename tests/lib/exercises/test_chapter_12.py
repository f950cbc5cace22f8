"""The checks of chapter 12 take the right answers, and name what is wrong with others."""

from __future__ import annotations

import copy

import pytest
import torch

from tutorial_lib.exercises.chapter_12 import check


def _parameter_count(embed_dim, kdim, vdim):
    return embed_dim * (2 * embed_dim + kdim + vdim + 4)


def _merge(heads):
    return heads.transpose(1, 2).flatten(start_dim=2)


def _restack(weight, num_heads):
    return weight.unflatten(0, (num_heads, 3, -1)).transpose(0, 1).flatten(0, 2)


def _columns(module, head):
    head_dim = module.embed_dim // module.num_heads
    return slice(head * head_dim, (head + 1) * head_dim)


def _without_head(module, x, head):
    silenced = copy.deepcopy(module)
    silenced.out_proj.weight.data[:, _columns(module, head)] = 0
    return silenced(x)[0]


def _without_head_in_place(module, x, head):
    module.out_proj.weight.data[:, _columns(module, head)] = 0
    return module(x)[0]


def _without_output_rows(module, x, head):
    silenced = copy.deepcopy(module)
    silenced.out_proj.weight.data[_columns(module, head)] = 0
    return silenced(x)[0]


def _without_query(module, x, head):
    silenced = copy.deepcopy(module)
    silenced.q_proj.weight.data[_columns(module, head)] = 0
    return silenced(x)[0]


def _without_value(module, x, head):
    silenced = copy.deepcopy(module)
    silenced.v_proj.weight.data[_columns(module, head)] = 0
    return silenced(x)[0]


def _without_bias(module, x, head):
    return _without_head(module, x, head) - module.out_proj.bias


@pytest.mark.parametrize(
    ("number", "answer"),
    [(1, _parameter_count), (2, _merge), (3, _restack), (4, _without_head)],
)
def test_the_right_answer_passes(number, answer):
    assert check.problem(number, answer) is None


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_the_stub_does_not_pass(number):
    assert "must be a" in check.problem(number, lambda *args: None)


def test_checking_leaves_the_random_state_alone():
    state = torch.get_rng_state()
    check.problem(4, _without_head)
    assert torch.get_rng_state().equal(state)


def _only_head(module, x, head):
    return module(x)[0] - _without_head(module, x, head)


WRONG = {
    "equal widths only": (1, lambda d, k, v: 4 * d * d + 4 * d, "as wide as the queries"),
    "no biases": (1, lambda d, k, v: _parameter_count(d, k, v) - 4 * d, "biases are missing"),
    "biases as wide as the inputs": (
        1,
        lambda d, k, v: 2 * d * d + d * (k + v) + 2 * d + k + v,
        "as wide as what comes out",
    ),
    "no output projection": (1, lambda d, k, v: d * (d + k + v + 3), "the output projection"),
    "one bias": (1, lambda d, k, v: _parameter_count(d, k, v) - 3 * d, "has 288 parameters, got"),
    "a tensor": (1, lambda d, k, v: torch.tensor(_parameter_count(d, k, v)), "an int"),
    "reshape alone": (2, lambda h: h.reshape(h.shape[0], h.shape[2], -1), "are mixed"),
    "wrong axes swapped": (2, lambda h: h.transpose(1, 3).flatten(2), "shape"),
    "heads inside": (2, lambda h: h.permute(0, 2, 3, 1).flatten(2), "heads are interleaved"),
    "no merge": (2, lambda h: h.transpose(1, 2), "must still be joined"),
    "backwards": (2, lambda h: _merge(h).flip(1), "does not undo"),
    "written over": (3, lambda w, n: w.copy_(_restack(w, n)), "argument 1 was changed"),
    "unchanged": (3, lambda w, n: w, "still in the order of the heads"),
    "heads and kinds confused": (
        3,
        lambda w, n: w.unflatten(0, (3, n, -1)).transpose(0, 1).flatten(0, 2),
        "this is the way back",
    ),
    "rows of a head spread": (
        3,
        lambda w, n: w.unflatten(0, (n, 3, -1)).permute(1, 2, 0, 3).flatten(0, 2),
        "a head's rows stay together",
    ),
    "heads backwards": (
        3,
        lambda w, n: w.unflatten(0, (n, 3, -1)).flip(0).transpose(0, 1).flatten(0, 2),
        "wrong place",
    ),
    "not flattened": (3, lambda w, n: w.unflatten(0, (n, 3, -1)).transpose(0, 1), "shape"),
    "in place": (4, _without_head_in_place, "module is changed: out_proj.weight"),
    "rows, not columns": (4, _without_output_rows, "a head writes through columns"),
    "query set to zero": (4, _without_query, "rows of q_proj.weight"),
    "values set to zero": (4, _without_value, "rows of v_proj.weight"),
    "half of the head": (
        4,
        lambda m, x, h: (m(x)[0] + _without_head(m, x, h)) / 2,
        "the output without head 1 is wrong",
    ),
    "bias left out": (4, _without_bias, "bias of out_proj"),
    "counted from one": (4, lambda m, x, h: _without_head(m, x, h - 1), "heads count from 0"),
    "nothing done": (4, lambda m, x, h: m(x)[0], "nothing is silenced"),
    "only the head": (4, _only_head, "this is what head 1 adds, not"),
    "the head and the bias": (
        4,
        lambda m, x, h: _only_head(m, x, h) + m.out_proj.bias,
        "and the bias: the others are silenced",
    ),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
