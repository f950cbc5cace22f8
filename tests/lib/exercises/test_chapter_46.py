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


def _gaps(scores, labels):
    """Later minus earlier, for all pairs of markers of a row."""
    marked = labels != -100
    later = (labels[:, None, :] > labels[:, :, None]) & marked[:, None, :] & marked[:, :, None]
    return (scores[:, None, :] - scores[:, :, None])[later]


def _loss(of_gaps):
    return lambda scores, labels: of_gaps(_gaps(scores, labels))


def _row_by_row(scores, labels, *, skip=True):
    rows = [_gaps(s[None], y[None]) for s, y in zip(scores, labels, strict=True)]
    return torch.stack([F.softplus(-row).mean() for row in rows if len(row) or not skip]).mean()


def _both_directions(scores, labels):
    gaps = _gaps(scores, labels)
    return F.softplus(torch.cat([gaps, -gaps])).mean()


def _by_place(scores, labels):
    place = torch.arange(scores.shape[1]).expand_as(labels).float()
    return _pairwise_loss(scores, place.where(labels != -100, labels))


def _across_stories(scores, labels):
    return _pairwise_loss(scores.reshape(1, -1), labels.reshape(1, -1))


def _cut_gradient(scores, labels):
    marked = scores.where(torch.arange(scores.shape[1]) > 0, scores.detach())
    return _pairwise_loss(marked, labels)


def _fills_labels(scores, labels):
    right = _pairwise_loss(scores, labels)
    labels[labels == -100] = 0
    return right


def _rank_correlation(scores, labels):
    return torch.corrcoef(torch.stack([_ranks_of(scores).float(), labels]))[0, 1]


def _neighbours(scores, labels):
    return (scores.diff().sign() * labels.diff().sign()).mean()


def _mean(values):
    values = list(values)
    return sum(values) / len(values)


WRONG = {
    "the order": (1, torch.argsort, "this is the order: at place k"),
    "the order from the top": (1, lambda s: s.argsort(descending=True), "order, from the highest"),
    "from the top": (1, lambda s: _ranks_of(-s), "rank 0 is the lowest"),
    "from one": (1, lambda s: _ranks_of(s) + 1, "the ranks begin at 1"),
    "sorted": (1, lambda s: s.sort().values, "these are the scores, sorted"),
    "as they stand": (1, lambda s: torch.arange(len(s)), "the ranks are ["),
    "a list": (1, lambda s: _ranks_of(s).tolist(), "must be a tensor"),
    "sorts in place": (1, lambda s: _ranks_of(s).add(0 * s.sort(out=(s, s.long()))[1]), "argument"),
    "share of right pairs": (2, lambda s, y: (_tau(s, y) + 1) / 2, "share of right pairs"),
    "share of wrong pairs": (2, lambda s, y: (1 - _tau(s, y)) / 2, "share of wrong pairs"),
    "reversed": (2, lambda s, y: -_tau(s, y), "the sign is wrong"),
    "labels in order": (2, lambda s, y: _tau(s, torch.arange(len(s))), "the labels play no part"),
    "scores in order": (2, lambda s, y: _tau(torch.arange(len(s)), y), "the scores play no part"),
    "summed": (2, lambda s, y: _tau(s, y) * len(s) * (len(s) - 1) / 2, "divide by their number"),
    "summed twice": (2, lambda s, y: _tau(s, y) * len(s) * (len(s) - 1), "from both sides: div"),
    "twice": (2, lambda s, y: 2 * _tau(s, y), "divided by once"),
    "half": (2, lambda s, y: _tau(s, y) / 2, "there are half as many"),
    "with themselves": (2, lambda s, y: _tau(s, y) * (1 - 1 / len(s)), "compared with itself"),
    "correlation": (
        2,
        lambda s, y: torch.corrcoef(torch.stack([s, y]))[0, 1],
        "the correlation of the values",
    ),
    "rank correlation": (2, _rank_correlation, "the correlation of the ranks"),
    "neighbours": (2, _neighbours, "only neighbours are compared"),
    "always 0": (2, lambda s, y: 0.0, "got 0.000"),
    "one a sentence": (2, lambda s, y: torch.sign(s), "must have shape"),
    "of the mean length": (
        3,
        lambda lengths: 1 / factorial(round(_mean(lengths))),
        "not the lengths",
    ),
    "of the mean order": (
        3,
        lambda lengths: 1 / _mean(factorial(n) for n in lengths),
        "not the numbers of orders",
    ),
    "all stories": (3, lambda lengths: sum(1 / factorial(n) for n in lengths), "are summed"),
    "a place": (3, lambda lengths: _mean(1 / n for n in lengths), "the first place is right"),
    "with repeats": (3, lambda lengths: _mean(n**-n for n in lengths), "may come twice"),
    "a pair": (3, lambda lengths: _mean(2 / n / (n - 1) for n in lengths), "chance of a pair"),
    "orders": (3, lambda lengths: _mean(factorial(n) for n in lengths), "expected orders"),
    "n - 1": (3, lambda lengths: _mean(1 / factorial(n - 1) for n in lengths), "the last sentence"),
    "for four": (3, lambda lengths: 1 / 24, "for lengths [4, 5, 6] it is 0.0171, got 0.0417"),
    "eats the lengths": (
        3,
        lambda lengths: _mean(1 / factorial(lengths.pop()) for _ in range(len(lengths))),
        "argument 1 was changed",
    ),
    "every token": (4, _every_token, "without a label gets a gradient"),
    "the wrong way": (4, lambda s, y: _pairwise_loss(-s, y), "the order is reversed"),
    "summed pairs": (4, _loss(lambda g: F.softplus(-g).sum()), "the pairs are summed"),
    "row by row": (4, _row_by_row, "each row is averaged first"),
    "a row without pairs": (4, lambda s, y: _row_by_row(s, y, skip=False), "averaged first"),
    "divided by rows": (4, lambda s, y: F.softplus(-_gaps(s, y)).sum() / len(s), "number of rows"),
    "both directions": (4, _both_directions, "in both directions"),
    "by place": (4, _by_place, "the place in the row"),
    "across stories": (4, _across_stories, "different stories"),
    "no minus": (4, _loss(lambda g: F.logsigmoid(g).mean()), "minus is missing"),
    "sigmoid": (4, _loss(lambda g: g.sigmoid().mean()), "the logarithm is missing"),
    "one minus": (4, _loss(lambda g: (1 - g.sigmoid()).mean()), "this is one minus the sigmoid"),
    "log of the mean": (4, _loss(lambda g: -g.sigmoid().mean().log()), "after the average"),
    "differences": (4, _loss(lambda g: -g.mean()), "the differences themselves"),
    "hinge": (4, _loss(lambda g: F.relu(-g).mean()), "this is a hinge"),
    "squares": (4, _loss(lambda g: g.square().mean()), "it must be"),
    "gradient cut": (4, _cut_gradient, "the gradient is not that of the loss"),
    "no gradient": (4, lambda s, y: _pairwise_loss(s.detach(), y), "must have a gradient"),
    "fills the labels": (4, _fills_labels, "argument 2 was changed"),
    "one a row": (4, lambda s, y: s.sum(dim=1), "must have shape"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
