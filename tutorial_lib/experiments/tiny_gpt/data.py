"""A text as training, validation and test windows of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from tutorial_lib.experiments.tiny_gpt.encodings import ByteLevelBpe, CharacterEncoding
from tutorial_lib.experiments.tiny_gpt.text import TextSplits, read_splits
from tutorial_lib.experiments.tiny_gpt.windows import every_window, windows_in_order
from tutorial_lib.lightning.loaders import TensorRows
from tutorial_lib.lightning.splits import RowsDataModule
from tutorial_lib.teacher_forcing import NO_LABEL
from tutorial_lib.validation import require_positive

Level = Literal["character", "bpe"]
LINE_BREAK = "\n"  # what every part of the text is read behind


class TextDataModule(RowsDataModule):
    """Windows of a text: at random places to train on, side by side to validate and test.

    A row holds tokens, labels and characters: the tokens that are read, the tokens that come next,
    and the number of characters that each of these begins. Every part of the text is read behind a
    line break, and every token of it is a label exactly once in the validation and test rows; the
    last of them is filled up with labels of -100, which count nowhere, and 0 characters. Training
    rows start at every place of the text.

    Args:
        level: "character" or "bpe".
        vocab_size: Number of tokens of the byte-pair encoding; characters are as many as there
            are.
        length: Tokens that a row reads.
        batch_size: Rows in a batch.
        seed: Seed of the training order.
        path: A text file of your own, UTF-8, with blank lines between paragraphs; the Python
            language reference when left out.

    Attributes:
        texts: Training, validation and test text, from ``setup`` on.
        encoding: What turns text into tokens, learned from the training text.
        streams: The line break and the tokens of each text.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If ``level`` is not known or a size below 1; or as ``RowsDataModule``; from
            ``setup``, if ``length`` is too long for the text, or ``vocab_size`` below 256.
        FileNotFoundError: From ``setup``, if there is no file at ``path``.

    Taught in :doc:`/notebooks/44_tiny_gpt`.
    """

    texts: TextSplits
    encoding: CharacterEncoding | ByteLevelBpe
    streams: Sequence[Int[Tensor, " length"]]

    def __init__(
        self,
        *,
        level: Level = "bpe",
        vocab_size: int = 1024,
        length: int = 64,
        batch_size: int = 16,
        seed: int = 0,
        path: str | None = None,
    ) -> None:
        super().__init__(batch_size, seed)
        if level not in ("character", "bpe"):
            raise ValueError(f"level must be 'character' or 'bpe', got {level!r}")
        require_positive(vocab_size=vocab_size, length=length)
        self.save_hyperparameters()
        self.level, self.vocab_size, self.length, self.path = level, vocab_size, length, path

    def make_splits(self) -> list[TensorRows]:
        """Read the text, learn the encoding from its training part, and cut all parts."""
        self.texts = read_splits(self.path)
        self.encoding = (
            CharacterEncoding(self.texts.train)
            if self.level == "character"
            else ByteLevelBpe(self.texts.train, vocab_size=self.vocab_size)
        )
        line_break = self.encoding.encode(LINE_BREAK)
        self.streams = [torch.cat([line_break, self.encoding.encode(text)]) for text in self.texts]
        train, *others = self.streams
        windows = every_window(train, self.length + 1)
        characters = every_window(self.encoding.characters[train], self.length + 1)
        rows = TensorRows(windows[:, :-1], windows[:, 1:], characters[:, 1:])
        return [rows, *map(self._rows_in_order, others)]

    def _rows_in_order(self, stream: Tensor) -> TensorRows:
        labels = stream[1:]
        return TensorRows(
            windows_in_order(stream[:-1], self.length),
            windows_in_order(labels, self.length, filler=NO_LABEL),
            windows_in_order(self.encoding.characters[labels], self.length),
        )
