"""The checks of chapter 46 take the right answers, and name what is wrong with others."""

from __future__ import annotations

from math import factorial

import pytest
import torch
import torch.nn.functional as F

from tutorial_lib.exercises.chapter_46 import check


def _ranks_of(scores):
    return scores.argsort().argsort()


def _tau(scores, labels):
    signs = torch.sign(scores[:, None] - scores) * torch.sign(labels[:, None] - labels)
    return signs.sum() / (len(scores) * (len(scores) - 1))


def _chance_exact(lengths):
    return sum(1 / factorial(n) for n in lengths) / len(lengths)


def _pairwise_loss(scores, labels):
    marked = labels != -100
    later = (labels[:, None, :] > labels[:, :, None]) & marked[:, None, :] & marked[:, :, None]
    return F.softplus(scores[:, :, None] - scores[:, None, :])[later].mean()


RIGHT = [(1, _ranks_of), (2, _tau), (3, _chance_exact), (4, _pairwise_loss)]


@pytest.mark.parametrize(("number", "answer"), RIGHT)
def test_the_right_answer_passes(number, answer):
    assert check.problem(number, answer) is None


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_the_stub_does_not_pass(number):
    assert check.problem(number, lambda *args: None) is not None


def _every_token(scores, labels):
    later = labels[:, None, :] > labels[:, :, None]
    return F.softplus(scores[:, :, None] - scores[:, None, :])[later].mean()


WRONG = {
    "the order": (1, torch.argsort, "this is the order"),
    "from the top": (1, lambda s: _ranks_of(-s), "got the ranks"),
    "a list": (1, lambda s: _ranks_of(s).tolist(), "must be a tensor"),
    "share of right pairs": (2, lambda s, y: (_tau(s, y) + 1) / 2, "share of right pairs"),
    "reversed": (2, lambda s, y: -_tau(s, y), "tau is -1.000"),
    "of the mean length": (
        3,
        lambda lengths: 1 / factorial(round(sum(lengths) / len(lengths))),
        "average the chances",
    ),
    "a place, not an order": (3, lambda lengths: sum(1 / n for n in lengths) / len(lengths), "it"),
    "every token": (4, _every_token, "without a label gets a gradient"),
    "the wrong way": (4, lambda s, y: _pairwise_loss(-s, y), "it must be"),
    "summed": (4, lambda s, y: 4 * _pairwise_loss(s, y), "it must be"),
    "no gradient": (4, lambda s, y: _pairwise_loss(s.detach(), y), "must have a gradient"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
