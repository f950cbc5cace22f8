"""The captioned pictures as training, validation and test data."""

from __future__ import annotations

from tutorial_lib.experiments.captions.shapes import (
    CombinationSplits,
    draw_pictures,
    split_combinations,
)
from tutorial_lib.experiments.captions.words import WORDS
from tutorial_lib.lightning.loaders import TensorRows
from tutorial_lib.lightning.splits import RowsDataModule


class ShapesDataModule(RowsDataModule):
    """Training, validation and test pictures with their captions.

    A pair of kinds that stands in a test or validation picture stands in no picture of another
    split, so that no caption does either.

    Args:
        held_out: Pairs of kinds for validation, and as many others for the test.
        train_size: Number of training pictures.
        val_size: Number of validation pictures.
        test_size: Number of test pictures.
        batch_size: Pictures in a batch.
        seed: Seed of the combinations, the pictures and the training order.

    Attributes:
        combinations: Which kinds are seen together in which split.
        vocab_size: Number of different tokens, with padding, start and end.

    Raises:
        TypeError: If ``held_out`` is not an integer; or as ``RowsDataModule``.
        ValueError: If ``held_out`` is below 1 or leaves no pair to train on; or as
            ``RowsDataModule``.

    Taught in :doc:`/notebooks/34_injected_nested_modules`.
    """

    combinations: CombinationSplits

    def __init__(
        self,
        *,
        held_out: int = 14,
        train_size: int = 8_000,
        val_size: int = 500,
        test_size: int = 1_000,
        batch_size: int = 64,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, seed, sizes=(train_size, val_size, test_size))
        self.save_hyperparameters()
        self.combinations = split_combinations(held_out=held_out, seed=seed)
        self.vocab_size = len(WORDS)

    def make_splits(self) -> list[TensorRows]:
        """Draw the pictures; every process draws the same ones."""
        return [
            TensorRows(*draw_pictures(size, combinations, seed=3 * self.seed + number))
            for number, (size, combinations) in enumerate(
                zip(self.sizes, self.combinations, strict=True)
            )
        ]
