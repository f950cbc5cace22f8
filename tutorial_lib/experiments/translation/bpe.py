"""Text into pieces of words and back: byte-pair encoding, trained on the spot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike

import torch
from jaxtyping import Int
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from tutorial_lib.teacher_forcing import END, PAD, START
from tutorial_lib.validation import require_positive

UNKNOWN = 3
SPECIAL = ("<pad>", "<start>", "<end>", "<unknown>")  # tokens 0 to 3
SPACE = "▁"  # how a piece shows that a word begins


class BpeTokenizer:
    """Byte-pair encoding with four special tokens that no text can spell.

    Training starts from single characters, and joins the most frequent pair of neighbours into a
    new piece, again and again. Words are split at spaces first; a piece that begins a word carries
    the mark ``▁``. A text that contains ``<end>`` gets the pieces of these five characters, not the
    end token.

    Args:
        tokenizer: A tokenizer made by :meth:`train`.

    Raises:
        ValueError: If its first tokens are not the special ones.

    Source: Sennrich et al. (2016). Taught in :doc:`/notebooks/43_translation`.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        first = tuple(tokenizer.id_to_token(number) for number in range(len(SPECIAL)))
        if first != SPECIAL:
            raise ValueError(f"tokenizer must begin with the tokens {SPECIAL}, got {first}")
        tokenizer.encode_special_tokens = True  # in a text they are characters like any others
        self.tokenizer = tokenizer

    @classmethod
    def train(cls, texts: Iterable[str], *, vocab_size: int) -> BpeTokenizer:
        """Learn the pieces from texts.

        Args:
            texts: What to learn from.
            vocab_size: Number of pieces to stop at, the special tokens and the single characters
                among them; fewer when the texts have no pair left to join, more when there are
                more characters.

        Returns:
            The tokenizer.

        Raises:
            TypeError: If ``vocab_size`` is not an integer.
            ValueError: If ``vocab_size`` is below 1.
        """
        require_positive(vocab_size=vocab_size)
        tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL[UNKNOWN]))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE)
        tokenizer.decoder = decoders.Metaspace(replacement=SPACE)
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size, special_tokens=list(SPECIAL), show_progress=False
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer)

    @property
    def vocab_size(self) -> int:
        """Number of pieces, the special tokens among them."""
        return self.tokenizer.get_vocab_size()

    def pieces(self, text: str) -> list[str]:
        """Split a text.

        Args:
            text: Any text.

        Returns:
            Its pieces, as they are written in the vocabulary.
        """
        return self.tokenizer.encode(text).tokens

    def word_numbers(self, text: str) -> list[int]:
        """Say which word each piece belongs to.

        Args:
            text: Words with single spaces.

        Returns:
            The number of each piece's word, from 0.
        """
        return [int(number) for number in self.tokenizer.encode(text).word_ids]  # type: ignore[arg-type]

    def sources(self, texts: Sequence[str]) -> Int[Tensor, "batch length"]:
        """Turn texts into what an encoder reads.

        Args:
            texts: At least one text.

        Returns:
            Their tokens, padded on the right.

        Raises:
            ValueError: If there is no text, or an empty one.
        """
        return self._rows(texts, [], [])

    def targets(self, texts: Sequence[str]) -> Int[Tensor, "batch length"]:
        """Turn texts into what a decoder learns to write.

        Args:
            texts: At least one text.

        Returns:
            The start token, their tokens and the end token, padded on the right.

        Raises:
            ValueError: If there is no text, or an empty one.
        """
        return self._rows(texts, [START], [END])

    def texts(self, tokens: Int[Tensor, "batch length"]) -> list[str]:
        """Turn tokens back into texts.

        Args:
            tokens: Sources, or targets as a model writes them. What stands behind the first end
                token does not count.

        Returns:
            The texts, without special tokens.
        """
        rows = [row[: row.index(END)] if END in row else row for row in tokens.tolist()]
        return self.tokenizer.decode_batch(rows, skip_special_tokens=True)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the tokenizer to a file; a model's weights are worth nothing without it.

        Args:
            path: Name of the file, JSON.
        """
        self.tokenizer.save(str(path))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> BpeTokenizer:
        """Read a tokenizer that :meth:`save` wrote.

        Args:
            path: Name of the file.

        Returns:
            The tokenizer.

        Raises:
            ValueError: If its first tokens are not the special ones.
        """
        return cls(Tokenizer.from_file(str(path)))

    def _rows(self, texts: Sequence[str], before: list[int], after: list[int]) -> Tensor:
        if not texts or not all(texts):
            raise ValueError("texts must hold at least one text, and none that is empty")
        found = self.tokenizer.encode_batch(list(texts))
        rows = [torch.tensor(before + text.ids + after) for text in found]
        return pad_sequence(rows, batch_first=True, padding_value=PAD)
