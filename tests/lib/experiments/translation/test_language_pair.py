"""The language pair is what its grammar says: one translation, agreement, endings, an alignment."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutorial_lib.experiments.translation.language_pair import draw_sentences, translate
from tutorial_lib.experiments.translation.lexicon import (
    ADJECTIVES,
    BEINGS,
    CONJUNCTIONS,
    DETERMINERS,
    RECIPIENT,
    RELATIVE,
    THINGS,
    VERBS,
    velan_stems,
)

NOUNS = (*BEINGS, *THINGS)
DRAWN = draw_sentences(500, max_words=20, seed=5)


def english_forms():
    yield from (form for noun in NOUNS for form in (noun.singular, noun.plural))
    yield from (form for verb in VERBS for form in (verb.base, verb.third, verb.past))
    yield from (word.english for word in (*ADJECTIVES, *DETERMINERS))
    yield from (*CONJUNCTIONS, *RELATIVE, RECIPIENT)


def all_velan_stems():
    yield from (word.stem for word in (*NOUNS, *VERBS, *ADJECTIVES))
    yield from {word.stem for word in DETERMINERS} - {""}
    yield from (*CONJUNCTIONS.values(), *RELATIVE.values())


@pytest.mark.parametrize(
    ("english", "velan", "sources"),
    [
        ("the dog sleeps", "relap vek pego", (1, 0, 2)),
        ("a dog sleeps", "relap pego", (1, 2)),
        ("the dogs slept", "relapi veki pegevmi", (1, 0, 2)),
        ("the dog slept", "relap vek pegev", (1, 0, 2)),
        (
            "the small dog sees these old cats",
            "relap ativk vek varukia agolsia tisia pako",
            (2, 1, 0, 6, 5, 4, 3),
        ),
        (
            "some boys gave the red key to an owl",
            "dotiri lusi sigobu tuketa onizta veta sorevmi",
            (1, 0, 8, 5, 4, 3, 2),
        ),
        (
            "every king that sees the dogs sleeps because a fox sings",
            "lopes omt sho relapia vekia pako pego dur tadub rozo",
            (1, 0, 2, 5, 4, 3, 6, 7, 9, 10),
        ),
        ("the dogs ran but a cat sleeps", "relapi veki rokevmi sen varuk pego", (1, 0, 2, 3, 5, 6)),
    ],
)
def test_translations_are_those_worked_by_hand(english, velan, sources):
    assert translate(english) == (velan, sources)


def test_every_word_means_one_thing():
    for words in (list(english_forms()), list(all_velan_stems())):
        assert len(words) == len(set(words))
    assert 150 < len(list(english_forms())) < 250


def test_no_two_words_share_a_velan_form():
    plurals = (False, True)
    cases = ("nominative", "accusative", "dative")
    forms = [n.velan(c, plural=p) for n in NOUNS for c in cases for p in plurals]
    modifiers = {word.stem: word for word in (*ADJECTIVES, *DETERMINERS) if word.stem}
    for word, gender, case, plural in itertools.product(modifiers.values(), "kst", cases, plurals):
        forms.append(word.velan(gender, case, plural=plural))
    forms += [v.velan(plural=p, past=t) for v in VERBS for p in plurals for t in plurals]
    forms += [*CONJUNCTIONS.values(), *RELATIVE.values()]
    assert len(forms) == len(set(forms)) > 500
    assert not set(forms) & set(english_forms())  # copying the source translates nothing


def test_every_form_that_is_written_has_a_stem_which_it_begins_with():
    stems = velan_stems()
    assert len(stems) > 500
    assert set(stems.values()) == set(all_velan_stems())
    for text in DRAWN:
        assert all(word.startswith(stems[word]) for word in translate(text).text.split())


def test_forms_of_one_word_share_their_stem():
    stems = velan_stems()
    assert stems["relapia"] == stems["relap"] == "relap"
    assert stems["veki"] == stems["vetu"] == "ve"
    assert stems["pegevmi"] == stems["pego"] == "peg"
    assert stems["sho"] == "sho"


def test_different_sentences_have_different_translations_but_for_the_article():
    plain = {" ".join(w for w in text.split() if w not in ("a", "an")) for text in DRAWN}
    assert len({translate(text).text for text in DRAWN}) == len(plain)


@given(text=st.sampled_from(DRAWN))
def test_every_velan_word_comes_from_its_own_english_word(text):
    words = text.split()
    translation = translate(text)
    assert len(translation.text.split()) == len(translation.sources)
    left_out = set(range(len(words))) - set(translation.sources)
    assert len(set(translation.sources)) == len(translation.sources)
    assert {words[number] for number in left_out} <= {"a", "an", RECIPIENT}


@given(text=st.sampled_from(DRAWN))
def test_a_clause_ends_with_its_verb(text):
    verbs = {form for verb in VERBS for form in (verb.base, verb.third, verb.past)}
    words = text.split()
    translation = translate(text)
    order = [words[number] for number in translation.sources]
    assert order[-1] in verbs
    for before, after in itertools.pairwise(order):
        if after in CONJUNCTIONS:
            assert before in verbs


def test_adjectives_and_determiners_agree_in_gender_number_and_case():
    for noun in BEINGS:
        for form, ending in ((noun.singular, "a"), (noun.plural, "ia")):
            velan = translate(f"the king saw the blue {form}").text.split()[2:5]
            assert velan == [
                noun.stem + ending,
                f"ituv{noun.gender}{ending}",
                f"ve{noun.gender}{ending}",
            ]


def test_all_words_are_drawn():
    drawn = {word for text in draw_sentences(20_000, max_words=12) for word in text.split()}
    assert drawn == set(english_forms())


def test_sentences_are_drawn_once_in_the_lengths_asked_for_and_by_seed():
    drawn = draw_sentences(300, min_words=5, max_words=7, seed=1)
    assert len(set(drawn)) == 300
    assert {len(text.split()) for text in drawn} == {5, 6, 7}
    assert draw_sentences(300, min_words=5, max_words=7, seed=1) == drawn
    assert draw_sentences(300, min_words=5, max_words=7, seed=2) != drawn
    assert draw_sentences(100, min_words=5, max_words=7, seed=1) == drawn[:100]


def test_the_article_fits_the_next_word():
    for text in DRAWN:
        for article, word in itertools.pairwise(text.split()):
            if article in ("a", "an"):
                assert (article == "an") == (word[0] in "aeiou")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "word 1 must be a determiner, got ''"),
        ("dog sees", "word 1 must be a determiner, got 'dog'"),
        ("the", "word 2 must be a noun, got the end"),
        ("the sees", "word 2 must be a noun, got 'sees'"),
        ("these dog sleeps", "word 2 must be a noun that agrees with 'these', got 'dog'"),
        ("the dog", "word 3 must be a verb, got the end"),
        ("the dog sleep", "word 3 must be a verb with a singular subject, got 'sleep'"),
        ("the dogs sleeps", "word 3 must be a verb with a plural subject, got 'sleeps'"),
        ("the dog gives a key", "word 6 must be 'to', got the end"),
        ("the dog that gives", "word 4 must be a verb without recipient, got 'gives'"),
        ("the dog sleeps now", "word 4 must be no word, got 'now'"),
        ("the  dog sleeps", "word 2 must be a noun, got ''"),
    ],
)
def test_what_is_no_sentence_is_refused_at_its_first_wrong_word(text, says):
    with pytest.raises(ValueError, match=f"^text must be a sentence of the grammar: {says}$"):
        translate(text)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"size": 0}, ValueError, "size must be at least 1, got 0"),
        ({"size": 1.0}, TypeError, "size must be an integer, got float"),
        ({"min_words": 0}, ValueError, "min_words must be at least 1, got 0"),
        ({"min_words": 13}, ValueError, "min_words must be at most max_words=12, got 13"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"max_words": 2, "min_words": 1}, ValueError, "size must be at most about 0 for 1 to 2"),
    ],
)
def test_wrong_numbers_are_refused(settings, error, says):
    with pytest.raises(error, match=f"^{says}"):
        draw_sentences(**({"size": 3} | settings))


@pytest.mark.usefixtures("unchecked_shapes")
def test_what_is_no_text_is_refused():
    with pytest.raises(TypeError, match=r"^text must be a string, got list"):
        translate(["the", "dog", "sleeps"])
