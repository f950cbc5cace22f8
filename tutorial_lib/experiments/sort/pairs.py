"""Pairs of sequences: random symbols of varying number, and what a task makes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from tutorial_lib.teacher_forcing import END, PAD, START
from tutorial_lib.validation import require_positive

FIRST_SYMBOL = 3  # the special tokens are never drawn

PairTask = Literal["copy", "reverse", "sort"]
# Each maps a list of symbols to the list that is to be written.
TASKS: dict[PairTask, Callable[[list[int]], list[int]]] = {
    "copy": list,
    "reverse": lambda symbols: symbols[::-1],
    "sort": sorted,
}


def sequence_pairs(
    size: int,
    *,
    task: PairTask,
    num_symbols: int = 10,
    min_length: int = 1,
    max_length: int = 8,
    seed: int = 0,
) -> tuple[Int[Tensor, "size source"], Int[Tensor, "size target"]]:
    r"""Draw sequences of random length, and write down what the task makes of each.

    .. math:: \text{source} = (s_1, \dots, s_n, \text{pad}, \dots), \qquad
        \text{target} = (\text{start}, f(s)_1, \dots, f(s)_n, \text{end}, \text{pad}, \dots)

    Padding, start and end are tokens 0, 1 and 2; the symbols are ``FIRST_SYMBOL`` = 3 and up, so
    that nothing drawn can be mistaken for one of them.

    Args:
        size: Number of pairs.
        task: f: "copy", "reverse" or "sort".
        num_symbols: Number of different symbols; the vocabulary has three tokens more.
        min_length: Fewest symbols of a sequence.
        max_length: Most symbols of a sequence.
        seed: Seed of the draw.

    Returns:
        Sources ``(size, max_length)`` and targets ``(size, max_length + 2)``.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1, ``min_length`` exceeds ``max_length``, or ``task`` is
            not known.

    Taught in :doc:`/notebooks/22_decoder_and_generation`.
    """
    require_positive(
        size=size, num_symbols=num_symbols, min_length=min_length, max_length=max_length
    )
    if min_length > max_length:
        raise ValueError(f"min_length must be at most max_length={max_length}, got {min_length}")
    if not isinstance(task, str) or task not in TASKS:
        raise ValueError(f"task must be one of {sorted(TASKS)}, got {task!r}")
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(min_length, max_length + 1, (size,), generator=generator)
    symbols = FIRST_SYMBOL + torch.randint(num_symbols, (size, max_length), generator=generator)
    sources, targets = [], []
    for row, length in zip(symbols.tolist(), lengths.tolist(), strict=True):
        padding = [PAD] * (max_length - length)
        sources.append([*row[:length], *padding])
        targets.append([START, *TASKS[task](row[:length]), END, *padding])
    return torch.tensor(sources), torch.tensor(targets)
