"""Boolean attention masks: True where a query may attend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Integer
from torch import Tensor

from tutorial_lib.validation import kind_of, require_positive

INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def causal_mask(length: int, *, device: torch.device | None = None) -> Bool[Tensor, "query key"]:
    r"""Let position i attend to positions 0..i.

    .. math:: M_{ij} = [\, j \le i \,]

    Args:
        length: Number of positions, at least 1.
        device: Where the mask is made.

    Returns:
        True where a query may attend.

    Raises:
        TypeError: If ``length`` is not an integer.
        ValueError: If ``length`` is below 1.

    Source: Vaswani et al. (2017), section 3.2.3.
    Taught in :doc:`/notebooks/13_masks`.
    """
    require_positive(length=length)
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()


def padding_mask(
    lengths: Integer[Tensor, " batch"],
    max_len: int | None = None,
    *,
    side: Literal["right", "left"] = "right",
) -> Bool[Tensor, "batch 1 1 key"]:
    r"""Let every query attend to the real tokens of its own sequence, and to no padding.

    .. math::
        M_{b,1,1,j} = [\, j < \text{length}_b \,] \quad\text{or, padded on the left,}\quad
        [\, j \ge \text{max\_len} - \text{length}_b \,]

    Args:
        lengths: Number of real tokens of each sequence, 0 to ``max_len``.
        max_len: Padded length; the longest sequence when left out.
        side: Where the padding stands, "right" of the real tokens or "left".

    Returns:
        True where a key is a real token; broadcasts over heads and queries.

    Raises:
        TypeError: If ``lengths`` is not a tensor of integers.
        ValueError: If ``lengths`` has not one axis, is empty, or holds a length outside
            0 to ``max_len``, or none above 0 without ``max_len``, or ``side`` is not known.

    Source: Vaswani et al. (2017), section 3.2.3.
    Taught in :doc:`/notebooks/13_masks`.
    """
    shortest, longest = _require_lengths(lengths, name="lengths")
    if max_len is None:
        if longest < 1:
            raise ValueError(
                f"lengths must hold one above 0 when max_len is left out, got at most {longest}"
            )
        max_len = longest
    require_positive(max_len=max_len)
    if shortest < 0 or longest > max_len:
        raise ValueError(f"lengths must lie in 0..{max_len} (max_len), got {shortest}..{longest}")
    if side not in ("right", "left"):
        raise ValueError(f"side must be 'right' or 'left', got {side!r}")
    position = torch.arange(max_len, device=lengths.device)
    if side == "left":
        position = position.flip(0)
    return (position < lengths[:, None])[:, None, None, :]  # (batch, 1, 1, key)


def sliding_window_mask(
    length: int, window: int, *, device: torch.device | None = None
) -> Bool[Tensor, "query key"]:
    r"""Let position i attend to the positions nearer than ``window``, itself included.

    .. math:: M_{ij} = [\, |i - j| < w \,]

    Combined with :func:`causal_mask` it leaves the last ``window`` positions up to i.

    Args:
        length: Number of positions, at least 1.
        window: Width of the window to each side, at least 1.
        device: Where the mask is made.

    Returns:
        True where a query may attend.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1.

    Source: Beltagy et al. (2020), section 3.1.
    Taught in :doc:`/notebooks/13_masks`.
    """
    require_positive(length=length, window=window)
    position = torch.arange(length, device=device)
    return (position[:, None] - position).abs() < window


def prefix_mask(
    prefix_lengths: Integer[Tensor, " batch"], length: int
) -> Bool[Tensor, "batch 1 query key"]:
    r"""Let every position see the whole prefix of its sequence, and what comes before itself.

    .. math:: M_{b,1,i,j} = [\, j < \text{prefix}_b \,] \lor [\, j \le i \,]

    Args:
        prefix_lengths: Number of tokens of each sequence that are given from the start, 0 to
            ``length``.
        length: Number of positions.

    Returns:
        True where a query may attend; broadcasts over heads.

    Raises:
        TypeError: If ``prefix_lengths`` is not a tensor of integers, or ``length`` not an integer.
        ValueError: If ``prefix_lengths`` has not one axis, is empty, or holds a length outside
            0 to ``length``.

    Source: Raffel et al. (2020), section 3.2.1.
    Taught in :doc:`/notebooks/13_masks`.
    """
    shortest, longest = _require_lengths(prefix_lengths, name="prefix_lengths")
    if shortest < 0 or longest > length:
        raise ValueError(
            f"prefix_lengths must lie in 0..{length} (length), got {shortest}..{longest}"
        )
    causal = causal_mask(length, device=prefix_lengths.device)
    in_prefix = torch.arange(length, device=prefix_lengths.device) < prefix_lengths[:, None]
    return causal | in_prefix[:, None, None, :]


def combine_masks(*masks: Bool[Tensor, ...] | None) -> Bool[Tensor, ...] | None:
    r"""Let a query attend only where every mask lets it.

    .. math:: M = M^{(1)} \wedge M^{(2)} \wedge \dots

    Args:
        masks: Boolean masks of 2, 3 or 4 axes, read as :func:`align_mask` reads them.
            ``None`` stands for "no restriction" and is passed over.

    Returns:
        The masks' logical and, or ``None`` when there is none to combine.

    Raises:
        TypeError: If a mask is not boolean.
        ValueError: If a mask has not 2, 3 or 4 axes, or two do not broadcast against each other.

    Taught in :doc:`/notebooks/13_masks`.
    """
    given = [mask for mask in masks if mask is not None]
    if not given:
        return None
    for mask in given:
        _require_boolean(mask, name="masks")
        if mask.ndim not in (2, 3, 4):
            raise ValueError(f"masks must have 2, 3 or 4 axes, got shape {tuple(mask.shape)}")
    if max(mask.ndim for mask in given) == 4:  # a 3-D mask is (batch, query, key) beside a 4-D one
        given = [mask.unsqueeze(1) if mask.ndim == 3 else mask for mask in given]
    combined = given[0]
    for mask in given[1:]:
        try:
            combined = combined & mask
        except RuntimeError:
            raise ValueError(
                f"masks must broadcast against each other, got shapes "
                f"{tuple(combined.shape)} and {tuple(mask.shape)}"
            ) from None
    return combined


def align_mask(
    mask: Bool[Tensor, ...], shape: Sequence[int], *, name: str = "attn_mask"
) -> Bool[Tensor, ...]:
    """Bring a mask to the number of axes of the scores it restricts.

    A 2-D mask is ``(query, key)``. For scores of shape ``(batch, heads, query, key)`` a 3-D mask
    is ``(batch, query, key)``, also where the batch is as large as the number of heads. Any other
    mask has one axis for each axis of the scores.

    Args:
        mask: True where a query may attend.
        shape: Shape of the scores, ``(..., query, key)``.
        name: What the caller calls the mask.

    Returns:
        The mask, ready to broadcast against the scores.

    Raises:
        TypeError: If the mask is not boolean.
        ValueError: If its axes do not fit the scores.

    Taught in :doc:`/notebooks/13_masks`.
    """
    _require_boolean(mask, name=name)
    aligned = mask.unsqueeze(1) if (mask.ndim, len(shape)) == (3, 4) else mask
    fits = aligned.ndim in (2, len(shape)) and all(
        ours in (1, theirs) for ours, theirs in zip(aligned.shape[::-1], shape[::-1], strict=False)
    )
    if not fits:
        raise ValueError(
            f"{name} must broadcast to the scores' shape {tuple(shape)} "
            f"(2-D: query, key; 3-D: batch, query, key), got {tuple(mask.shape)}"
        )
    return aligned


def _require_lengths(lengths: Tensor, *, name: str) -> tuple[int, int]:
    if not isinstance(lengths, Tensor) or lengths.dtype not in INTEGERS:
        raise TypeError(f"{name} must be a tensor of integers, got {kind_of(lengths)}")
    if lengths.ndim != 1 or lengths.numel() == 0:
        raise ValueError(f"{name} must have shape (batch,), got {tuple(lengths.shape)}")
    return int(lengths.min()), int(lengths.max())


def _require_boolean(mask: Tensor, *, name: str) -> None:
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        raise TypeError(
            f"{name} must be boolean, True where a query may attend; got {kind_of(mask)}"
        )
