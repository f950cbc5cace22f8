"""Checks for chapter 11, scaled dot-product attention."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NoReturn
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_lib import attention
from tutorial_lib.attention import scaled_dot_product_attention
from tutorial_lib.exercises.checker import Checker, ask, explain, is_close, require_shape

check = Checker(11)


@check.exercise(1, hint="Score with keys @ query, divide by the root of d_k, softmax, average.")
def attention_of_one_query(attend: Callable) -> None:
    """Compare with the package's function, in widths where n, d_k and d_v all differ."""
    query, key, value = _draw(1, 5, 16, 3)
    expected, weights = scaled_dot_product_attention(query, key, value)
    scores = key @ query[0]
    with _no_attention_function(attend):
        output = ask(attend, query[0], key, value)
    if isinstance(output, Tensor):
        assert output.shape != weights[0].shape, (
            "the result has one number a key: these are weights, now average the values with them"
        )
    require_shape(output, (3,), "the output")
    explain(
        output,
        expected[0],
        {
            "the scores are not divided by the root of d_k": scores.softmax(dim=0) @ value,
            "the scores are divided by d_k, not by its root": (scores / 16).softmax(dim=0) @ value,
            "the scores are divided by the root of the number of keys, not of d_k": (
                (scores / math.sqrt(5)).softmax(dim=0) @ value
            ),
            "the softmax is missing: the scores themselves are no weights": scores / 4 @ value,
        },
        otherwise="the output is not the average that the formula gives",
    )


@check.exercise(2, hint="Compare torch.arange(length)[:, None] with torch.arange(length)[None, :].")
def window_mask_allows_the_neighbours(window_mask: Callable) -> None:
    """Compare each entry with the definition, also for a width of 0 and one beyond the length."""
    for length, width in [(6, 1), (6, 2), (5, 0), (4, 9)]:
        mask = window_mask(length, width)
        require_shape(mask, (length, length), "the mask")
        assert mask.dtype == torch.bool, f"the mask must be boolean, got {mask.dtype}"
        apart = torch.tensor([[abs(i - j) for j in range(length)] for i in range(length)])
        near = apart <= width
        explain(
            mask,
            near,
            {
                "the mask is reversed: True means may attend": ~near,
                "it is one too narrow: a neighbour exactly `width` away counts": apart < width,
                "it looks back only: keys behind the query count too": near.tril(),
                "it looks ahead only: keys before the query count too": near.triu(),
            },
            otherwise=f"an entry is wrong for length {length}, width {width}",
        )


@check.exercise(3, hint="Divide the scaled scores by the temperature, softmax, sum -a ln a.")
def entropy_has_the_right_limits(entropy: Callable) -> None:
    """Compare at a temperature of 2, and with the limits at a huge and at a tiny one."""
    query, key, _ = _draw(4, 6, 9, 2)
    for temperature in (2.0, 1e8, 1e-6):
        got = ask(entropy, query, key, temperature)
        require_shape(got, (4,), "the entropy")
        assert not got.isnan().any(), (
            f"the entropy is NaN at temperature {temperature:g}: where a weight has rounded to 0, "
            f"0 * log(0) is NaN; torch.special.entr gives 0 there"
        )
    scores = query @ key.T
    right = _entropy(scores / (3 * 2.0))
    explain(
        entropy(query, key, 2.0),
        right,
        {
            "the temperature is missing": _entropy(scores / 3),
            "the scores are multiplied by the temperature, not divided": _entropy(scores / 3 * 2.0),
            "the scores are not divided by the root of d_k": _entropy(scores / 2.0),
            "the sign is wrong: entropy is never negative": -right,
            "it is measured in bits: take the natural logarithm": right / math.log(2),
        },
        otherwise="the entropy at temperature 2 is wrong",
    )
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
        g = torch.randn(shape, dtype=torch.float64, generator=generator)
        weights = scores.softmax(dim=-1)
        (expected,) = torch.autograd.grad(weights, scores, g)
        a = weights.detach()
        got = ask(score_gradient, a, g)
        require_shape(got, shape, "the gradient")
        explain(
            got,
            expected,
            {
                "this is the diagonal of J alone: raising a score moves the other weights too": (
                    a * (1 - a) * g
                ),
                "this is diag(a) g alone: the part with a a^T is missing": a * g,
                "the sum runs over the queries too: each query has a sum of its own": (
                    a * (g - (a * g).sum())
                ),
                "the sum runs over the queries, not over the keys": (
                    a * (g - (a * g).sum(dim=-2, keepdim=True))
                ),
                "the mean of g must be weighted with a": a * (g - g.mean(dim=-1, keepdim=True)),
            },
            otherwise=f"the gradient differs from autograd's for shape {shape}",
        )


@contextmanager
def _no_attention_function(answer: Callable) -> Iterator[None]:
    """Have every attention function refuse to be called, also under the reader's own imports."""
    functions = [
        (F, "scaled_dot_product_attention"),
        (F, "multi_head_attention_forward"),
        (attention, "scaled_dot_product_attention"),
        (attention, "attention_weights"),
    ]
    forbidden = [getattr(module, name) for module, name in functions]
    names = getattr(answer, "__globals__", {})
    imported = {
        name: _refuse for name, value in names.items() if any(value is one for one in forbidden)
    }
    with ExitStack() as patches:
        for module, name in functions:
            patches.enter_context(patch.object(module, name, _refuse))
        patches.enter_context(patch.dict(names, imported))
        yield


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    raise AssertionError("it calls an attention function: write out scores, softmax and average")


def _entropy(scores: Tensor) -> Tensor:
    return torch.special.entr(scores.softmax(dim=-1)).sum(dim=-1)


def _draw(queries: int, keys: int, d_k: int, d_v: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(11)
    shapes = (queries, d_k), (keys, d_k), (keys, d_v)
    query, key, value = (
        torch.randn(shape, dtype=torch.float64, generator=generator) for shape in shapes
    )
    return query, key, value
