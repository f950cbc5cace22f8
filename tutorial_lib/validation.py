"""Checks on arguments: the error names the argument, what came and what was needed."""

from __future__ import annotations

from torch import Tensor


def require_positive(**sizes: int) -> None:
    """Raise unless every size is an integer of at least 1.

    Args:
        sizes: The arguments to check, by name.

    Raises:
        TypeError: If one is not an integer.
        ValueError: If one is below 1.
    """
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool):
            raise TypeError(f"{name} must be an integer, got {type(size).__name__}")
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")


def require_probability(**values: float) -> None:
    """Raise unless every value lies in [0, 1).

    Args:
        values: The arguments to check, by name.

    Raises:
        ValueError: If one lies outside.
    """
    for name, value in values.items():
        if not 0.0 <= value < 1.0:
            raise ValueError(f"{name} must be at least 0 and below 1, got {value}")


def require_width(tensor: Tensor, width: int, *, name: str) -> None:
    """Raise unless the last axis of a ``(batch, length, width)`` tensor has the given width.

    Args:
        tensor: The tensor to check.
        width: The width its last axis needs.
        name: What the caller calls the tensor.

    Raises:
        ValueError: If the tensor has not three axes or another width.
    """
    if tensor.ndim != 3 or tensor.shape[-1] != width:
        raise ValueError(
            f"{name} must have shape (batch, length, {width}), got {tuple(tensor.shape)}"
        )
