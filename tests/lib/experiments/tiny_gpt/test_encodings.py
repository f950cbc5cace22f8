"""Every text comes back from its tokens, and their characters add up to its length."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from tutorial_lib.experiments.tiny_gpt.encodings import REPLACEMENT, ByteLevelBpe, CharacterEncoding

TEXT = "the cat sat on the mat. the café € “the” end.\n" * 5
BPE = ByteLevelBpe(TEXT, vocab_size=280)


@given(st.text(max_size=40))
def test_bpe_writes_every_text(text):
    tokens = BPE.encode(text)
    assert BPE.decode(tokens) == text
    assert int(BPE.characters[tokens].sum()) == len(text)


@given(st.text("thecatson.é€“”\n", max_size=40))
def test_characters_come_back(text):
    encoding = CharacterEncoding(TEXT)
    tokens = encoding.encode(text)
    assert len(tokens) == len(text) == int(encoding.characters[tokens].sum())
    assert encoding.decode(tokens) == text
    assert encoding.labels(tokens) == list(text)


def test_characters_are_numbered_in_order_behind_the_unknown_one():
    encoding = CharacterEncoding("cab")
    assert encoding.vocab_size == 4
    assert encoding.encode("abcz").tolist() == [1, 2, 3, 0]
    assert encoding.decode(torch.tensor([3, 0, 1])) == f"c{REPLACEMENT}a"


def test_bpe_joins_the_most_frequent_pair_first():
    encoding = ByteLevelBpe("abab abab ac", vocab_size=257)  # ab: four times, more than any other
    assert encoding.vocab_size == 257
    assert encoding.labels(encoding.encode("abc")) == ["ab", "c"]


def test_bpe_stops_where_there_is_no_pair_left():
    assert ByteLevelBpe("ab ab", vocab_size=300).vocab_size < 262


def test_a_part_of_a_character_begins_none_or_the_whole():
    tokens = ByteLevelBpe("ab", vocab_size=256).encode("é€")
    assert len(tokens) == 5  # bytes
    assert ByteLevelBpe("ab", vocab_size=256).characters[tokens].tolist() == [1, 0, 1, 0, 0]
    assert set(BPE.labels(BPE.encode("漢"))) == {REPLACEMENT}


def test_the_bytes_are_those_of_the_tokenizers_own_alphabet():
    assert set(ByteLevelBpe("a", vocab_size=256).pieces) == {bytes([b]) for b in range(256)}
    assert len(pre_tokenizers.ByteLevel.alphabet()) == 256


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: CharacterEncoding(""), ValueError, "at least one character"),
        (lambda: ByteLevelBpe("a", vocab_size=255), ValueError, "at least 256, the bytes, got 255"),
        (lambda: ByteLevelBpe("a", vocab_size=3e2), TypeError, "vocab_size must be an integer"),
    ],
)
def test_wrong_settings_are_refused(call, error, says):
    with pytest.raises(error, match=says):
        call()
