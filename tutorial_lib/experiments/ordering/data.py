"""Shuffled stories for a token classifier: Hugging Face's data sets in Lightning's data module."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from datasets import Dataset
from torch import Tensor
from torch.utils.data import default_collate
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase

from tutorial_lib.experiments.ordering.encoding import (
    encode_stories,
    shuffled_stories,
    train_tokenizer,
)
from tutorial_lib.experiments.ordering.stories import LENGTHS, generate_stories
from tutorial_lib.lightning.splits import RowsDataModule
from tutorial_lib.validation import require_positive


def _without_spare_padding(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Stack rows, and cut the padding that all of them have."""
    batch = default_collate(rows)
    longest = int(batch["attention_mask"].sum(dim=1).max())
    return {name: column[:, :longest] for name, column in batch.items()}


class OrderingDataModule(RowsDataModule):
    """Training, validation and test stories whose sentences are to be put in order.

    No story is in two splits. Nothing is written to a cache: the data sets live in memory.

    Args:
        pretrained: Name or folder of a pretrained model, whose tokenizer is used; one is trained
            on the training stories when left out.
        train_size: Number of training stories.
        val_size: Number of validation stories.
        test_size: Number of test stories.
        batch_size: Stories in a batch.
        max_len: Tokens of a row, padding included.
        seed: Seed of the stories, their shuffling and the training order.

    Attributes:
        tokenizer: What turns words into numbers, from ``setup`` on.
        segments: Number of different segment numbers; 0 where a pretrained model knows none.
        stories: The three splits as stories in their order, from ``setup`` on.
        splits: The three splits as data sets, from ``setup`` on.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1; or as ``RowsDataModule``; from ``setup``, if ``max_len``
            is too short for a story.

    Taught in :doc:`/notebooks/46_sentence_ordering`.
    """

    tokenizer: PreTrainedTokenizerBase
    collate = staticmethod(_without_spare_padding)

    def __init__(
        self,
        *,
        pretrained: str | None = None,
        train_size: int = 6_000,
        val_size: int = 500,
        test_size: int = 1_000,
        batch_size: int = 32,
        max_len: int = 64,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, seed, sizes=(train_size, val_size, test_size))
        require_positive(max_len=max_len)
        self.save_hyperparameters()
        self.pretrained, self.max_len = pretrained, max_len

    def prepare_data(self) -> None:
        """Download the pretrained tokenizer, where one is named; on one process, so no state."""
        if self.pretrained is not None:
            AutoTokenizer.from_pretrained(self.pretrained)

    def make_splits(self) -> list[Dataset]:
        """Write, shuffle and encode the stories; every process makes the same ones."""
        drawn = generate_stories(sum(self.sizes), seed=self.seed)
        ends = torch.tensor(self.sizes).cumsum(0).tolist()
        self.stories = [drawn[end - size : end] for size, end in zip(self.sizes, ends, strict=True)]
        self._set_tokenizer()
        return [self._encoded(stories) for stories in self.stories]

    def _set_tokenizer(self) -> None:
        if self.pretrained is None:
            self.tokenizer, self.segments = train_tokenizer(self.stories[0]), max(LENGTHS)
            return
        self.tokenizer = AutoTokenizer.from_pretrained(self.pretrained)
        config = AutoConfig.from_pretrained(self.pretrained)
        reads_them = "token_type_ids" in self.tokenizer.model_input_names
        self.segments = getattr(config, "type_vocab_size", 0) if reads_them else 0

    def _encoded(self, stories: Sequence[Sequence[str]]) -> Dataset:
        columns = encode_stories(
            shuffled_stories(stories, seed=self.seed)[:],
            tokenizer=self.tokenizer,
            segments=self.segments,
            max_len=self.max_len,
        )
        return Dataset.from_dict(columns).with_format("torch")
