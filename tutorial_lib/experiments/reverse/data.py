"""Reverse a sequence: random digits, and the same digits backwards."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from tutorial_lib.lightning.loaders import TensorRows
from tutorial_lib.lightning.splits import RowsDataModule
from tutorial_lib.validation import require_positive


def reverse_sequences(
    size: int, *, num_categories: int = 10, length: int = 16, seed: int = 0
) -> tuple[Int[Tensor, "size length"], Int[Tensor, "size length"]]:
    r"""Draw sequences of random categories, and reverse them.

    .. math:: y_i = x_{n-1-i}, \qquad x_i \sim \operatorname{Uniform}\{0, \dots, C - 1\}

    Args:
        size: Number of sequences.
        num_categories: Number of different tokens, C.
        length: Number of tokens of a sequence, n.
        seed: Seed of the draw.

    Returns:
        The sequences and their reverses.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1.

    Taught in :doc:`/notebooks/41_reverse_a_sequence`.
    """
    require_positive(size=size, num_categories=num_categories, length=length)
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(num_categories, (size, length), generator=generator)
    return tokens, tokens.flip(1)


class ReverseDataModule(RowsDataModule):
    """Training, validation and test sequences of the reversal task.

    Args:
        num_categories: Number of different tokens.
        length: Number of tokens of a sequence.
        train_size: Number of training sequences.
        val_size: Number of validation sequences.
        test_size: Number of test sequences.
        batch_size: Sequences in a batch.
        seed: Seed of the data and of the training order.

    Raises:
        TypeError: If ``num_categories`` or ``length`` is not an integer; or as ``RowsDataModule``.
        ValueError: If one of them is below 1; or as ``RowsDataModule``.

    Taught in :doc:`/notebooks/41_reverse_a_sequence`.
    """

    def __init__(
        self,
        *,
        num_categories: int = 10,
        length: int = 16,
        train_size: int = 50_000,
        val_size: int = 1_000,
        test_size: int = 10_000,
        batch_size: int = 128,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, seed, sizes=(train_size, val_size, test_size))
        require_positive(num_categories=num_categories, length=length)
        self.save_hyperparameters()
        self.num_categories, self.length = num_categories, length

    def make_splits(self) -> list[TensorRows]:
        """Draw the sequences; every process draws the same ones."""
        drawn = reverse_sequences(
            sum(self.sizes),
            num_categories=self.num_categories,
            length=self.length,
            seed=self.seed,
        )
        return self.cut(*drawn)
