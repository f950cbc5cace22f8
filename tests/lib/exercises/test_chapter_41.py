"""The checks of chapter 41 take the right answers, and name what is wrong with others."""

from __future__ import annotations

import pytest
import torch

from tutorial_lib.exercises.chapter_41 import check


def _target_map(length):
    return torch.eye(length).flip(0)


def _near_mass(maps, width):
    position = torch.arange(maps.shape[-1])
    target = len(position) - 1 - position
    near = (position[None, :] - target[:, None]).abs() <= width
    return (maps * near).sum(dim=-1).mean()


def _shift_matrix(shift, embed_dim):
    angle = shift * 10000.0 ** (-torch.arange(0, embed_dim, 2) / embed_dim)
    sine, cosine = angle.sin(), angle.cos()
    rows = torch.stack([cosine, -sine], -1), torch.stack([sine, cosine], -1)
    return torch.block_diag(*torch.stack(rows, -2))


def _cyclic_matrix(length, shift):
    return _shift_matrix(shift, 32) + _shift_matrix(shift - length, 32)


RIGHT = [(1, _target_map), (2, _near_mass), (3, _shift_matrix), (4, _cyclic_matrix)]


@pytest.mark.parametrize(("number", "answer"), RIGHT)
def test_the_right_answer_passes(number, answer):
    assert check.problem(number, answer) is None


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_the_stub_does_not_pass(number):
    assert "must be a tensor" in check.problem(number, lambda *args: None)


def _turned(angle):
    sine, cosine = angle.sin(), angle.cos()
    rows = torch.stack([cosine, -sine], -1), torch.stack([sine, cosine], -1)
    return torch.block_diag(*torch.stack(rows, -2))


def _in_halves(k, d):
    angle = k * 10000.0 ** (-torch.arange(0, d, 2) / d)
    sine, cosine = angle.sin().diag(), angle.cos().diag()
    return torch.cat([torch.cat([cosine, -sine], 1), torch.cat([sine, cosine], 1)])


def _far(maps, width):
    return 1 - _near_mass(maps, width)


def _cells_near(maps, width, *, compare=torch.le, last=-1):
    position = torch.arange(maps.shape[-1])
    away = (position + position[:, None] - len(position) - last).abs()
    return maps * compare(away, width)


def _changes_the_maps(maps, width):
    right = _near_mass(maps, width)
    maps.mul_(0)
    return right


def _blurred(length):
    # The mean place of every row is right, and the row is not.
    blur = torch.eye(length)
    if length > 2:
        blur[1, :3] = torch.tensor([0.5, 0.0, 0.5])
    return blur.flip(0)


WRONG = {
    "the diagonal": (1, torch.eye, "looks at its own place"),
    "boolean": (1, lambda n: _target_map(n).bool(), "floats"),
    "one off": (1, lambda n: _target_map(n).roll(1, 0), "one key off"),
    "one off the other way": (1, lambda n: _target_map(n).roll(-1, 0), "one key off"),
    "ones everywhere": (1, lambda n: torch.ones(n, n), "each row must sum to one"),
    "equal weights": (1, lambda n: torch.full((n, n), 1 / n), "that is the mean"),
    "blurred": (1, _blurred, "query 2 must have all its weight on key 1, got [0.5, 0.0, 0.5"),
    "for one length": (1, lambda n: torch.eye(4).flip(0), "shape (1, 1)"),
    "a list": (1, lambda n: _target_map(n).tolist(), "must be a tensor, got list"),
    "the diagonal's mass": (2, lambda m, w: _near_mass(m.flip(-1), w), "the wrong diagonal"),
    "length - i": (2, lambda m, w: _cells_near(m, w, last=0).sum(-1).mean(), "one key off"),
    "strictly below": (
        2,
        lambda m, w: _cells_near(m, w, compare=torch.lt).sum(-1).mean(),
        "exactly width away",
    ),
    "on it only": (2, lambda m, w: _near_mass(m, 0), "width plays no part"),
    "one side only": (
        2,
        lambda m, w: m.flip(-1).tril(0).triu(-w).sum(-1).mean(),
        "on one side",
    ),
    "the other side only": (
        2,
        lambda m, w: m.flip(-1).triu(0).tril(w).sum(-1).mean(),
        "on the other side",
    ),
    "reversed": (2, _far, "the comparison is reversed"),
    "mean over the keys": (2, lambda m, w: _cells_near(m, w).mean(), "sum over the keys"),
    "mean over the cells": (
        2,
        lambda m, w: m[_cells_near(torch.ones_like(m), w) > 0].mean(),
        "the near cells are averaged",
    ),
    "summed": (2, lambda m, w: _cells_near(m, w).sum(), "everything is summed"),
    "summed over the queries": (2, lambda m, w: _near_mass(m, w) * m.shape[-1], "the queries are"),
    "one for each head": (2, lambda m, w: m.sum((0, 2, 3)), "shape"),
    "a number": (2, lambda m, w: _near_mass(m, w).item(), "must be a tensor, got float"),
    "for seven keys": (2, lambda m, w: _near_mass(m, w) * m.shape[-1] / 7, "wrong for 5 keys"),
    "in place": (2, _changes_the_maps, "argument 1 was changed"),
    "the wrong way": (3, lambda k, d: _shift_matrix(-k, d), "wrong way"),
    "transposed": (3, lambda k, d: _shift_matrix(k, d).T, "wrong way"),
    "nothing moves": (3, lambda k, d: torch.eye(d), "stay where they are"),
    "forward only": (3, lambda k, d: _shift_matrix(abs(k), d), "wrong way"),
    "one frequency": (3, lambda k, d: _turned(torch.full((d // 2,), float(k))), "same angle"),
    "i for 2i": (3, lambda k, d: _turned(k / 1e4 ** (torch.arange(d // 2) / d)), "too slowly"),
    "sign of the exponent": (
        3,
        lambda k, d: _turned(k * 1e4 ** (torch.arange(0, d, 2).double() / d)),
        "the exponent of 10000 is negative",
    ),
    "in halves": (3, _in_halves, "not two halves"),
    "by one whatever k": (3, lambda k, d: _shift_matrix(1, d), "wrong for a shift of 5"),
    "does not wrap": (4, lambda n, k: _shift_matrix(k, 32), "before the wrap finds its key"),
    "wraps only": (4, lambda n, k: _shift_matrix(k - n, 32), "behind the wrap finds its key"),
    "the wrong way round": (
        4,
        lambda n, k: _shift_matrix(-k, 32) + _shift_matrix(n - k, 32),
        "moves back by k: at length 12, shift 1, query 0 scores highest with key 11",
    ),
    "stays": (4, lambda n, k: torch.eye(32), "its own place"),
    "one length": (4, lambda n, k: _cyclic_matrix(12, k % 12), "at length 16"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
