"""Checks for chapter 14, positional encodings."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from tutorial_lib.exercises.checker import Checker, ask, explain, is_close, require_shape
from tutorial_lib.positions import sinusoidal_encoding

check = Checker(14)


@check.exercise(1, hint="Which hand does dimension j belong to? Two dimensions share one.")
def wavelength_is_shared_by_a_pair(wavelength: Callable) -> None:
    """Compare all dimensions with the formula, in an even and in an odd width."""
    for d in (48, 7):
        values = [wavelength(j, d) for j in range(d)]
        for got in values:
            number = isinstance(got, (int, float)) or (isinstance(got, Tensor) and got.ndim == 0)
            assert number, f"the wavelength must be a number, got {type(got).__name__}"
        answer = torch.tensor([float(got) for got in values], dtype=torch.float64)
        j = torch.arange(d, dtype=torch.float64)
        hand = (j / 2).floor()
        turn = 2 * math.pi
        expected = turn * 10000 ** (2 * hand / d)
        wrong_dimensions = (answer - expected).abs().gt(1e-5 * expected).nonzero().flatten()
        explain(
            answer,
            expected,
            {
                "j counts dimensions, the formula's i counts pairs": turn * 10000 ** (2 * j / d),
                "an odd j shares the wavelength of j - 1": turn * 10000 ** (j / d),
                "hands are counted from 0": turn * 10000 ** (2 * (hand + 1) / d),
                "two dimensions share a hand: halve j before you use it as i": (
                    turn * 10000 ** (hand / d)
                ),
                "a full turn has 2 pi radians": 10000 ** (2 * hand / d),
                "a full turn has 2 pi radians, not 360 degrees": 360 * 10000 ** (2 * hand / d),
                "this is omega, the angle of a step: a full turn of 2 pi takes 2 pi / omega": (
                    10000 ** (-2 * hand / d)
                ),
                "this is 1 / wavelength, the turns a position": 1 / expected,
                "later hands are slower: the sign of the exponent is turned round": (
                    turn * 10000 ** (-2 * hand / d)
                ),
            },
            otherwise=_wrong_dimension(wrong_dimensions, answer, d),
            tolerance=1e-5,
        )


@check.exercise(2, hint="Broadcast one table over the columns, the other over the rows; then cat.")
def grid_encoding_joins_row_and_column(grid_encoding: Callable) -> None:
    """Compare each place of a grid with the codes of its row and of its column."""
    for height, width, d in [(3, 5, 8), (4, 2, 6)]:
        got = grid_encoding(height, width, d)
        turned = isinstance(got, Tensor) and got.shape == (width, height, d)
        assert not turned, f"rows and columns are swapped: the shape is {tuple(got.shape)}"
        require_shape(got, (height, width, d), "the grid")
        size = (height, width, d // 2)
        row = sinusoidal_encoding(height, d // 2)[:, None].expand(size)
        column = sinusoidal_encoding(width, d // 2)[None].expand(size)
        from_one = [sinusoidal_encoding(n + 1, d // 2)[1:] for n in (height, width)]
        whole_width = [sinusoidal_encoding(n, d) for n in (height, width)]
        explain(
            got,
            torch.cat([row, column], dim=-1),
            {
                "the row's code comes first, then the column's": torch.cat([column, row], -1),
                "the code of the row stands in both halves": torch.cat([row, row], dim=-1),
                "the code of the column stands in both halves": torch.cat([column, column], -1),
                "the places are numbered in one row: each needs a row and a column": (
                    sinusoidal_encoding(height * width, d).view(height, width, d)
                ),
                "two codes of the whole width are added: join two of half the width": (
                    whole_width[0][:, None] + whole_width[1]
                ),
                "the halves are cut from codes of the whole width: make them of width d / 2": (
                    torch.cat(
                        [
                            whole_width[0][:, None, : d // 2].expand(size),
                            whole_width[1][None, :, : d // 2].expand(size),
                        ],
                        dim=-1,
                    )
                ),
                "row and column take turns: the row's whole code comes first": (
                    torch.stack([row, column], dim=-1).flatten(-2)
                ),
                "positions are counted from 0": torch.cat(
                    [from_one[0][:, None].expand(size), from_one[1][None].expand(size)], dim=-1
                ),
            },
            otherwise=f"a code is wrong in a grid of {height} by {width}",
            tolerance=1e-5,
        )


@check.exercise(3, hint="Slice table[start : start + length], and compare its end with len(table).")
def add_positions_counts_from_the_start(add_positions: Callable) -> None:
    """Compare with the rows of the table from each start, and run up to its end and past it."""
    x = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(14))
    table = sinusoidal_encoding(9, 8)
    for start in (0, 2):
        got = ask(add_positions, x, table, start)
        require_shape(got, (2, 3, 8), "the sum")
        explain(
            got,
            x + table[start : start + 3],
            {
                "nothing is added": x,
                "start is ignored: every token fed alone gets position 0": x + table[:3],
                "positions are counted from 0: the rows come one too late": (
                    x + table[start + 1 : start + 4]
                ),
                "every token of a sequence gets the same row": x + table[start],
                "the table is cut along the batch: position p must get row p": (
                    x + table[start : start + 2, None]
                ),
                "the rows are taken from the end of the table": x + table[-3:],
            },
            otherwise=f"from start {start}, token p must get row {start} + p of the table",
            tolerance=1e-5,
        )
    for length, start in [(1, 8), (3, 6)]:
        tokens = x[:, :length]
        try:
            got = add_positions(tokens, table, start)
        except ValueError as error:
            raise AssertionError(
                f"{length} from {start} on fit a table with rows 0 to 8, and it raises a "
                f"ValueError: the end, {start + length}, may be len(table), for a slice leaves "
                f"its end out"
            ) from error
        assert is_close(got, tokens + table[start:], 1e-5), "the last row of the table is wrong"
    for length, start in [(1, 9), (3, 8), (3, 7)]:
        try:
            add_positions(x[:, :length], table, start)
        except ValueError:
            continue
        except (RuntimeError, IndexError) as error:
            raise AssertionError("past the table's end it must raise a ValueError") from error
        raise AssertionError(f"it accepts {length} tokens from {start} with 9 rows in the table")


@check.exercise(4, hint="Turn the pair (2i, 2i+1) by p * omega_i: x * cos + partner * (+-sin).")
def rotary_scores_depend_on_the_distance(rotate: Callable) -> None:
    """Compare with the turned pairs, in either direction, and with likely mistakes."""
    generator = torch.Generator().manual_seed(14)
    x = torch.randn(2, 9, 8, dtype=torch.float64, generator=generator)
    turned = ask(rotate, x)
    require_shape(turned, (2, 9, 8), "the result")
    position = torch.arange(9, dtype=torch.float64)[:, None]
    pair = torch.arange(0, 8, 2, dtype=torch.float64)  # 2i
    angle = position * 10000 ** (-pair / 8)
    right = [_turn(x, angle), _turn(x, -angle)]
    # The mistakes are listed in the direction that the answer takes.
    mistakes = [_likely_turns(x, sign, position, pair) for sign in (1, -1)]
    backwards = any(is_close(turned, value, 1e-5) for value in (right[1], *mistakes[1].values()))
    explain(
        turned,
        right[backwards],
        mistakes[backwards],
        otherwise=_what_is_no_rotation(rotate, x, turned),
        tolerance=1e-5,
    )


def _wrong_dimension(wrong: Tensor, answer: Tensor, d: int) -> str:
    return "".join(f"dimension {j} of {d} is wrong: {answer[j]:g}" for j in wrong[:1].tolist())


def _turn(x: Tensor, angle: Tensor) -> Tensor:
    first, second = x[..., 0::2], x[..., 1::2]
    turned = [
        angle.cos() * first - angle.sin() * second,
        angle.sin() * first + angle.cos() * second,
    ]
    return torch.stack(turned, dim=-1).flatten(-2)


def _likely_turns(x: Tensor, sign: int, position: Tensor, pair: Tensor) -> dict[str, Tensor]:
    omega = sign * 10000 ** (-pair / 8)
    angle = position * omega
    first, second = x[..., 0::2], x[..., 1::2]
    halves = torch.stack(x.chunk(2, dim=-1), dim=-1).flatten(-2)  # pairs (i, i + d / 2)
    return {
        "the vectors must turn, and none does": x,
        "a code is added: turn the vector instead": x + sinusoidal_encoding(9, 8),
        "positions are counted from 0, where nothing turns": _turn(x, angle + omega),
        "the angle is in radians: sin and cos want no degrees": _turn(x, angle * math.pi / 180),
        "sine and cosine are swapped: at position 0 nothing turns": (
            _turn(x, sign * math.pi / 2 - angle)
        ),
        "each pair has a speed of its own, 10000 ** (-2i / d)": _turn(
            x, sign * position.expand(9, 4)
        ),
        "the exponent of omega is -2i / d, with 2i = 0, 2, 4, ...": _turn(
            x, sign * position * 10000 ** (-pair / 16)
        ),
        "dimensions 2i and 2i+1 must turn together, not i and i + d / 2": torch.cat(
            _turn(halves, angle).unflatten(-1, (4, 2)).unbind(-1), dim=-1
        ),
        "both products with the sine have the same sign: one of them needs a minus": torch.stack(
            [
                angle.cos() * first + angle.sin() * second,
                angle.sin() * first + angle.cos() * second,
            ],
            dim=-1,
        ).flatten(-2),
        "the results stand in halves: put them back to the places 2i and 2i+1": torch.cat(
            _turn(x, angle).unflatten(-1, (4, 2)).unbind(-1), dim=-1
        ),
    }


def _what_is_no_rotation(rotate: Callable, x: Tensor, turned: Tensor) -> str:
    if not is_close(turned.norm(dim=-1), x.norm(dim=-1), 1e-5):
        return "a rotation must keep each vector's norm"
    if not is_close(turned[:, 0], x[:, 0], 1e-5):
        return "at position 0 nothing turns"
    query, key = (x[i, :1].expand(9, 8) for i in range(2))
    scores = rotate(query) @ rotate(key).T
    if not is_close(scores[1:, 1:], scores[:-1, :-1], 1e-5):
        return "a score depends on more than the distance"
    return "dimensions 2i and 2i+1 must turn together, by p times omega_i"
