"""Checks for chapter 14, positional encodings."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from tutorial_lib.exercises.checker import Checker, is_close, require_shape
from tutorial_lib.positions import sinusoidal_encoding

check = Checker(14)


@check.exercise(1, hint="Which hand does dimension j belong to? Two dimensions share one.")
def wavelength_is_shared_by_a_pair(wavelength: Callable) -> None:
    """Compare each dimension with the formula, in an even and in an odd width."""
    for d in (48, 7):
        for j in range(d):
            got = wavelength(j, d)
            number = isinstance(got, (int, float)) or (isinstance(got, Tensor) and got.ndim == 0)
            assert number, f"the wavelength must be a number, got {type(got).__name__}"
            turns = 10000 ** (2 * (j // 2) / d)
            one_each = 2 * math.pi * 10000 ** (2 * j / d)
            assert j == 0 or not _near(got, one_each), "j counts dimensions, the formula's i pairs"
            assert not _near(got, turns), "a full turn has 2 pi radians"
            assert _near(got, 2 * math.pi * turns), f"dimension {j} of {d} is wrong: {float(got):g}"


@check.exercise(2, hint="Broadcast one table over the columns, the other over the rows; then cat.")
def grid_encoding_joins_row_and_column(grid_encoding: Callable) -> None:
    """Compare each place of a grid with the codes of its row and of its column."""
    for height, width, d in [(3, 5, 8), (4, 2, 6)]:
        got = grid_encoding(height, width, d)
        require_shape(got, (height, width, d), "the grid")
        row, column = sinusoidal_encoding(height, d // 2), sinusoidal_encoding(width, d // 2)
        places = [[torch.cat([row[r], column[c]]) for c in range(width)] for r in range(height)]
        expected = torch.stack([torch.stack(line) for line in places])
        swapped = torch.cat(expected.split(d // 2, dim=-1)[::-1], dim=-1)
        assert not is_close(got, swapped, 1e-5), "the row's code comes first, then the column's"
        assert is_close(got, expected, 1e-5), f"a code is wrong in a grid of {height} by {width}"


@check.exercise(3, hint="Slice table[start : start + length], and compare its end with len(table).")
def add_positions_counts_from_the_start(add_positions: Callable) -> None:
    """Compare a sequence fed token by token with the whole, and run past the table's end."""
    x = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(14))
    table = sinusoidal_encoding(6, 8)
    whole = add_positions(x, table, 0)
    require_shape(whole, (2, 6, 8), "the sum")
    assert is_close(whole, x + table, 1e-5), "from start 0, position p must get row p of the table"
    pieces = [add_positions(x[:, p : p + 1], table, p) for p in range(6)]
    assert all(isinstance(piece, Tensor) for piece in pieces), "the sum must be a tensor"
    by_token = torch.cat(pieces, dim=1)
    ignores_start = torch.cat([x[:, p : p + 1] + table[:1] for p in range(6)], dim=1)
    assert not is_close(by_token, ignores_start, 1e-5), "every token fed alone gets position 0"
    assert is_close(by_token, whole, 1e-5), "token by token gives another result than all at once"
    for length, start in [(1, 6), (3, 5)]:
        try:
            add_positions(x[:, :length], table, start)
        except ValueError:
            continue
        except RuntimeError as error:
            raise AssertionError("past the table's end it must raise a ValueError") from error
        raise AssertionError(f"it accepts {length} tokens from {start} with 6 rows in the table")


@check.exercise(4, hint="Turn the pair (2i, 2i+1) by p * omega_i: x * cos + partner * (+-sin).")
def rotary_scores_depend_on_the_distance(rotate: Callable) -> None:
    """Compare lengths, the first position, scores along diagonals, and the pairs themselves."""
    generator = torch.Generator().manual_seed(14)
    x = torch.randn(2, 9, 8, dtype=torch.float64, generator=generator)
    turned = rotate(x)
    require_shape(turned, (2, 9, 8), "the result")
    assert is_close(turned.norm(dim=-1), x.norm(dim=-1), 1e-5), (
        "a rotation must keep each vector's length"
    )
    assert is_close(turned[:, 0], x[:, 0], 1e-5), "at position 0 nothing turns"
    assert not is_close(turned, x, 1e-5), "at later positions the vectors must turn"
    query, key = (x[i, :1].expand(9, 8) for i in range(2))
    scores = rotate(query) @ rotate(key).T
    assert is_close(scores[1:, 1:], scores[:-1, :-1], 1e-5), (
        "a score depends on more than the distance"
    )
    angle = torch.arange(9.0).double()[:, None] * 10000 ** (-torch.arange(0, 8, 2).double() / 8)
    pairs = torch.view_as_complex(x.unflatten(-1, (4, 2)).contiguous())
    directions = (torch.polar(torch.ones_like(angle), sign * angle) * pairs for sign in (1, -1))
    right = any(is_close(turned, torch.view_as_real(z).flatten(-2), 1e-5) for z in directions)
    assert right, "dimensions 2i and 2i+1 must turn together, by p times omega_i"


def _near(answer: float | Tensor, expected: float) -> bool:
    return math.isclose(float(answer), expected, rel_tol=1e-5)
