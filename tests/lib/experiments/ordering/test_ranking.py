"""The loss sees the markers alone; tau is SciPy's; exact match needs every pair."""

from __future__ import annotations

import math
from itertools import permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from tutorial_lib.experiments.ordering.ranking import exact_match, kendall_tau, rank_loss

NO = -100.0
few = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.booleans()), min_size=1)


def row(*values):
    return torch.tensor([values], dtype=torch.float64)


def test_the_loss_is_the_one_worked_by_hand():
    scores, labels = row(0.5, 9, -1, 7, 3), row(1, NO, -1, NO, 1)
    torch.testing.assert_close(rank_loss(scores, labels), torch.tensor((0.25 + 0 + 4) / 3).double())


def test_tokens_without_a_label_get_no_gradient():
    scores = row(0.5, 9, -1, 7).requires_grad_()
    rank_loss(scores, row(1, NO, 0, NO)).backward()
    assert scores.grad is not None
    assert scores.grad.tolist() == [[-0.5, 0, -1, 0]]


def test_tau_is_the_one_worked_by_hand():
    assert kendall_tau(row(1, 2, 3, 4), row(0, 1, 3, 2)).item() == pytest.approx(4 / 6)
    assert kendall_tau(row(3, 2, 1), row(0, 1, 2)).item() == -1
    # Tied scores: two pairs right, one no pair at all.
    assert kendall_tau(row(1, 1, 2), row(0, 1, 2)).item() == pytest.approx(2 / math.sqrt(6))


@given(few)
def test_tau_is_scipys_with_ties_and_without(drawn):
    scores = row(*(float(score) for score, _, _ in drawn))
    labels = row(*(float(label) if marked else NO for _, label, marked in drawn))
    kept = [(score, label) for score, label, marked in drawn if marked]
    ours = kendall_tau(scores, labels).item()
    different = len({score for score, _ in kept}) > 1 and len({label for _, label in kept}) > 1
    if different:
        expected = kendalltau(*zip(*kept, strict=True)).statistic
        assert ours == pytest.approx(expected, abs=1e-12)
    else:
        assert math.isnan(ours)


@given(st.integers(2, 6), st.integers(0, 1000))
def test_each_row_is_judged_by_itself_and_unmarked_scores_do_not_matter(length, seed):
    draw = torch.Generator().manual_seed(seed)
    scores = torch.randn(3, length + 2, generator=draw, dtype=torch.float64)
    labels = torch.full_like(scores, NO)
    for each in labels:
        each[:length] = torch.randperm(length, generator=draw).double()
    other = scores.clone()
    other[:, length:] = 99
    assert kendall_tau(scores, labels).equal(kendall_tau(other, labels))
    for index in range(3):
        alone = slice(index, index + 1)
        assert (
            kendall_tau(scores[alone], labels[alone]).item() == kendall_tau(scores, labels)[index]
        )
        right = scores[index, :length].argsort().equal(labels[index, :length].argsort())
        assert bool(exact_match(scores, labels)[index]) == right


def test_chance_is_tau_zero_and_one_order_in_all():
    orders = torch.tensor(list(permutations(range(5))), dtype=torch.float64)
    labels = torch.arange(5.0).double().expand(len(orders), 5)
    assert kendall_tau(orders, labels).mean().abs().item() < 1e-12
    assert exact_match(orders, labels).double().mean().item() == pytest.approx(1 / 120)


def test_equal_scores_are_no_order():
    assert exact_match(row(0, 0, 1), row(0, 1, 2)).tolist() == [False]
    assert exact_match(row(0, 5, 1, 7), row(0, NO, 1, NO)).tolist() == [True]


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("scores", "labels", "error", "says"),
    [
        ([0.0], row(0), TypeError, "scores must be a tensor of floats, got list"),
        (row(0), row(0).long(), TypeError, "labels must be a tensor of floats, got torch.int64"),
        (row(0), row(0).float(), TypeError, "labels must be torch.float64 like scores"),
        (row(0, 1), row(0), ValueError, r"labels must have shape \(1, 2\) like scores"),
        (row(0)[0], row(0)[0], ValueError, r"scores must have shape \(batch, length\), got"),
    ],
)
def test_wrong_input_is_refused(scores, labels, error, says):
    for function in (rank_loss, kendall_tau, exact_match):
        with pytest.raises(error, match=says):
            function(scores, labels)


def test_a_loss_over_nothing_is_refused():
    with pytest.raises(ValueError, match="labels must mark at least one token"):
        rank_loss(row(1, 2), row(NO, NO))
