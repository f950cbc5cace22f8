"""The checks of chapter 43 take the right answers, and name what is wrong with others."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F

from tutorial_lib.exercises.chapter_43 import check


def _merge_by_place(pieces, pair):
    joined, at = [], 0
    while at < len(pieces):
        width = 2 if tuple(pieces[at : at + 2]) == pair else 1
        joined.append("".join(pieces[at : at + width]))
        at += width
    return joined


def _merge_text(pieces, pair):
    return " ".join(pieces).replace(" ".join(pair), "".join(pair)).split(" ")


def _merge_in_place(pieces, pair):
    joined = _merge_by_place(pieces, pair)
    pieces[:] = joined
    return pieces


def _smoothed(labels, size, epsilon):
    return (1 - epsilon) * F.one_hot(labels, size) + epsilon / size


def _crossings(sources):
    return sum(a > b for i, b in enumerate(sources) for a in sources[:i])


RIGHT = [
    (1, _merge_by_place),
    (2, _smoothed),
    (3, _crossings),
]


@pytest.mark.parametrize(("number", "answer"), RIGHT)
def test_the_right_answer_passes(number, answer):
    assert check.problem(number, answer) is None


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_stub_does_not_pass(number):
    assert "NoneType" in check.problem(number, lambda *args: None)


WRONG = {
    "joined as text": (1, _merge_text, "must become ['xab', 'c']"),
    "changed in place": (1, _merge_in_place, "must stay as it was"),
    "only the first": (
        1,
        lambda p, pair: _merge_by_place(p[:2], pair) + p[2:],
        "must become ['ab', 'ab']",
    ),
    "a string": (1, lambda p, pair: "".join(p), "must be a list"),
    "not smoothed": (2, lambda labels, size, e: F.one_hot(labels, size).float(), "cross-entropy"),
    "spread over the others": (
        2,
        lambda labels, size, e: torch.full((4, size), e / (size - 1)).scatter(
            1, labels[:, None], 1 - e
        ),
        "cross-entropy",
    ),
    "more than one": (
        2,
        lambda labels, size, e: F.one_hot(labels, size) + e / size,
        "sum to one",
    ),
    "even": (
        2,
        lambda labels, size, e: torch.full((4, size), 1 / size),
        "not the most probable",
    ),
    "for one label": (2, lambda labels, size, e: _smoothed(labels[0], size, e), "shape"),
    "neighbours only": (
        3,
        lambda s: sum(a > b for a, b in itertools.pairwise(s)),
        "has 3 crossings, got 2",
    ),
    "the other way": (3, lambda s: _crossings(s[::-1]), "has 0 crossings, got 3"),
    "a share": (3, lambda s: _crossings(s) / len(s), "must be an int"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
