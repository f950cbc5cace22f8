"""The checks of chapter 01 take the right answers, and name what is wrong with others."""

from __future__ import annotations

import pytest

from tutorial_lib.exercises.chapter_01 import check


def _words(numbers, vocabulary):
    return " ".join(vocabulary[number] for number in numbers)


def _shares(scores):
    return scores.exp() / scores.exp().sum()


def _looked_at(weights, names):
    return [names[number] for number in weights.argmax(dim=-1)]


@pytest.mark.parametrize(
    ("number", "answer"), [(1, _words), (2, 8), (2, 8.0), (3, _shares), (4, _looked_at)]
)
def test_the_right_answer_passes(number, answer):
    assert check.problem(number, answer) is None


@pytest.mark.parametrize(
    ("number", "stub", "says"),
    [
        (1, lambda *args: None, "must be a string, got NoneType"),
        (2, None, "the answer is a number"),
        (3, lambda *args: None, "must be a tensor"),
        (4, lambda *args: None, "got None"),
    ],
)
def test_the_stub_does_not_pass(number, stub, says):
    assert says in check.problem(number, stub)


def test_the_name_of_an_exercise_has_the_chapter_in_two_digits(capsys):
    check(2, 8)
    check(2, 2)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "Exercise 01.2: correct."
    assert printed[1].startswith("Exercise 01.2: not yet, that swaps whole phrases only")


WRONG = {
    "a list": (1, lambda n, v: [v[i] for i in n], "a list of them"),
    "no spaces": (1, lambda n, v: "".join(v[i] for i in n), "spaces between the words"),
    "counted from 1": (1, lambda n, v: " ".join(v[i - 1] for i in n), "count from 0"),
    "a space behind": (1, lambda n, v: "".join(v[i] + " " for i in n), "before or behind"),
    "sorted": (1, lambda n, v: " ".join(v[i] for i in sorted(n)), "became 'bird"),
    "past the end": (1, lambda n, v: " ".join(v[i + 1] for i in n), "IndexError"),
    "every order": (2, 5040, "every order of seven words"),
    "phrases": (2, 2, "swaps whole phrases"),
    "a kind left out": (2, 4, "one of the three kinds"),
    "added": (2, 6, "adds the ways"),
    "something else": (2, 16, "it is not 16"),
    "a word": (2, "eight", "must be a number, got str"),
    "no powers": (3, lambda s: s / s.sum(), "below 0"),
    "no sum": (3, lambda s: s.exp(), "the powers, not divided by"),
    "by the largest": (3, lambda s: s.exp() / s.exp().max(), "divided by the largest"),
    "shifted": (3, lambda s: s - s.min(), "sum to"),
    "powers of two": (3, lambda s: 2**s / (2**s).sum(), "not the right shares"),
    "numbers": (4, lambda w, n: w.argmax(dim=-1), "look their names up"),
    "by column": (4, lambda w, n: [n[i] for i in w.argmax(dim=0)], "through the columns"),
    "the smallest": (4, lambda w, n: [n[2], n[2]], "least"),
    "one for all": (4, lambda w, n: n[1], "got str"),
    "the first": (4, lambda w, n: [n[0], n[0]], "got ['red', 'red']"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
