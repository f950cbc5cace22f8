"""Checks for chapter 51, attention maps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce

import torch
from torch import Tensor

from tutorial_lib.exercises.checker import Checker, ask, explain, require_shape

check = Checker(51)


@check.exercise(1, hint="Average the heads, add the identity, halve, and multiply from the left.")
def rollout_follows_the_layers(rollout: Callable) -> None:
    """Compare with the product, in layers that do not commute, and with one worked by hand."""
    swap, first = torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    drawn = [_drawn_map(2, 4, seed) for seed in range(3)]  # 3 layers of 2 heads
    for maps in (drawn, [swap[None], first[None]]):
        got = ask(rollout, maps)
        length = maps[0].shape[-1]
        require_shape(got, (length, length), "the answer")
        assert got.dtype == maps[0].dtype, f"the maps are {maps[0].dtype}, got {got.dtype}"
        eye = torch.eye(length).to(maps[0])
        heads = [layer.mean(dim=0) for layer in maps]
        steps = [(layer + eye) / 2 for layer in heads]
        right = _product(steps)
        unlike = [(layer.sum(dim=0) + eye) / 2 for layer in maps]
        explain(
            got,
            right,
            {
                "the residual connection is left out": _product(heads),
                "the layers are multiplied in the wrong order: each from the left": (
                    _product(steps[::-1])
                ),
                "the residual connection is left out, and the order is wrong: each from the left": (
                    _product(heads[::-1])
                ),
                "the steps are not halved: a row must sum to one": right * 2 ** len(maps),
                "the heads are summed: average them": _product(unlike),
                "only the first head is followed: average all": (
                    _product([(layer[0] + eye) / 2 for layer in maps])
                ),
                "the largest head is taken: average them": (
                    _product([(layer.amax(dim=0) + eye) / 2 for layer in maps])
                ),
                "the layers are averaged: multiply them": torch.stack(steps).mean(dim=0),
                "the layers' maps are averaged: multiply them": torch.stack(heads).mean(dim=0),
                "this is the map of the last layer alone": heads[-1],
                "this is the step of the last layer alone": steps[-1],
                "the residual connection comes after the product: every layer has one": (
                    (_product(heads) + eye) / 2
                ),
                "the steps are multiplied entry by entry: take the matrix product": (
                    torch.stack(steps).prod(dim=0)
                ),
                "the first layer is left out": _product(steps[1:]),
                "the result is turned around: rows are queries": right.T,
            },
            otherwise=(
                f"wrong for {len(maps)} layers of {len(maps[0])} heads: the first row is "
                f"{_rounded(right[0])}, got {_rounded(got[0])}"
            ),
        )


@check.exercise(2, hint="The weight is a number: it comes out of the length.")
def added_is_the_length_of_each_term(added: Callable) -> None:
    """Compare with the terms of the sum, one by one, also where W makes vectors shorter."""
    for queries, keys, head_dim, embed_dim in [(3, 5, 2, 4), (4, 4, 3, 3)]:
        weights = _drawn_map(1, keys, 3)[0][:queries]
        values, out = _drawn(keys, head_dim), _drawn(head_dim, embed_dim)
        got = ask(added, weights, values, out)
        require_shape(got, (queries, keys), "the answer")
        terms = torch.stack(
            [
                torch.stack([w * v @ out for w, v in zip(row, values, strict=True)])
                for row in weights
            ]
        )  # (query, key, embed_dim)
        right = terms.square().sum(dim=-1).sqrt()
        lengths = (values @ out).norm(dim=-1)
        explain(
            got,
            right,
            {
                "the output map changes the length too": weights * values.norm(dim=-1),
                "these are the weights alone: the lengths of v_j W are missing": weights,
                "these are the lengths of v_j W: the weight A_ij multiplies them": (
                    lengths.expand_as(right)
                ),
                "the output map's length is multiplied: v_j W has a length of its own": (
                    weights * values.norm(dim=-1) * out.norm()
                ),
                "these are squares: a length is a root": right**2,
                "the root of the length is missing, and the weight stands outside of it": (
                    weights * lengths**2
                ),
                "the weight is squared: it comes out of the root as it is": weights**2 * lengths,
                "the absolute values are summed: square, sum, take the root": (
                    terms.abs().sum(dim=-1)
                ),
                "the squares are averaged: sum them": right / embed_dim**0.5,
                "the numbers are summed with their signs: a length is the root of squares": (
                    terms.sum(dim=-1)
                ),
                "each row is divided by its sum: these are shares, not lengths": (
                    right / right.sum(dim=-1, keepdim=True)
                ),
                "W is turned around": (
                    weights * (values @ out.T).norm(dim=-1) if head_dim == embed_dim else weights
                ),
            },
            otherwise=(
                f"these are not the lengths: the first is {right[0, 0]:.4f}, got {got[0, 0]:.4f}"
            ),
        )


@check.exercise(
    3, hint="Look for a vector that is orthogonal to every column of values, and to ones."
)
def another_map_gives_the_same_output(another: Callable) -> None:
    """Compare sums and outputs, and require that every row has moved."""
    for queries, keys, head_dim in [(6, 6, 3), (3, 8, 2)]:
        weights, values = _drawn_map(1, keys, 1)[0][:queries], _drawn(keys, head_dim)
        got = ask(another, weights, values)
        require_shape(got, (queries, keys), "the map")
        assert got.isfinite().all(), "an entry is not a number"
        moved = (got - weights).abs().amax(dim=-1)
        assert moved.max() > 1e-3, "every row is the same as before"
        assert moved.min() > 1e-3, f"a row is the same as before: row {int(moved.argmin())}"
        sums, output = got.double().sum(dim=-1), got.double() @ values
        ones, wanted = torch.ones_like(sums), weights @ values
        apart, away = (sums - ones).abs().max(), (output - wanted).abs().max()
        same, kept = away <= 1e-10, apart <= 1e-10
        assert not (same and not kept), (
            f"a row does not sum to 1, though the output is the same: it is off by {apart:.2g}, "
            "so what is added must be orthogonal to ones too"
        )
        assert not (kept and not same), (
            f"the output has changed by up to {away:.2g}, though the rows sum to 1: what is added "
            "must be orthogonal to every column of values"
        )
        assert same or apart > 1e-5 or away > 1e-5, (
            "the output is the same to fewer than ten digits: stay in float64"
        )
        assert same, "a row does not sum to 1, and the output has changed"


@check.exercise(4, hint="torch.special.entr knows that 0 log 0 is 0; it counts in nats.")
def entropy_counts_bits(entropy: Callable) -> None:
    """Compare with rows whose entropy is known, and with drawn maps of several heads."""
    known = torch.tensor([[1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4, [0.5, 0.25, 0.25, 0]])
    for weights in (known, _drawn_map(3, 4, 0), _drawn_map(6, 2, 1).unflatten(0, (2, 3))):
        got = ask(entropy, weights)
        require_shape(got, tuple(weights.shape[:-1]), "the answer")
        assert not got.isnan().any(), "0 times the logarithm of 0 is not a number: count it as 0"
        terms = torch.special.entr(weights)
        right = terms.sum(dim=-1) / math.log(2)
        explain(
            got,
            right,
            {
                "these are nats, not bits: the logarithm has the base 2": terms.sum(dim=-1),
                "these are decimal digits, not bits": terms.sum(dim=-1) / math.log(10),
                "the sign is wrong: an entropy is at least 0": -right,
                "nats are divided the wrong way: 1 nat is 1 / ln 2 bits": (
                    terms.sum(dim=-1) * math.log(2)
                ),
                "the terms are averaged: sum over the keys": right / weights.shape[-1],
                "the queries are summed: each row has an entropy, the sum runs over the keys": (
                    terms.sum(dim=-2) / math.log(2)
                ),
                "the heads are summed: the sum runs over the keys, the last axis": (
                    terms.sum(dim=1) / math.log(2)
                ),
                "the first axis is summed: the sum runs over the keys, the last axis": (
                    terms.sum(dim=0) / math.log(2)
                ),
                "this is the perplexity, 2 to the entropy": 2**right,
                "this is a share of the largest entropy: leave it in bits": (
                    right / math.log2(weights.shape[-1])
                ),
            },
            otherwise=f"{_rounded(right)} bits are right, got {_rounded(got)}",
        )


def _product(steps: Sequence[Tensor]) -> Tensor:
    """Multiply the layers' matrices, each from the left."""
    return reduce(lambda below, step: step @ below, steps)


def _rounded(values: Tensor) -> list[float]:
    return [round(value, 4) for value in values.flatten().tolist()]


def _drawn(rows: int, columns: int) -> Tensor:
    generator = torch.Generator().manual_seed(10 * rows + columns)
    return torch.randn(rows, columns, dtype=torch.float64, generator=generator)


def _drawn_map(heads: int, length: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(heads, length, length, dtype=torch.float64, generator=generator)
    return scores.softmax(dim=-1)
