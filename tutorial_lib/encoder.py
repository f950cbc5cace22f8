"""The encoder: a stack of layers that read a sequence."""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tutorial_lib.feed_forward import Activation
from tutorial_lib.layers import TransformerEncoderLayer
from tutorial_lib.validation import require_positive


class TransformerEncoder(nn.Module):
    r"""Pass the tokens through one encoder layer after the other.

    .. math:: x^{(\ell)} = \operatorname{layer}_\ell(x^{(\ell-1)}), \qquad \ell = 1, \dots, L

    Each layer is built and initialised on its own. A pre-norm stack ends with one more LayerNorm,
    because its last layer adds to the residual stream without normalising it.

    Args:
        num_layers: Number of layers.
        embed_dim: Width of the tokens.
        num_heads: Number of attention heads; divides ``embed_dim``.
        dim_feedforward: Width inside the feed-forward.
        dropout: Probability of dropping while training.
        norm_first: Pre-norm if true, the paper's post-norm if false.
        activation: The feed-forward's nonlinearity, "relu", "gelu" or "gelu_tanh".
        layer_norm_eps: What LayerNorm adds to the variance.
        bias: Whether the linear maps and norms have a bias.
        final_norm: Whether a LayerNorm follows the last layer; as ``norm_first`` when left out.

    Attributes:
        layers: The layers, first to last.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1, ``num_heads`` does not divide ``embed_dim``,
            ``dropout`` lies outside [0, 1), ``activation`` is not known, or ``layer_norm_eps`` is
            not above 0.

    Source: Vaswani et al. (2017), section 3.1.
    Taught in :doc:`/notebooks/21_encoder`.
    """

    def __init__(
        self,
        *,
        num_layers: int,
        embed_dim: int,
        num_heads: int,
        dim_feedforward: int,
        dropout: float = 0.0,
        norm_first: bool = False,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        bias: bool = True,
        final_norm: bool | None = None,
    ) -> None:
        super().__init__()
        require_positive(num_layers=num_layers)
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.layers = nn.ModuleList(
            TransformerEncoderLayer(
                embed_dim=embed_dim,
                num_heads=num_heads,
                dim_feedforward=dim_feedforward,
                dropout=dropout,
                norm_first=norm_first,
                activation=activation,
                layer_norm_eps=layer_norm_eps,
                bias=bias,
            )
            for _ in range(num_layers)
        )
        has_norm = norm_first if final_norm is None else final_norm
        self.norm = nn.LayerNorm(embed_dim, eps=layer_norm_eps, bias=bias) if has_norm else None

    def forward(
        self,
        x: Float[Tensor, "batch length embed_dim"],
        attn_mask: Bool[Tensor, ...] | None = None,
    ) -> Float[Tensor, "batch length embed_dim"]:
        """Encode a batch of sequences.

        Args:
            x: The tokens.
            attn_mask: True where a query may attend; every layer gets it. See
                :func:`tutorial_lib.masks.align_mask`.

        Returns:
            The encoded tokens.

        Raises:
            TypeError: If ``attn_mask`` is not boolean.
            ValueError: If the shapes do not fit together.
        """
        for layer in self.layers:
            x = layer(x, attn_mask)
        return x if self.norm is None else self.norm(x)

    @torch.no_grad()
    def attention_maps(
        self,
        x: Float[Tensor, "batch length embed_dim"],
        attn_mask: Bool[Tensor, ...] | None = None,
    ) -> list[Float[Tensor, "batch heads query key"]]:
        """Show who attends to whom, layer by layer.

        Args:
            x: The tokens.
            attn_mask: True where a query may attend; every layer gets it.

        Returns:
            One tensor of weights a layer, first to last, without gradients.

        Raises:
            TypeError: If ``attn_mask`` is not boolean.
            ValueError: If the shapes do not fit together.
        """
        maps = []
        for layer in self.layers:
            x, weights = cast(TransformerEncoderLayer, layer).with_attention_map(x, attn_mask)
            maps.append(weights)
        return maps
