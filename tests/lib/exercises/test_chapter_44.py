"""The checks of chapter 44 accept right answers and say what is wrong with the others."""

from __future__ import annotations

import pytest
import torch

from tutorial_lib.exercises.chapter_44 import check
from tutorial_lib.experiments.tiny_gpt.windows import every_window


def _bits(probabilities, text):
    return -probabilities.log2().sum() / len(text)


def _bigram(tokens, vocab_size, discount, *, p_1=None, unseen=True, least=0.0, back=None):
    pairs = torch.zeros(vocab_size, vocab_size)
    pairs.index_put_((tokens[:-1], tokens[1:]), torch.tensor(1.0), accumulate=True)
    there = (pairs > 0).float()
    lower = there.sum(0) / there.sum() if p_1 is None else p_1(pairs, there)
    total = pairs.sum(1, keepdim=True)
    back = discount * there.sum(1, keepdim=True) if back is None else back
    p = ((pairs - discount).clamp(min=least) + back * lower) / total
    return torch.where(total > 0, p, lower) if unseen else p


def _with_p_1(p_1):
    return lambda *arguments: _bigram(*arguments, p_1=p_1)


def _windows(stream, length, stride, *, hide=True, copy=True):
    tokens = every_window(stream[:-1], length)[::stride]
    labels = every_window(stream[1:], length)[::stride]
    labels = labels.clone() if copy else labels
    if hide:
        labels[1:, : length - stride] = -100
    return tokens, labels


def _hides(window, first, last, value=-100):
    def windows(stream, length, stride):
        tokens, labels = _windows(stream, length, stride, hide=False)
        labels[window:, first(length, stride) : last(length, stride)] = value
        return tokens, labels

    return windows


def _start(length, stride):
    return 0


def _overlap(length, stride):
    return length - stride


def _labels_not_shifted(stream, length, stride):
    tokens, labels = _windows(stream, length, stride)
    return tokens, tokens.where(labels != -100, labels)


def _side_by_side(stream, length, stride):
    return _windows(stream, length, length)


RIGHT = {1: _bits, 2: _bigram, 3: _windows}


@pytest.mark.parametrize(("number", "answer"), RIGHT.items())
def test_right_answers_pass(number, answer):
    assert check.problem(number, answer) is None


def test_a_number_is_an_answer_too():
    assert check.problem(1, lambda p, text: _bits(p, text).item()) is None


@pytest.mark.parametrize("number", RIGHT)
def test_the_stub_does_not_pass(number):
    assert check.problem(number, lambda *arguments: None) is not None


def _changes_probabilities(probabilities, text):
    return -probabilities.log2_().sum() / len(text)


WRONG = {
    "nats": (1, lambda p, t: -p.log().sum() / len(t), "nats, not bits"),
    "digits": (1, lambda p, t: -p.log10().sum() / len(t), "decimal digits, not bits"),
    "a token": (1, lambda p, t: -p.log2().mean(), "bits for each token"),
    "nats a token": (1, lambda p, t: -p.log().mean(), "nats for each token"),
    "not divided": (1, lambda p, t: -p.log2().sum(), "bits of the whole text"),
    "bytes": (1, lambda p, t: -p.log2().sum() / len(t.encode()), "for each byte"),
    "negative": (1, lambda p, t: p.log2().sum() / len(t), "the sign is wrong"),
    "mean before": (1, lambda p, t: -p.mean().log2(), "averaged before the logarithm"),
    "entropy": (1, lambda p, t: -(p * p.log2()).sum() / len(t), "this is the entropy"),
    "perplexity": (1, lambda p, t: 2 ** (-p.log2().sum() / len(t)), "this is the perplexity"),
    "product": (1, lambda p, t: -p.prod().log2() / len(t), "is 0 in floating point"),
    "one a token": (1, lambda p, t: -p.log2(), "must have shape"),
    "always 1": (1, lambda p, t: 1.0, "take 0.8 bits a character, got 1.0"),
    "in place": (1, _changes_probabilities, "argument 1 was changed"),
    "plain counts below": (2, _with_p_1(lambda n, t: n.sum(0) / n.sum()), "how often w comes"),
    "beginnings": (2, _with_p_1(lambda n, t: t.sum(1) / t.sum()), "begin with w"),
    "uniform": (2, _with_p_1(lambda n, t: torch.full((len(n),), 1 / len(n))), "same for all"),
    "unseen contexts": (2, lambda *a: _bigram(*a, unseen=False), "follows '?': its row must be"),
    "zeros for unseen": (
        2,
        lambda *a: _bigram(*a, unseen=False).nan_to_num(0),
        "and sums to 0.00",
    ),
    "no discount": (2, lambda t, v, d: _bigram(t, v, 0.0), "the discount plays no part"),
    "below zero": (2, lambda *a: _bigram(*a, least=-1.0), "fall below 0"),
    "not given back": (2, lambda *a: _bigram(*a, back=0.0), "not given back"),
    "one given back": (2, lambda t, v, d: _bigram(t, v, d, back=d), "one discount is given back"),
    "other discount": (2, lambda t, v, d: _bigram(t, v, 0.5), "in 'abracadabra', 'a' follows 'a'"),
    "transposed": (2, lambda *a: _bigram(*a).T, "rows and columns have changed"),
    "a list": (2, lambda *a: _bigram(*a).tolist(), "must be a tensor, got list"),
    "all labels": (3, lambda *a: _windows(*a, hide=False), "counts more than once"),
    "stream changed": (3, lambda *a: _windows(*a, copy=False), "stream was changed"),
    "first hidden": (3, _hides(0, _start, _overlap), "the first window hides"),
    "end hidden": (3, _hides(1, lambda n, k: k, lambda n, k: n), "the end of a window"),
    "stride hidden": (3, _hides(1, _start, lambda n, k: k), "the first stride labels"),
    "too few": (3, _hides(1, _start, lambda n, k: n - k - 1), "one label too few"),
    "too many": (3, _hides(1, _start, lambda n, k: n - k + 1), "one label too many"),
    "labels not shifted": (3, _labels_not_shifted, "the token that is read"),
    "zero": (3, _hides(1, _start, _overlap, value=0), "which is a token"),
    "only the last": (3, _hides(2, _start, _overlap), "one place on, but with stride 3"),
    "hides what is read": (
        3,
        lambda *a: tuple(x.where(_windows(*a)[1] != -100, -100) for x in _windows(*a)),
        "what is read is hidden",
    ),
    "changed places": (
        3,
        lambda *a: _windows(*a, hide=False)[::-1],
        "tokens and labels have changed places",
    ),
    "one place on": (
        3,
        lambda s, n, k: (_windows(s, n, k)[0].roll(1, 0), _windows(s, n, k)[1]),
        "window k must read tokens k * 3 to k * 3 + 7",
    ),
    "floats": (3, lambda *a: tuple(x.float() for x in _windows(*a)), "labels must be integers"),
    "side by side": (3, _side_by_side, "tokens must have shape (4, 8), got (2, 8)"),
    "labels alone": (3, lambda *a: _windows(*a)[1], "tokens and labels"),
    "not shifted": (3, lambda s, n, k: _windows(s[:-1], n, k), "must have shape"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
