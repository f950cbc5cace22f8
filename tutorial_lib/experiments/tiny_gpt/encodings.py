"""Text as numbers and back: one token a character, or one token a frequent piece."""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Int
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

from tutorial_lib.validation import require_positive

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
BYTES = 256


class CharacterEncoding:
    """One token for each character; token 0 stands for all that the first text does not have.

    Args:
        text: Where the characters are taken from.

    Attributes:
        characters: 1 for each token.

    Raises:
        ValueError: If the text is empty.

    Taught in :doc:`/notebooks/44_tiny_gpt`.
    """

    def __init__(self, text: str) -> None:
        if not text:
            raise ValueError("text must have at least one character, got none")
        self.alphabet = [REPLACEMENT, *sorted(set(text) - {REPLACEMENT})]
        self.numbers = {character: token for token, character in enumerate(self.alphabet)}
        self.characters = torch.ones(len(self.alphabet), dtype=torch.int64)

    @property
    def vocab_size(self) -> int:
        """Number of different tokens."""
        return len(self.alphabet)

    def encode(self, text: str) -> Int[Tensor, " length"]:
        """Turn a text into tokens.

        Args:
            text: Any text.

        Returns:
            A token for each character.
        """
        numbers = [self.numbers.get(character, 0) for character in text]
        return torch.tensor(numbers, dtype=torch.int64)

    def decode(self, tokens: Int[Tensor, " length"]) -> str:
        """Turn tokens into a text.

        Args:
            tokens: Token numbers.

        Returns:
            The text; a character that the encoding does not know has become ``REPLACEMENT``.
        """
        return "".join(self.labels(tokens))

    def labels(self, tokens: Int[Tensor, " length"]) -> list[str]:
        """Write each token as text.

        Args:
            tokens: Token numbers.

        Returns:
            A character for each.
        """
        return [self.alphabet[token] for token in tokens.tolist()]


class ByteLevelBpe:
    """Byte-pair encoding that starts from bytes, so that it can write every text.

    The first 256 tokens are the bytes. Training joins the most frequent pair of neighbours into a
    new token, again and again, but never across the border between a word and the space before the
    next.

    Args:
        text: What the pairs are counted in.
        vocab_size: Number of tokens to stop at; fewer when the text has no pair left to join.

    Attributes:
        characters: Number of characters that each token begins; 0 for a byte in the middle of one.

    Raises:
        TypeError: If ``vocab_size`` is not an integer.
        ValueError: If it is below 256.

    Source: Sennrich et al. (2016); from bytes: Radford et al. (2019), section 2.2.
    Taught in :doc:`/notebooks/44_tiny_gpt`.
    """

    def __init__(self, text: str, *, vocab_size: int) -> None:
        require_positive(vocab_size=vocab_size)
        if vocab_size < BYTES:
            raise ValueError(f"vocab_size must be at least {BYTES}, the bytes, got {vocab_size}")
        self.tokenizer = Tokenizer(models.BPE())
        self.tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self.tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False
        )
        self.tokenizer.train_from_iterator([text], trainer)
        self.pieces = [self._bytes_of(token) for token in range(self.vocab_size)]
        self.characters = torch.tensor([_begun(piece) for piece in self.pieces])

    @property
    def vocab_size(self) -> int:
        """Number of different tokens."""
        return self.tokenizer.get_vocab_size()

    def encode(self, text: str) -> Int[Tensor, " length"]:
        """Turn a text into tokens.

        Args:
            text: Any text.

        Returns:
            Its tokens.
        """
        return torch.tensor(self.tokenizer.encode(text).ids, dtype=torch.int64)

    def decode(self, tokens: Int[Tensor, " length"]) -> str:
        """Turn tokens into a text.

        Args:
            tokens: Token numbers.

        Returns:
            The text; bytes that are no character become ``REPLACEMENT``.
        """
        return self.tokenizer.decode(tokens.tolist())

    def labels(self, tokens: Int[Tensor, " length"]) -> list[str]:
        """Write each token as text.

        Args:
            tokens: Token numbers.

        Returns:
            Its characters; ``REPLACEMENT`` for a part of one.
        """
        return self.tokenizer.decode_batch([[token] for token in tokens.tolist()])

    def _bytes_of(self, token: int) -> bytes:
        return bytes(_BYTE_OF[sign] for sign in cast(str, self.tokenizer.id_to_token(token)))


def _begun(piece: bytes) -> int:
    return sum(byte & 0b1100_0000 != 0b1000_0000 for byte in piece)  # all but UTF-8's inner bytes


def _byte_signs() -> dict[str, int]:
    # The tokenizer writes a byte as a printable sign: itself, or the next one that is free.
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(BYTES) if byte not in printable]
    signs = {chr(byte): byte for byte in printable}
    return signs | {chr(BYTES + place): byte for place, byte in enumerate(others)}


_BYTE_OF = _byte_signs()
