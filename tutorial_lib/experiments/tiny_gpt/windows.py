"""Windows over a long stream of tokens: all of them to train on, each token once to evaluate."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor

from tutorial_lib.validation import require_positive


def every_window(stream: Int[Tensor, " stream"], length: int) -> Int[Tensor, "windows length"]:
    r"""Lay a window at every place of a stream.

    .. math:: w_i = (t_i, \dots, t_{i + \text{length} - 1}), \qquad
        i = 0, \dots, n - \text{length}

    Args:
        stream: The tokens, n of them.
        length: Tokens in a window.

    Returns:
        The windows, a view on the stream that takes no memory of its own.

    Raises:
        TypeError: If ``length`` is not an integer.
        ValueError: If it is below 1 or above n.

    Taught in :doc:`/notebooks/44_tiny_gpt`.
    """
    require_positive(length=length)
    if length > len(stream):
        raise ValueError(f"length must be at most {len(stream)}, the stream's, got {length}")
    return stream.unfold(0, length, 1)


def windows_in_order(
    stream: Int[Tensor, " stream"], length: int, *, filler: int = 0
) -> Int[Tensor, "windows length"]:
    """Cut a stream into windows that do not overlap.

    Args:
        stream: The tokens; at least one.
        length: Tokens in a window.
        filler: What the last window is filled up with.

    Returns:
        The windows, in order.

    Raises:
        TypeError: If ``length`` is not an integer.
        ValueError: If it is below 1, or the stream is empty.

    Taught in :doc:`/notebooks/44_tiny_gpt`.
    """
    require_positive(length=length)
    if not len(stream):
        raise ValueError("stream must have at least one token, got none")
    return F.pad(stream, (0, -len(stream) % length), value=filler).view(-1, length)
