"""The checks of chapter 42 take the right answers, and name what is wrong with others."""

from __future__ import annotations

import pytest
import torch

from tutorial_lib.exercises.chapter_42 import check


def _distances(vectors):
    return (vectors - vectors.mean(dim=1, keepdim=True)).norm(dim=-1)


def _gap(network, images, order):
    return (network(images[:, order]) - network(images)[:, order]).abs().max()


def _mask(places, size):
    mask = torch.ones(len(places), size, size, dtype=torch.bool)
    everyone = torch.arange(len(places))
    mask[everyone, :, places] = False
    mask[everyone, places, places] = True
    return mask


RIGHT = [(1, _distances), (2, _gap), (3, _mask)]


@pytest.mark.parametrize(("number", "answer"), RIGHT)
def test_the_right_answer_passes(number, answer):
    assert check.problem(number, answer) is None


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_stub_does_not_pass(number):
    assert "must be a tensor" in check.problem(number, lambda *args: None)


def _inverse(network, images, order):
    return (network(images[:, order]) - network(images)[:, order.argsort()]).abs().max()


def _only_itself(places, size):
    return torch.eye(size).bool().expand(len(places), size, size)


def _columns_only(places, size):
    mask = torch.ones(len(places), size, size, dtype=torch.bool)
    mask[torch.arange(len(places)), :, places] = False
    return mask


WRONG = {
    "mean over the batch": (
        1,
        lambda v: (v - v.mean(dim=0, keepdim=True)).norm(dim=-1),
        "wrong for",
    ),
    "mean over the features": (
        1,
        lambda v: (v - v.mean(dim=-1, keepdim=True)).norm(dim=-1),
        "wrong for",
    ),
    "squares": (1, lambda v: _distances(v) ** 2, "take the root"),
    "one a set": (1, lambda v: _distances(v).amax(1), "shape"),
    "the inverse order": (2, _inverse, "same order"),
    "not reordered": (
        2,
        lambda n, x, order: (n(x[:, order]) - n(x)).abs().max(),
        "same order",
    ),
    "always zero": (2, lambda n, x, order: torch.tensor(0.0), "has gap 0"),
    "the mean": (
        2,
        lambda n, x, order: (n(x[:, order]) - n(x)[:, order]).abs().mean(),
        "largest",
    ),
    "floats": (3, lambda p, n: _mask(p, n).float(), "boolean"),
    "hidden from itself": (3, _columns_only, "look at itself"),
    "everyone alone": (3, _only_itself, "look at everyone"),
    "the row": (3, lambda p, n: _mask(p, n).mT, "look at everyone"),
    "nothing hidden": (3, lambda p, n: torch.ones(len(p), n, n).bool(), "needed is False"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
