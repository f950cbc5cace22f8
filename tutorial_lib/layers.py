"""The layers a Transformer is stacked from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tutorial_lib.attention import MultiheadAttention
from tutorial_lib.validation import (
    require_above_zero,
    require_positive,
    require_probability,
    require_width,
)

Activation = Literal["relu", "gelu"]
ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu}


class FeedForward(nn.Module):
    r"""Transform every position on its own: widen, bend, narrow.

    .. math:: \operatorname{FFN}(x) = \sigma(x W_1 + b_1) W_2 + b_2

    Args:
        embed_dim: Width of the input and of the output.
        dim_feedforward: Width in between.
        dropout: Probability of dropping an element in between while training.
        activation: The nonlinearity, "relu" or "gelu".
        bias: Whether the two linear maps have a bias.

    Raises:
        TypeError: If a size is not an integer, or another setting not a number.
        ValueError: If a size is below 1, ``dropout`` lies outside [0, 1), or ``activation`` is
            not known.

    Source: Vaswani et al. (2017), equation 2.
    Taught in :doc:`/notebooks/21_encoder`.
    """

    def __init__(
        self,
        *,
        embed_dim: int,
        dim_feedforward: int,
        dropout: float = 0.0,
        activation: Activation = "relu",
        bias: bool = True,
    ) -> None:
        super().__init__()
        require_positive(embed_dim=embed_dim, dim_feedforward=dim_feedforward)
        require_probability(dropout=dropout)
        if not isinstance(activation, str) or activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {sorted(ACTIVATIONS)}, got {activation!r}")
        self.activation: Activation = activation
        self.linear1 = nn.Linear(embed_dim, dim_feedforward, bias=bias)
        self.dropout = nn.Dropout(dropout)
        self.linear2 = nn.Linear(dim_feedforward, embed_dim, bias=bias)

    def forward(
        self, x: Float[Tensor, "batch length embed_dim"]
    ) -> Float[Tensor, "batch length embed_dim"]:
        """Transform every position.

        Args:
            x: The tokens.

        Returns:
            The transformed tokens.

        Raises:
            ValueError: If the width differs from ``embed_dim``.
        """
        require_width(x, self.linear1.in_features, name="x")
        hidden = ACTIVATIONS[self.activation](self.linear1(x))
        return self.linear2(self.dropout(hidden))


class TransformerEncoderLayer(nn.Module):
    r"""Let every token look at the others, then think for itself.

    .. math::
        \begin{aligned}
        \text{post-norm:}\quad & h = \operatorname{LN}(x + \operatorname{MHA}(x)), &
        y &= \operatorname{LN}(h + \operatorname{FFN}(h)) \\
        \text{pre-norm:}\quad & h = x + \operatorname{MHA}(\operatorname{LN}(x)), &
        y &= h + \operatorname{FFN}(\operatorname{LN}(h))
        \end{aligned}

    Dropout acts on the attention weights, inside the feed-forward, and on what each of the two
    branches adds to the residual stream.

    Args:
        embed_dim: Width of the tokens.
        num_heads: Number of attention heads; divides ``embed_dim``.
        dim_feedforward: Width inside the feed-forward.
        dropout: Probability of dropping, at each of the four sites, while training.
        norm_first: Pre-norm if true, the paper's post-norm if false.
        activation: The feed-forward's nonlinearity, "relu" or "gelu".
        layer_norm_eps: What LayerNorm adds to the variance.
        bias: Whether the linear maps and norms have a bias.

    Raises:
        TypeError: If a size is not an integer, or another setting not a number.
        ValueError: If a size is below 1, ``num_heads`` does not divide ``embed_dim``,
            ``dropout`` lies outside [0, 1), ``activation`` is not known, or ``layer_norm_eps`` is
            not above 0.

    Source: Vaswani et al. (2017), section 3.1; pre-norm: Xiong et al. (2020).
    Taught in :doc:`/notebooks/21_encoder`.
    """

    def __init__(
        self,
        *,
        embed_dim: int,
        num_heads: int,
        dim_feedforward: int,
        dropout: float = 0.0,
        norm_first: bool = False,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        bias: bool = True,
    ) -> None:
        super().__init__()
        require_above_zero(layer_norm_eps=layer_norm_eps)
        self.norm_first = norm_first
        self.self_attn = MultiheadAttention(embed_dim, num_heads, bias=bias, dropout=dropout)
        self.feed_forward = FeedForward(
            embed_dim=embed_dim,
            dim_feedforward=dim_feedforward,
            dropout=dropout,
            activation=activation,
            bias=bias,
        )
        self.norm1 = nn.LayerNorm(embed_dim, eps=layer_norm_eps, bias=bias)
        self.norm2 = nn.LayerNorm(embed_dim, eps=layer_norm_eps, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "batch length embed_dim"],
        attn_mask: Bool[Tensor, ...] | None = None,
    ) -> Float[Tensor, "batch length embed_dim"]:
        """Transform a batch of sequences.

        Args:
            x: The tokens.
            attn_mask: True where a query may attend; see :func:`tutorial_lib.masks.align_mask`.

        Returns:
            The transformed tokens.

        Raises:
            TypeError: If ``attn_mask`` is not boolean.
            ValueError: If the shapes do not fit together.
        """
        return self._run(x, attn_mask, need_weights=False)[0]

    def with_attention_map(
        self,
        x: Float[Tensor, "batch length embed_dim"],
        attn_mask: Bool[Tensor, ...] | None = None,
    ) -> tuple[Float[Tensor, "batch length embed_dim"], Float[Tensor, "batch heads query key"]]:
        """Transform a batch of sequences and show who attended to whom.

        Args:
            x: The tokens.
            attn_mask: True where a query may attend; see :func:`tutorial_lib.masks.align_mask`.

        Returns:
            The transformed tokens, and the attention weights of each head.

        Raises:
            TypeError: If ``attn_mask`` is not boolean.
            ValueError: If the shapes do not fit together.
        """
        output, weights = self._run(x, attn_mask, need_weights=True)
        assert weights is not None  # for the type checker: weights were asked for
        return output, weights

    def _run(
        self, x: Tensor, attn_mask: Tensor | None, *, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        require_width(x, self.self_attn.embed_dim, name="x")
        attended, weights = self.self_attn(
            self.norm1(x) if self.norm_first else x, attn_mask=attn_mask, need_weights=need_weights
        )
        x = x + self.dropout(attended)
        if self.norm_first:
            return x + self.dropout(self.feed_forward(self.norm2(x))), weights
        x = self.norm1(x)
        return self.norm2(x + self.dropout(self.feed_forward(x))), weights
