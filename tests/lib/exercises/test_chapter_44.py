"""The checks of chapter 44 accept right answers and say what is wrong with the others."""

from __future__ import annotations

import pytest
import torch

from tutorial_lib.exercises.chapter_44 import check
from tutorial_lib.experiments.tiny_gpt.windows import every_window


def _bits(probabilities, text):
    return -probabilities.log2().sum() / len(text)


def _bigram(tokens, vocab_size, discount, *, neighbours=True, unseen=True):
    pairs = torch.zeros(vocab_size, vocab_size)
    pairs.index_put_((tokens[:-1], tokens[1:]), torch.tensor(1.0), accumulate=True)
    there = (pairs > 0).float()
    lower = (there if neighbours else pairs).sum(0) / (there if neighbours else pairs).sum()
    total = pairs.sum(1, keepdim=True)
    p = ((pairs - discount).clamp(min=0) + discount * there.sum(1, keepdim=True) * lower) / total
    return torch.where(total > 0, p, lower) if unseen else p


def _windows(stream, length, stride, *, hide=True, copy=True):
    tokens = every_window(stream[:-1], length)[::stride]
    labels = every_window(stream[1:], length)[::stride]
    labels = labels.clone() if copy else labels
    if hide:
        labels[1:, : length - stride] = -100
    return tokens, labels


def _hides_the_first_too(stream, length, stride):
    tokens, labels = _windows(stream, length, stride)
    labels[0, : length - stride] = -100
    return tokens, labels


RIGHT = {1: _bits, 2: _bigram, 3: _windows}


@pytest.mark.parametrize(("number", "answer"), RIGHT.items())
def test_right_answers_pass(number, answer):
    assert check.problem(number, answer) is None


def test_a_number_is_an_answer_too():
    assert check.problem(1, lambda p, text: _bits(p, text).item()) is None


@pytest.mark.parametrize("number", RIGHT)
def test_the_stub_does_not_pass(number):
    assert check.problem(number, lambda *arguments: None) is not None


WRONG = {
    "nats": (1, lambda p, t: -p.log().sum() / len(t), "nats, not bits"),
    "a token": (1, lambda p, t: -p.log2().mean(), "for each token"),
    "not divided": (1, lambda p, t: -p.log2().sum(), "take 2.0 bits"),
    "one a token": (1, lambda p, t: -p.log2(), "must have shape"),
    "plain counts below": (2, lambda *a: _bigram(*a, neighbours=False), "follows"),
    "unseen contexts": (2, lambda *a: _bigram(*a, unseen=False), "does not sum to one"),
    "no discount": (2, lambda t, v, d: _bigram(t, v, 0.0), "follows"),
    "other discount": (2, lambda t, v, d: _bigram(t, v, 0.6), "follows"),
    "transposed": (2, lambda *a: _bigram(*a).T, "does not sum to one"),
    "all labels": (3, lambda *a: _windows(*a, hide=False), "counts more than once"),
    "stream changed": (3, lambda *a: _windows(*a, copy=False), "stream was changed"),
    "first hidden": (3, _hides_the_first_too, "do not count"),
    "labels alone": (3, lambda *a: _windows(*a)[1], "tokens and labels"),
    "not shifted": (3, lambda s, n, k: _windows(s[:-1], n, k), "must have shape"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
