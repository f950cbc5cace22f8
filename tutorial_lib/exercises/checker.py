"""What every chapter's checks are made with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Exercise:
    """One exercise: the test of an answer, and the hint for a wrong one.

    Args:
        test: Raises ``AssertionError`` with a sentence when the answer is wrong.
        hint: One sentence that helps without giving the answer away.
    """

    test: Callable[[Any], None]
    hint: str


class Checker:
    """The exercises of a chapter: call it with a number and an answer.

    Args:
        chapter: The chapter's two-digit number.
    """

    def __init__(self, chapter: int) -> None:
        self.chapter = chapter
        self.exercises: dict[int, Exercise] = {}

    def exercise(self, number: int, *, hint: str) -> Callable[[Callable], Callable]:
        """Register a test as the check of an exercise.

        Args:
            number: Number of the exercise on its page, from 1.
            hint: One sentence that helps without giving the answer away.

        Returns:
            A decorator for the test.
        """

        def register(test: Callable[[Any], None]) -> Callable[[Any], None]:
            self.exercises[number] = Exercise(test, hint)
            return test

        return register

    def problem(self, number: int, answer: Any) -> str | None:
        """Say what is wrong with an answer.

        Whatever the reader's code raises is a wrong answer, not a crash of the page.

        Args:
            number: Number of the exercise.
            answer: What the reader wrote: a function, a module or a value.

        Returns:
            A sentence, or ``None`` when the answer is right.

        Raises:
            ValueError: If the chapter has no such exercise.
        """
        if number not in self.exercises:
            raise ValueError(f"number must be one of {sorted(self.exercises)}, got {number}")
        try:
            self.exercises[number].test(answer)
        except AssertionError as error:
            return str(error) or "the result is not the expected one"
        except Exception as error:
            return f"it raised {type(error).__name__}: {error}"
        return None

    def __call__(self, number: int, answer: Any) -> None:
        """Print whether an answer is right, and a hint when it is not.

        Args:
            number: Number of the exercise.
            answer: What the reader wrote: a function, a module or a value.

        Raises:
            ValueError: If the chapter has no such exercise.
        """
        problem = self.problem(number, answer)
        name = f"Exercise {self.chapter:02}.{number}"
        if problem is None:
            print(f"{name}: correct.")
        else:
            print(f"{name}: not yet, {problem}\nHint: {self.exercises[number].hint}")


def require_shape(answer: object, shape: tuple[int, ...], name: str) -> None:
    """Raise unless an answer is a tensor of the right shape.

    Args:
        answer: What the reader's code gave.
        shape: The shape it needs.
        name: What the sentence calls it.

    Raises:
        AssertionError: With a sentence that says what came and what is needed.
    """
    assert isinstance(answer, Tensor), f"{name} must be a tensor, got {type(answer).__name__}"
    got = tuple(answer.shape)
    assert got == shape, f"{name} must have shape {shape}, got {got}"


def is_close(answer: Tensor, expected: Tensor, tolerance: float = 1e-6) -> bool:
    """Say whether two tensors agree, compared in float64.

    Args:
        answer: What the reader's code gave.
        expected: What is right.
        tolerance: Largest difference, absolute and relative.

    Returns:
        Whether no element differs by more.
    """
    return torch.allclose(answer.double(), expected.double(), rtol=tolerance, atol=tolerance)


def explain(
    got: Any, expected: Any, wrong: Mapping[str, Any], *, otherwise: str, tolerance: float = 1e-6
) -> None:
    """Raise unless an answer is right, with the sentence of the mistake that gives this answer.

    What is right is looked at first, so a mistake may give the right answer for some arguments.
    Tensors and numbers agree when they are close, everything else when it is equal.

    Args:
        got: What the reader's code gave.
        expected: What is right.
        wrong: For each likely mistake, its sentence and what it gives, of any shape.
        otherwise: The sentence for an answer that no mistake of the list gives.
        tolerance: Largest difference, absolute and relative.

    Raises:
        AssertionError: With the sentence of the first mistake that gives this answer.
    """

    def is_it(value: Any) -> bool:
        if not all(isinstance(x, Tensor | float | int) for x in (got, value)):
            return got == value
        answer, other = (torch.as_tensor(x, dtype=torch.float64) for x in (got, value))
        return answer.shape == other.shape and is_close(answer, other, tolerance)

    if not is_it(expected):
        raise AssertionError(next((why for why in wrong if is_it(wrong[why])), otherwise))


def ask(answer: Callable, *arguments: Any) -> Any:
    """Call an answer, and refuse one that changes a tensor or a list that it was given.

    Args:
        answer: The reader's function.
        arguments: What it is called with.

    Returns:
        What it gives.

    Raises:
        AssertionError: If an argument is no longer what it was.
    """
    before = [_copy(argument) for argument in arguments]
    got = answer(*arguments)
    for place, (now, then) in enumerate(zip(arguments, before, strict=True), start=1):
        assert _is_same(now, then), f"argument {place} was changed: work on a copy of it"
    return got


def _copy(argument: Any) -> Any:
    if isinstance(argument, list):
        return [_copy(item) for item in argument]
    return argument.detach().clone() if isinstance(argument, Tensor) else argument


def _is_same(now: Any, then: Any) -> bool:
    if isinstance(now, list):
        return len(now) == len(then) and all(map(_is_same, now, then))
    return now.equal(then) if isinstance(now, Tensor) else now is then
