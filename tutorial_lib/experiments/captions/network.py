"""A captioner: an image encoder and a text decoder, both handed in."""

from __future__ import annotations

from typing import cast

from jaxtyping import Float, Int
from torch import Tensor, nn

from tutorial_lib.experiments.captions.text_decoder import TextDecoder
from tutorial_lib.next_token import CachedModel
from tutorial_lib.validation import require_modules


class Captioner(nn.Module):
    r"""Say what is in an image: an encoder that looks, and a decoder that writes.

    .. math:: p(t_{i+1} \mid \text{image}, t_0, \dots, t_i) = \operatorname{softmax}\big(
        \operatorname{decoder}(t, \operatorname{encoder}(\text{image}))_i\big)

    Neither part is built here. Any two fit that agree on the width of the memory between them.

    Args:
        encoder: Maps images to a memory ``(batch, places, embed_dim)``, with any number of places.
        decoder: Maps tokens and a memory to logits, and has the methods of
            :class:`~tutorial_lib.experiments.captions.text_decoder.TextDecoder`.

    Raises:
        TypeError: If a part is not a module.
        ValueError: If both parts tell their ``embed_dim`` and they differ, or if they share a
            parameter.

    Source: after Vinyals et al. (2015) and Xu et al. (2015), whose decoders are recurrent.
    Taught in :doc:`/notebooks/34_injected_nested_modules`.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        require_modules(encoder=encoder, decoder=decoder)
        wanted = getattr(decoder, "embed_dim", None)
        given = getattr(encoder, "embed_dim", wanted)
        if wanted is not None and given != wanted:
            raise ValueError(f"encoder must have embed_dim={wanted} like decoder, got {given}")
        if not {*encoder.parameters()}.isdisjoint(decoder.parameters()):
            raise ValueError("encoder must share no parameter with decoder")
        self.encoder, self.decoder = encoder, decoder

    def forward(
        self,
        images: Float[Tensor, "batch channels height width"],
        tokens: Int[Tensor, "batch length"],
    ) -> Float[Tensor, "batch length vocab_size"]:
        """Score the next word at every position.

        Args:
            images: The images.
            tokens: Words from the start token on, padded on the right.

        Returns:
            The logits.

        Raises:
            TypeError: If ``tokens`` is not a tensor of integers.
            ValueError: If the encoder returns no vectors of places, or the parts, the images and
                the tokens do not fit together.
        """
        return self.decoder(tokens, self.look(images))

    def look(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch places embed_dim"]:
        """Let the encoder look at images.

        Args:
            images: The images.

        Returns:
            The memory, a vector for each place.

        Raises:
            ValueError: If the encoder returns something else.
        """
        memory = self.encoder(images)
        if memory.ndim != 3 or len(memory) != len(images):
            raise ValueError(
                f"encoder must return a memory of shape ({len(images)}, places, embed_dim), "
                f"got {tuple(memory.shape)}"
            )
        return memory

    def given(self, images: Float[Tensor, "batch channels height width"]) -> CachedModel:
        """Look at images once, for any number of words.

        Args:
            images: The images.

        Returns:
            A model of their captions, as :mod:`tutorial_lib.generation` takes it.

        Raises:
            ValueError: If the encoder returns no vectors of places.
        """
        return cast(TextDecoder, self.decoder).given(self.look(images))
