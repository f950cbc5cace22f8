"""The weights of attention are a softmax over the allowed keys, in every float type."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import TOLERANCE, draw

from tutorial_lib.attention_weights import attention_weights

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
seeds = st.integers(0, 2**31)
sizes = st.integers(1, 6)


def test_weights_are_the_softmax_worked_by_hand():
    # Scores of 0 and ln 3 after division by sqrt(4): the weights are 1/4 and 3/4.
    query = torch.tensor([[2.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    key = torch.tensor([[0.0, 5, 5, 5], [math.log(3), 0, 0, 0]], dtype=torch.float64)
    expected = torch.tensor([[0.25, 0.75]], dtype=torch.float64)
    torch.testing.assert_close(attention_weights(query, key), expected, **TOLERANCE)


def test_a_bias_of_minus_ln_3_makes_a_weight_three_times_smaller():
    query, key = torch.zeros(1, 4).double(), torch.zeros(2, 4).double()
    bias = torch.tensor([[0.0, -math.log(3)]], dtype=torch.float64)
    expected = torch.tensor([[0.75, 0.25]], dtype=torch.float64)
    weights = attention_weights(query, key, score_bias=bias)
    torch.testing.assert_close(weights, expected, **TOLERANCE)


@given(batch=st.lists(sizes, max_size=3), query=sizes, key=sizes, width=sizes, seed=seeds)
def test_rows_sum_to_one_or_to_zero_and_weights_lie_in_0_1(batch, query, key, width, seed):
    q, k = draw(*batch, query, width, seed=seed), draw(*batch, key, width, seed=seed + 1)
    mask = draw(*batch, query, key, seed=seed) < 0
    if len(batch) == 2:  # here three axes would be read as (batch, query, key)
        assert mask.ndim == 4
    weights = attention_weights(q, k, mask)
    may_attend = mask.any(dim=-1).to(weights.dtype)
    torch.testing.assert_close(weights.sum(dim=-1), may_attend, **TOLERANCE)
    assert ((weights >= 0) & (weights <= 1 + 1e-12)).all()
    assert (weights[~mask] == 0).all()
    free = attention_weights(q, k)
    torch.testing.assert_close(free.sum(dim=-1), torch.ones_like(may_attend), **TOLERANCE)


def test_large_scores_stay_inside_float16():
    # 64 products of 60 * 60 add up to 230400; float16 ends at 65504. Divided by 8 they fit.
    query = torch.full((1, 64), 60.0, dtype=torch.float16)
    key = torch.stack([query[0], 0 * query[0]])
    expected = torch.tensor([[1.0, 0.0]], dtype=torch.float16)
    torch.testing.assert_close(attention_weights(query, key), expected, atol=0, rtol=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_bias_does_not_fill_a_row_that_is_empty(dtype):
    query, key = (draw(2, 3, 4, seed=i).to(dtype).requires_grad_() for i in range(2))
    bias = draw(3, 3, seed=2).to(dtype).requires_grad_()
    mask = torch.ones(3, 3).bool()
    mask[1] = False
    weights = attention_weights(query, key, mask, score_bias=bias)
    assert (weights[:, 1] == 0).all()
    assert (weights[:, [0, 2]] != 0).all()
    (weights * draw(2, 3, 3, seed=3).to(dtype)).sum().backward()
    assert all(tensor.grad.isfinite().all() for tensor in (query, key, bias))
    assert (query.grad[:, 1] == 0).all()
    assert (bias.grad[1] == 0).all()
    assert (bias.grad[[0, 2]] != 0).all()


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("bias", "error", "says"),
    [
        (
            torch.zeros(4, 4),
            ValueError,
            r"score_bias must broadcast .*\(2, 3, 5, 5\), got \(4, 4\)",
        ),
        (torch.zeros(1, 1, 1, 5, 5), ValueError, r"score_bias must broadcast .* got \(1, 1, 1, 5"),
        (torch.zeros(5, 5).double(), TypeError, r"score_bias must be torch\.float32 like scores"),
    ],
)
def test_a_bias_that_does_not_fit_is_refused(bias, error, says):
    x = torch.zeros(2, 3, 5, 4)
    with pytest.raises(error, match=says):
        attention_weights(x, x, score_bias=bias)
