"""Sequences of several lengths, padded on the left so that all end together."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from tutorial_lib.validation import kind_of


def token_positions(
    left_padding: Int[Tensor, " batch"] | None, start: int, end: int, device: torch.device
) -> Int[Tensor, "#batch length"]:
    """Count the positions of each sequence from its first real token.

    Args:
        left_padding: Number of padding tokens of each sequence, or ``None`` for none.
        start: First column wanted.
        end: Column after the last one.
        device: Where the positions are made.

    Returns:
        Positions; 0 at padding, where no one looks.
    """
    column = torch.arange(start, end, device=device)[None]
    return column if left_padding is None else (column - left_padding[:, None]).clamp(min=0)


def require_left_padding(
    left_padding: Tensor | None, batch_size: int, *, most: int | None = None
) -> None:
    """Raise unless there is one number of padding tokens for each sequence, or none at all.

    Args:
        left_padding: The numbers, or ``None``.
        batch_size: Number of sequences.
        most: Most padding tokens that a sequence may have; any number when left out.

    Raises:
        TypeError: If it is not a tensor of int64.
        ValueError: If its shape differs from ``(batch_size,)``, or a number is out of range.
    """
    if left_padding is None:
        return
    if not isinstance(left_padding, Tensor) or left_padding.dtype != torch.int64:
        raise TypeError(f"left_padding must be a tensor of int64, got {kind_of(left_padding)}")
    if left_padding.shape != (batch_size,):
        raise ValueError(
            f"left_padding must have shape ({batch_size},), got {tuple(left_padding.shape)}"
        )
    if left_padding.min() < 0:
        raise ValueError(f"left_padding must be at least 0, got {int(left_padding.min())}")
    if most is not None and left_padding.max() > most:
        raise ValueError(f"left_padding must be at most {most}, got {int(left_padding.max())}")
