"""What the data modules of the book share: three splits, made once, loaded by index."""

from __future__ import annotations

from collections.abc import Sequence

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from tutorial_lib.lightning.loaders import TensorRows, batch_loader
from tutorial_lib.validation import require_positive


class RowsDataModule(pl.LightningDataModule):
    """Training, validation and test rows that a task's ``make_splits`` draws or reads.

    They stand in ``splits``, three of them, from ``setup`` on.

    Args:
        batch_size: Rows in a batch.
        seed: Seed of the data and of the training order.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1; from ``train_dataloader``, if ``batch_size`` exceeds
            the number of training rows.
        RuntimeError: If a loader is asked for before ``setup``.

    Used in :doc:`/notebooks/41_reverse_a_sequence`.
    """

    splits: Sequence[TensorRows]

    def __init__(self, *, batch_size: int, seed: int = 0) -> None:
        super().__init__()
        require_positive(batch_size=batch_size)
        self.batch_size, self.seed = batch_size, seed

    def make_splits(self) -> Sequence[TensorRows]:
        """Make the training, validation and test rows; the same ones in every process.

        Returns:
            The three splits.
        """
        raise NotImplementedError

    def setup(self, stage: str) -> None:
        """Make the splits, unless they are there.

        Args:
            stage: "fit", "validate", "test" or "predict".
        """
        if not hasattr(self, "splits"):
            self.splits = self.make_splits()

    def train_dataloader(self) -> DataLoader:
        """Shuffle the training rows anew every epoch."""
        return self._loader(0, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        """Go through the validation rows in order."""
        return self._loader(1)

    def test_dataloader(self) -> DataLoader:
        """Go through the test rows in order."""
        return self._loader(2)

    def _loader(self, split: int, *, shuffle: bool = False) -> DataLoader:
        if not hasattr(self, "splits"):
            raise RuntimeError("there is no data yet: call setup(stage) first")
        return batch_loader(
            self.splits[split], batch_size=self.batch_size, shuffle=shuffle, seed=self.seed
        )
