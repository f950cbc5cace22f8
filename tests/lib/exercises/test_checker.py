"""A checker says what is wrong, gives its hint, and survives whatever an answer does."""

from __future__ import annotations

import pytest

from tutorial_lib.exercises.checker import Checker


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
