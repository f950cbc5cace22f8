"""What every chapter's checks are made with."""

from __future__ import annotations

from collections.abc import Callable
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
