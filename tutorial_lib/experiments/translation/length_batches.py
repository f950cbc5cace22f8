"""Batches of sequences of about one length, with no more padding than they need."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from tutorial_lib.lightning.loaders import EpochOrder, TensorRows
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


class LengthBatches(EpochOrder):
    """An order in which every batch holds rows of about one length.

    The rows are drawn in random order, anew every epoch. Those of ``pool`` batches are sorted by
    length and cut into batches, and the batches are shuffled. A larger pool saves more padding,
    and leaves less to chance. What several processes load in a step is a batch together.

    Args:
        rows: What is drawn.
        batch_size: Rows in a batch of one process; a short batch at the end is dropped.
        pool: Number of batches that are sorted together.
        seed: Seed of the order.

    Raises:
        TypeError: If ``rows`` is not a TrimmedRows, or a size not an integer.
        ValueError: If ``batch_size`` or ``pool`` is below 1, or ``seed`` negative.

    Source: Vaswani et al. (2017), section 5.1, batch by approximate length.
    Used in :doc:`/notebooks/43_translation`.
    """

    def __init__(
        self, rows: TrimmedRows, *, batch_size: int, pool: int = 20, seed: int = 0
    ) -> None:
        if not isinstance(rows, TrimmedRows):
            raise TypeError(f"rows must be TrimmedRows, got {type(rows).__name__}")
        require_positive(batch_size=batch_size, pool=pool)
        require_counts(seed=seed)
        super().__init__(rows, seed=seed)
        self.lengths, self.pool = rows.lengths, pool
        self.together = batch_size * self.num_replicas  # rows of a step

    def order(self, generator: torch.Generator) -> list[int]:
        """Draw the order of an epoch, for all processes together.

        Args:
            generator: What draws.

        Returns:
            Numbers of rows, batch after batch.
        """
        drawn = super().order(generator)
        order: list[int] = []
        for start in range(0, len(drawn), self.pool * self.together):
            rows = drawn[start : start + self.pool * self.together]
            batches = len(rows) // self.together
            rows = sorted(rows[: batches * self.together], key=lambda row: self.lengths[row])
            for number in torch.randperm(batches, generator=generator).tolist():
                order += rows[number * self.together : (number + 1) * self.together]
        return order
