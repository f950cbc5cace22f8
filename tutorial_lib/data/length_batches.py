"""Batches of sequences of about one length, with no more padding than they need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, Sampler

from tutorial_lib.data.batches import TensorRows
from tutorial_lib.validation import require_counts, require_positive


class TrimmedRows(TensorRows):
    """Rows of token tensors, without the columns that are padding in a whole batch.

    Args:
        tensors: Tokens ``(rows, length)``, padded on the right; the lengths may differ.
        pad_token: The padding token.

    Attributes:
        lengths: Tokens of each row that are no padding, summed over the tensors.

    Raises:
        TypeError: If ``pad_token`` is not an integer, or a tensor is none.
        ValueError: If ``pad_token`` is negative, there is no tensor, or the numbers of rows differ.

    Used in :doc:`/notebooks/43_translation`.
    """

    def __init__(self, *tensors: Int[Tensor, "rows _"], pad_token: int) -> None:
        super().__init__(*tensors)
        require_counts(pad_token=pad_token)
        self.pad_token = pad_token
        self.lengths: list[int] = sum((t != pad_token).sum(dim=1) for t in tensors).tolist()  # type: ignore[union-attr]

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        rows = super().__getitems__(indices)
        longest = [int((tensor != self.pad_token).sum(dim=1).max()) for tensor in rows]
        return tuple(tensor[:, :end] for tensor, end in zip(rows, longest, strict=True))


class LengthBatches(BatchSampler):
    """Draw batches in random order, each of rows of about one length.

    The rows come in the order of ``sampler``. Those of ``pool`` batches are sorted by length and
    cut into batches, and the batches are shuffled. A larger pool saves more padding, and leaves
    less to chance.

    Args:
        sampler: Gives the rows in random order, anew every epoch.
        batch_size: Rows in a batch.
        drop_last: Must be true: a short batch at the end is dropped.
        lengths: Length of each row.
        pool: Number of batches that are sorted together.
        seed: Seed of the order of the batches.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1, or ``drop_last`` is false.

    Source: Vaswani et al. (2017), section 5.1, batch by approximate length.
    Used in :doc:`/notebooks/43_translation`.
    """

    def __init__(
        self,
        sampler: Sampler[int] | Iterable[int],
        batch_size: int,
        drop_last: bool = True,
        *,
        lengths: Sequence[int],
        pool: int = 20,
        seed: int = 0,
    ) -> None:
        require_positive(batch_size=batch_size, pool=pool)
        require_counts(seed=seed)
        if not drop_last:
            raise ValueError("drop_last must be True, got False")
        super().__init__(sampler, batch_size, drop_last)
        self.lengths, self.pool = lengths, pool
        self.generator = torch.Generator().manual_seed(seed)

    def __iter__(self) -> Iterator[list[int]]:
        waiting: list[int] = []
        for row in self.sampler:
            waiting.append(row)
            if len(waiting) == self.pool * self.batch_size:
                yield from self._batches(waiting)
                waiting = []
        yield from self._batches(waiting)

    def _batches(self, rows: list[int]) -> Iterator[list[int]]:
        rows = rows[: len(rows) // self.batch_size * self.batch_size]
        rows = sorted(rows, key=lambda row: self.lengths[row])
        for number in torch.randperm(len(rows) // self.batch_size, generator=self.generator):
            start = int(number) * self.batch_size
            yield rows[start : start + self.batch_size]


def length_batch_loader(rows: TrimmedRows, *, batch_size: int, seed: int = 0) -> DataLoader:
    """Make a DataLoader that shuffles, with batches of rows of about one length.

    Args:
        rows: What to load.
        batch_size: Rows in a batch.
        seed: Seed of the order.

    Returns:
        The loader.

    Raises:
        TypeError: If ``rows`` is not a TrimmedRows, or ``batch_size`` not an integer.
        ValueError: If ``batch_size`` is below 1, or above the number of rows.

    Used in :doc:`/notebooks/43_translation`.
    """
    if not isinstance(rows, TrimmedRows):
        raise TypeError(f"rows must be TrimmedRows, got {type(rows).__name__}")
    require_positive(batch_size=batch_size)
    if batch_size > len(rows):
        raise ValueError(
            f"batch_size must be at most {len(rows)}, the number of rows, got {batch_size}"
        )
    generator = torch.Generator().manual_seed(seed)
    order = RandomSampler(rows, generator=generator)
    batches = LengthBatches(order, batch_size, lengths=rows.lengths, seed=seed)
    return DataLoader(rows, batch_sampler=batches, collate_fn=_as_they_are, generator=generator)


def _as_they_are(batch: Any) -> Any:
    return batch  # __getitems__ has stacked them already
