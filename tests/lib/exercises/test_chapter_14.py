"""The checks of chapter 14 take the right answers, and name what is wrong with others."""

from __future__ import annotations

import math

import pytest
import torch

from tutorial_lib.exercises.chapter_14 import check
from tutorial_lib.positions import sinusoidal_encoding


def _wavelength(dimension, d):
    return 2 * math.pi * 10000 ** (2 * (dimension // 2) / d)


def _grid_encoding(height, width, d):
    return _grid_encoding_of(
        sinusoidal_encoding(height, d // 2), sinusoidal_encoding(width, d // 2)
    )


def _grid_encoding_of(row, column):
    size = len(row), len(column), row.shape[-1]
    return torch.cat([row[:, None].expand(size), column[None].expand(size)], dim=-1)


def _add_positions(x, table, start):
    end = start + x.shape[1]
    if end > len(table):
        raise ValueError(f"position {end - 1} is past the table's last, {len(table) - 1}")
    return x + table[start:end]


def _angle(x):
    length, d = x.shape[-2:]
    omega = 10000 ** (-torch.arange(0, d, 2).double() / d)
    return torch.arange(length).double()[:, None] * omega


def _rotate(x, sign=1):
    angle = sign * _angle(x)
    even, odd = x[..., 0::2], x[..., 1::2]
    turned = [angle.cos() * even + angle.sin() * odd, angle.cos() * odd - angle.sin() * even]
    return torch.stack(turned, dim=-1).flatten(-2)


def _rotate_halves(x):
    angle = _angle(x)
    first, second = x.chunk(2, dim=-1)
    turned = [
        angle.cos() * first + angle.sin() * second,
        angle.cos() * second - angle.sin() * first,
    ]
    return torch.cat(turned, dim=-1)


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        (1, _wavelength),
        (2, _grid_encoding),
        (3, _add_positions),
        (4, _rotate),
        (4, lambda x: _rotate(x, sign=-1)),
    ],
)
def test_the_right_answer_passes(number, answer):
    assert check.problem(number, answer) is None


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_the_stub_does_not_pass(number):
    assert "must be a" in check.problem(number, lambda *args: None)


def _rotate_by(turned_pair, angle=_angle):
    """Rotate with what stands for one pair, and for the angle, exchanged."""

    def rotate(x):
        a = angle(x)
        pair = turned_pair(x[..., 0::2], x[..., 1::2], a.cos(), a.sin())
        return torch.stack(pair, dim=-1).flatten(-2)

    return rotate


def _as_meant(first, second, cos, sin):
    return cos * first + sin * second, cos * second - sin * first


def _backwards(first, second, cos, sin):
    return cos * first - sin * second, cos * second + sin * first


def _positions(x):
    return torch.arange(x.shape[-2]).double()[:, None]


def _wave(j, d, *, turn=2 * math.pi, hand=None, sign=2):
    return turn * 10000 ** (sign * (j // 2 if hand is None else hand) / d)


def _off_by_one(x, table, start):
    if start + x.shape[1] >= len(table):
        raise ValueError("past the end")
    return x + table[start : start + x.shape[1]]


def _off_by_one_too_many(x, table, start):
    if start + x.shape[1] > len(table) + 1:
        raise ValueError("past the end")
    return x + torch.cat([table, table])[start : start + x.shape[1]]


WRONG = {
    "a wave for each dimension": (1, lambda j, d: _wave(j, d, hand=j), "counts pairs"),
    "j instead of 2i": (1, lambda j, d: _wave(j, d, hand=j / 2), "shares the wavelength of j - 1"),
    "halved twice": (1, lambda j, d: _wave(j, d, hand=j // 2 / 2), "halve j before"),
    "hands from 1": (1, lambda j, d: _wave(j, d, hand=j // 2 + 1), "hands are counted from 0"),
    "no full turn": (1, lambda j, d: _wave(j, d, turn=1), "has 2 pi radians"),
    "degrees": (1, lambda j, d: _wave(j, d, turn=360), "not 360 degrees"),
    "omega": (1, lambda j, d: _wave(j, d, turn=1, sign=-2), "this is omega"),
    "turns a position": (1, lambda j, d: 1 / _wave(j, d), "1 / wavelength"),
    "faster and faster": (1, lambda j, d: _wave(j, d, sign=-2), "sign of the exponent"),
    "another base": (1, lambda j, d: 2 * math.pi * 1000 ** (2 * (j // 2) / d), "dimension 2 of 48"),
    "column first": (
        2,
        lambda h, w, d: torch.cat(_grid_encoding(h, w, d).chunk(2, -1)[::-1], -1),
        "row's code comes first",
    ),
    "row twice": (
        2,
        lambda h, w, d: torch.cat([_grid_encoding(h, w, d)[..., : d // 2]] * 2, -1),
        "the code of the row stands in both halves",
    ),
    "column twice": (
        2,
        lambda h, w, d: torch.cat([_grid_encoding(h, w, d)[..., d // 2 :]] * 2, -1),
        "the code of the column stands in both halves",
    ),
    "flat positions": (
        2,
        lambda h, w, d: sinusoidal_encoding(h * w, d).view(h, w, d),
        "numbered in one row",
    ),
    "width and height swapped": (
        2,
        lambda h, w, d: _grid_encoding(w, h, d),
        "rows and columns are swapped",
    ),
    "sum instead of two halves": (
        2,
        lambda h, w, d: sinusoidal_encoding(h, d)[:, None] + sinusoidal_encoding(w, d),
        "two codes of the whole width are added",
    ),
    "cut from whole codes": (
        2,
        lambda h, w, d: _grid_encoding_of(
            sinusoidal_encoding(h, d)[:, : d // 2], sinusoidal_encoding(w, d)[:, : d // 2]
        ),
        "make them of width d / 2",
    ),
    "taking turns": (
        2,
        lambda h, w, d: torch.stack(_grid_encoding(h, w, d).chunk(2, -1), -1).flatten(-2),
        "take turns",
    ),
    "grid from 1": (
        2,
        lambda h, w, d: _grid_encoding(h + 1, w + 1, d)[1:, 1:],
        "positions are counted from 0",
    ),
    "another table": (2, lambda h, w, d: 2 * _grid_encoding(h, w, d), "a code is wrong"),
    "no position": (3, lambda x, table, start: x, "nothing is added"),
    "start ignored": (3, lambda x, table, start: x + table[: x.shape[1]], "gets position 0"),
    "rows from 1": (
        3,
        lambda x, table, start: x + table[start + 1 : start + 1 + x.shape[1]],
        "one too late",
    ),
    "batch axis": (
        3,
        lambda x, table, start: x + table[start : start + len(x), None],
        "cut along the batch",
    ),
    "rows from the end": (3, lambda x, table, start: x + table[-x.shape[1] :], "from the end"),
    "one row for all": (3, lambda x, table, start: x + table[start], "the same row"),
    "twice the table": (
        3,
        lambda x, table, start: _add_positions(x, 2 * table, start),
        "must get row 0 + p",
    ),
    "x is changed": (3, lambda x, table, start: x.add_(table[start : start + 3]), "was changed"),
    "no check": (3, lambda x, table, start: x + table[start : start + x.shape[1]], "accepts"),
    "off by one": (3, _off_by_one, "may be len(table)"),
    "off by one, too many": (3, _off_by_one_too_many, "accepts 1 tokens from 9"),
    "crash past the end": (
        3,
        lambda x, table, start: (x + table[start:][: x.shape[1]]).view_as(x),
        "must raise a ValueError",
    ),
    "codes added": (4, lambda x: x + sinusoidal_encoding(9, 8), "a code is added"),
    "not turned": (4, lambda x: x.clone(), "none does"),
    "counted from 1": (
        4,
        lambda x: _rotate(torch.cat([x[..., :1, :], x], -2))[..., 1:, :],
        "positions are counted from 0",
    ),
    "halves": (4, _rotate_halves, "not i and i + d / 2"),
    "degrees to radians": (
        4,
        _rotate_by(_as_meant, lambda x: torch.deg2rad(_angle(x))),
        "want no degrees",
    ),
    "sine and cosine swapped": (
        4,
        _rotate_by(lambda a, b, cos, sin: _as_meant(a, b, sin, cos)),
        "sine and cosine are swapped",
    ),
    "swapped, backwards": (
        4,
        _rotate_by(lambda a, b, cos, sin: _backwards(a, b, sin, cos)),
        "sine and cosine are swapped",
    ),
    "one speed": (4, _rotate_by(_as_meant, lambda x: _positions(x).expand(9, 4)), "of its own"),
    "half the exponent": (
        4,
        _rotate_by(_as_meant, lambda x: _positions(x) * 10000 ** (-torch.arange(4).double() / 8)),
        "the exponent of omega",
    ),
    "two plus signs": (
        4,
        _rotate_by(lambda a, b, cos, sin: (cos * a + sin * b, cos * b + sin * a)),
        "one of them needs a minus",
    ),
    "left in halves": (
        4,
        lambda x: torch.cat(_rotate(x).unflatten(-1, (4, 2)).unbind(-1), -1),
        "stand in halves",
    ),
    "twice as long": (4, lambda x: 2 * _rotate(x), "keep each vector's norm"),
    "turned round at 0": (4, lambda x: -_rotate(x), "at position 0 nothing turns"),
    "by the square": (4, _rotate_by(_as_meant, lambda x: _positions(x) * _angle(x)), "distance"),
    "another base, rotated": (
        4,
        _rotate_by(_as_meant, lambda x: _positions(x) * 100 ** (-torch.arange(4).double() / 8)),
        "by p times omega_i",
    ),
    "one hand for all": (4, lambda x: _rotate(x.unflatten(-1, (4, 2)).mT[..., 0]), "shape"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
