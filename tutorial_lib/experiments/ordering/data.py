"""Shuffled stories for a token classifier: Hugging Face's data sets in Lightning's data module."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import datasets
import pytorch_lightning as pl
import torch
from datasets import Dataset
from torch import Tensor
from torch.utils.data import DataLoader, default_collate
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase

from tutorial_lib.experiments.ordering.encoding import (
    encode_stories,
    shuffled_stories,
    train_tokenizer,
)
from tutorial_lib.experiments.ordering.stories import LENGTHS, generate_stories
from tutorial_lib.lightning.loaders import EpochOrder, epoch_loader
from tutorial_lib.validation import require_positive


class OrderingDataModule(pl.LightningDataModule):
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
        ValueError: If a size is below 1; from ``setup``, if ``max_len`` is too short for a story;
            from ``train_dataloader``, if ``batch_size`` exceeds ``train_size``.
        RuntimeError: If a loader is asked for before ``setup``.

    Taught in :doc:`/notebooks/46_sentence_ordering`.
    """

    tokenizer: PreTrainedTokenizerBase
    splits: list[Dataset]

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
        super().__init__()
        sizes = {"train_size": train_size, "val_size": val_size, "test_size": test_size}
        require_positive(**sizes, batch_size=batch_size, max_len=max_len)
        self.save_hyperparameters()
        self.pretrained, self.seed = pretrained, seed
        self.sizes = (train_size, val_size, test_size)
        self.batch_size, self.max_len = batch_size, max_len

    def prepare_data(self) -> None:
        """Download the pretrained tokenizer, where one is named; on one process, so no state."""
        if self.pretrained is not None:
            AutoTokenizer.from_pretrained(self.pretrained)

    def setup(self, stage: str) -> None:
        """Write, shuffle and encode the stories; every process makes the same ones.

        Args:
            stage: "fit", "validate", "test" or "predict".
        """
        if hasattr(self, "splits"):
            return
        drawn = generate_stories(sum(self.sizes), seed=self.seed)
        ends = torch.tensor(self.sizes).cumsum(0).tolist()
        self.stories = [drawn[end - size : end] for size, end in zip(self.sizes, ends, strict=True)]
        self._set_tokenizer()
        self.splits = [self._encoded(stories) for stories in self.stories]

    def train_dataloader(self) -> DataLoader:
        """Shuffle the training stories anew every epoch."""
        return self._loader(0, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        """Go through the validation stories in order."""
        return self._loader(1)

    def test_dataloader(self) -> DataLoader:
        """Go through the test stories in order."""
        return self._loader(2)

    def _set_tokenizer(self) -> None:
        if self.pretrained is None:
            self.tokenizer, self.segments = train_tokenizer(self.stories[0]), max(LENGTHS)
            return
        self.tokenizer = AutoTokenizer.from_pretrained(self.pretrained)
        config = AutoConfig.from_pretrained(self.pretrained)
        reads_them = "token_type_ids" in self.tokenizer.model_input_names
        self.segments = getattr(config, "type_vocab_size", 0) if reads_them else 0

    def _encoded(self, stories: Sequence[Sequence[str]]) -> Dataset:
        settings = {
            "tokenizer": self.tokenizer,
            "segments": self.segments,
            "max_len": self.max_len,
        }
        with _without_progress_bars():
            encoded = shuffled_stories(stories, seed=self.seed).map(
                encode_stories,
                batched=True,
                fn_kwargs=settings,
                remove_columns=["sentences", "ranks"],
                keep_in_memory=True,
            )
        encoded.set_format("torch")
        return encoded

    def _loader(self, split: int, *, shuffle: bool = False) -> DataLoader:
        if not hasattr(self, "splits"):
            raise RuntimeError("there is no data yet: call setup(stage) first")
        rows = self.splits[split]
        batches: dict[str, Any] = {"batch_size": self.batch_size}
        batches["collate_fn"] = _without_spare_padding
        if shuffle:
            return epoch_loader(rows, EpochOrder(rows, seed=self.seed), **batches)
        return DataLoader(rows, generator=torch.Generator(), **batches)  # type: ignore[arg-type]


def _without_spare_padding(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Stack rows, and cut the padding that all of them have."""
    batch = default_collate(rows)
    longest = int(batch["attention_mask"].sum(dim=1).max())
    return {name: column[:, :longest] for name, column in batch.items()}


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """Silence the bars of ``datasets``, and bring them back as they were."""
    was_off = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not was_off:
            datasets.enable_progress_bars()
