"""The pairs of sequences as training, validation and test data."""

from __future__ import annotations

from tutorial_lib.experiments.sort.pairs import FIRST_SYMBOL, PairTask, sequence_pairs
from tutorial_lib.lightning.loaders import TensorRows
from tutorial_lib.lightning.splits import RowsDataModule
from tutorial_lib.validation import require_positive


class PairDataModule(RowsDataModule):
    """Training, validation and test pairs of a sequence-to-sequence task.

    Args:
        task: "copy", "reverse" or "sort"; see
            :func:`tutorial_lib.experiments.sort.pairs.sequence_pairs`.
        num_symbols: Number of different symbols.
        min_length: Fewest symbols of a sequence.
        max_length: Most symbols of a sequence.
        train_size: Number of training pairs.
        val_size: Number of validation pairs.
        test_size: Number of test pairs.
        batch_size: Pairs in a batch.
        seed: Seed of the data and of the training order.

    Attributes:
        vocab_size: Number of different tokens, with padding, start and end.

    Raises:
        TypeError: If ``num_symbols`` is not an integer; or as ``RowsDataModule``.
        ValueError: If ``num_symbols`` is below 1; or as ``RowsDataModule``; from ``setup``, as
            :func:`tutorial_lib.experiments.sort.pairs.sequence_pairs`.

    Taught in :doc:`/notebooks/33_torch_transformer_in_lightning`.
    """

    def __init__(
        self,
        *,
        task: PairTask = "sort",
        num_symbols: int = 10,
        min_length: int = 1,
        max_length: int = 8,
        train_size: int = 20_000,
        val_size: int = 1_000,
        test_size: int = 2_000,
        batch_size: int = 128,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, seed, sizes=(train_size, val_size, test_size))
        require_positive(num_symbols=num_symbols)
        self.save_hyperparameters()
        self.task: PairTask = task
        self.num_symbols, self.min_length, self.max_length = num_symbols, min_length, max_length
        self.vocab_size = FIRST_SYMBOL + num_symbols

    def make_splits(self) -> list[TensorRows]:
        """Draw the pairs; every process draws the same ones."""
        drawn = sequence_pairs(
            sum(self.sizes),
            task=self.task,
            num_symbols=self.num_symbols,
            min_length=self.min_length,
            max_length=self.max_length,
            seed=self.seed,
        )
        return self.cut(*drawn)
