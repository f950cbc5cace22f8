"""Rollout is a product of steps worked by hand, and each of its rows sums to one."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import TOLERANCE, draw

from tutorial_lib.attention_maps import attention_maps
from tutorial_lib.encoder import TransformerEncoder
from tutorial_lib.masks import causal_mask, padding_mask
from tutorial_lib.rollout import attention_rollout


def maps_of(*layers: list[list[float]]) -> list[torch.Tensor]:
    """One batch, one head a layer."""
    return [torch.tensor(layer, dtype=torch.float64)[None, None] for layer in layers]


def drawn_maps(layers: int, *, batch=2, heads=3, length=4) -> list[torch.Tensor]:
    shape = batch, heads, length, length
    return [draw(*shape, seed=seed).softmax(dim=-1) for seed in range(layers)]


def test_two_layers_of_two_tokens_worked_by_hand():
    # Layer 1: both look at token 0. Layer 2: both look at token 1.
    maps = maps_of([[1, 0], [1, 0]], [[0, 1], [0, 1]])
    # Half of each step stays: [[1, 0], [.5, .5]], then [[.5, .5], [0, 1]] times it.
    assert attention_rollout(maps)[0].tolist() == [[0.75, 0.25], [0.5, 0.5]]
    assert attention_rollout(maps[::-1])[0].tolist() == [[0.5, 0.5], [0.25, 0.75]]
    # Without a residual connection the layers alone are multiplied.
    assert attention_rollout(maps, residual=0)[0].tolist() == [[1, 0], [1, 0]]
    # A quarter stays: [[1, 0], [.75, .25]], then [[.25, .75], [0, 1]].
    assert attention_rollout(maps, residual=0.25)[0].tolist() == [[0.8125, 0.1875], [0.75, 0.25]]


def test_the_heads_are_averaged():
    heads = torch.tensor([[[1.0, 0], [1, 0]], [[0, 1], [0, 1]]])[None]  # (1, 2, 2, 2)
    assert attention_rollout([heads])[0].tolist() == [[0.75, 0.25], [0.25, 0.75]]
    # Layers may have different numbers of heads.
    assert attention_rollout([heads, heads[:, :1]])[0].tolist() == [[0.75, 0.25], [0.5, 0.5]]


def test_rollout_is_the_sum_over_all_paths():
    maps = drawn_maps(3, batch=1, length=3)
    steps = [(layer.mean(dim=1)[0] + torch.eye(3)) / 2 for layer in maps]
    expected = torch.zeros(3, 3, dtype=torch.float64)
    for top, middle, low, bottom in product(range(3), repeat=4):
        expected[top, bottom] += (
            steps[2][top, middle] * steps[1][middle, low] * steps[0][low, bottom]
        )
    torch.testing.assert_close(attention_rollout(maps)[0], expected, **TOLERANCE)


@given(
    layers=st.integers(1, 5),
    heads=st.integers(1, 3),
    length=st.integers(1, 6),
    residual=st.floats(0, 0.99),
)
def test_every_row_sums_to_one(layers, heads, length, residual):
    maps = drawn_maps(layers, heads=heads, length=length)
    rollout = attention_rollout(maps, residual=residual)
    assert rollout.shape == (2, length, length)
    assert rollout.min() >= 0
    torch.testing.assert_close(rollout.sum(dim=-1), torch.ones(2, length).double(), **TOLERANCE)


@given(layers=st.integers(1, 4), residual=st.floats(0, 0.99))
def test_tokens_that_attend_to_themselves_stay(layers, residual):
    alone = [torch.eye(4).double().expand(1, 2, 4, 4)] * layers
    rollout = attention_rollout(alone, residual=residual)
    torch.testing.assert_close(rollout[0], torch.eye(4).double(), **TOLERANCE)


def test_reordering_the_tokens_reorders_rows_and_columns():
    maps, order = drawn_maps(3), torch.tensor([2, 0, 3, 1])
    reordered = attention_rollout([layer[:, :, order][..., order] for layer in maps])
    expected = attention_rollout(maps)[:, order][..., order]
    torch.testing.assert_close(reordered, expected, **TOLERANCE)


def test_no_sequence_depends_on_another():
    maps = drawn_maps(2)
    alone = attention_rollout([layer[1:] for layer in maps])
    torch.testing.assert_close(attention_rollout(maps)[1:], alone, **TOLERANCE)


def test_the_maps_of_an_encoder_roll_out_under_its_mask():
    torch.manual_seed(0)
    encoder = TransformerEncoder(num_layers=3, embed_dim=8, num_heads=2, dim_feedforward=8)
    x = draw(2, 5, 8).float()
    causal = attention_rollout(attention_maps(encoder, x, causal_mask(5)))
    assert causal.triu(1).eq(0).all()
    assert causal.tril().gt(0).equal(causal_mask(5).expand(2, 5, 5))
    padded = attention_rollout(attention_maps(encoder, x, padding_mask(torch.tensor([5, 3]))))
    assert padded[1, :3, 3:].eq(0).all()  # no real token has anything of the padding
    torch.testing.assert_close(padded.sum(dim=-1), torch.ones(2, 5))


@pytest.mark.parametrize("residual", [0.0, 0.5])
def test_a_query_that_attends_to_nothing_keeps_what_it_has(residual):
    maps = maps_of([[0, 0], [1, 0]], [[0, 0], [0.5, 0.5]])
    rollout = attention_rollout(maps, residual=residual)
    assert rollout[0, 0].tolist() == [1, 0]
    assert rollout[0, 1].sum() == 1
    # Also in one head of two.
    heads = torch.tensor([[[0.0, 0], [1, 0]], [[0, 1], [1, 0]]])[None]
    assert attention_rollout([heads], residual=0.0)[0].tolist() == [[0.5, 0.5], [1, 0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_float_type_stays_and_gradients_pass(dtype):
    maps = [layer.to(dtype).requires_grad_() for layer in drawn_maps(2, length=9)]
    rollout = attention_rollout(maps)
    assert rollout.dtype == dtype
    rollout[0, 0, 1].backward()
    assert all(layer.grad is not None and layer.grad.abs().sum() > 0 for layer in maps)


GOOD = torch.full((1, 2, 3, 3), 1 / 3)
WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "none": ([], ValueError, "maps must hold at least one layer, got none"),
    "no tensor": ([GOOD, "x"], TypeError, r"maps\[1\] must be a tensor of floats, got str"),
    "booleans": ([GOOD > 0], TypeError, r"maps\[0\] must be a tensor of floats, got torch\.bool"),
    "heads left out": (
        [GOOD[:, 0]],
        ValueError,
        r"maps\[0\] must have shape \(batch, heads, length, length\), got \(1, 3, 3\)",
    ),
    "cross-attention": ([GOOD[:, :, :2]], ValueError, r"maps\[0\] must have shape.*got \(1, 2, 2"),
    "another length": (
        [GOOD, torch.full((1, 2, 2, 2), 0.5)],
        ValueError,
        r"maps\[1\] must have batch 1 and length 3 like maps\[0\], got 1 and 2",
    ),
    "another batch": ([GOOD, GOOD.repeat(2, 1, 1, 1)], ValueError, r"maps\[1\] must have batch 1"),
    "scores": ([3 * GOOD], ValueError, r"maps\[0\] must hold weights, whose rows sum to one"),
    "negative": (
        [GOOD + torch.tensor([0.5, -0.5, 0])],
        ValueError,
        r"maps\[0\] must hold weights",
    ),
    "not a number": ([GOOD * torch.nan], ValueError, r"maps\[0\] must hold weights"),
}


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(("maps", "error", "says"), WRONG.values(), ids=WRONG)
def test_what_are_no_maps_is_refused(maps, error, says):
    with pytest.raises(error, match=f"^{says}"):
        attention_rollout(maps)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("residual", "error", "says"),
    [
        (1.0, ValueError, r"residual must be at least 0 and below 1, got 1\.0"),
        (-0.5, ValueError, r"residual must be at least 0 and below 1, got -0\.5"),
        ("half", TypeError, "residual must be a number, got str"),
    ],
)
def test_a_wrong_share_is_refused(residual, error, says):
    with pytest.raises(error, match=says):
        attention_rollout([GOOD], residual=residual)
