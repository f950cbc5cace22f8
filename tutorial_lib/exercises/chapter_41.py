"""Checks for chapter 41, reverse a sequence."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tutorial_lib.exercises.checker import Checker, ask, explain, require_shape
from tutorial_lib.positions import sinusoidal_encoding

check = Checker(41)


@check.exercise(1, hint="Query i needs key length - 1 - i: flip the identity matrix.")
def target_map_is_the_anti_diagonal(target_map: Callable) -> None:
    """Compare every row with the one that has all its weight on the last key but i."""
    for length in (1, 4, 7):
        weights = target_map(length)
        require_shape(weights, (length, length), "the map")
        assert weights.is_floating_point(), f"weights must be floats, got {weights.dtype}"
        copies = torch.eye(length)
        right = copies.flip(0)
        wrong_row = int((weights - right).abs().amax(dim=-1).argmax())
        one_off = "every query looks one key off: query 0 needs the key length - 1"
        explain(
            weights,
            right,
            {
                "every query looks at its own place: that copies, and does not reverse": copies,
                one_off: right.roll(1, 0),
                f"{one_off}, the last one": right.roll(-1, 0),
                "every key has the weight 1: each row must sum to one": torch.ones(length, length),
                "all keys have the same weight: that is the mean": torch.ones_like(copies) / length,
            },
            otherwise=(
                f"at length {length}, query {wrong_row} must have all its weight on key "
                f"{length - 1 - wrong_row}, got {weights[wrong_row].tolist()}"
            ),
        )


@check.exercise(2, hint="Compare j with length - 1 - i, sum over those keys, average over queries.")
def near_mass_counts_the_right_cells(near_mass: Callable) -> None:
    """Compare with a sum over single cells; equal weights give a number known by counting."""
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(3, 2, 7, 7, generator=generator).softmax(dim=-1)
    short = torch.rand(2, 1, 5, 5, generator=generator).softmax(dim=-1)
    even = torch.full((1, 1, 4, 4), 0.25)
    for weights, width in [(maps, 2), (maps, 0), (short, 1), (even, 1)]:
        got = ask(near_mass, weights, width)
        require_shape(got, (), "the answer")
        length = weights.shape[-1]
        near = _cells(length, lambda i, j, n=length, w=width: abs(j - (n - 1 - i)) <= w)
        away = _cells(length, lambda i, j, n=length: abs(j - (n - 1 - i)))
        placed = _cells(length, lambda i, j, w=width: abs(i - j) <= w)
        past = _cells(length, lambda i, j, n=length, w=width: abs(j - (n - i)) <= w)
        lies_near = weights * near
        right = lies_near.sum(dim=-1).mean()
        explain(
            got,
            right,
            {
                "these are the weights near position i: the wrong diagonal": (
                    (weights * placed).sum(dim=-1).mean()
                ),
                "the diagonal is one key off: query 0 needs the key length - 1": (
                    (weights * past).sum(dim=-1).mean()
                ),
                "keys exactly width away are left out: at most width is <=": (
                    (weights * (away < width)).sum(dim=-1).mean()
                ),
                "width plays no part: only the key length - 1 - i counts": (
                    (weights * (away == 0)).sum(dim=-1).mean()
                ),
                "only the keys on one side of length - 1 - i count": (
                    (lies_near.flip(-1).tril()).sum(dim=-1).mean()
                ),
                "only the keys on the other side of length - 1 - i count": (
                    (lies_near.flip(-1).triu()).sum(dim=-1).mean()
                ),
                "this is the weight far from the key: the comparison is reversed": 1 - right,
                "the weights near the key are averaged: sum over the keys": lies_near.mean(),
                "the near cells are averaged: sum over the keys of a query": (
                    weights[..., near].mean()
                ),
                "everything is summed: average over batch, heads and queries": lies_near.sum(),
                "the queries are summed: average over them": right * length,
            },
            otherwise=f"wrong for {length} keys and width {width}: {right:.4f} is right",
        )


@check.exercise(
    3, hint="sin(a + b) = sin a cos b + cos a sin b; cos(a + b) = cos a cos b - sin a sin b."
)
def shift_matrix_moves_every_code(shift_matrix: Callable) -> None:
    """Move codes forward and backward, in two widths."""
    for shift, width in [(1, 8), (5, 32), (-3, 32), (0, 8)]:
        matrix = shift_matrix(shift, width)
        require_shape(matrix, (width, width), "the matrix")
        codes = sinusoidal_encoding(60, width).double()
        start = codes[6:50]
        pair = torch.arange(0, width, 2, dtype=torch.float64)
        angle = shift / 10000 ** (pair / width)
        in_halves = torch.stack([torch.arange(width // 2), torch.arange(width // 2, width)], 1)
        halves = torch.empty(width, width, dtype=torch.float64)
        halves[in_halves.flatten()[:, None], in_halves.flatten()] = _turns(angle)
        explain(
            start @ matrix.double(),
            codes[6 + shift : 50 + shift],
            {
                "the codes move the wrong way, back by k: transpose each block": (
                    codes[6 - shift : 50 - shift]
                ),
                "the codes stay where they are": start,
                "every pair turns by the same angle: each has its own frequency": (
                    start @ _turns(torch.full_like(pair, shift))
                ),
                "the frequencies fall too slowly: pair i has the exponent 2i / embed_dim": (
                    start @ _turns(shift / 10000 ** (pair / 2 / width))
                ),
                "the frequencies rise: the exponent of 10000 is negative": (
                    start @ _turns(shift * 10000 ** (pair / width))
                ),
                "sines and cosines alternate in a code: they are not two halves": start @ halves,
            },
            otherwise=f"wrong for a shift of {shift} in width {width}",
            tolerance=1e-4,
        )


@check.exercise(4, hint="Add two shift matrices: one for before the wrap, one for after it.")
def cyclic_matrix_wraps_around(cyclic_matrix: Callable) -> None:
    """Look for the key with the highest score, for every query and every shift."""
    for length in (12, 16, 20):
        codes = sinusoidal_encoding(length, 32).double()
        for shift in (*range(1, length), 0):
            matrix = cyclic_matrix(length, shift)
            require_shape(matrix, (32, 32), "the matrix")
            found = (codes @ matrix.double() @ codes.T).argmax(dim=-1)
            position = torch.arange(length)
            right = (position + shift) % length
            hits = found == right
            before, behind = hits[: length - shift], hits[length - shift :]
            query = int((~hits).int().argmax())
            here = (
                f"at length {length}, shift {shift}, query {query} scores highest with key "
                f"{int(found[query])}"
            )
            assert hits.all() or not before.all(), (
                f"every query before the wrap finds its key, but not those behind it: {here}"
            )
            assert hits.all() or not shift or not behind.all(), (
                f"every query behind the wrap finds its key, but not those before it: {here}"
            )
            explain(
                found,
                right,
                {
                    f"the matrix moves back by k: {here}": (position - shift) % length,
                    f"every query finds its own place: {here}": position,
                },
                otherwise=here,
            )


def _cells(length: int, value: Callable[[int, int], float]) -> Tensor:
    """Fill a map (query, key) cell by cell."""
    return torch.tensor([[value(i, j) for j in range(length)] for i in range(length)])


def _turns(angles: Tensor) -> Tensor:
    """Turn each pair (sine, cosine) of a row by an angle of its own."""
    sine, cosine = angles.sin(), angles.cos()
    rows = torch.stack([cosine, -sine], dim=-1), torch.stack([sine, cosine], dim=-1)
    return torch.block_diag(*torch.stack(rows, dim=-2))
