"""Byte-pair encoding: merges worked by hand, round trips, special tokens that no text can spell."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from tutorial_lib.experiments.translation.bpe import SPACE, SPECIAL, UNKNOWN, BpeTokenizer
from tutorial_lib.experiments.translation.language_pair import draw_sentences, translate
from tutorial_lib.teacher_forcing import END, PAD, START

DRAWN = draw_sentences(300, seed=3)
TEXTS = [*DRAWN, *(translate(text).text for text in DRAWN)]
TOKENIZER = BpeTokenizer.train(TEXTS, vocab_size=300)
ALPHABET = sorted(set("".join(TEXTS)) - {" "})


def merges_by_hand(texts, number):
    """Join the most frequent pair, again and again; the oldest pieces win a tie."""
    words = Counter(SPACE + word for text in texts for word in text.split())
    split = {word: list(word) for word in words}
    age = {piece: number for number, piece in enumerate(sorted({SPACE, *"".join(words)}))}
    merges = []
    for _ in range(number):
        pairs = Counter()
        for word, count in words.items():
            for pair in zip(split[word], split[word][1:], strict=False):
                pairs[pair] += count
        left, right = min(pairs, key=lambda pair: (-pairs[pair], age[pair[0]], age[pair[1]]))
        merges.append(left + right)
        age.setdefault(left + right, len(age))
        for word, parts in split.items():
            at, joined = 0, []
            while at < len(parts):
                if parts[at : at + 2] == [left, right]:
                    joined.append(left + right)
                    at += 2
                else:
                    joined.append(parts[at])
                    at += 1
            split[word] = joined
    return merges


def test_the_merges_are_those_worked_by_hand():
    # a b stands there four times, the mark and a three times, b a once, the mark and b once.
    characters = len({SPACE, "a", "b"})
    tokenizer = BpeTokenizer.train(["abab ab ab b"], vocab_size=len(SPECIAL) + characters + 1)
    assert tokenizer.tokenizer.id_to_token(len(SPECIAL) + characters) == "ab"
    assert tokenizer.pieces("abab b") == [SPACE, "ab", "ab", SPACE, "b"]
    whole = BpeTokenizer.train(["abab ab ab b"], vocab_size=1000)
    assert whole.pieces("abab b") == [f"{SPACE}abab", f"{SPACE}b"]


def test_the_merges_of_the_language_pair_are_those_of_the_plain_algorithm():
    ours = merges_by_hand(TEXTS, 40)
    first = len(SPECIAL) + len({SPACE, *ALPHABET})
    found = [TOKENIZER.tokenizer.id_to_token(first + number) for number in range(40)]
    assert found == ours


@given(text=st.sampled_from(TEXTS))
def test_a_text_comes_back_from_its_pieces(text):
    assert TOKENIZER.texts(TOKENIZER.sources([text])) == [text]
    assert TOKENIZER.texts(TOKENIZER.targets([text])) == [text]
    assert "".join(TOKENIZER.pieces(text)) == SPACE + text.replace(" ", SPACE)


@given(
    words=st.lists(st.text(ALPHABET, min_size=1, max_size=8), min_size=1, max_size=6),
    others=st.lists(st.text(ALPHABET, min_size=1, max_size=8), min_size=1, max_size=6),
)
def test_so_does_a_text_of_words_that_training_never_saw(words, others):
    texts = [" ".join(words), " ".join(others)]
    tokens = TOKENIZER.targets(texts)
    assert TOKENIZER.texts(tokens) == texts
    assert (tokens != UNKNOWN).all()
    numbers = TOKENIZER.word_numbers(texts[0])
    assert len(numbers) == len(TOKENIZER.pieces(texts[0]))
    assert sorted(set(numbers)) == list(range(len(words)))


def test_rows_are_padded_and_targets_have_a_start_and_an_end():
    texts = ["the dog sleeps because a cat sings", "the dog sleeps"]
    sources, targets = TOKENIZER.sources(texts), TOKENIZER.targets(texts)
    assert sources.dtype == targets.dtype == torch.int64
    assert targets.shape == (2, sources.shape[1] + 2)
    assert targets[0].tolist() == [START, *sources[0].tolist(), END]
    real = int((sources[1] != PAD).sum())
    assert targets[1].tolist() == [START, *sources[1, :real].tolist(), END] + [PAD] * (
        sources.shape[1] - real
    )
    assert sources[sources != PAD].min() > UNKNOWN


def test_what_stands_behind_the_end_does_not_count():
    tokens = TOKENIZER.targets(["the dog sleeps"])
    more = torch.cat([tokens, tokens[:, 1:3]], dim=1)
    assert TOKENIZER.texts(more) == ["the dog sleeps"]
    assert TOKENIZER.texts(torch.tensor([[START, END]])) == [""]


@pytest.mark.parametrize("word", SPECIAL)
def test_no_text_can_spell_a_special_token(word):
    tokens = TOKENIZER.sources([f"the dog {word} sleeps"])[0]
    assert not set(tokens.tolist()) & {PAD, START, END}
    learned = BpeTokenizer.train([f"a {word} b"] * 3, vocab_size=1000)
    assert learned.texts(learned.sources([f"a {word} b"])) == [f"a {word} b"]
    assert learned.sources([word]).min() > UNKNOWN


def test_a_character_that_training_never_saw_is_unknown():
    assert TOKENIZER.sources(["the dé dog"]).eq(UNKNOWN).sum() == 1


def test_the_special_tokens_are_those_of_the_other_pairs():
    numbers = [TOKENIZER.tokenizer.token_to_id(token) for token in SPECIAL]
    assert numbers == [PAD, START, END, UNKNOWN] == [0, 1, 2, 3]


def test_the_size_is_kept_and_training_repeats_itself():
    assert TOKENIZER.vocab_size == 300
    again = BpeTokenizer.train(TEXTS, vocab_size=300)
    assert again.tokenizer.to_str() == TOKENIZER.tokenizer.to_str()


def test_the_tokenizer_comes_back_from_its_file(tmp_path):
    path = tmp_path / "tokenizer.json"
    TOKENIZER.save(path)
    again = BpeTokenizer.load(path)
    assert again.sources(TEXTS).equal(TOKENIZER.sources(TEXTS))
    assert again.sources(["<end>"]).min() >= UNKNOWN  # the setting is not in the file


def test_what_is_no_text_or_no_such_tokenizer_is_refused():
    for texts in ([], ["the dog", ""]):
        with pytest.raises(ValueError, match=r"^texts must hold at least one text, and none that"):
            TOKENIZER.sources(texts)
    with pytest.raises(ValueError, match=r"^vocab_size must be at least 1, got 0"):
        BpeTokenizer.train(TEXTS, vocab_size=0)
    with pytest.raises(ValueError, match=r"^tokenizer must begin with the tokens"):
        BpeTokenizer(Tokenizer(models.BPE()))
