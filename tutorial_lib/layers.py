"""The layers a Transformer is stacked from."""

from __future__ import annotations

from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor, nn

from tutorial_lib.attention import MultiheadAttention, PositionBias, Rotation
from tutorial_lib.cache import MemoryCache, TokenCache
from tutorial_lib.feed_forward import Activation, FeedForward
from tutorial_lib.masks import align_mask
from tutorial_lib.validation import require_above_zero, require_width


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

    The arguments, and what they raise, are those of
    :class:`tutorial_lib.layer_settings.LayerSettings`.

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
        rotation: Rotation | None = None,
        position_bias: PositionBias | None = None,
    ) -> None:
        super().__init__()
        require_above_zero(layer_norm_eps=layer_norm_eps)
        self.norm_first = norm_first
        self.self_attn = MultiheadAttention(
            embed_dim,
            num_heads,
            bias=bias,
            dropout=dropout,
            rotation=rotation,
            position_bias=position_bias,
        )
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
        require_width(x, self.self_attn.embed_dim, name="x")
        first = self.norm_first
        attended, _ = self.self_attn(self.norm1(x) if first else x, attn_mask=attn_mask)
        x = x + self.dropout(attended)
        if first:
            return x + self.dropout(self.feed_forward(self.norm2(x)))
        x = self.norm1(x)
        return self.norm2(x + self.dropout(self.feed_forward(x)))


class TransformerDecoderLayer(nn.Module):
    r"""Let every token look at the earlier ones, then at the memory, then think for itself.

    .. math::
        \begin{aligned}
        \text{post-norm:}\quad & h = \operatorname{LN}(x + \operatorname{MHA}(x)), &
        c &= \operatorname{LN}(h + \operatorname{MHA}(h, m)), &
        y &= \operatorname{LN}(c + \operatorname{FFN}(c)) \\
        \text{pre-norm:}\quad & h = x + \operatorname{MHA}(\operatorname{LN}(x)), &
        c &= h + \operatorname{MHA}(\operatorname{LN}(h), m), &
        y &= c + \operatorname{FFN}(\operatorname{LN}(c))
        \end{aligned}

    The memory m is what an encoder made of the source. Without ``cross_attention`` the middle
    step is left out: the layer of a decoder-only model.

    Args:
        cross_attention: Whether the layer reads a memory; it is as wide as the tokens.

    The other arguments, and what they raise, are those of
    :class:`tutorial_lib.layer_settings.LayerSettings`.

    Source: Vaswani et al. (2017), section 3.1; pre-norm: Xiong et al. (2020).
    Taught in :doc:`/notebooks/22_decoder_and_generation`.
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
        rotation: Rotation | None = None,
        position_bias: PositionBias | None = None,
        cross_attention: bool = True,
    ) -> None:
        super().__init__()
        require_above_zero(layer_norm_eps=layer_norm_eps)

        def norm() -> nn.LayerNorm:
            return nn.LayerNorm(embed_dim, eps=layer_norm_eps, bias=bias)

        def attention(**positions: Any) -> MultiheadAttention:
            return MultiheadAttention(embed_dim, num_heads, bias=bias, dropout=dropout, **positions)

        self.norm_first = norm_first
        self.self_attn = attention(rotation=rotation, position_bias=position_bias)
        self.norm1 = norm()
        self.cross_attn = self.norm2 = None
        if cross_attention:
            self.cross_attn, self.norm2 = attention(), norm()
        self.feed_forward = FeedForward(
            embed_dim=embed_dim,
            dim_feedforward=dim_feedforward,
            dropout=dropout,
            activation=activation,
            bias=bias,
        )
        self.norm3 = norm()
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "batch length embed_dim"],
        memory: Float[Tensor, "batch source embed_dim"] | None = None,
        *,
        attn_mask: Bool[Tensor, ...] | None = None,
        memory_mask: Bool[Tensor, ...] | None = None,
        is_causal: bool = False,
        token_cache: TokenCache | None = None,
        memory_cache: MemoryCache | None = None,
    ) -> Float[Tensor, "batch length embed_dim"]:
        """Transform a batch of sequences.

        Args:
            x: The tokens; with a cache, the new ones only.
            memory: What cross-attention reads; may be left out once ``memory_cache`` is filled.
            attn_mask: True where a token may attend to a token.
            memory_mask: True where a token may attend to a place of the memory.
            is_causal: Also let token i attend to tokens 0..i only.
            token_cache: Keys and values of the earlier tokens.
            memory_cache: Keys and values of the memory.

        Returns:
            The transformed tokens.

        Raises:
            RuntimeError: If a cache is used while gradients are recorded.
            TypeError: If a mask is not boolean.
            ValueError: If the shapes do not fit together, or a memory is missing or not wanted.
        """
        require_width(x, self.self_attn.embed_dim, name="x")
        self._require_memory_if_read(memory, memory_mask, memory_cache)
        first = self.norm_first
        attended, _ = self.self_attn(
            self.norm1(x) if first else x,
            attn_mask=attn_mask,
            is_causal=is_causal,
            cache=token_cache,
        )
        x = x + self._drop(attended)
        x = x if first else self.norm1(x)
        if self.cross_attn is not None and self.norm2 is not None:
            query = self.norm2(x) if first else x
            try:
                attended, _ = self.cross_attn(
                    query, memory, attn_mask=memory_mask, cache=memory_cache
                )
            except (TypeError, ValueError):  # asked afterwards, to name what the layer was given
                self._require_fitting(query, memory, memory_mask)
                raise
            x = x + self._drop(attended)
            x = x if first else self.norm2(x)
        x = x + self._drop(self.feed_forward(self.norm3(x) if first else x))
        return x if first else self.norm3(x)

    def _drop(self, branch: Tensor) -> Tensor:
        # A decoding step is short: even a dropout that does nothing would be felt.
        return self.dropout(branch) if self.training else branch

    def _require_memory_if_read(
        self, memory: Tensor | None, memory_mask: Tensor | None, memory_cache: MemoryCache | None
    ) -> None:
        if self.cross_attn is None:
            if memory is not None or memory_mask is not None:
                raise ValueError("memory must be left out: the decoder has no cross-attention")
        elif memory is None and (memory_cache is None or memory_cache.projected is None):
            raise ValueError("memory must be given: the decoder has cross-attention")

    def _require_fitting(
        self, x: Tensor, memory: Tensor | None, memory_mask: Tensor | None
    ) -> None:
        if memory is None:
            return
        require_width(memory, self.self_attn.embed_dim, name="memory")
        if len(memory) != len(x):
            raise ValueError(f"memory must have batch {len(x)} like x, got {len(memory)}")
        if memory_mask is not None:
            scores = (len(x), self.self_attn.num_heads, x.shape[1], memory.shape[1])
            align_mask(memory_mask, scores, name="memory_mask")
