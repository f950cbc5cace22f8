"""The checks of chapter 47 take the right answers, and name what is wrong with others."""

from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as F

from tutorial_lib.exercises.chapter_47 import check


def _unpack(weight):
    return tuple(piece.T for piece in weight.chunk(3, dim=1))


def _gelu_tanh(x):
    return x / 2 * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)))


def _bert_count(vocab, positions, segments, width, layers):
    head = width**2 + 3 * width + vocab
    tables = (vocab + positions + segments) * width
    return tables + 2 * width + layers * (12 * width**2 + 13 * width) + head


def _header(raw):
    return json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])


def _shapes_in(raw):
    return {k: tuple(v["shape"]) for k, v in _header(raw).items() if k != "__metadata__"}


RIGHT = [(1, _unpack), (2, _gelu_tanh), (3, _bert_count), (4, _shapes_in)]


@pytest.mark.parametrize(("number", "answer"), RIGHT)
def test_the_right_answer_passes(number, answer):
    assert check.problem(number, answer) is None


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_the_stub_does_not_pass(number):
    assert "None" in check.problem(number, lambda *args: None)


WRONG = {
    "not transposed": (1, lambda w: w.chunk(3, dim=1), "nn.Linear keeps"),
    "cut the other way": (1, lambda w: w.chunk(3, dim=0), "three weights are needed, got 2"),
    "in another order": (1, lambda w: _unpack(w)[::-1], "the query is another one's"),
    "two only": (1, lambda w: _unpack(w)[:2], "three weights are needed, got 2"),
    "the exact one": (2, F.gelu, "the exact GELU"),
    "no cube": (2, lambda x: x / 2 * (1 + torch.tanh((2 / torch.pi) ** 0.5 * x)), "differ from"),
    "the sigmoid form": (2, lambda x: x * torch.sigmoid(1.702 * x), "differ from"),
    "the table twice": (3, lambda v, p, s, d, n: _bert_count(v, p, s, d, n) + v * d, "counts once"),
    "no head": (3, lambda v, p, s, d, n: (v + p + s) * d + 2 * d + n * (12 * d**2 + 13 * d), "are"),
    "with the metadata": (
        4,
        lambda raw: {k: tuple(v.get("shape", ())) for k, v in _header(raw).items()},
        "__metadata__ is no tensor",
    ),
    "lists": (4, lambda raw: {k: list(v) for k, v in _shapes_in(raw).items()}, "the file holds"),
    "the big end first": (
        4,
        lambda raw: json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "big")]),
        "it raised",
    ),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
