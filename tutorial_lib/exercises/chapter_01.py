"""Checks for chapter 01, a first look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tutorial_lib.exercises.checker import Checker, is_close, require_shape

check = Checker(1)


@check.exercise(1, hint="vocabulary[number] is one word; ' '.join(...) makes one string of many.")
def numbers_become_words(words: Callable) -> None:
    """Read a sentence that uses the first and the last word of its vocabulary."""
    vocabulary = ["bird", "green", "sings", "the"]
    numbers = [3, 1, 0, 2]
    sentence = words(numbers, vocabulary)
    right = ["the", "green", "bird", "sings"]
    assert sentence != right, "these are the right words, but a list of them and not one string"
    assert isinstance(sentence, str), f"the sentence must be a string, got {_kind(sentence)}"
    assert sentence != "".join(right), "the spaces between the words are missing"
    late = " ".join(vocabulary[number - 1] for number in numbers)
    assert sentence != late, "every word is one too early: the numbers count from 0, not from 1"
    assert sentence.strip() == " ".join(right), f"{numbers} became {sentence!r}"
    assert sentence == " ".join(right), "there is a space before or behind the sentence"


@check.exercise(2, hint="The verb has one place. In how many ways can the articles be placed?")
def orders_are_counted(sentences: Any) -> None:
    """Two ways for each of three kinds of words; the verb has one place."""
    assert sentences is not None, "the answer is a number"
    is_number = isinstance(sentences, int | float) and not isinstance(sentences, bool)
    assert is_number, f"the answer must be a number, got {_kind(sentences)}"
    assert sentences != 5040, (
        "that counts every order of seven words, also those in which a verb comes first"
    )
    assert sentences != 2, (
        "that swaps whole phrases only: 'the white cat sees a black mouse' is a sentence too"
    )
    assert sentences != 4, "one of the three kinds is missing: articles, colours and animals"
    assert sentences != 6, "that adds the ways; each way for one kind goes with each for the others"
    assert sentences == 8, f"it is not {sentences}"


@check.exercise(3, hint="powers = scores.exp(); what must they be divided by to sum to 1?")
def shares_sum_to_one(shares: Callable) -> None:
    """Compare with the softmax, for scores of both signs."""
    scores = torch.tensor([2.0, -1.0, 0.5, 0.0], dtype=torch.float64)
    got = shares(scores)
    require_shape(got, (4,), "what comes back")
    assert not is_close(got, scores / scores.sum()), (
        "the scores themselves are divided, so that a score below 0 gets a share below 0"
    )
    assert not is_close(got, scores.exp()), "these are the powers, not divided by their sum"
    assert not is_close(got, scores.exp() / scores.exp().max()), (
        "the powers are divided by the largest one, not by their sum"
    )
    total = got.sum().item()
    assert abs(total - 1) < 1e-6, f"the shares must sum to 1, and sum to {total:.3f}"
    assert is_close(got, scores.softmax(dim=0)), "they sum to 1, but they are not the right shares"


@check.exercise(4, hint="weights.argmax(dim=-1) gives the largest column of each row, as a number.")
def the_brightest_of_each_row_is_named(looked_at: Callable) -> None:
    """Read a map of two rows and three columns, which would give other names."""
    names = ["red", "fish", "swim"]
    weights = torch.tensor([[0.1, 0.7, 0.2], [0.6, 0.3, 0.1]])
    got = looked_at(weights, names)
    assert got is not None, "a list of names is needed, got None"
    if isinstance(got, Tensor):
        got = got.tolist()
    assert isinstance(got, list), f"a list of names is needed, got {_kind(got)}"
    assert got != [1, 0], "these are the right columns; look their names up"
    assert len(got) != 3, "you went through the columns: there must be one name for each row"
    assert got != ["swim", "swim"], "these are the words that are looked at least"
    assert got == ["fish", "red"], f"the rows look at fish and red, got {got}"


def _kind(answer: object) -> str:
    return type(answer).__name__
