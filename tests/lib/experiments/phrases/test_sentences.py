"""Every sentence has one French translation, and what is no sentence is refused by name."""

from __future__ import annotations

import pytest

from tutorial_lib.experiments.phrases.sentences import (
    ENGLISH,
    FRENCH,
    all_sentences,
    translate,
    word_numbers,
)

TRANSLATED = {
    "the black cat sees a white mouse": "le chat noir voit une souris blanche",
    "a white mouse sees the black cat": "une souris blanche voit le chat noir",
    "the green cow follows the grey dog": "la vache verte suit le chien gris",
    "a red hen hears a yellow horse": "une poule rouge entend un cheval jaune",
    "the grey goat likes the green rabbit": "la chèvre grise aime le lapin vert",
}


@pytest.mark.parametrize(("english", "french"), TRANSLATED.items(), ids=TRANSLATED)
def test_the_translation_is_what_a_french_speaker_says(english, french):
    assert translate(english) == french


def test_no_two_sentences_are_the_same_and_each_word_has_its_use():
    sentences = all_sentences()
    assert len(sentences) == len(set(sentences)) == 2 * 6 * 8 * 4 * 2 * 6 * 8
    assert sorted({word for text in sentences for word in text.split()}) == ENGLISH
    french = {word for text in sentences for word in translate(text).split()}
    assert sorted(french) == FRENCH
    assert (len(ENGLISH), len(FRENCH)) == (20, 26)


def test_words_and_numbers_lead_back_to_each_other():
    texts = list(TRANSLATED)
    rows = word_numbers(texts, ENGLISH)
    assert rows.shape == (5, 7)
    assert [" ".join(ENGLISH[i] for i in row) for row in rows] == texts


@pytest.mark.parametrize(
    ("sentence", "says"),
    [
        ("the cat sees the dog", "sentence must have 7 words, got 5"),
        ("the black cat sees a white zebra", "word 6 must be one of cat, .*, got 'zebra'"),
        ("black the cat sees a white mouse", "word 0 must be one of the, a, got 'black'"),
    ],
)
def test_what_is_no_sentence_has_no_translation(sentence, says):
    with pytest.raises(ValueError, match=says):
        translate(sentence)


def test_an_unknown_word_and_different_lengths_have_no_numbers():
    with pytest.raises(ValueError, match="known words only, got 'zebra'"):
        word_numbers(["the zebra"], ENGLISH)
    with pytest.raises(ValueError, match=r"one length, got lengths \[1, 2\]"):
        word_numbers(["the", "the cat"], ENGLISH)
