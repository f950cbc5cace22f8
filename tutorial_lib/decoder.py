"""The decoder: a stack of layers that write a sequence, one token after the other."""

from __future__ import annotations

import copy
from typing import cast

import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from typing_extensions import Unpack

from tutorial_lib.cache import KVCache
from tutorial_lib.layer_settings import LayerSettings
from tutorial_lib.layers import TransformerDecoderLayer
from tutorial_lib.validation import require_positive


class TransformerDecoder(nn.Module):
    r"""Pass the tokens through one decoder layer after the other.

    .. math:: x^{(\ell)} = \operatorname{layer}_\ell(x^{(\ell-1)}, m), \qquad \ell = 1, \dots, L

    Every layer reads the same memory m. Without ``cross_attention`` there is none: a decoder-only
    model, such as a language model. A pre-norm stack ends with one more LayerNorm.

    Args:
        num_layers: Number of layers.
        final_norm: Whether a LayerNorm follows the last layer; as ``norm_first`` when left out.
        cross_attention: Whether the layers read a memory.
        settings: What each layer is told; see :class:`tutorial_lib.layer_settings.LayerSettings`.

    Attributes:
        layers: The layers, first to last.

    Raises:
        TypeError: If ``num_layers`` is not an integer.
        ValueError: If it is below 1.

    Source: Vaswani et al. (2017), section 3.1.
    Taught in :doc:`/notebooks/22_decoder_and_generation`.
    """

    def __init__(
        self,
        *,
        num_layers: int,
        final_norm: bool | None = None,
        cross_attention: bool = True,
        **settings: Unpack[LayerSettings],
    ) -> None:
        super().__init__()
        require_positive(num_layers=num_layers)
        layers = [
            TransformerDecoderLayer(cross_attention=cross_attention, **settings)
            for _ in range(num_layers)
        ]
        self.embed_dim, self.num_heads = settings["embed_dim"], settings["num_heads"]
        self.layers = nn.ModuleList(layers)
        has_norm = layers[0].norm_first if final_norm is None else final_norm
        self.norm = copy.deepcopy(layers[0].norm1) if has_norm else None  # as new as the layers

    def forward(
        self,
        x: Float[Tensor, "batch length embed_dim"],
        memory: Float[Tensor, "batch source embed_dim"] | None = None,
        *,
        attn_mask: Bool[Tensor, ...] | None = None,
        memory_mask: Bool[Tensor, ...] | None = None,
        is_causal: bool = False,
        cache: KVCache | None = None,
    ) -> Float[Tensor, "batch length embed_dim"]:
        """Decode a batch of sequences.

        Args:
            x: The tokens; with a cache, those that it has not seen yet.
            memory: What cross-attention reads. With a cache it is read at the first call, and may
                be left out afterwards.
            attn_mask: True where a token may attend to a token; with a cache its keys are all
                tokens so far.
            memory_mask: True where a token may attend to a place of the memory.
            is_causal: Also let token i attend to tokens 0..i only; a cache needs it.
            cache: What earlier calls have seen, from :meth:`make_cache`; the tokens are added.

        Returns:
            The decoded tokens.

        Raises:
            RuntimeError: If a cache is used while gradients are recorded.
            TypeError: If a mask is not boolean.
            ValueError: If the shapes do not fit together, a memory is missing or not wanted, or
                the cache does not fit or has not enough room.
        """
        if cache is not None:
            self._require_cache(cache, is_causal=is_causal)
            cache.begin()
        for index, layer in enumerate(self.layers):
            x = layer(
                x,
                memory,
                attn_mask=attn_mask,
                memory_mask=memory_mask,
                is_causal=is_causal,
                token_cache=None if cache is None else cache.tokens(index),
                memory_cache=None if cache is None else cache.memory[index],
            )
        if cache is not None:
            cache.advance(x.shape[1])
        return x if self.norm is None else self.norm(x)

    def make_cache(
        self,
        batch_size: int,
        capacity: int,
        *,
        left_padding: Int[Tensor, " batch"] | None = None,
    ) -> KVCache:
        """Make an empty cache of this decoder's sizes and device, and of its keys' float type.

        Args:
            batch_size: Number of sequences.
            capacity: Number of positions there is room for.
            left_padding: Number of padding tokens at the left of each sequence.

        Returns:
            The cache.

        Raises:
            TypeError: If a size is not an integer, or ``left_padding`` no tensor of integers.
            ValueError: If a size is below 1, or ``left_padding`` does not fit.
        """
        weight = cast(TransformerDecoderLayer, self.layers[0]).self_attn.k_proj.weight
        # A projection may compute in another type than that of its weights: autocast says so.
        key = F.linear(weight.new_empty(0, self.embed_dim), weight)
        return KVCache(
            num_layers=len(self.layers),
            batch_size=batch_size,
            num_heads=self.num_heads,
            head_dim=self.embed_dim // self.num_heads,
            capacity=capacity,
            left_padding=left_padding,
            dtype=key.dtype,
            device=key.device,
        )

    def _require_cache(self, cache: KVCache, *, is_causal: bool) -> None:
        if not is_causal:
            raise ValueError("is_causal must be True with a cache: what it holds sees no new token")
        if len(cache.memory) != len(self.layers):
            raise ValueError(
                f"cache must have num_layers={len(self.layers)}, got {len(cache.memory)}"
            )
