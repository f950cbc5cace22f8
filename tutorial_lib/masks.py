"""Boolean attention masks: True where a query may attend."""

from __future__ import annotations

from collections.abc import Sequence

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
    Used in :doc:`/notebooks/11_scaled_dot_product_attention`.
    """
    require_positive(length=length)
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()


def padding_mask(
    lengths: Integer[Tensor, " batch"], max_len: int | None = None
) -> Bool[Tensor, "batch 1 1 key"]:
    r"""Let every query attend to the real tokens of its own sequence, and to no padding.

    .. math:: M_{b,1,1,j} = [\, j < \text{length}_b \,]

    Args:
        lengths: Number of real tokens of each sequence, 0 to ``max_len``.
        max_len: Padded length; the longest sequence when left out.

    Returns:
        True where a key is a real token; broadcasts over heads and queries.

    Raises:
        TypeError: If ``lengths`` is not a tensor of integers.
        ValueError: If ``lengths`` has not one axis, is empty, or holds a length outside
            0 to ``max_len``.

    Source: Vaswani et al. (2017), section 3.2.3.
    Used in :doc:`/notebooks/11_scaled_dot_product_attention`.
    """
    if not isinstance(lengths, Tensor) or lengths.dtype not in INTEGERS:
        raise TypeError(f"lengths must be a tensor of integers, got {kind_of(lengths)}")
    if lengths.ndim != 1 or lengths.numel() == 0:
        raise ValueError(f"lengths must have shape (batch,), got {tuple(lengths.shape)}")
    shortest, longest = int(lengths.min()), int(lengths.max())
    if max_len is None:
        max_len = longest
    require_positive(max_len=max_len)
    if shortest < 0 or longest > max_len:
        raise ValueError(f"lengths must lie in 0..{max_len} (max_len), got {shortest}..{longest}")
    position = torch.arange(max_len, device=lengths.device)
    return (position < lengths[:, None])[:, None, None, :]  # (batch, 1, 1, key)


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

    Used in :doc:`/notebooks/11_scaled_dot_product_attention`.
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


def align_mask(mask: Bool[Tensor, ...], shape: Sequence[int]) -> Bool[Tensor, ...]:
    """Bring a mask to the number of axes of the scores it restricts.

    A 2-D mask is ``(query, key)``. For scores of shape ``(batch, heads, query, key)`` a 3-D mask
    is ``(batch, query, key)``, also where the batch is as large as the number of heads. Any other
    mask has one axis for each axis of the scores.

    Args:
        mask: True where a query may attend.
        shape: Shape of the scores, ``(..., query, key)``.

    Returns:
        The mask, ready to broadcast against the scores.

    Raises:
        TypeError: If the mask is not boolean.
        ValueError: If its axes do not fit the scores.

    Taught in :doc:`/notebooks/12_multi_head_attention`.
    """
    _require_boolean(mask, name="attn_mask")
    aligned = mask.unsqueeze(1) if (mask.ndim, len(shape)) == (3, 4) else mask
    fits = aligned.ndim in (2, len(shape)) and all(
        ours in (1, theirs) for ours, theirs in zip(aligned.shape[::-1], shape[::-1], strict=False)
    )
    if not fits:
        raise ValueError(
            f"attn_mask must broadcast to the scores' shape {tuple(shape)} "
            f"(2-D: query, key; 3-D: batch, query, key), got {tuple(mask.shape)}"
        )
    return aligned


def _require_boolean(mask: Tensor, *, name: str) -> None:
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        raise TypeError(
            f"{name} must be boolean, True where a query may attend; got {kind_of(mask)}"
        )
