"""What a layer is told, described once: stacks and models hand it on by name.

A dictionary with types, not a class: ``TransformerEncoder(num_layers=2, embed_dim=64, ...)`` is
called as PyTorch's is, and a type checker knows every name. The layers themselves hold the
defaults and check the values.
"""

from __future__ import annotations

from typing import TypedDict

from tutorial_lib.attention import PositionBias, Rotation
from tutorial_lib.feed_forward import Activation


class OptionalLayerSettings(TypedDict, total=False):
    """What a layer can be told besides its sizes.

    Args:
        dropout: Probability of dropping while training: attention weights, inside the
            feed-forward, and what each branch adds to the residual stream.
        norm_first: Pre-norm if true, the paper's post-norm if false.
        activation: The feed-forward's nonlinearity, "relu", "gelu" or "gelu_tanh".
        layer_norm_eps: What LayerNorm adds to the variance.
        bias: Whether the linear maps and norms have a bias.
        rotation: How the self-attention turns queries and keys by their positions; see
            :class:`tutorial_lib.attention.MultiheadAttention`.
        position_bias: What the self-attention adds to the scores for the positions.

    Raises:
        TypeError: If a setting is not a number.
        ValueError: If ``dropout`` lies outside [0, 1), ``activation`` is not known, or
            ``layer_norm_eps`` is not above 0.
    """

    dropout: float
    norm_first: bool
    activation: Activation
    layer_norm_eps: float
    bias: bool
    rotation: Rotation | None
    position_bias: PositionBias | None


class LayerSettings(OptionalLayerSettings):
    """Everything that a layer is told.

    Args:
        embed_dim: Width of the tokens.
        num_heads: Number of attention heads; divides ``embed_dim``.
        dim_feedforward: Width inside the feed-forward.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1, or ``num_heads`` does not divide ``embed_dim``.
    """

    embed_dim: int
    num_heads: int
    dim_feedforward: int
