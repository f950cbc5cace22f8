"""Checks for chapter 13, masks."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_lib.exercises.checker import Checker, require_shape
from tutorial_lib.masks import causal_mask, padding_mask

check = Checker(13)


@check.exercise(1, hint="Two tokens share a document where documents[:, :, None] equals what?")
def packed_documents_keep_apart(packed_mask: Callable) -> None:
    """Compare with masks made pair by pair, batch and length different and equal."""
    for rows in ([[0, 0, 0, 1, 1], [0, 1, 1, 2, 2]], [[5, 5, 3], [7, 7, 7], [1, 2, 2]]):
        documents = torch.tensor(rows)
        length = documents.shape[1]
        mask = packed_mask(documents)
        _require_mask(mask, (len(rows), 1, length, length))
        for b, row in enumerate(rows):
            for i in range(length):
                for j in range(length):
                    got = bool(mask[b, 0, i, j])
                    pair = f"in {row}, query {i} and key {j}"
                    if row[i] != row[j]:
                        assert not got, f"{pair} belong to different documents, but may attend"
                    elif j > i:
                        assert not got, f"{pair}: the key is later than the query, but may attend"
                    else:
                        assert got, f"{pair} belong to one document, but may not attend"


@check.exercise(2, hint="Start from zeros of the right type; which number does masked_fill put in?")
def bias_blocks_in_every_format(to_bias: Callable) -> None:
    """Look at the numbers, at their type, at a sum of two, and at what attention makes of them."""
    mask = torch.tensor([[True, True, False], [True, False, True]])
    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
        bias = to_bias(mask, dtype)
        require_shape(bias, (2, 3), "the bias")
        assert bias.dtype == dtype, f"the bias must have the type {dtype}, got {bias.dtype}"
        assert not bias.isnan().any(), "the bias holds NaN: zero times infinity is one"
        assert not bias[~mask].eq(0).all(), "0 is added where a query may not attend"
        assert bias[mask].eq(0).all(), "where a query may attend, 0 must be added"
        lowest = bias[~mask].max().item()
        assert lowest == -math.inf, (
            f"in {dtype}, {lowest:g} stands where a query may not attend: a row of it blocks "
            f"nothing"
        )
        assert (bias + to_bias(~mask, dtype)).isneginf().all(), (
            "the sum of two must block what each does"
        )
    query = torch.randn(1, 1, 2, 4, generator=torch.Generator().manual_seed(13))
    key = torch.randn(1, 1, 3, 4, generator=torch.Generator().manual_seed(14))
    four = mask[None, None]
    bias = to_bias(four, torch.float32)
    require_shape(bias, (1, 1, 2, 3), "the bias of a mask with four axes")
    got = F.scaled_dot_product_attention(query, key, key, attn_mask=bias)
    expected = F.scaled_dot_product_attention(query, key, key, attn_mask=four)
    assert torch.allclose(got, expected), "attention does not give what it gives with the mask"


@check.exercise(3, hint="Put other numbers into the padding, and compare at real tokens only.")
def leaking_padding_is_found(padding_leaks: Callable) -> None:
    """Try models that leak in different ways, and models that do not."""
    for model, leak, lengths, name in _models_that_leak_or_not():
        generator = torch.Generator().manual_seed(13)
        x = torch.randn(len(lengths), 5, 8, dtype=torch.float64, generator=generator)
        before = x.clone()
        got = padding_leaks(model, x, torch.tensor(lengths))
        assert isinstance(got, bool), f"the answer must be True or False, got {got!r}"
        assert x.equal(before), "x itself was changed: work on a copy"
        assert got == leak, f"for {name} the answer must be {leak}, got {got}"


def _require_mask(mask: object, shape: tuple[int, ...]) -> None:
    require_shape(mask, shape, "the mask")
    assert isinstance(mask, Tensor)
    assert mask.dtype == torch.bool, f"the mask must be boolean, got {mask.dtype}"


def _attend(x: Tensor, mask: Tensor | None) -> Tensor:
    # One head, and no projections: nothing is trained here.
    return F.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None], attn_mask=mask)[:, 0]


def _masked(x: Tensor, lengths: Tensor) -> Tensor:
    return _attend(x, padding_mask(lengths, x.shape[1]))


def _biased(x: Tensor, lengths: Tensor) -> Tensor:
    bias = 3.0 * (padding_mask(lengths, x.shape[1]).to(x.dtype) - 1)
    scores = x @ x.mT / math.sqrt(x.shape[-1]) + bias[:, 0]
    return scores.softmax(dim=-1) @ x


def _last_sequence_unmasked(x: Tensor, lengths: Tensor) -> Tensor:
    mask = padding_mask(lengths, x.shape[1])
    mask[-1] = True
    return _attend(x, mask)


def _look_ahead(x: Tensor, lengths: Tensor) -> Tensor:
    # Each token also reads its right neighbour: only the last real one meets padding.
    return _masked(x, lengths) + F.pad(x[:, 1:], (0, 0, 0, 1))


def _mean(x: Tensor, lengths: Tensor) -> Tensor:
    real = padding_mask(lengths, x.shape[1])[:, 0, 0, :, None].to(x.dtype)
    return x + (x * real).sum(dim=1, keepdim=True) / lengths.clamp(min=1)[:, None, None]


def _models_that_leak_or_not() -> list[tuple[Callable, bool, list[int], str]]:
    some, one_short, with_empty = [5, 3, 2], [5, 5, 4], [5, 0, 3]
    causal = causal_mask(5)
    return [
        (_masked, False, some, "attention with its padding mask"),
        (lambda x, n: _attend(x, None), True, some, "attention without a mask"),
        (
            lambda x, n: _attend(x, ~padding_mask(n, 5)),
            True,
            some,
            "attention with the mask reversed",
        ),
        (lambda x, n: _attend(_masked(x, n), None), True, some, "a mask in the first layer only"),
        (_biased, True, some, "a bias of -3 in place of minus infinity"),
        (_last_sequence_unmasked, True, some, "a mask that is missing for the last sequence"),
        (_look_ahead, True, one_short, "a layer that reads the right neighbour too"),
        (_look_ahead, True, some, "a layer that reads the right neighbour too"),
        (_mean, False, some, "the mean of the real tokens"),
        (lambda x, n: x + x.mean(dim=1, keepdim=True), True, some, "the mean of all columns"),
        (lambda x, n: _attend(x, causal), False, some, "causal attention, padded on the right"),
        (_masked, False, with_empty, "attention with its mask, one sequence without tokens"),
        (lambda x, n: _attend(x, None), False, [5, 5, 5], "a batch without padding"),
    ]
