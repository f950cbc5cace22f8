"""A text becomes windows: anywhere to train on, each token once to evaluate, none in two parts."""

from __future__ import annotations

import pytest

from tutorial_lib.experiments.tiny_gpt.data import TextDataModule
from tutorial_lib.teacher_forcing import NO_LABEL


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "own.txt"
    path.write_text("\n\n".join(f"Line {i}: “{i * i}” is a square." for i in range(60)), "utf-8")
    return str(path)


def make(path, **settings):
    module = TextDataModule(
        **({"path": path, "length": 8, "batch_size": 4, "vocab_size": 280} | settings)
    )
    module.setup("fit")
    return module


@pytest.mark.parametrize("level", ["character", "bpe"])
def test_every_token_behind_the_line_break_is_a_label_once(path, level):
    module = make(path, level=level)
    for text, stream, rows in zip(module.texts, module.streams, module.splits, strict=True):
        assert module.encoding.decode(stream) == "\n" + text
        if rows is module.splits[0]:
            continue
        tokens, labels, characters = rows.tensors
        counted = labels != NO_LABEL
        assert labels[counted].equal(stream[1:])
        assert tokens[counted].equal(stream[:-1])
        assert int(characters.sum()) == len(text)
        assert characters[~counted].eq(0).all()


@pytest.mark.parametrize("level", ["character", "bpe"])
def test_training_rows_start_at_every_place_and_are_shifted_by_one(path, level):
    module = make(path, level=level)
    tokens, labels, characters = module.splits[0].tensors
    stream = module.streams[0]
    assert len(tokens) == len(stream) - 8
    assert tokens[:, 0].equal(stream[:-8])
    assert tokens[:, 1:].equal(labels[:, :-1])
    assert labels[:, -1].equal(stream[8:])
    assert characters.equal(module.encoding.characters[labels])


def test_nothing_of_the_held_out_text_trains_the_encoding(path):
    module = make(path, level="character")
    assert set(module.encoding.alphabet[1:]) == set(module.texts.train)


def test_the_text_is_the_reference_when_none_is_given():
    module = TextDataModule(length=32)
    module.setup("fit")
    assert module.encoding.vocab_size == 1024
    assert [len(text) > 30_000 for text in module.texts] == [True] * 3


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"level": "word"}, ValueError, "level must be 'character' or 'bpe', got 'word'"),
        ({"length": 0}, ValueError, "length must be at least 1, got 0"),
        ({"vocab_size": 100}, ValueError, "vocab_size must be at least 256"),
        ({"length": 10**6}, ValueError, "length must be at most"),
        ({"path": "/no/such/file"}, FileNotFoundError, "no/such"),
    ],
)
def test_wrong_settings_are_refused(path, wrong, error, says):
    with pytest.raises(error, match=says):
        make(**({"path": path} | wrong))
