"""Checks for chapter 13, masks."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_lib.exercises.checker import Checker, ask, explain, require_shape
from tutorial_lib.masks import causal_mask, padding_mask

check = Checker(13)


@check.exercise(
    1, hint="documents[:, None, :, None] has the axes (batch, 1, query, 1); what has the keys last?"
)
def packed_documents_keep_apart(packed_mask: Callable) -> None:
    """Compare with masks made by pairs, batch and length different and equal."""
    for rows in ([[0, 0, 0, 1, 1], [0, 1, 1, 2, 2]], [[5, 5, 3], [7, 7, 7], [1, 2, 2]]):
        documents = torch.tensor(rows)
        batch, length = documents.shape
        mask = ask(packed_mask, documents)
        _require_mask(mask, (batch, 1, length, length))
        same = documents[:, None, :, None] == documents[:, None, None, :]
        earlier = causal_mask(length).expand(batch, 1, length, length)
        before = causal_mask(length).tril(-1)  # without the token itself
        expected = same & earlier
        explain(
            mask,
            expected,
            {
                "the mask is turned round: True must stand where a query may attend": ~expected,
                "the causal part is missing: a token sees later tokens of its document": same,
                "a token sees the earlier tokens of other documents, too": earlier,
                "a token must see itself, too: j <= i, not j < i": same & before,
                "queries and keys are swapped: a token sees what comes after it": expected.mT,
                "with | one condition is enough: both are needed, with &": same | earlier,
                "a token sees the *other* documents: == is needed, not !=": ~same & earlier,
            },
            otherwise=_first_wrong_pair(mask, expected, rows),
        )


@check.exercise(2, hint="Start from zeros of the right type; which number does masked_fill put in?")
def bias_blocks_in_every_format(to_bias: Callable) -> None:
    """Look at the numbers, at their type, at a sum of two, and at what attention makes of them."""
    mask = torch.tensor([[True, True, False], [True, False, True]])
    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
        bias = ask(to_bias, mask, dtype)
        require_shape(bias, (2, 3), "the bias")
        assert bias.dtype == dtype, f"the bias must have the type {dtype}, got {bias.dtype}"
        assert not bias.isnan().any(), "the bias holds NaN: zero times infinity is one"
        nothing = torch.zeros_like(bias)
        fills = bias[~mask]
        lowest = fills.max().item()
        explain(
            bias,
            nothing.masked_fill(~mask, -math.inf),
            {
                "the mask is turned round: where a query may attend, 0 must be added": (
                    nothing.masked_fill(mask, lowest if lowest < 0 else -math.inf)
                ),
                "ones and zeros, when they are added, block nothing": mask.to(dtype),
                "0 is added where a query may not attend: that blocks nothing": nothing,
                "plus infinity gives NaN in the softmax: it is minus infinity that blocks": (
                    nothing.masked_fill(~mask, math.inf)
                ),
                f"{lowest:g} stands where a query may not attend: in {dtype} a row of it blocks "
                f"nothing": nothing.masked_fill(~mask, lowest),
            },
            otherwise="the bias must be 0 where a query may attend, and minus infinity where not",
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
    opposite = True
    problem = None
    for model, leak, lengths, name in _models_that_leak_or_not():
        generator = torch.Generator().manual_seed(13)
        x = torch.randn(len(lengths), 5, 8, dtype=torch.float64, generator=generator)
        for zeros in (False, True):
            real = torch.arange(5) < torch.tensor(lengths)[:, None]
            given = x.masked_fill(~real[..., None], 0.0) if zeros else x
            watched = _Watched(model)
            got = ask(padding_leaks, watched, given, torch.tensor(lengths))
            assert isinstance(got, bool), f"the answer must be True or False, got {got!r}"
            opposite = opposite and got != leak
            if got != leak and problem is None:
                held = " whose padding holds zeros" if zeros else ""
                problem = f"for {name}{held} the answer must be {leak}, got {got}"
                problem += watched.suspicion(real) or (
                    "" if leak else ": only outputs at real tokens count, those at padding may move"
                )
    assert not opposite, "True must say that it leaks: the answer is the opposite every time"
    assert problem is None, problem


class _Watched:
    """A model that remembers what it was called with."""

    def __init__(self, model: Callable) -> None:
        self.model = model
        self.inputs: list[Tensor] = []

    def __call__(self, x: Tensor, lengths: Tensor) -> Tensor:
        self.inputs.append(x.detach().clone())
        return self.model(x, lengths)

    def suspicion(self, real: Tensor) -> str:
        """Say what may be wrong with the inputs that an answer compares."""
        if any(x.isnan().any() for x in self.inputs):
            return ": zero times NaN is NaN, also where nothing leaks"
        whole = [x for x in self.inputs if x.shape[:2] == real.shape]
        if len(whole) < 2:
            return ""
        first, *others = whole
        if not all(x[real].equal(first[real]) for x in others):
            return ": real tokens were changed, and only the padding may be"
        if all(x.equal(first) for x in others) and not real.all():
            return ": the padding was the same in every call"
        return ""


def _require_mask(mask: object, shape: tuple[int, ...]) -> None:
    if isinstance(mask, Tensor) and tuple(mask.shape) == (shape[0], *shape[2:]):
        raise AssertionError(
            f"the axis of the heads is missing: the mask must have shape {shape}, "
            f"got {tuple(mask.shape)}"
        )
    require_shape(mask, shape, "the mask")
    assert isinstance(mask, Tensor)
    assert mask.dtype == torch.bool, f"the mask must be boolean, got {mask.dtype}"


def _first_wrong_pair(mask: Tensor, expected: Tensor, rows: list[list[int]]) -> str:
    for b, _, i, j in (mask != expected).nonzero().tolist():
        pair = f"in {rows[b]}, query {i} and key {j}"
        if expected[b, 0, i, j]:
            return f"{pair} belong to one document, but may not attend"
        if rows[b][i] != rows[b][j]:
            return f"{pair} belong to different documents, but may attend"
        return f"{pair}: the key is later than the query, but may attend"
    return ""  # no pair is wrong


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
