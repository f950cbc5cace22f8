"""The Transformer: an encoder that reads, a decoder that writes."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn
from typing_extensions import Unpack

from tutorial_lib.decoder import TransformerDecoder
from tutorial_lib.encoder import TransformerEncoder
from tutorial_lib.layer_settings import LayerSettings
from tutorial_lib.masks import align_mask
from tutorial_lib.validation import require_positive, require_width


class Transformer(nn.Module):
    r"""Read a source, and write a target that looks at it.

    .. math:: m = \operatorname{encoder}(x), \qquad y = \operatorname{decoder}(t, m)

    Args:
        num_encoder_layers: Number of encoder layers.
        num_decoder_layers: Number of decoder layers.
        final_norm: Whether a LayerNorm ends the encoder, and one the decoder; as ``norm_first``
            when left out. ``nn.Transformer`` always has both.
        settings: What each layer is told; see :class:`tutorial_lib.layer_settings.LayerSettings`.

    Attributes:
        encoder: The :class:`tutorial_lib.encoder.TransformerEncoder`.
        decoder: The :class:`tutorial_lib.decoder.TransformerDecoder`.

    Raises:
        TypeError: If a number of layers is not an integer.
        ValueError: If one is below 1.

    Source: Vaswani et al. (2017), figure 1.
    Taught in :doc:`/notebooks/22_decoder_and_generation`.
    """

    def __init__(
        self,
        *,
        num_encoder_layers: int,
        num_decoder_layers: int,
        final_norm: bool | None = None,
        **settings: Unpack[LayerSettings],
    ) -> None:
        super().__init__()
        require_positive(
            num_encoder_layers=num_encoder_layers, num_decoder_layers=num_decoder_layers
        )
        self.encoder = TransformerEncoder(
            num_layers=num_encoder_layers, final_norm=final_norm, **settings
        )
        self.decoder = TransformerDecoder(
            num_layers=num_decoder_layers, final_norm=final_norm, **settings
        )

    def forward(
        self,
        src: Float[Tensor, "batch source embed_dim"],
        tgt: Float[Tensor, "batch target embed_dim"],
        *,
        src_mask: Bool[Tensor, ...] | None = None,
        tgt_mask: Bool[Tensor, ...] | None = None,
        memory_mask: Bool[Tensor, ...] | None = None,
        tgt_is_causal: bool = False,
    ) -> Float[Tensor, "batch target embed_dim"]:
        """Encode the source, and decode the target.

        Args:
            src: The source tokens.
            tgt: The target tokens.
            src_mask: True where a source token may attend to a source token.
            tgt_mask: True where a target token may attend to a target token.
            memory_mask: True where a target token may attend to a source token.
            tgt_is_causal: Also let target token i attend to target tokens 0..i only.

        Returns:
            The decoded target tokens.

        Raises:
            TypeError: If a mask is not boolean.
            ValueError: If the shapes do not fit together.
        """
        try:
            return self.decoder(
                tgt,
                self.encoder(src, src_mask),
                attn_mask=tgt_mask,
                memory_mask=memory_mask,
                is_causal=tgt_is_causal,
            )
        except (TypeError, ValueError):  # asked afterwards, to name what the model was given
            self._require_fitting(src, tgt, src_mask, tgt_mask)
            raise

    def _require_fitting(
        self, src: Tensor, tgt: Tensor, src_mask: Tensor | None, tgt_mask: Tensor | None
    ) -> None:
        require_width(src, self.encoder.embed_dim, name="src")
        require_width(tgt, self.decoder.embed_dim, name="tgt")
        if len(tgt) != len(src):
            raise ValueError(f"tgt must have batch {len(src)} like src, got {len(tgt)}")
        for x, mask, name in ((src, src_mask, "src_mask"), (tgt, tgt_mask, "tgt_mask")):
            if mask is not None:
                scores = (len(x), self.encoder.num_heads, x.shape[1], x.shape[1])
                align_mask(mask, scores, name=name)
