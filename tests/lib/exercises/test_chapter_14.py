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
    row = sinusoidal_encoding(height, d // 2)[:, None].expand(height, width, d // 2)
    column = sinusoidal_encoding(width, d // 2)[None].expand(height, width, d // 2)
    return torch.cat([row, column], dim=-1)


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


WRONG = {
    "a wave for each dimension": (1, lambda j, d: 2 * math.pi * 10000 ** (2 * j / d), "pairs"),
    "j instead of 2i": (1, lambda j, d: 2 * math.pi * 10000 ** (j / d), "dimension 1"),
    "no full turn": (1, lambda j, d: 10000 ** (2 * (j // 2) / d), "2 pi"),
    "frequency": (1, lambda j, d: 10000 ** (-2 * (j // 2) / d) / 2 / math.pi, "dimension 0"),
    "column first": (
        2,
        lambda h, w, d: torch.cat(_grid_encoding(h, w, d).chunk(2, -1)[::-1], -1),
        "row's code comes first",
    ),
    "flat positions": (
        2,
        lambda h, w, d: sinusoidal_encoding(h * w, d).view(h, w, d),
        "code is wrong",
    ),
    "width and height swapped": (2, lambda h, w, d: _grid_encoding(w, h, d), "shape"),
    "sum instead of two halves": (
        2,
        lambda h, w, d: sinusoidal_encoding(h, d)[:, None] + sinusoidal_encoding(w, d),
        "code is wrong",
    ),
    "start ignored": (3, lambda x, table, start: x + table[: x.shape[1]], "gets position 0"),
    "batch axis": (
        3,
        lambda x, table, start: x + table[start : start + len(x), None],
        "must get row p",
    ),
    "no check": (3, lambda x, table, start: x + table[start : start + x.shape[1]], "accepts"),
    "one row for all": (3, lambda x, table, start: x + table[start], "must get row p"),
    "crash past the end": (
        3,
        lambda x, table, start: (x + table[start:][: x.shape[1]]).view_as(x),
        "must raise a ValueError",
    ),
    "codes added": (4, lambda x: x + sinusoidal_encoding(9, 8), "keep each vector's length"),
    "not turned": (4, lambda x: x, "must turn"),
    "counted from 1": (
        4,
        lambda x: _rotate(torch.cat([x[..., :1, :], x], -2))[..., 1:, :],
        "position 0",
    ),
    "halves": (4, _rotate_halves, "2i and 2i+1"),
    "one hand for all": (4, lambda x: _rotate(x.unflatten(-1, (4, 2)).mT[..., 0]), "shape"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
