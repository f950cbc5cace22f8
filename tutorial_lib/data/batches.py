"""Batches taken from tensors by index, all rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tutorial_lib.validation import require_positive


class TensorRows(Dataset):
    """Rows of tensors that a DataLoader fetches a batch at a time.

    A DataLoader usually asks for one item after the other and stacks them. PyTorch's loaders ask
    a dataset that has ``__getitems__`` for all indices of a batch at once, and indexing a tensor
    with a list is a single operation.

    Args:
        tensors: Tensors with as many rows as each other.

    Raises:
        TypeError: If one is not a tensor.
        ValueError: If there is no tensor, one has no axis, or their numbers of rows differ.

    Taught in :doc:`/notebooks/41_reverse_a_sequence`.
    """

    def __init__(self, *tensors: Shaped[Tensor, "rows ..."]) -> None:
        if not tensors:
            raise ValueError("tensors must hold at least one tensor, got none")
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                raise TypeError(f"tensors must be tensors, got {type(tensor).__name__}")
            if tensor.ndim == 0:
                raise ValueError("tensors must have shape (rows, ...), got ()")
        lengths = {len(tensor) for tensor in tensors}
        if len(lengths) != 1:
            raise ValueError(f"tensors must have the same number of rows, got {sorted(lengths)}")
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        rows = torch.as_tensor(indices)
        return tuple(tensor[rows] for tensor in self.tensors)


def batch_loader(
    rows: TensorRows, *, batch_size: int, shuffle: bool = False, seed: int = 0
) -> DataLoader:
    """Make an ordinary DataLoader whose batches are taken all rows at once.

    Args:
        rows: What to load.
        batch_size: Rows in a batch; the last batch of an epoch that shuffles is dropped when it
            is short, so that every training step sees the same number.
        shuffle: Whether to draw the rows in random order.
        seed: Seed of that order.

    Returns:
        The loader; Lightning treats it like any other.

    Raises:
        TypeError: If ``rows`` is not a TensorRows, or ``batch_size`` not an integer.
        ValueError: If ``batch_size`` is below 1, or a loader that shuffles has not one full batch.

    Used in :doc:`/notebooks/41_reverse_a_sequence`.
    """
    if not isinstance(rows, TensorRows):
        raise TypeError(f"rows must be TensorRows, got {type(rows).__name__}")
    require_positive(batch_size=batch_size)
    if shuffle and batch_size > len(rows):
        raise ValueError(
            f"batch_size must be at most {len(rows)}, the number of rows, got {batch_size}"
        )
    return DataLoader(
        rows,
        batch_size=batch_size,
        shuffle=shuffle,
        drop_last=shuffle,
        collate_fn=_as_they_are,
        generator=torch.Generator().manual_seed(seed),
    )


def _as_they_are(batch: Any) -> Any:
    return batch  # __getitems__ has stacked them already
