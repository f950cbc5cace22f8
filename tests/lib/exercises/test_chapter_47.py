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


ROOT = (2 / torch.pi) ** 0.5


def _gate(inner, factor=lambda x: x / 2):
    return lambda x: factor(x) * (1 + torch.tanh(inner(x)))


def _cube(x):
    return 0.044715 * x**3


def _inner(x):
    return ROOT * (x + _cube(x))


def _in_place(x):
    return x.copy_(_gelu_tanh(x))


def _three(cut):
    return lambda weight: tuple(cut(weight, len(weight)))


def _off_by(off):
    return lambda v, p, s, d, n: _bert_count(v, p, s, d, n) + off(v, p, s, d, n)


def _entries(value):
    def read(raw):
        return {k: value(v) for k, v in _header(raw).items() if k != "__metadata__"}

    return read


def _length_in_one_byte(raw):
    header = json.loads(raw[8 : 8 + raw[0]])
    return {k: tuple(v["shape"]) for k, v in header.items() if k != "__metadata__"}


WRONG = {
    "not transposed": (1, lambda w: w.chunk(3, dim=1), "nn.Linear keeps"),
    "cut the other way": (1, lambda w: w.chunk(3, dim=0), "three weights are needed, got 2"),
    "in another order": (1, lambda w: _unpack(w)[::-1], "the query is another one's: the value's"),
    "key and value": (1, lambda w: [_unpack(w)[i] for i in (0, 2, 1)], "the key is another one's"),
    "the query three times": (1, lambda w: _unpack(w)[:1] * 3, "the key is another one's"),
    "two only": (1, lambda w: _unpack(w)[:2], "three weights are needed, got 2"),
    "reshaped": (1, _three(lambda w, d: w.reshape(3, d, d)), "which mixes query, key and value"),
    "reshaped and turned": (1, _three(lambda w, d: w.reshape(3, d, d).mT), "and turned around"),
    "strided": (1, lambda w: [w[:, i::3].T for i in range(3)], "every third column is taken: q"),
    "strided, not turned": (1, lambda w: [w[:, i::3] for i in range(3)], "and not turned"),
    "doubled": (1, lambda w: [2 * piece for piece in _unpack(w)], "does not give x @ W"),
    "stacked": (1, lambda w: torch.stack(_unpack(w)), "a tuple is needed, got a tensor, (3, 2, 2)"),
    "turned in place": (1, lambda w: [p.T for p in w.neg_().chunk(3, 1)], "argument 1 was changed"),
    "the exact one": (2, F.gelu, "the exact GELU"),
    "no cube": (2, _gate(lambda x: ROOT * x), "the cube is missing"),
    "root of x alone": (2, _gate(lambda x: ROOT * x + _cube(x)), "multiplies x alone"),
    "root of the cube alone": (2, _gate(lambda x: x + ROOT * _cube(x)), "multiplies the cube"),
    "without 2/pi": (2, _gate(lambda x: x + _cube(x)), "the root of 2/pi is missing"),
    "without root": (2, _gate(lambda x: 2 / torch.pi * (x + _cube(x))), "2/pi has no root"),
    "root of two": (2, _gate(lambda x: 2**0.5 / torch.pi * (x + _cube(x))), "of 2 alone"),
    "the square": (2, _gate(lambda x: ROOT * (x + 0.044715 * x**2)), "the power is 2"),
    "one bracket": (2, _gate(lambda x: ROOT * 0.044715 * (x + x**3)), "0.044715 multiplies x"),
    "no half": (2, lambda x: 2 * _gelu_tanh(x), "the half is missing"),
    "a half for x/2": (2, _gate(_inner, lambda x: 0.5), "the factor x is missing"),
    "no factor": (2, _gate(_inner, lambda x: 1), "the factor x / 2 is missing"),
    "no one": (2, lambda x: x / 2 * torch.tanh(_inner(x)), "the 1 beside the tangent"),
    "the sigmoid form": (2, lambda x: x * torch.sigmoid(1.702 * x), "the form with a sigmoid"),
    "SiLU": (2, F.silu, "this is SiLU"),
    "0.4": (2, _gate(lambda x: ROOT * (x + 10 * _cube(x))), "differ from GPT-2's, by up to 0.093"),
    "one axis only": (2, lambda x: _gelu_tanh(x.flatten()), "must have shape (3, 4)"),
    "in place": (2, _in_place, "argument 1 was changed"),
    "the table twice": (3, _off_by(lambda v, p, s, d, n: v * d), "the tokens' table counts once"),
    "no tokens": (3, _off_by(lambda v, p, s, d, n: -v * d), "the tokens' table is missing"),
    "no positions": (3, _off_by(lambda v, p, s, d, n: -p * d), "positions' table is missing"),
    "no segments": (3, _off_by(lambda v, p, s, d, n: -s * d), "segments' table is missing"),
    "one norm": (3, _off_by(lambda v, p, s, d, n: -2 * d), "one norm is missing"),
    "no norms": (3, _off_by(lambda v, p, s, d, n: -4 * d), "two norms are missing"),
    "a last norm": (3, _off_by(lambda v, p, s, d, n: 2 * d), "one too many"),
    "no bias": (3, _off_by(lambda v, p, s, d, n: -v), "the head's bias for each token"),
    "no map": (3, _off_by(lambda v, p, s, d, n: -d * d - d), "the head's map is missing"),
    "no bias of the map": (3, _off_by(lambda v, p, s, d, n: -d), "the bias of the head's map"),
    "no head": (3, _off_by(lambda v, p, s, d, n: -d * d - 3 * d - v), "the head is missing"),
    "a pooler": (3, _off_by(lambda v, p, s, d, n: d * d + d), "no pooler here"),
    "matrices only": (3, _off_by(lambda v, p, s, d, n: -13 * d * n), "biases and norms"),
    "no norms in layers": (3, _off_by(lambda v, p, s, d, n: -4 * d * n), "layers lack their norms"),
    "one layer": (
        3,
        _off_by(lambda v, p, s, d, n: (1 - n) * (12 * d * d + 13 * d)),
        "one layer is counted",
    ),
    "one off": (3, _off_by(lambda *sizes: 1), "for (11, 6, 2, 8, 1) there are 1,139, got 1140"),
    "from the paper": (3, lambda *sizes: 110_000_000, "there are 1,139, got 110000000"),
    "with the metadata": (
        4,
        lambda raw: {k: tuple(v.get("shape", ())) for k, v in _header(raw).items()},
        "__metadata__ is no tensor",
    ),
    "lists": (4, lambda raw: {k: list(v) for k, v in _shapes_in(raw).items()}, "make them tuples"),
    "entries": (4, _entries(lambda entry: entry), "the whole entries"),
    "offsets": (4, _entries(lambda entry: tuple(entry["data_offsets"])), "places in the file, n"),
    "offsets as lists": (4, _entries(lambda entry: entry["data_offsets"]), "as a list"),
    "types": (4, _entries(lambda entry: entry["dtype"]), "these are the types"),
    "elements": (
        4,
        _entries(lambda entry: torch.Size(entry["shape"]).numel()),
        "numbers of elements",
    ),
    "no scalars": (
        4,
        lambda raw: {k: shape for k, shape in _shapes_in(raw).items() if shape},
        "a tensor without axes",
    ),
    "turned around": (4, _entries(lambda entry: tuple(entry["shape"][::-1])), "the file holds"),
    "names only": (4, lambda raw: list(_shapes_in(raw)), "a dictionary is needed, got list"),
    "one byte of length": (4, _length_in_one_byte, "it raised"),
    "the big end first": (
        4,
        lambda raw: json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "big")]),
        "it raised",
    ),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
