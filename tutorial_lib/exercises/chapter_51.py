"""Checks for chapter 51, attention maps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tutorial_lib.exercises.checker import Checker, is_close, require_shape

check = Checker(51)


@check.exercise(1, hint="Average the heads, add the identity, halve, and multiply from the left.")
def rollout_follows_the_layers(rollout: Callable) -> None:
    """Compare with a product worked by hand, in layers that do not commute."""
    swap, first = torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    got = rollout([swap[None], first[None]])
    require_shape(got, (2, 2), "the answer")
    assert not is_close(got, first @ swap), "the residual connection is left out"
    wanted = torch.tensor([[0.5, 0.5], [0.5, 0.5]])
    assert not is_close(got, torch.tensor([[0.75, 0.25], [0.75, 0.25]])), (
        "the layers are multiplied in the wrong order"
    )
    assert is_close(got, wanted), f"for two layers {wanted.tolist()} is right, got {got.tolist()}"
    maps = [_drawn_map(3, 4, seed) for seed in range(3)]
    result = torch.eye(4, dtype=torch.float64)
    for layer in maps:
        result = (layer.mean(0) + torch.eye(4)) / 2 @ result
    assert is_close(rollout(maps), result), "wrong for three layers of three heads"


@check.exercise(2, hint="The weight is a number: it comes out of the length.")
def added_is_the_length_of_each_term(added: Callable) -> None:
    """Compare with the terms of the sum, one by one."""
    weights, values, out = _drawn_map(1, 5, 3)[0][:3], _drawn(5, 2), _drawn(2, 4)
    got = added(weights, values, out)
    require_shape(got, (3, 5), "the answer")
    wanted = torch.zeros(3, 5, dtype=torch.float64)
    for i in range(3):
        for j in range(5):
            wanted[i, j] = (weights[i, j] * values[j] @ out).square().sum().sqrt()
    alone = weights * values.norm(dim=-1)
    assert not is_close(got, alone), "the output map changes the length too"
    assert is_close(got, wanted), "these are not the lengths"


@check.exercise(
    3, hint="Look for a vector that is orthogonal to every column of values, and to ones."
)
def another_map_gives_the_same_output(another: Callable) -> None:
    """Compare sums and outputs, and require that every row has moved."""
    weights, values = _drawn_map(1, 6, 1)[0], _drawn(6, 3)
    got = another(weights.clone(), values.clone())
    require_shape(got, (6, 6), "the map")
    assert (got - weights).abs().amax(dim=-1).min() > 1e-3, "a row is the same as before"
    assert is_close(got.sum(dim=-1), torch.ones(6), 1e-10), "a row does not sum to 1"
    assert is_close(got @ values, weights @ values, 1e-10), "the output has changed"


@check.exercise(4, hint="torch.special.entr knows that 0 log 0 is 0; it counts in nats.")
def entropy_counts_bits(entropy: Callable) -> None:
    """Compare with rows whose entropy is known."""
    weights = torch.tensor([[1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4, [0.5, 0.25, 0.25, 0]])
    got = entropy(weights)
    require_shape(got, (4,), "the answer")
    assert not got.isnan().any(), "0 times the logarithm of 0 is not a number: count it as 0"
    wanted = torch.tensor([0.0, 1.0, 2.0, 1.5])
    assert not is_close(got, wanted * torch.log(torch.tensor(2.0))), "these are nats, not bits"
    assert is_close(got, wanted), f"{wanted.tolist()} bits are right, got {got.tolist()}"
    require_shape(entropy(_drawn_map(3, 4, 0)), (3, 4), "for three heads the answer")


def _drawn(rows: int, columns: int) -> Tensor:
    generator = torch.Generator().manual_seed(10 * rows + columns)
    return torch.randn(rows, columns, dtype=torch.float64, generator=generator)


def _drawn_map(heads: int, length: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(heads, length, length, dtype=torch.float64, generator=generator)
    return scores.softmax(dim=-1)
