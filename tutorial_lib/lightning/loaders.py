"""Batches taken from tensors by index, all rows at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Sized
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor, distributed
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler

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
        return tuple(rows[0] for rows in self.__getitems__([index]))

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        rows = torch.as_tensor(indices)
        return tuple(tensor[rows] for tensor in self.tensors)


class EpochOrder(DistributedSampler):
    r"""A random order of the rows that depends on the seed and the epoch alone.

    .. math:: \text{order}_e = \operatorname{randperm}(n;\ \text{seed} + e)

    Where several processes train together, each gets its share of that order: of :math:`W`
    processes, number :math:`r` takes the places :math:`r, r + W, r + 2W, \dots` Lightning leaves
    the order as it is, and sets the epoch; without Lightning, it grows by one each time.

    Args:
        rows: What is drawn.
        seed: Seed of the order.

    Attributes:
        start: How many rows the next epoch leaves out, since they are done; 0 after that.

    Taught in :doc:`/notebooks/35_command_line_and_devices`.
    """

    def __init__(self, rows: Sized, *, seed: int) -> None:
        together = distributed.is_available() and distributed.is_initialized()
        super().__init__(
            rows,  # type: ignore[arg-type]  # of a dataset, it asks for the length alone
            num_replicas=distributed.get_world_size() if together else 1,
            rank=distributed.get_rank() if together else 0,
            seed=seed,
            drop_last=True,  # every process sees the same number, and no row twice
        )
        self.start = 0

    def order(self, generator: torch.Generator) -> list[int]:
        """Draw the order of an epoch, for all processes together.

        Args:
            generator: What draws.

        Returns:
            Numbers of rows.
        """
        return torch.randperm(len(self.dataset), generator=generator).tolist()  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[int]:
        order = self.order(torch.Generator().manual_seed(self.seed + self.epoch))
        mine = order[self.rank : self.total_size : self.num_replicas]
        start, self.start = self.start, 0
        self.set_epoch(self.epoch + 1)
        return iter(mine[start:])


class EpochLoader(DataLoader):
    """A DataLoader over an :class:`EpochOrder` that can go on in the middle of an epoch.

    What was done is left out of the order, and not loaded again. Lightning asks the loader for its
    state with every checkpoint, and hands the state back when training is resumed.

    torchdata's ``StatefulDataLoader`` (0.11) goes on rightly by itself; under Lightning 2.6 it does
    so only in the first epoch, because it draws the order before Lightning has set the epoch.

    Taught in :doc:`/notebooks/35_command_line_and_devices`.
    """

    sampler: EpochOrder  # type: ignore[misc]  # of all samplers, this one
    batch_size: int  # type: ignore[misc]
    _given = 0  # batches of this epoch that are done

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        self._given = self.sampler.start // self.batch_size
        for batch in super().__iter__():
            self._given += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Say where the epoch stands.

        Returns:
            The number of batches handed out; 0 when the epoch is over.
        """
        return {"batches": self._given % len(self)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next epoch begin where an earlier one stood.

        Args:
            state: What ``state_dict`` returned.
        """
        self._given = state["batches"]
        self.sampler.start = self._given * self.batch_size


def as_they_are(batch: Any) -> Any:
    """Collate rows that were fetched all at once: they are stacked already.

    Args:
        batch: What ``__getitems__`` returned.

    Returns:
        The same.
    """
    return batch


def batch_loader(
    rows: Sized,
    *,
    batch_size: int,
    order: EpochOrder | None = None,
    collate_fn: Callable[[Any], Any] = as_they_are,
) -> DataLoader:
    """Make the loader of all the book's tasks, whose batches are taken all rows at once.

    Args:
        rows: What to load, :class:`TensorRows` or others with ``__getitems__``.
        batch_size: Rows in a batch.
        order: The order to train in; the loader is then an :class:`EpochLoader`, and leaves a
            short last batch out, so that every step sees the same number. Row after row when
            left out.
        collate_fn: Makes a batch of what ``rows`` gives for its numbers.

    Returns:
        The loader; Lightning treats it like any other.

    Raises:
        TypeError: If ``rows`` has no ``__getitems__``, or ``batch_size`` is not an integer.
        ValueError: If ``batch_size`` is below 1, or an order has not one full batch.

    Used in :doc:`/notebooks/41_reverse_a_sequence`.
    """
    if not hasattr(rows, "__getitems__"):
        raise TypeError(f"rows must have __getitems__, like TensorRows, got {type(rows).__name__}")
    require_positive(batch_size=batch_size)
    if order is not None and batch_size > len(order):
        raise ValueError(
            f"batch_size must be at most {len(order)}, the number of rows, got {batch_size}"
        )
    return (DataLoader if order is None else EpochLoader)(
        rows,  # type: ignore[arg-type]  # whatever can be indexed
        batch_size=batch_size,
        sampler=order,
        drop_last=order is not None,
        collate_fn=collate_fn,
        # A generator of its own, or the loader would draw from the one that training draws from.
        generator=torch.Generator(),
    )
