"""The checks of chapter 51 take the right answers, and name what is wrong with others."""

from __future__ import annotations

import math

import pytest
import torch

from tutorial_lib.exercises.chapter_51 import check


def _step(layer):
    return (layer.mean(0) + torch.eye(layer.shape[-1]).to(layer)) / 2


def _rollout(maps):
    result = torch.eye(maps[0].shape[-1]).to(maps[0])
    for layer in maps:
        result = _step(layer) @ result
    return result


def _backwards(maps):
    return _rollout(maps[::-1])


def _without_residual(maps):
    return maps[1].mean(0) @ maps[0].mean(0)


def _added(weights, values, out):
    return weights * (values @ out).norm(dim=-1)


def _another(weights, values):
    ones = torch.ones_like(values[:, :1])
    rows = torch.linalg.svd(torch.cat([values, ones], dim=1).T)[2]
    return weights + 0.1 * rows[-1]


def _same_output_only(weights, values):
    return weights + 0.1 * torch.linalg.svd(values.T)[2][-1]


def _entropy(weights):
    return torch.special.entr(weights).sum(dim=-1) / math.log(2)


RIGHT = [(1, _rollout), (2, _added), (3, _another), (4, _entropy)]


@pytest.mark.parametrize(("number", "answer"), RIGHT)
def test_the_right_answer_passes(number, answer):
    assert check.problem(number, answer) is None


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_the_stub_does_not_pass(number):
    assert "must be a tensor" in check.problem(number, lambda *args: None)


WRONG = {
    "the last layer's map": (1, lambda maps: maps[-1].mean(0), "two layers"),
    "no residual": (1, _without_residual, "the residual connection is left out"),
    "the wrong order": (1, _backwards, "in the wrong order"),
    "heads summed": (
        1,
        lambda maps: _rollout([layer.sum(0, keepdim=True) for layer in maps]),
        "wrong for three layers",
    ),
    "weights alone": (2, lambda w, v, o: w * v.norm(dim=-1), "the output map changes"),
    "the sum's length": (2, lambda w, v, o: (w @ v @ o).norm(dim=-1), "must have shape"),
    "squared": (2, lambda w, v, o: w * (v @ o).square().sum(-1), "these are not the lengths"),
    "the same map": (3, lambda w, v: w, "a row is the same"),
    "sums differ": (3, _same_output_only, "does not sum to 1"),
    "uniform": (3, lambda w, v: torch.full_like(w, 1 / 6), "the output has changed"),
    "nats": (4, lambda w: torch.special.entr(w).sum(-1), "these are nats"),
    "0 log 0": (4, lambda w: -(w * w.log2()).sum(-1), "count it as 0"),
    "mean": (4, lambda w: _entropy(w) / w.shape[-1], "bits are right"),
    "one number": (4, lambda w: _entropy(w).mean(), "must have shape"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
