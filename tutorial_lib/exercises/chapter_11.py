"""Checks for chapter 11, scaled dot-product attention."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from tutorial_lib.attention import scaled_dot_product_attention
from tutorial_lib.exercises.checker import Checker, is_close, require_shape

check = Checker(11)


@check.exercise(1, hint="Score with keys @ query, divide by the root of d_k, softmax, average.")
def attention_of_one_query(attend: Callable) -> None:
    """Compare with the package's function, in widths where n, d_k and d_v all differ."""
    query, key, value = _draw(1, 5, 16, 3)
    expected = scaled_dot_product_attention(query, key, value)[0][0]
    output = attend(query[0], key, value)
    require_shape(output, (3,), "the output")
    unscaled = (key @ query[0]).softmax(dim=0) @ value
    assert not is_close(output, unscaled), "the scores are not divided by the root of d_k"
    assert is_close(output, expected), "the output is not the average that the formula gives"


@check.exercise(2, hint="Compare torch.arange(length)[:, None] with torch.arange(length)[None, :].")
def window_mask_allows_the_neighbours(window_mask: Callable) -> None:
    """Compare each entry with the definition, also for a width of 0 and one beyond the length."""
    for length, width in [(6, 1), (6, 2), (5, 0), (4, 9)]:
        mask = window_mask(length, width)
        require_shape(mask, (length, length), "the mask")
        assert mask.dtype == torch.bool, f"the mask must be boolean, got {mask.dtype}"
        near = [[abs(i - j) <= width for j in range(length)] for i in range(length)]
        expected = torch.tensor(near)
        assert width == 9 or not mask.equal(~expected), (
            "the mask is reversed: True means may attend"
        )
        assert mask.equal(expected), f"an entry is wrong for length {length}, width {width}"


@check.exercise(3, hint="A weight can round to 0, and 0 * log(0) is NaN: see torch.special.entr.")
def entropy_has_the_right_limits(entropy: Callable) -> None:
    """Compare at a temperature of 1, and with the limits at a huge and at a tiny one."""
    query, key, value = _draw(4, 6, 9, 2)
    weights = scaled_dot_product_attention(query, key, value)[1]
    for temperature in (1.0, 1e8, 1e-6):
        got = entropy(query, key, temperature)
        require_shape(got, (4,), "the entropy")
        assert not got.isnan().any(), f"the entropy is NaN at temperature {temperature:g}"
    expected = -(weights * weights.log()).sum(dim=-1)
    assert is_close(entropy(query, key, 1.0), expected), "the entropy at temperature 1 is wrong"
    uniform = torch.full((4,), math.log(6), dtype=query.dtype)
    assert is_close(entropy(query, key, 1e8), uniform), "the entropy at temperature 1e8 is not ln n"
    certain = torch.zeros(4, dtype=query.dtype)
    assert is_close(entropy(query, key, 1e-6), certain), "the entropy at temperature 1e-6 is not 0"


@check.exercise(4, hint="diag(a) g is a * g, and a (a . g) needs one sum over the keys.")
def score_gradient_is_that_of_autograd(score_gradient: Callable) -> None:
    """Compare with autograd through the softmax, for two and for four axes."""
    generator = torch.Generator().manual_seed(11)
    for shape in [(3, 5), (2, 3, 4, 4)]:
        scores = torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_()
        upstream = torch.randn(shape, dtype=torch.float64, generator=generator)
        weights = scores.softmax(dim=-1)
        (expected,) = torch.autograd.grad(weights, scores, upstream)
        got = score_gradient(weights.detach(), upstream)
        require_shape(got, shape, "the gradient")
        assert is_close(got, expected), f"the gradient differs from autograd's for shape {shape}"


def _draw(queries: int, keys: int, d_k: int, d_v: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(11)
    shapes = (queries, d_k), (keys, d_k), (keys, d_v)
    query, key, value = (
        torch.randn(shape, dtype=torch.float64, generator=generator) for shape in shapes
    )
    return query, key, value
