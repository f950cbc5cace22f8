"""A text decoder: layers that are handed in, between words and scores of the next word."""

from __future__ import annotations

from typing import cast

from jaxtyping import Float, Int
from torch import Tensor, nn

from tutorial_lib.conditional_model import ConditionalModel
from tutorial_lib.decoder import TransformerDecoder
from tutorial_lib.embedding import TokenEmbedding, require_tokens
from tutorial_lib.layers import TransformerDecoderLayer
from tutorial_lib.positions import LearnedPositionalEmbedding
from tutorial_lib.validation import kind_of


class TextDecoder(nn.Module):
    r"""Score the next word of a text, given what was seen.

    .. math:: p(t_{i+1} \mid m, t_0, \dots, t_i) = \operatorname{softmax}\big(
        \operatorname{logits}(\operatorname{layers}(\operatorname{embed}(t) + P,\, m))_i\big)

    The layers are handed in: a causal decoder whose cross-attention reads the memory m. Around them
    stand one table of words for input and output, and trained positions P.

    Args:
        layers: The layers, with cross-attention.
        vocab_size: Number of different tokens.
        max_len: Longest text.

    Raises:
        TypeError: If ``layers`` is not a TransformerDecoder, or a size not an integer.
        ValueError: If ``layers`` has no cross-attention, or a size is below 1.

    Taught in :doc:`/notebooks/34_injected_nested_modules`.
    """

    def __init__(self, layers: TransformerDecoder, *, vocab_size: int, max_len: int) -> None:
        super().__init__()
        if not isinstance(layers, TransformerDecoder):
            raise TypeError(f"layers must be a TransformerDecoder, got {kind_of(layers)}")
        if cast(TransformerDecoderLayer, layers.layers[0]).cross_attn is None:
            raise ValueError("layers must have cross-attention, to read what was seen")
        self.layers = layers
        self.embedding = TokenEmbedding(vocab_size, layers.embed_dim)
        self.positions = LearnedPositionalEmbedding(layers.embed_dim, max_len=max_len)

    @property
    def embed_dim(self) -> int:
        """Width of the memory that is read."""
        return self.layers.embed_dim

    def forward(
        self,
        tokens: Int[Tensor, "batch length"],
        memory: Float[Tensor, "batch places embed_dim"],
    ) -> Float[Tensor, "batch length vocab_size"]:
        """Score the next word at every position.

        Args:
            tokens: Words from the start token on, padded on the right.
            memory: What was seen, one vector for each place.

        Returns:
            The logits.

        Raises:
            TypeError: If ``tokens`` is not a tensor of integers.
            ValueError: If a token is out of range, the text too long, or ``memory`` does not fit.
        """
        require_tokens(tokens, name="tokens")
        if len(tokens) != len(memory):
            raise ValueError(f"tokens must have batch {len(memory)} like memory, got {len(tokens)}")
        return self.given(memory)(tokens)

    def given(self, memory: Float[Tensor, "batch places embed_dim"]) -> ConditionalModel:
        """Take what was seen, for any number of words.

        Args:
            memory: What was seen, one vector for each place.

        Returns:
            A model of the text, as :mod:`tutorial_lib.generation` takes it.
        """
        return ConditionalModel(self.embedding, self.positions, self.layers, memory)
