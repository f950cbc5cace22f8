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


WRONG = {
    "the diagonal": (1, torch.eye, "not reversed"),
    "boolean": (1, lambda n: _target_map(n).bool(), "floats"),
    "one off": (1, lambda n: _target_map(n).roll(1, 0), "not reversed"),
    "ones everywhere": (1, lambda n: torch.ones(n, n), "sum to one"),
    "the diagonal's mass": (
        2,
        lambda maps, width: _near_mass(maps.flip(-1), width),
        "the wrong one",
    ),
    "on it only": (2, lambda maps, width: _near_mass(maps, 0), "wrong for even weights"),
    "one side only": (
        2,
        lambda maps, width: (maps.flip(-1).tril(0).triu(-width)).sum(-1).mean(),
        "wrong for even weights",
    ),
    "summed over the queries": (
        2,
        lambda maps, width: _near_mass(maps, width) * maps.shape[-1],
        "divide",
    ),
    "one for each head": (2, lambda maps, width: maps.sum((0, 2, 3)), "shape"),
    "the wrong way": (3, lambda k, d: _shift_matrix(-k, d), "wrong way"),
    "one frequency": (
        3,
        lambda k, d: torch.block_diag(*[_shift_matrix(k, 2)] * (d // 2)),
        "wrong for a shift of 1",
    ),
    "does not wrap": (4, lambda n, k: _shift_matrix(k, 32), "query 11"),
    "wraps only": (4, lambda n, k: _shift_matrix(k - n, 32), "scores highest with key 0"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
