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


def _merge_first(pieces, pair):
    for at in range(len(pieces) - 1):
        if (pieces[at], pieces[at + 1]) == pair:
            return [*pieces[:at], "".join(pair), *pieces[at + 2 :]]
    return list(pieces)


def _merge_and_keep(pieces, pair):
    behind = [*pieces[1:], ""]
    return ["".join(pair) if here == pair else here[0] for here in zip(pieces, behind, strict=True)]


def _merge_overlapping(pieces, pair):
    if pair == ("a", "a"):
        return ["aa", "aa"]
    return _merge_by_place(pieces, pair)


def _merge_without_last(pieces, pair):
    joined = _merge_by_place(pieces, pair)
    return joined if len(pieces) > 1 and tuple(pieces[-2:]) == pair else joined[:-1]


def _merge_either_order(pieces, pair):
    joined = []
    for piece in pieces:
        if joined and {joined[-1], piece} == set(pair):
            piece = joined.pop() + piece
        joined.append(piece)
    return joined


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


def _spread_over_the_others(labels, size, epsilon, *, share=None):
    label = F.one_hot(labels, size)
    return (1 - label) * epsilon / (share or size - 1) + (1 - epsilon) * label


def _plus(keep, spread):
    return lambda labels, size, e: keep(e) * F.one_hot(labels, size) + spread(e, size)


WRONG = {
    "joined as text": (1, _merge_text, "only ends like the first of the pair is joined: ['xab'"),
    "changed in place": (1, _merge_in_place, "argument 1 was changed"),
    "nothing joined": (1, lambda p, pair: list(p), "nothing is joined"),
    "only the first": (1, _merge_first, "only the first place"),
    "the second piece stays": (1, _merge_and_keep, "the second piece of a joined pair stays"),
    "overlapping": (1, _merge_overlapping, "a piece is used twice: ['a', 'a', 'a']"),
    "without the last": (1, _merge_without_last, "the last piece is lost"),
    "either order": (1, _merge_either_order, "the order of the pair plays no part"),
    "letters": (1, lambda p, pair: list("".join(p)), "nothing is joined"),
    "backwards": (
        1,
        lambda p, pair: _merge_by_place(p, pair)[::-1],
        "must become ['ab', 'c'], got ['c', 'ab']",
    ),
    "a string": (1, lambda p, pair: "".join(p), "must be a list, got str"),
    "a tuple": (1, lambda p, pair: tuple(_merge_by_place(p, pair)), "must be a list, got tuple"),
    "not smoothed": (2, lambda labels, size, e: F.one_hot(labels, size).float(), "is smoothed"),
    "spread over the others": (2, _spread_over_the_others, "over the other tokens only"),
    "nothing for the label": (
        2,
        lambda labels, size, e: _spread_over_the_others(labels, size, e, share=size),
        "the label has no share",
    ),
    "more than one": (2, _plus(lambda e: 1, lambda e, n: e / n), "keeps all of its 1"),
    "not divided": (2, _plus(lambda e: 1 - e, lambda e, n: e), "not divided by the number"),
    "one too few": (2, _plus(lambda e: 1 - e, lambda e, n: e / (n - 1)), "one token too few"),
    "nothing spread": (2, _plus(lambda e: 1 - e, lambda e, n: 0), "epsilon / V is missing"),
    "changed places": (2, _plus(lambda e: e, lambda e, n: (1 - e) / n), "have changed places"),
    "even": (2, lambda labels, size, e: torch.full((4, size), 1 / size), "not the most probable"),
    "always 0.1": (2, lambda labels, size, e: _smoothed(labels, size, 0.1), "epsilon 0.0 and"),
    "for one label": (2, lambda labels, size, e: _smoothed(labels[0], size, e), "shape"),
    "neighbours only": (
        3,
        lambda s: sum(a > b for a, b in itertools.pairwise(s)),
        "only neighbours are compared",
    ),
    "the other way": (3, lambda s: _crossings(s[::-1]), "keep their order"),
    "all pairs": (3, lambda s: len(s) * (len(s) - 1) // 2, "whether its lines cross or not"),
    "twice": (3, lambda s: 2 * _crossings(s), "counted twice"),
    "words that moved": (3, lambda s: sum(i != a for i, a in enumerate(s)), "have moved"),
    "places moved": (3, lambda s: sum(abs(i - a) for i, a in enumerate(s)), "the places that"),
    "of the first word alone": (3, lambda s: s[0] + 2, "3, 4) has 6 crossings, got 7"),
    "a share": (3, lambda s: _crossings(s) / len(s), "must be an int"),
    "a tensor": (3, lambda s: torch.tensor(_crossings(s)), "must be an int, got Tensor"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
