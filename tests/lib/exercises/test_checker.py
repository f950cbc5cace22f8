"""A checker says what is wrong, gives its hint, and survives whatever an answer does."""

from __future__ import annotations

import pytest
import torch

from tutorial_lib.exercises.checker import Checker, ask, explain


@pytest.fixture
def check():
    check = Checker(97)

    @check.exercise(1, hint="Add one.")
    def is_the_successor(answer):
        # Raised by hand: pytest adds to the message of an assert that stands in a test file.
        if answer(1) != 2:
            raise AssertionError("one and one is two")
        if answer(2) != 3:
            raise AssertionError

    return check


def successor(n):
    return n + 1


def test_a_right_answer_has_no_problem(check, capsys):
    assert check.problem(1, successor) is None
    check(1, successor)
    assert capsys.readouterr().out == "Exercise 97.1: correct.\n"


def test_a_wrong_answer_is_told_what_is_wrong_and_given_the_hint(check, capsys):
    assert check.problem(1, lambda n: n) == "one and one is two"
    check(1, lambda n: n)
    said = capsys.readouterr().out
    assert said == "Exercise 97.1: not yet, one and one is two\nHint: Add one.\n"


def test_an_assertion_without_a_sentence_still_says_something(check):
    assert check.problem(1, lambda n: 2) == "the result is not the expected one"


@pytest.mark.parametrize("answer", [None, ..., lambda: 3, lambda n: 1 / 0])
def test_whatever_an_answer_raises_is_a_wrong_answer(check, answer):
    assert check.problem(1, answer).startswith("it raised ")


def test_the_error_of_an_answer_is_named(check):
    assert check.problem(1, lambda n: 1 / 0) == "it raised ZeroDivisionError: division by zero"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_reader_can_still_interrupt(check, error):
    def answer(n):
        raise error

    with pytest.raises(error):
        check.problem(1, answer)


def test_an_exercise_that_does_not_exist_is_refused(check):
    for call in (check, check.problem):
        with pytest.raises(ValueError, match=r"number must be one of \[1\], got 2"):
            call(2, successor)


def test_registering_gives_the_test_back_and_keeps_checkers_apart(check):
    other = Checker(98)

    def passes(answer):
        pass

    assert other.exercise(4, hint="None.")(passes) is passes
    assert list(other.exercises) == [4]
    assert list(check.exercises) == [1]
    assert other.exercises[4].hint == "None."


ROWS = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
MISTAKES = {
    "this is the sum": ROWS.sum(dim=1),
    "the mean runs over the rows": ROWS.mean(dim=0),
    "one mean of all": ROWS.mean(),
}


def test_a_right_answer_needs_no_explanation():
    explain(ROWS.mean(dim=1), ROWS.mean(dim=1), MISTAKES, otherwise="something else")
    explain(3, 3.0, {"twice": 6}, otherwise="something else")


@pytest.mark.parametrize(("why", "value"), MISTAKES.items())
def test_a_known_mistake_is_named_by_what_it_gives(why, value):
    with pytest.raises(AssertionError, match=f"^{why}$"):
        explain(value, ROWS.mean(dim=1), MISTAKES, otherwise="something else")


@pytest.mark.parametrize("value", [ROWS, torch.zeros(2), torch.full((2,), torch.nan), 7])
def test_an_unknown_mistake_gets_the_other_sentence(value):
    with pytest.raises(AssertionError, match=r"^something else$"):
        explain(value, ROWS.mean(dim=1), MISTAKES, otherwise="something else")


def test_a_mistake_that_gives_the_right_answer_is_no_mistake_here():
    explain(torch.ones(2), torch.ones(2), {"not squared": torch.ones(2)}, otherwise="")


def test_a_value_of_another_shape_is_not_stretched_to_fit():
    with pytest.raises(AssertionError, match=r"^something else$"):
        explain(
            torch.ones(1),
            torch.ones(2),
            {"a scalar": torch.tensor(1.0)},
            otherwise="something else",
        )


def test_what_is_close_is_close_within_the_tolerance():
    explain(1.01, 1.0, {}, otherwise="too far", tolerance=0.1)
    with pytest.raises(AssertionError, match=r"^too far$"):
        explain(1_000_001, 1_000_000, {}, otherwise="too far", tolerance=0.0)
    explain(0.1, torch.tensor(0.1, dtype=torch.float64), {}, otherwise="too far", tolerance=0.0)


def test_lists_and_dictionaries_are_compared_whole():
    explain({"a": (2,)}, {"a": (2,)}, {}, otherwise="something else")
    with pytest.raises(AssertionError, match=r"^backwards$"):
        explain([2, 1], [1, 2], {"a number": 1, "backwards": [2, 1]}, otherwise="something else")
    with pytest.raises(AssertionError, match=r"^something else$"):
        explain(None, torch.ones(2), MISTAKES, otherwise="something else")


def test_asking_gives_what_the_answer_gives():
    assert ask(lambda tensor, pieces, number: (len(pieces), number), ROWS, ["a"], 3) == (1, 3)


@pytest.mark.parametrize(
    ("answer", "place"),
    [
        (lambda tensor, pieces: tensor.add_(1), 1),
        (lambda tensor, pieces: tensor.resize_(1), 1),
        (lambda tensor, pieces: pieces.append(3), 2),
        (lambda tensor, pieces: pieces[0].zero_(), 2),
        (lambda tensor, pieces: pieces.reverse(), 2),
    ],
)
def test_an_answer_that_changes_an_argument_is_refused(answer, place):
    with pytest.raises(AssertionError, match=f"^argument {place} was changed"):
        ask(answer, torch.ones(2), [torch.ones(3), torch.zeros(3)])


def test_an_argument_may_have_a_gradient():
    leaf = torch.ones(2, requires_grad=True)
    assert ask(torch.sum, 2 * leaf).requires_grad
