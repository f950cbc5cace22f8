"""Scaled dot-product attention and multi-head attention."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tutorial_lib.attention_weights import attention_weights
from tutorial_lib.cache import MemoryCache, TokenCache
from tutorial_lib.masks import align_mask, causal_mask, combine_masks
from tutorial_lib.validation import (
    require_floats,
    require_positive,
    require_probability,
    require_width,
)

Rotation = Callable[[Tensor, int], Tensor]  # vectors, position of the first -> turned vectors
PositionBias = Callable[..., Tensor]  # (keys, *, start, device) -> what is added to the scores


def scaled_dot_product_attention(
    query: Float[Tensor, "*batch query head_dim"],
    key: Float[Tensor, "*batch key head_dim"],
    value: Float[Tensor, "*batch key value_dim"],
    attn_mask: Bool[Tensor, ...] | None = None,
) -> tuple[Float[Tensor, "*batch query value_dim"], Float[Tensor, "*batch query key"]]:
    r"""Average the values, each weighted by how well its key fits the query.

    .. math::
        \operatorname{Attention}(Q, K, V)
        = \operatorname{softmax}\left(\frac{Q K^\top}{\sqrt{d_k}}\right) V

    Args:
        query: The queries.
        key: The keys.
        value: The values, one for each key.
        attn_mask: True where a query may attend; see :func:`tutorial_lib.masks.align_mask`.

    Returns:
        The output and the weights. A query that may attend to nothing gets zeros in both.

    Raises:
        TypeError: If the tensors are not of one float type, or ``attn_mask`` is not boolean.
        ValueError: If the shapes do not fit together.

    Source: Vaswani et al. (2017), equation 1.
    Taught in :doc:`/notebooks/11_scaled_dot_product_attention`.
    """
    require_floats(query=query, key=key, value=value)
    if value.shape[:-1] != key.shape[:-1]:
        raise ValueError(
            f"value must have one row for each key: key has shape {tuple(key.shape)}, "
            f"got {tuple(value.shape)}"
        )
    weights = attention_weights(query, key, attn_mask)
    return weights @ value, weights


class MultiheadAttention(nn.Module):
    r"""Attend several times side by side, each head in a subspace of its own.

    .. math::
        \begin{aligned}
        \operatorname{MultiHead}(Q, K, V) &= \operatorname{concat}(h_1, \dots, h_H) W^O \\
        h_i &= \operatorname{Attention}(Q W_i^Q, K W_i^K, V W_i^V)
        \end{aligned}

    Args:
        embed_dim: Width of the queries and of the output.
        num_heads: Number of heads; divides ``embed_dim``.
        kdim: Width of the keys; ``embed_dim`` when left out.
        vdim: Width of the values; ``embed_dim`` when left out.
        bias: Whether the four projections have a bias.
        dropout: Probability of dropping an attention weight while training.
        rotation: Turns queries and keys by their positions, such as a
            :class:`tutorial_lib.relative_positions.RotaryEmbedding` of the heads' width. For
            self-attention, like the next.
        position_bias: What is added to the scores for the positions of query and key, such as
            ``partial(alibi_bias, num_heads)``
            (:func:`tutorial_lib.relative_positions.alibi_bias`); called with the number of keys,
            the first query's position ``start``, and the ``device``.

    Raises:
        TypeError: If a size is not an integer, or ``dropout`` not a number.
        ValueError: If a size is below 1, ``num_heads`` does not divide ``embed_dim``, or
            ``dropout`` lies outside [0, 1).

    Source: Vaswani et al. (2017), section 3.2.2.
    Taught in :doc:`/notebooks/12_multi_head_attention`.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        *,
        kdim: int | None = None,
        vdim: int | None = None,
        bias: bool = True,
        dropout: float = 0.0,
        rotation: Rotation | None = None,
        position_bias: PositionBias | None = None,
    ) -> None:
        super().__init__()
        kdim = embed_dim if kdim is None else kdim
        vdim = embed_dim if vdim is None else vdim
        require_positive(embed_dim=embed_dim, num_heads=num_heads, kdim=kdim, vdim=vdim)
        require_probability(dropout=dropout)
        if embed_dim % num_heads:
            raise ValueError(f"num_heads must divide embed_dim={embed_dim}, got {num_heads}")
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        self.rotation, self.position_bias = rotation, position_bias
        self.q_proj = nn.Linear(embed_dim, embed_dim, bias=bias)
        self.k_proj = nn.Linear(kdim, embed_dim, bias=bias)
        self.v_proj = nn.Linear(vdim, embed_dim, bias=bias)
        self.out_proj = nn.Linear(embed_dim, embed_dim, bias=bias)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw Xavier-uniform weights; biases start at zero."""
        for projection in (self.q_proj, self.k_proj, self.v_proj, self.out_proj):
            nn.init.xavier_uniform_(projection.weight)
            if projection.bias is not None:
                nn.init.zeros_(projection.bias)

    def forward(
        self,
        query: Float[Tensor, "batch query embed_dim"],
        key: Float[Tensor, "batch key kdim"] | None = None,
        value: Float[Tensor, "batch key vdim"] | None = None,
        *,
        attn_mask: Bool[Tensor, ...] | None = None,
        is_causal: bool = False,
        need_weights: bool = False,
        cache: TokenCache | MemoryCache | None = None,
    ) -> tuple[
        Float[Tensor, "batch query embed_dim"], Float[Tensor, "batch heads query keys"] | None
    ]:
        """Attend from the queries to the keys.

        Args:
            query: The queries.
            key: The keys; the queries themselves (self-attention) when left out.
            value: The values; the keys when left out.
            attn_mask: True where a query may attend; see :func:`tutorial_lib.masks.align_mask`.
            is_causal: Also let query i attend to keys 0..i only. With a cache the queries are the
                last of the keys.
            need_weights: Whether to return the weights, which takes the explicit path.
            cache: Keys and values from earlier calls: those of the earlier tokens, which the new
                ones are written behind, or those of a memory, computed at the first call only.

        Returns:
            The output, and the weights of each head (before dropout) or ``None``.

        Raises:
            RuntimeError: If a cache is used while gradients are recorded.
            TypeError: If an input is not a tensor, or ``attn_mask`` is not boolean.
            ValueError: If the shapes do not fit together, or the cache has not enough room.
        """
        is_relative = self.rotation is not None or self.position_bias is not None
        if is_relative and key is not None:
            raise ValueError(
                "key must be left out with rotation or position_bias: they are of one sequence"
            )
        key = query if key is None else key
        value = key if value is None else value
        self._require_inputs(query, key, value)
        if is_causal and query.shape[1] != key.shape[1]:
            raise ValueError(
                f"is_causal needs as many keys as queries, "
                f"got {key.shape[1]} keys for {query.shape[1]} queries"
            )
        start = 0 if cache is None else cache.start  # position of the first query

        def project() -> tuple[Tensor, Tensor]:
            k = self._split_heads(self.k_proj(key))  # (batch, head, key, head_dim)
            v = self._split_heads(self.v_proj(value))  # (batch, head, key, head_dim)
            return (k if self.rotation is None else self.rotation(k, start)), v

        q = self._split_heads(self.q_proj(query))  # (batch, head, query, head_dim)
        q = q if self.rotation is None else self.rotation(q, start)
        k, v = project() if cache is None else cache.extend(project)
        if len(k) != len(q):
            raise ValueError(f"cache must have batch {len(q)} like query, got {len(k)}")
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            attn_mask = self._mask(q, k, attn_mask, start if is_causal else None)
            weights = attention_weights(q, k, attn_mask, score_bias=self._bias(q, k, start))
            heads = F.dropout(weights, dropout) @ v
        else:
            heads = self._fused(q, k, v, attn_mask, start, is_causal=is_causal, dropout=dropout)
        merged = heads.transpose(1, 2).flatten(start_dim=2)  # (batch, query, embed_dim)
        return self.out_proj(merged), weights

    def _fused(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        mask: Tensor | None,
        start: int,
        *,
        is_causal: bool,
        dropout: float,
    ) -> Tensor:
        bias = self._bias(q, k, start)
        # The kernel takes is_causal only alone, and only for queries that start where the keys do.
        by_kernel = is_causal and mask is None and bias is None and start == 0
        mask = self._mask(q, k, mask, None if by_kernel or not is_causal else start)
        if bias is not None:
            mask = bias if mask is None else bias.masked_fill(~mask, -math.inf)
        return F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=by_kernel
        )

    def _mask(
        self, q: Tensor, k: Tensor, mask: Tensor | None, causal_from: int | None
    ) -> Tensor | None:
        length = k.shape[-2]
        if mask is not None:
            mask = align_mask(mask, (*q.shape[:-1], length))
        if causal_from is None or causal_from == length - 1:  # the last query may see every key
            return mask
        return combine_masks(mask, causal_mask(length, device=q.device)[causal_from:])

    def _bias(self, q: Tensor, k: Tensor, start: int) -> Tensor | None:
        if self.position_bias is None:
            return None
        return self.position_bias(k.shape[-2], start=start, device=q.device).to(q.dtype)

    def _split_heads(self, x: Tensor) -> Tensor:
        # (batch, length, embed_dim) -> (batch, head, length, head_dim)
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def _require_inputs(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        width = self.embed_dim
        require_width(query, width, name="query")
        if key is query is value and self.k_proj.in_features == self.v_proj.in_features == width:
            return  # self-attention: there is nothing more to compare
        require_width(key, self.k_proj.in_features, name="key")
        require_width(value, self.v_proj.in_features, name="value")
        if key.shape[0] != query.shape[0]:
            raise ValueError(f"key must have batch {query.shape[0]} like query, got {key.shape[0]}")
        if value.shape[:2] != key.shape[:2]:
            raise ValueError(
                f"value must have one row for each key: key has shape {tuple(key.shape)}, "
                f"got {tuple(value.shape)}"
            )

    def extra_repr(self) -> str:
        """Show the sizes when the module is printed."""
        return f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, dropout={self.dropout}"
