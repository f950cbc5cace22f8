"""The rows are what the stories say, the splits are apart, and nothing is written to a cache."""

from __future__ import annotations

from typing import Any

import datasets
import pytest
import torch
from transformers import AutoTokenizer, BertConfig, DistilBertConfig, PreTrainedTokenizerFast

from tutorial_lib.experiments.ordering.data import OrderingDataModule
from tutorial_lib.experiments.ordering.encoding import (
    encode_stories,
    shuffled_stories,
    train_tokenizer,
)

SIZES: dict[str, Any] = {"train_size": 40, "val_size": 9, "test_size": 11, "batch_size": 8}
TWO = [["Mia finds a key.", "She opens the gate with it."]]


def make(**settings):
    module = OrderingDataModule(**(SIZES | settings))
    module.setup("fit")
    return module


@pytest.fixture(scope="module")
def data():
    return make()


def sentences_of(row, tokenizer):
    words = tokenizer.convert_ids_to_tokens(row["input_ids"][row["attention_mask"] == 1])
    return [part.split() for part in " ".join(words).split("[CLS]")[1:]]


def test_the_rows_are_those_worked_by_hand():
    tokenizer = train_tokenizer(TWO)
    rows = {"sentences": [TWO[0][::-1]], "ranks": [[1, 0]]}
    columns = encode_stories(rows, tokenizer=tokenizer, segments=6, max_len=13)
    tokens = tokenizer.convert_ids_to_tokens(columns["input_ids"][0])
    said = "[CLS] she opens the gate with it [CLS] mia finds a key [PAD]"
    assert tokens == said.split()
    assert columns["attention_mask"] == [[1] * 12 + [0]]
    assert columns["token_type_ids"] == [[0] * 7 + [1] * 5 + [0]]
    assert columns["labels"] == [[1.0, *[-100.0] * 6, -1.0, *[-100.0] * 5]]


def test_segments_are_counted_modulo_their_number_or_left_out():
    rows = {"sentences": [["a", "b", "c"]], "ranks": [[2, 0, 1]]}
    settings = {"tokenizer": train_tokenizer([["a", "b", "c"]]), "max_len": 6}
    assert encode_stories(rows, segments=2, **settings)["token_type_ids"] == [[0, 0, 1, 1, 0, 0]]
    without = encode_stories(rows, segments=0, **settings)
    assert list(without) == ["input_ids", "attention_mask", "labels"]
    assert [label for label in without["labels"][0] if label != -100] == [1, -1, 0]


def test_what_does_not_fit_is_refused_and_not_cut_off():
    rows, tokenizer = {"sentences": TWO, "ranks": [[0, 1]]}, train_tokenizer(TWO)
    with pytest.raises(ValueError, match="max_len must be at least 12 for this story, got 11"):
        encode_stories(rows, tokenizer=tokenizer, segments=6, max_len=11)
    tokenizer.cls_token = None
    with pytest.raises(ValueError, match="tokenizer must have a cls_token"):
        encode_stories(rows, tokenizer=tokenizer, segments=6, max_len=20)


def test_shuffling_keeps_the_sentences_and_knows_their_ranks(data):
    shuffled = shuffled_stories(data.stories[0], seed=1)
    for row, story in zip(shuffled, data.stories[0], strict=True):
        assert [story[rank] for rank in row["ranks"]] == row["sentences"]
        assert sorted(row["ranks"]) == list(range(len(story)))
    assert any(row["ranks"] != sorted(row["ranks"]) for row in shuffled)
    assert shuffled["ranks"][:] != shuffled_stories(data.stories[0], seed=2)["ranks"][:]


def test_the_splits_hold_the_stories_in_order_of_their_labels(data):
    assert [len(split) for split in data.splits] == [40, 9, 11]
    seen = [tuple(story) for stories in data.stories for story in stories]
    assert len(set(seen)) == 60
    for split, stories in zip(data.splits, data.stories, strict=True):
        for row, story in zip(split, stories, strict=True):
            labels = row["labels"][row["labels"] != -100]
            parts = sentences_of(row, data.tokenizer)
            in_order = [parts[number] for number in labels.argsort()]
            assert in_order == [sentence.lower().removesuffix(".").split() for sentence in story]
            steps = torch.linspace(-1, 1, len(story))
            torch.testing.assert_close(labels.sort().values, steps)


def test_batches_are_padded_to_their_longest_row(data):
    batches = list(data.val_dataloader())
    assert [len(batch["labels"]) for batch in batches] == [8, 1]
    for batch in batches:
        assert batch["attention_mask"].sum(dim=1).max() == batch["input_ids"].shape[1]
        assert batch["labels"].dtype == torch.float32
        marked = batch["labels"] != -100
        assert marked.equal(batch["input_ids"] == data.tokenizer.cls_token_id)
    assert sum(len(batch["labels"]) for batch in data.test_dataloader()) == 11


def test_nothing_is_written_and_the_bars_come_back(monkeypatch, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", home / "cache")
    datasets.enable_progress_bars()
    module = make()
    assert all(split.cache_files == [] for split in module.splits)
    assert not any(home.iterdir())
    assert not datasets.are_progress_bars_disabled()


@pytest.mark.parametrize(
    ("config", "reads", "segments"),
    [
        (BertConfig(type_vocab_size=2), ["input_ids", "token_type_ids", "attention_mask"], 2),
        (DistilBertConfig(), ["input_ids", "attention_mask"], 0),
    ],
)
def test_a_pretrained_tokenizer_comes_from_its_folder(tmp_path, data, config, reads, segments):
    config.save_pretrained(tmp_path)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=data.tokenizer.backend_tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        model_input_names=reads,
    )
    tokenizer.save_pretrained(tmp_path)
    module = OrderingDataModule(pretrained=str(tmp_path), **SIZES)
    module.prepare_data()
    assert not hasattr(module, "tokenizer")  # another process would not have it
    module.setup("fit")
    assert module.segments == segments
    batch = next(iter(module.val_dataloader()))
    assert ("token_type_ids" in batch) == (segments > 0)
    assert batch["input_ids"].equal(next(iter(data.val_dataloader()))["input_ids"])
    assert len(AutoTokenizer.from_pretrained(tmp_path)) == len(data.tokenizer)


@pytest.mark.usefixtures("unchecked_shapes")
def test_rows_of_no_length_are_refused():
    with pytest.raises(ValueError, match=r"^max_len must be at least 1, got 0"):
        OrderingDataModule(max_len=0)
