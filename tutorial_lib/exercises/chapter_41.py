"""Checks for chapter 41, reverse a sequence."""

from __future__ import annotations

from collections.abc import Callable

import torch

from tutorial_lib.exercises.checker import Checker, is_close, require_shape
from tutorial_lib.positions import sinusoidal_encoding

check = Checker(41)


@check.exercise(1, hint="Query i needs key length - 1 - i: flip the identity matrix.")
def target_map_is_the_anti_diagonal(target_map: Callable) -> None:
    """Reverse sequences with the map, and compare it with the definition."""
    for length in (1, 4, 7):
        weights = target_map(length)
        require_shape(weights, (length, length), "the map")
        assert weights.is_floating_point(), f"weights must be floats, got {weights.dtype}"
        assert is_close(weights.sum(dim=-1), torch.ones(length)), "a row does not sum to one"
        values = torch.arange(float(length))
        assert is_close(weights.to(values) @ values, values.flip(0)), (
            f"with the values 0, 1, 2, ... the output is not reversed, at length {length}"
        )


@check.exercise(2, hint="Compare j with length - 1 - i, sum over those keys, average over queries.")
def near_mass_counts_the_right_cells(near_mass: Callable) -> None:
    """Compare with a sum over single cells; equal weights give a number known by counting."""
    maps = torch.rand(3, 2, 7, 7, generator=torch.Generator().manual_seed(0)).softmax(dim=-1)
    even = torch.full((1, 1, 4, 4), 0.25)
    for name, weights, width in [("even", even, 1), ("drawn", maps, 0), ("drawn", maps, 2)]:
        got = near_mass(weights, width)
        require_shape(got, (), "the answer")
        length = weights.shape[-1]
        cells = [
            weights[..., i, j]
            for i in range(length)
            for j in range(length)
            if abs(j - (length - 1 - i)) <= width
        ]
        expected = torch.stack(cells).sum(dim=0).mean() / length
        on_the_diagonal = weights.diagonal(dim1=-2, dim2=-1).sum(-1).mean() / length
        assert width or not is_close(got, on_the_diagonal), (
            "these are the weights of the diagonal from the top left: the wrong one"
        )
        assert not is_close(got, expected * length), "divide by the number of queries"
        assert is_close(got, expected), f"wrong for {name} weights, width {width}"


@check.exercise(
    3, hint="sin(a + b) = sin a cos b + cos a sin b; cos(a + b) = cos a cos b - sin a sin b."
)
def shift_matrix_moves_every_code(shift_matrix: Callable) -> None:
    """Move codes forward and backward, in two widths."""
    for shift, width in [(1, 8), (5, 32), (-3, 32), (0, 8)]:
        matrix = shift_matrix(shift, width)
        require_shape(matrix, (width, width), "the matrix")
        codes = sinusoidal_encoding(30, width).double()
        start, moved = codes[6:20], codes[6 + shift : 20 + shift]
        got = start @ matrix.double()
        back = codes[6 - shift : 20 - shift]
        assert shift == 0 or not is_close(got, back, 1e-4), (
            "the codes move the wrong way: transpose each block"
        )
        assert is_close(got, moved, 1e-4), f"wrong for a shift of {shift} in width {width}"


@check.exercise(4, hint="Add two shift matrices: one for before the wrap, one for after it.")
def cyclic_matrix_wraps_around(cyclic_matrix: Callable) -> None:
    """Look for the key with the highest score, for every query and every shift."""
    for length in (12, 16, 20):
        codes = sinusoidal_encoding(length, 32).double()
        for shift in range(length):
            matrix = cyclic_matrix(length, shift)
            require_shape(matrix, (32, 32), "the matrix")
            found = (codes @ matrix.double() @ codes.T).argmax(dim=-1)
            wrong = found != (torch.arange(length) + shift) % length
            assert not wrong.any(), (
                f"at length {length}, shift {shift}, query {int(wrong.nonzero()[0])} "
                f"scores highest with key {int(found[wrong][0])}"
            )
