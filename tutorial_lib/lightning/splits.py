"""What the data modules of the book share: three splits, made once, loaded by index."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from typing import Any

import pytorch_lightning as pl
from torch import Tensor
from torch.utils.data import DataLoader

from tutorial_lib.lightning.loaders import EpochOrder, TensorRows, as_they_are, batch_loader
from tutorial_lib.validation import require_positive


class RowsDataModule(pl.LightningDataModule):
    """Training, validation and test rows that a task's ``make_splits`` draws or reads.

    They stand in ``splits``, three of them, from ``setup`` on.

    Args:
        batch_size: Rows in a batch.
        seed: Seed of the data and of the training order.
        sizes: Numbers of training, validation and test rows, where they can be chosen.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1; from ``train_dataloader``, if ``batch_size`` exceeds
            the number of training rows.
        RuntimeError: If a loader is asked for before ``setup``.

    Used in :doc:`/notebooks/41_reverse_a_sequence`.
    """

    splits: Sequence[Any]
    collate: Callable[[Any], Any] = staticmethod(as_they_are)  # makes a batch of what rows give

    def __init__(self, batch_size: int, seed: int = 0, *, sizes: Sequence[int] = ()) -> None:
        super().__init__()
        names = ("train_size", "val_size", "test_size")
        require_positive(**dict(zip(names, sizes, strict=False)), batch_size=batch_size)
        self.batch_size, self.seed, self.sizes = batch_size, seed, tuple(sizes)

    def make_splits(self) -> Sequence[Sized]:
        """Make the training, validation and test rows; the same ones in every process.

        Returns:
            The three splits.
        """
        raise NotImplementedError

    def make_order(self, rows: Any) -> EpochOrder:
        """Give the order to train in.

        Args:
            rows: The training rows.

        Returns:
            All of them, shuffled anew every epoch.
        """
        return EpochOrder(rows, seed=self.seed)

    def cut(self, *tensors: Tensor) -> list[TensorRows]:
        """Cut tensors into three splits of the sizes that were asked for.

        Args:
            tensors: As many rows of each as the sizes add up to.

        Returns:
            The splits, row after row.
        """
        parts = (tensor.split(self.sizes) for tensor in tensors)
        return [TensorRows(*part) for part in zip(*parts, strict=True)]

    def setup(self, stage: str) -> None:
        """Make the splits, unless they are there.

        Args:
            stage: "fit", "validate", "test" or "predict".
        """
        if not hasattr(self, "splits"):
            self.splits = self.make_splits()

    def train_dataloader(self) -> DataLoader:
        """Go through the training rows in their order, anew every epoch."""
        rows = self._rows(0)
        return batch_loader(
            rows,
            batch_size=self.batch_size,
            order=self.make_order(rows),
            collate_fn=self.collate,
        )

    def val_dataloader(self) -> DataLoader:
        """Go through the validation rows, one after the other."""
        return batch_loader(self._rows(1), batch_size=self.batch_size, collate_fn=self.collate)

    def test_dataloader(self) -> DataLoader:
        """Go through the test rows, one after the other."""
        return batch_loader(self._rows(2), batch_size=self.batch_size, collate_fn=self.collate)

    def _rows(self, split: int) -> Any:
        if not hasattr(self, "splits"):
            raise RuntimeError("there is no data yet: call setup(stage) first")
        return self.splits[split]
