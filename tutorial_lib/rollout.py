"""Attention rollout: where the tokens of the last layer have their news from."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor

from tutorial_lib.validation import kind_of, require_probability

ROUNDING = 1e-2  # a row of half-precision weights may miss 1 by some thousandths


def attention_rollout(
    maps: Sequence[Float[Tensor, "batch _heads query key"]], *, residual: float = 0.5
) -> Float[Tensor, "batch query key"]:
    r"""Follow attention through all layers, from the last down to the tokens that came in.

    .. math::
        R = \tilde A^{(L)} \cdots \tilde A^{(2)} \tilde A^{(1)}, \qquad
        \tilde A^{(\ell)} = (1 - r) \, \frac1H \sum_h A^{(\ell, h)} + r I

    Each layer is read as a step of a walk: with probability r a token stays where it is, along the
    residual connection, else it goes where a head drawn at random attends. R says where a walk
    from the top of the stack ends. What the values hold, and the feed-forward networks, play no
    part in it.

    Args:
        maps: The attention weights of self-attention, one tensor a layer, first to last; layers
            may have different numbers of heads.
        residual: Share of the residual connection, r; a half in the paper.

    Returns:
        A matrix for each sequence; row i says how much output token i has of each input token.
        Every row sums to one. A query that may attend to nothing keeps what it has.

    Raises:
        TypeError: If a map is not a tensor of floats, or ``residual`` not a number.
        ValueError: If there is no map, they do not fit each other, a row is neither weights that
            sum to one nor all zeros, or ``residual`` lies outside [0, 1).

    Source: Abnar and Zuidema (2020), section 3.
    Taught in :doc:`/notebooks/45_vision_transformer`.
    """
    require_probability(residual=residual)
    if not len(maps):
        raise ValueError("maps must hold at least one layer, got none")
    for index, weights in enumerate(maps):
        _require_map(weights, like=maps[0], name=f"maps[{index}]")
    return reduce(lambda below, step: step @ below, (_step(layer, residual) for layer in maps))


def _step(weights: Tensor, residual: float) -> Tensor:
    heads = weights.mean(dim=1)
    stay = torch.eye(heads.shape[-1], dtype=heads.dtype, device=heads.device)
    # A head without a key to attend to gives a row of zeros: what is missing to one stays.
    missing = 1 - heads.sum(dim=-1, keepdim=True)
    return (1 - residual) * (heads + missing * stay) + residual * stay


def _require_map(weights: Tensor, *, like: Tensor, name: str) -> None:
    if not isinstance(weights, Tensor) or not weights.is_floating_point():
        raise TypeError(f"{name} must be a tensor of floats, got {kind_of(weights)}")
    if weights.ndim != 4 or weights.shape[2] != weights.shape[3]:
        raise ValueError(
            f"{name} must have shape (batch, heads, length, length), got {tuple(weights.shape)}"
        )
    (batch, _, length, _), (wanted_batch, _, wanted_length, _) = weights.shape, like.shape
    if (batch, length) != (wanted_batch, wanted_length):
        raise ValueError(
            f"{name} must have batch {wanted_batch} and length {wanted_length} like maps[0], "
            f"got {batch} and {length}"
        )
    sums = weights.sum(dim=-1)
    is_weights = ((sums - 1).abs() < ROUNDING) | (sums == 0)
    if weights.numel() and (weights.min() < 0 or not is_weights.all()):
        raise ValueError(f"{name} must hold weights, whose rows sum to one or are all 0")
