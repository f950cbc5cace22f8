"""The weights of scaled dot-product attention: who attends to whom, and how much."""

from __future__ import annotations

import math

from jaxtyping import Bool, Float
from torch import Tensor

from tutorial_lib.masks import align_mask
from tutorial_lib.validation import require_floats


def attention_weights(
    query: Float[Tensor, "*batch query head_dim"],
    key: Float[Tensor, "*batch key head_dim"],
    attn_mask: Bool[Tensor, ...] | None = None,
    *,
    score_bias: Float[Tensor, ...] | None = None,
) -> Float[Tensor, "*batch query key"]:
    r"""Say how much each query attends to each key.

    .. math:: A = \operatorname{softmax}\left(\frac{Q K^\top}{\sqrt{d_k}} + B\right)

    The softmax runs over the keys that the mask allows. A query that may attend to no key gets a
    row of zeros.

    Args:
        query: The queries.
        key: The keys.
        attn_mask: True where a query may attend; see :func:`tutorial_lib.masks.align_mask`.
        score_bias: What is added to the scores, B, such as
            :func:`tutorial_lib.relative_positions.alibi_bias`, ``(heads, query, key)``; broadcasts
            to the scores. Nothing when left out.

    Returns:
        Weights whose rows sum to one, or to zero where nothing may be attended to.

    Raises:
        TypeError: If the tensors are not of one float type, or ``attn_mask`` is not boolean.
        ValueError: If the shapes do not fit together.

    Source: Vaswani et al. (2017), equation 1.
    Taught in :doc:`/notebooks/11_scaled_dot_product_attention`.
    """
    _require_matching(query, key)
    # Scaling the query, not the product, keeps large scores inside float16.
    scores = query / math.sqrt(query.shape[-1]) @ key.transpose(-2, -1)
    if score_bias is not None:
        _require_bias(score_bias, scores)
        scores = scores + score_bias
    if attn_mask is None:
        return scores.softmax(dim=-1)
    allowed = align_mask(attn_mask, scores.shape)
    empty = ~allowed.any(dim=-1, keepdim=True)
    # An empty row would be softmax(-inf, -inf, ...) = NaN: give it any finite scores, then zeros.
    scores = scores.masked_fill(~allowed, -math.inf).masked_fill(empty, 0.0)
    return scores.softmax(dim=-1).masked_fill(empty, 0.0)


def _require_bias(score_bias: Tensor, scores: Tensor) -> None:
    require_floats(scores=scores, score_bias=score_bias)
    fits = score_bias.ndim <= scores.ndim and all(
        ours in (1, theirs)
        for ours, theirs in zip(score_bias.shape[::-1], scores.shape[::-1], strict=False)
    )
    if not fits:
        raise ValueError(
            f"score_bias must broadcast to the scores' shape {tuple(scores.shape)}, "
            f"got {tuple(score_bias.shape)}"
        )


def _require_matching(query: Tensor, key: Tensor) -> None:
    require_floats(query=query, key=key)
    if query.ndim < 2:
        raise ValueError(f"query must have shape (..., query, head_dim), got {tuple(query.shape)}")
    if (
        key.ndim != query.ndim
        or key.shape[:-2] != query.shape[:-2]
        or key.shape[-1] != query.shape[-1]
    ):
        wanted = (*query.shape[:-2], "key", query.shape[-1])
        raise ValueError(
            f"key must have shape ({', '.join(map(str, wanted))}) to fit query "
            f"{tuple(query.shape)}, got {tuple(key.shape)}"
        )
