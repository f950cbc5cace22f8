"""Sentences and their translations as training, validation and test data."""

from __future__ import annotations

import random
from itertools import pairwise

from tutorial_lib.experiments.translation.bpe import BpeTokenizer
from tutorial_lib.experiments.translation.language_pair import draw_sentences, translate
from tutorial_lib.experiments.translation.length_batches import LengthBatches, TrimmedRows
from tutorial_lib.experiments.translation.parallel_text import (
    Pairs,
    read_tab_separated,
    read_two_files,
)
from tutorial_lib.lightning.splits import RowsDataModule
from tutorial_lib.teacher_forcing import PAD
from tutorial_lib.validation import require_positive


class TranslationDataModule(RowsDataModule):
    """Sentence pairs in pieces of words: the generated language pair, or a corpus of your own.

    Without files, the sentences are drawn by
    :func:`~tutorial_lib.experiments.translation.language_pair.draw_sentences` and translated by the
    grammar. With files, they are read, and shuffled by ``seed``. No source sentence is in two
    splits, and sentences of more than ``max_words`` words go to a fourth split, on which nothing is
    trained. One tokenizer serves both languages; it is trained on the training pairs alone.

    Args:
        source_file: A text file, a sentence a line; or the only file, when it has tabs.
        target_file: The translations, line by line; left out when ``source_file`` has tabs.
        min_words: Fewest words of a source.
        max_words: Most words of a source that is trained on.
        longest_words: Most words of a source in the fourth split.
        train_size: Number of training pairs.
        val_size: Number of validation pairs.
        test_size: Number of test pairs.
        longer_size: Number of pairs in the fourth split; from files, at most.
        vocab_size: Number of pieces, with the special tokens.
        batch_size: Pairs in a batch.
        seed: Seed of the data and of the training order.

    Attributes:
        pairs: The texts of the four splits, from ``setup`` on.
        tokenizer: Text into tokens and back, from ``setup`` on.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1, ``target_file`` comes without ``source_file``, or the
            word counts do not rise; or as ``RowsDataModule``; from ``setup``, if there are too few
            pairs.

    Taught in :doc:`/notebooks/43_translation`.
    """

    pairs: list[Pairs]
    tokenizer: BpeTokenizer

    def __init__(
        self,
        *,
        source_file: str | None = None,
        target_file: str | None = None,
        min_words: int = 3,
        max_words: int = 10,
        longest_words: int = 20,
        train_size: int = 20_000,
        val_size: int = 500,
        test_size: int = 500,
        longer_size: int = 500,
        vocab_size: int = 500,
        batch_size: int = 32,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, seed, sizes=(train_size, val_size, test_size))
        require_positive(min_words=min_words, longer_size=longer_size, vocab_size=vocab_size)
        if not min_words <= max_words < longest_words:
            raise ValueError(
                f"min_words, max_words and longest_words must rise, "
                f"got {min_words}, {max_words} and {longest_words}"
            )
        if target_file is not None and source_file is None:
            raise ValueError(f"source_file must be given with target_file={target_file!r}")
        self.save_hyperparameters()
        self.files = source_file, target_file
        self.words = min_words, max_words, longest_words
        self.longer_size, self.vocab_size = longer_size, vocab_size

    def make_splits(self) -> list[TrimmedRows]:
        """Make the texts, train the tokenizer, and turn the texts into tokens.

        Returns:
            Training, validation and test pairs, and longer ones where there are any.
        """
        source, target = self.files
        usual, longer = self._drawn() if source is None else self._read(source, target)
        ends = [0, self.sizes[0], sum(self.sizes[:2]), sum(self.sizes)]
        self.pairs = [usual[i:j] for i, j in pairwise(ends)] + [longer]
        texts = (text for pair in self.pairs[0] for text in pair)
        self.tokenizer = BpeTokenizer.train(texts, vocab_size=self.vocab_size)
        return [self.rows(pairs) for pairs in self.pairs if pairs]

    def rows(self, pairs: Pairs) -> TrimmedRows:
        """Turn sentence pairs into tokens.

        Args:
            pairs: Sentences and translations.

        Returns:
            Sources, and targets from start to end.
        """
        sources, targets = zip(*pairs, strict=True)
        return TrimmedRows(
            self.tokenizer.sources(sources), self.tokenizer.targets(targets), pad_token=PAD
        )

    def make_order(self, rows: TrimmedRows) -> LengthBatches:
        """Put pairs of about one length into a batch, anew every epoch."""
        return LengthBatches(rows, batch_size=self.batch_size, seed=self.seed)

    def _drawn(self) -> tuple[Pairs, Pairs]:
        shortest, most, longest = self.words
        usual = draw_sentences(
            sum(self.sizes), min_words=shortest, max_words=most, seed=2 * self.seed
        )
        longer = draw_sentences(
            self.longer_size, min_words=most + 1, max_words=longest, seed=2 * self.seed + 1
        )
        return [(s, translate(s).text) for s in usual], [(s, translate(s).text) for s in longer]

    def _read(self, source: str, target: str | None) -> tuple[Pairs, Pairs]:
        found = read_tab_separated(source) if target is None else read_two_files(source, target)
        found = list(dict(reversed(found)).items())  # each source once, with its first translation
        random.Random(self.seed).shuffle(found)
        shortest, most, longest = self.words
        usual = [pair for pair in found if shortest <= len(pair[0].split()) <= most]
        longer = [pair for pair in found if most < len(pair[0].split()) <= longest]
        if len(usual) < sum(self.sizes):
            raise ValueError(
                f"source_file must have {sum(self.sizes)} different sentences of {shortest} to "
                f"{most} words, got {len(usual)}"
            )
        return usual[: sum(self.sizes)], longer[: self.longer_size]
