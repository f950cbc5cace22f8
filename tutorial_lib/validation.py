"""Checks on arguments: the error names the argument, what came and what was needed."""

from __future__ import annotations

import math
import operator
from numbers import Integral, Real

from torch import Tensor, nn


def require_positive(**sizes: int) -> None:
    """Raise unless every size is an integer of at least 1, of Python or NumPy.

    Args:
        sizes: The arguments to check, by name.

    Raises:
        TypeError: If one is not an integer.
        ValueError: If one is below 1.
    """
    for name, size in sizes.items():
        if not isinstance(size, Integral) or isinstance(size, bool):
            raise TypeError(f"{name} must be an integer, got {kind_of(size)}")
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")


def require_counts(**counts: int) -> list[int]:
    """Raise unless every count is a whole number of at least 0, of Python, NumPy or PyTorch.

    Args:
        counts: The arguments to check, by name.

    Returns:
        The counts as Python integers, in order.

    Raises:
        TypeError: If one is not an integer.
        ValueError: If one is negative.
    """
    whole = []
    for name, count in counts.items():
        try:
            if isinstance(count, bool):
                raise TypeError
            whole.append(operator.index(count))
        except TypeError:
            raise TypeError(f"{name} must be an integer, got {kind_of(count)}") from None
        if count < 0:
            raise ValueError(f"{name} must be at least 0, got {count}")
    return whole


def require_above_zero(**values: float) -> None:
    """Raise unless every value is above 0 and finite.

    Args:
        values: The arguments to check, by name.

    Raises:
        TypeError: If one is not a number.
        ValueError: If one is not above 0, or not finite.
    """
    for name, value in values.items():
        _require_number(value, name=name)
        if not 0.0 < value < math.inf:
            raise ValueError(f"{name} must be above 0 and finite, got {value}")


def require_at_least_zero(**values: float) -> None:
    """Raise unless every value is at least 0 and finite.

    Args:
        values: The arguments to check, by name.

    Raises:
        TypeError: If one is not a number.
        ValueError: If one is negative, or not finite.
    """
    for name, value in values.items():
        _require_number(value, name=name)
        if not 0.0 <= value < math.inf:
            raise ValueError(f"{name} must be at least 0 and finite, got {value}")


def require_probability(**values: float) -> None:
    """Raise unless every value lies in [0, 1).

    Args:
        values: The arguments to check, by name.

    Raises:
        TypeError: If one is not a number.
        ValueError: If one lies outside.
    """
    for name, value in values.items():
        _require_number(value, name=name)
        if not 0.0 <= value < 1.0:
            raise ValueError(f"{name} must be at least 0 and below 1, got {value}")


def require_width(tensor: Tensor, width: int, *, name: str) -> None:
    """Raise unless the last axis of a ``(batch, length, width)`` tensor has the given width.

    Args:
        tensor: The tensor to check.
        width: The width its last axis needs.
        name: What the caller calls the tensor.

    Raises:
        TypeError: If it is not a tensor.
        ValueError: If the tensor has not three axes or another width.
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name} must be a tensor, got {kind_of(tensor)}")
    if tensor.ndim != 3 or tensor.shape[-1] != width:
        raise ValueError(
            f"{name} must have shape (batch, length, {width}), got {tuple(tensor.shape)}"
        )


def require_floats(**tensors: Tensor) -> None:
    """Raise unless all are tensors of one float type.

    Args:
        tensors: The arguments to check, by name; the first sets the type.

    Raises:
        TypeError: If one is not a tensor of floats, or of another type than the first.
    """
    first, like = next(iter(tensors.items()))
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            raise TypeError(f"{name} must be a tensor of floats, got {kind_of(tensor)}")
        if tensor.dtype != like.dtype:
            raise TypeError(f"{name} must be {like.dtype} like {first}, got {tensor.dtype}")


def require_modules(**parts: nn.Module) -> None:
    """Raise unless all are modules.

    Args:
        parts: The arguments to check, by name.

    Raises:
        TypeError: If one is none.
    """
    for name, part in parts.items():
        if not isinstance(part, nn.Module):
            raise TypeError(f"{name} must be an nn.Module, got {kind_of(part)}")


def kind_of(value: object) -> str:
    """Name the type of a value, or of a tensor's elements.

    Args:
        value: Anything.

    Returns:
        Words for an error message.
    """
    return str(value.dtype) if isinstance(value, Tensor) else type(value).__name__


def _require_number(value: object, *, name: str) -> None:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, got {kind_of(value)}")
