"""A model that writes a sequence given another one, which has been encoded once."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from tutorial_lib.cache import KVCache
from tutorial_lib.decoder import TransformerDecoder
from tutorial_lib.embedding import TokenEmbedding
from tutorial_lib.left_padding import token_positions


@dataclass(frozen=True)
class ConditionalModel:
    r"""Score the next token given an encoded source: what :mod:`tutorial_lib.generation` runs.

    .. math:: p(t_{i+1} \mid m, t_0, \dots, t_i) = \operatorname{softmax}\left(
        \operatorname{logits}(\operatorname{decoder}(\operatorname{embed}(t) + P,\, m))_i\right)

    The source is a sentence, an image, or whatever an encoder turned into the memory m. The parts
    are those of the network that made it, and are trained and saved there.

    Args:
        embedding: The table of tokens, for input and output.
        positions: Adds their positions, P.
        decoder: Reads the memory.
        memory: The encoded sources.
        memory_mask: True where a memory may be attended to; everywhere when left out.

    Taught in :doc:`/notebooks/22_decoder_and_generation`.
    """

    embedding: TokenEmbedding
    positions: nn.Module
    decoder: TransformerDecoder
    memory: Float[Tensor, "batch source embed_dim"]
    memory_mask: Bool[Tensor, "batch 1 1 source"] | None = None

    @property
    def training(self) -> bool:
        """Whether the decoder is in training mode."""
        return self.decoder.training

    def __call__(
        self, tokens: Int[Tensor, "rows length"], *, cache: KVCache | None = None
    ) -> Float[Tensor, "rows length vocab_size"]:
        """Score the next token at every position.

        Args:
            tokens: Tokens from the start token on; with a cache, those that it has not seen yet. A
                source may have several rows, one after the other (beams).
            cache: What earlier calls have seen, from :meth:`make_cache`; the tokens are added.

        Returns:
            The logits.

        Raises:
            RuntimeError: If a cache is used while gradients are recorded.
            TypeError: If ``tokens`` is not a tensor of integers.
            ValueError: If a token is out of range, the sequence too long, or the rows are no
                multiple of the sources.
        """
        x = self.embedding(tokens)
        rows, length, _ = x.shape
        repeats, rest = divmod(rows, len(self.memory))
        if rest or not repeats:
            raise ValueError(
                f"tokens must have a multiple of {len(self.memory)} rows, one source each, "
                f"got {rows}"
            )
        start = 0 if cache is None else cache.length
        x = self.positions(x, token_positions(None, start, start + length, device=x.device))
        memory, mask = None, self.memory_mask
        if start == 0:  # later the cache holds what was made of the memory
            memory = self.memory.repeat_interleave(repeats, dim=0)
        if mask is not None:
            mask = mask.repeat_interleave(repeats, dim=0)
        x = self.decoder(x, memory, memory_mask=mask, is_causal=True, cache=cache)
        return self.embedding.logits(x)

    def make_cache(self, batch_size: int, capacity: int) -> KVCache:
        """Make an empty cache of the decoder's sizes, float type and device.

        Args:
            batch_size: Number of rows.
            capacity: Number of positions there is room for.

        Returns:
            The cache.

        Raises:
            TypeError: If a size is not an integer.
            ValueError: If a size is below 1.
        """
        return self.decoder.make_cache(batch_size, capacity)
