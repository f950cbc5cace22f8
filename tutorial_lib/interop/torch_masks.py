"""The masks of ``nn.MultiheadAttention``, which block where ours allow."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

from tutorial_lib.masks import align_mask, combine_masks
from tutorial_lib.validation import kind_of, require_positive


def to_torch_mask(
    mask: Bool[Tensor, ...], shape: Sequence[int]
) -> Bool[Tensor, "batch_heads query key"]:
    r"""Say a mask as ``nn.MultiheadAttention`` wants it: True where a query may **not** attend.

    .. math:: \bar M_{bH + h,\, i,\, j} = \lnot M_{b,h,i,j}

    Args:
        mask: True where a query may attend; see :func:`tutorial_lib.masks.align_mask`.
        shape: Shape of the scores, ``(batch, heads, query, key)``.

    Returns:
        An ``attn_mask`` for ``nn.MultiheadAttention`` and the modules made of it.

    Raises:
        TypeError: If the mask is not boolean.
        ValueError: If ``shape`` has not four axes, or the mask does not fit it.

    Taught in :doc:`/notebooks/13_masks`.
    """
    if len(shape) != 4:
        raise ValueError(f"shape must be (batch, heads, query, key), got {tuple(shape)}")
    return ~align_mask(mask, shape).expand(*shape).flatten(0, 1)


def from_torch_masks(
    attn_mask: Shaped[Tensor, ...] | None = None,
    key_padding_mask: Shaped[Tensor, "batch key"] | None = None,
    *,
    num_heads: int,
) -> Bool[Tensor, ...] | None:
    """Read the masks of ``nn.MultiheadAttention``: True, or minus infinity, blocks.

    Args:
        attn_mask: ``(query, key)`` or ``(batch * num_heads, query, key)``; boolean, or of floats
            that are 0 where a query may attend and minus infinity where not.
        key_padding_mask: ``(batch, key)``; boolean, True at padding, or such floats.
        num_heads: Number of heads, to tell them from the batch.

    Returns:
        One mask that says both, True where a query may attend, or ``None`` when there is none.

    Raises:
        TypeError: If a mask holds neither booleans nor floats.
        ValueError: If a mask of floats holds something else, or a shape does not fit.

    Taught in :doc:`/notebooks/13_masks`.
    """
    require_positive(num_heads=num_heads)
    if attn_mask is not None:
        attn_mask = _allowed(attn_mask, name="attn_mask")
        if attn_mask.ndim == 3 and len(attn_mask) % num_heads == 0:
            attn_mask = attn_mask.unflatten(0, (-1, num_heads))
        elif attn_mask.ndim != 2:
            raise ValueError(
                f"attn_mask must have shape (query, key) or (batch * {num_heads}, query, key), "
                f"got {tuple(attn_mask.shape)}"
            )
    if key_padding_mask is not None:
        key_padding_mask = _allowed(key_padding_mask, name="key_padding_mask")
        if key_padding_mask.ndim != 2:
            raise ValueError(
                f"key_padding_mask must have shape (batch, key), "
                f"got {tuple(key_padding_mask.shape)}"
            )
        if (
            attn_mask is not None
            and attn_mask.ndim == 4
            and len(attn_mask) != len(key_padding_mask)
        ):
            raise ValueError(
                f"attn_mask must have batch {len(key_padding_mask)} like key_padding_mask, "
                f"got {len(attn_mask)} * {num_heads} masks"
            )
        key_padding_mask = key_padding_mask[:, None, None, :]
    return combine_masks(attn_mask, key_padding_mask)


def _allowed(mask: Tensor, *, name: str) -> Tensor:
    if isinstance(mask, Tensor) and mask.dtype == torch.bool:
        return ~mask
    if not isinstance(mask, Tensor) or not mask.is_floating_point():
        raise TypeError(f"{name} must hold booleans or floats, got {kind_of(mask)}")
    allowed = mask == 0
    if not (allowed | mask.eq(-math.inf)).all():
        raise ValueError(f"{name} must hold 0 and minus infinity only, got other numbers")
    return allowed
