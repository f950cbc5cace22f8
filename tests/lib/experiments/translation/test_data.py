"""The sentence pairs come in disjoint splits, in pieces, from the grammar or from files."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from tutorial_lib.experiments.translation.bpe import BpeTokenizer
from tutorial_lib.experiments.translation.data import TranslationDataModule
from tutorial_lib.experiments.translation.language_pair import translate
from tutorial_lib.teacher_forcing import END, PAD, START

SIZES: dict[str, Any] = {
    "max_words": 8,
    "longest_words": 12,
    "train_size": 200,
    "val_size": 21,
    "test_size": 22,
    "longer_size": 23,
    "vocab_size": 150,
    "batch_size": 8,
}


def make(**settings):
    module = TranslationDataModule(**(SIZES | settings))
    module.setup("fit")
    return module


@pytest.fixture(scope="module")
def data():
    return make(seed=3)


def corpus(size):
    """Sentences of 1 to 14 words, each with a translation."""
    return [
        (" ".join(f"w{number}" for _ in range(number % 14 + 1)) + f" {number}", f"t{number}")
        for number in range(size)
    ]


def test_the_splits_have_their_sizes_and_no_sentence_in_common(data):
    assert [len(pairs) for pairs in data.pairs] == [200, 21, 22, 23]
    assert [len(rows) for rows in data.splits] == [200, 21, 22, 23]
    sources = [source for pairs in data.pairs for source, _ in pairs]
    assert len(set(sources)) == len(sources)


def test_the_fourth_split_is_longer_than_all_others(data):
    lengths = [[len(source.split()) for source, _ in pairs] for pairs in data.pairs]
    assert max(map(max, lengths[:3])) <= 8
    assert min(map(min, lengths[:3])) >= 3
    assert 9 <= min(lengths[3]) <= max(lengths[3]) <= 12


def test_every_target_is_the_translation_of_its_source(data):
    for pairs in data.pairs:
        assert all(translate(source).text == target for source, target in pairs)


def test_the_tokens_are_those_of_the_texts(data):
    for pairs, rows in zip(data.pairs, data.splits, strict=True):
        src, tgt = rows.tensors
        assert data.tokenizer.texts(src) == [source for source, _ in pairs]
        assert data.tokenizer.texts(tgt) == [target for _, target in pairs]
        assert (tgt[:, 0] == START).all()
        assert ((tgt == END).sum(dim=1) == 1).all()
    assert data.tokenizer.vocab_size == 150


def test_the_tokenizer_has_seen_the_training_texts_alone(data):
    texts = [text for pair in data.pairs[0] for text in pair]
    again = BpeTokenizer.train(texts, vocab_size=150)
    assert again.tokenizer.to_str() == data.tokenizer.tokenizer.to_str()
    more = texts + [text for pair in data.pairs[2] for text in pair]
    other = BpeTokenizer.train(more, vocab_size=150)
    assert other.tokenizer.to_str() != data.tokenizer.tokenizer.to_str()


def test_training_batches_hold_pairs_of_about_one_length(data):
    loader = data.train_dataloader()
    assert isinstance(loader, DataLoader)
    pairs = set(data.pairs[0])
    batches = list(loader)
    assert len(batches) == 25
    for src, tgt in batches:
        found = zip(data.tokenizer.texts(src), data.tokenizer.texts(tgt), strict=True)
        assert set(found) <= pairs
        assert (src[:, -1] != PAD).any()
    assert sum(int((src == PAD).sum()) for src, _ in batches) < 0.2 * sum(
        src.numel() for src, _ in batches
    )


def test_the_other_loaders_go_through_their_split_in_order(data):
    for loader, pairs in ((data.val_dataloader(), 1), (data.test_dataloader(), 2)):
        texts = [text for src, _ in loader for text in data.tokenizer.texts(src)]
        assert texts == [source for source, _ in data.pairs[pairs]]


def test_everything_is_that_of_the_seed(data):
    again, other = make(seed=3), make(seed=4)
    assert again.pairs == data.pairs
    assert other.pairs != data.pairs
    first, second = (next(iter(module.train_dataloader()))[0] for module in (again, data))
    assert first.equal(second)


def test_two_files_are_read_and_split(tmp_path):
    pairs = corpus(400)
    for name, column in (("train.en", 0), ("train.de", 1)):
        (tmp_path / name).write_text("\n".join(pair[column] for pair in pairs), "utf-8")
    files = {
        f"{side}_file": str(tmp_path / f"train.{end}")
        for side, end in (("source", "en"), ("target", "de"))
    }
    module = make(**files, train_size=100)
    assert [len(split) for split in module.pairs] == [100, 21, 22, 23]
    assert {pair for split in module.pairs for pair in split} <= set(pairs)
    lengths = [{len(source.split()) for source, _ in split} for split in module.pairs]
    assert set.union(*lengths[:3]) == set(range(3, 9))
    assert lengths[3] == set(range(9, 13))
    assert make(**files, train_size=100).pairs == module.pairs
    assert make(**files, train_size=100, seed=9).pairs != module.pairs


def test_one_file_with_tabs_is_read_and_a_source_has_one_translation(tmp_path):
    path = tmp_path / "pairs.tsv"
    lines = [f"{source}\t{target}\tlicence" for source, target in corpus(300)]
    path.write_text("\n".join([*lines, "w2 w2 w2 2\tanother\tlicence"]), "utf-8")
    module = make(source_file=str(path), train_size=50, longest_words=9)
    sources = [source for split in module.pairs for source, _ in split]
    assert len(sources) == len(set(sources))
    assert ("w2 w2 w2 2", "another") not in [pair for split in module.pairs for pair in split]


def test_a_corpus_without_longer_sentences_has_three_splits(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("\n".join(f"a b c{n}\tx{n}" for n in range(100)), "utf-8")
    module = make(source_file=str(path), train_size=40)
    assert len(module.splits) == 3
    assert module.pairs[3] == []


def test_a_corpus_that_is_too_small_is_refused(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("a b c\tx\n", "utf-8")
    with pytest.raises(ValueError, match="source_file must have 243 different sentences of 3 to 8"):
        make(source_file=str(path))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"longer_size": 0}, ValueError, "longer_size must be at least 1, got 0"),
        ({"vocab_size": 1.5}, TypeError, "vocab_size must be an integer, got float"),
        (
            {"min_words": 9},
            ValueError,
            "min_words, max_words and longest_words must rise, got 9, 8",
        ),
        ({"longest_words": 8}, ValueError, "min_words, max_words and longest_words must rise"),
        ({"target_file": "x"}, ValueError, "source_file must be given with target_file='x'"),
    ],
)
def test_wrong_settings_are_refused(wrong, error, says):
    with pytest.raises(error, match=f"^{says}"):
        TranslationDataModule(**(SIZES | wrong))


def test_no_sentence_is_longer_than_its_tensor_says(data):
    src, _ = data.splits[0].tensors
    assert torch.equal((src != PAD).sum(dim=1).max(), torch.tensor(src.shape[1]))
