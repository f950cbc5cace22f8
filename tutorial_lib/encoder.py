"""The encoder: a stack of layers that read a sequence."""

from __future__ import annotations

import copy

from jaxtyping import Bool, Float
from torch import Tensor, nn
from typing_extensions import Unpack

from tutorial_lib.layer_settings import LayerSettings
from tutorial_lib.layers import TransformerEncoderLayer
from tutorial_lib.validation import require_positive


class TransformerEncoder(nn.Module):
    r"""Pass the tokens through one encoder layer after the other.

    .. math:: x^{(\ell)} = \operatorname{layer}_\ell(x^{(\ell-1)}), \qquad \ell = 1, \dots, L

    Each layer is built and initialised on its own. A pre-norm stack ends with one more LayerNorm,
    because its last layer adds to the residual stream without normalising it.

    Args:
        num_layers: Number of layers.
        final_norm: Whether a LayerNorm follows the last layer; as ``norm_first`` when left out.
        settings: What each layer is told; see :class:`tutorial_lib.layer_settings.LayerSettings`.

    Attributes:
        layers: The layers, first to last.

    Raises:
        TypeError: If ``num_layers`` is not an integer.
        ValueError: If it is below 1.

    Source: Vaswani et al. (2017), section 3.1.
    Taught in :doc:`/notebooks/21_encoder`.
    """

    def __init__(
        self,
        *,
        num_layers: int,
        final_norm: bool | None = None,
        **settings: Unpack[LayerSettings],
    ) -> None:
        super().__init__()
        require_positive(num_layers=num_layers)
        layers = [TransformerEncoderLayer(**settings) for _ in range(num_layers)]
        self.embed_dim, self.num_heads = settings["embed_dim"], settings["num_heads"]
        self.layers = nn.ModuleList(layers)
        has_norm = layers[0].norm_first if final_norm is None else final_norm
        self.norm = copy.deepcopy(layers[0].norm1) if has_norm else None  # as new as the layers

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
