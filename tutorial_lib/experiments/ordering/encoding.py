"""Stories as the rows that a token classifier reads: a tokenizer, an order, a marker a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from datasets import Dataset
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from tutorial_lib.teacher_forcing import NO_LABEL


def train_tokenizer(stories: Sequence[Sequence[str]]) -> PreTrainedTokenizerFast:
    """Train a tokenizer whose tokens are the words of some stories, in lower case.

    Args:
        stories: Stories of sentences.

    Returns:
        A tokenizer with the special tokens [PAD], [UNK] and [CLS]; full stops are dropped.

    Taught in :doc:`/notebooks/46_sentence_ordering`.
    """
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence(  # type: ignore[assignment]
        [normalizers.Replace(".", ""), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # type: ignore[assignment]
    trainer = trainers.WordLevelTrainer(
        special_tokens=["[PAD]", "[UNK]", "[CLS]"], show_progress=False
    )
    tokenizer.train_from_iterator((line for story in stories for line in story), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def shuffled_stories(stories: Sequence[Sequence[str]], *, seed: int = 0) -> Dataset:
    """Put the sentences of each story in a random order, and note where each belongs.

    Args:
        stories: Stories of sentences in their order.
        seed: Seed of the orders.

    Returns:
        A data set in memory with the columns ``sentences`` and ``ranks``, 0 for the first.

    Taught in :doc:`/notebooks/46_sentence_ordering`.
    """
    random = Random(seed)
    orders = [random.sample(range(len(story)), len(story)) for story in stories]
    shuffled = [
        [story[rank] for rank in order] for story, order in zip(stories, orders, strict=True)
    ]
    return Dataset.from_dict({"sentences": shuffled, "ranks": orders})


def encode_stories(
    rows: Mapping[str, Sequence[Any]],
    *,
    tokenizer: PreTrainedTokenizerBase,
    segments: int,
    max_len: int,
) -> dict[str, list[Sequence[float]]]:
    r"""Turn shuffled stories into what a token classifier reads, a marker before each sentence.

    .. math:: y_t = \frac{2 r}{n - 1} - 1 \text{ at the marker of the sentence with rank } r,
        \qquad y_t = -100 \text{ elsewhere}

    Args:
        rows: The columns ``sentences`` and ``ranks`` of some stories.
        tokenizer: Its ``cls_token`` is the marker.
        segments: Number of different segment numbers: the tokens of sentence k have number
            k modulo ``segments``. 0 leaves the segments out.
        max_len: Tokens of a row; shorter ones are padded.

    Returns:
        The columns ``input_ids``, ``attention_mask``, ``labels``, and ``token_type_ids`` if
        there are segments.

    Raises:
        ValueError: If the tokenizer has no ``cls_token``, or a story has more than ``max_len``
            tokens.

    Taught in :doc:`/notebooks/46_sentence_ordering`.
    """
    if tokenizer.cls_token is None:
        raise ValueError("tokenizer must have a cls_token, for it marks the sentences")
    names = ["input_ids", "attention_mask", "labels"] + ["token_type_ids"] * (segments > 0)
    columns: dict[str, list[Sequence[float]]] = {name: [] for name in names}
    flat = [sentence for sentences in rows["sentences"] for sentence in sentences]
    # One call for all: far faster than one a sentence.
    encoded = iter(tokenizer(flat, add_special_tokens=False)["input_ids"])  # type: ignore[arg-type]
    for ranks in rows["ranks"]:
        ids, labels, parts = [], [], []
        for number, rank in enumerate(ranks):
            words = next(encoded)
            ids += [tokenizer.cls_token_id, *words]
            labels += [2 * rank / (len(ranks) - 1) - 1] + [float(NO_LABEL)] * len(words)
            parts += [number % max(segments, 1)] * (1 + len(words))
        spare = max_len - len(ids)
        if spare < 0:
            raise ValueError(f"max_len must be at least {len(ids)} for this story, got {max_len}")
        columns["input_ids"].append(ids + [tokenizer.pad_token_id or 0] * spare)
        columns["attention_mask"].append([1] * len(ids) + [0] * spare)
        columns["labels"].append(labels + [float(NO_LABEL)] * spare)
        if segments:
            columns["token_type_ids"].append(parts + [0] * spare)
    return columns
