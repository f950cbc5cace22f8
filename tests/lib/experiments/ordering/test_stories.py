"""The stories are varied, drawn by seed, and have one order: that in which they were written."""

from __future__ import annotations

from random import Random

import pytest

from tutorial_lib.experiments.ordering.rules import CLUES, consistent_orders, facts_of
from tutorial_lib.experiments.ordering.stories import TIMES, generate_stories

STORIES = generate_stories(400, seed=5)


def test_stories_have_four_to_six_sentences_and_no_two_are_the_same():
    assert {len(story) for story in STORIES} == {4, 5, 6}
    assert len({tuple(story) for story in STORIES}) == 400
    assert all(len(set(story)) == len(story) for story in STORIES)


def test_the_draw_is_that_of_the_seed():
    assert generate_stories(30, seed=5) == STORIES[:30]
    assert generate_stories(30, seed=6) != STORIES[:30]


def test_one_order_fits_the_clues_and_it_is_the_right_one():
    random = Random(0)
    for story in STORIES:
        shown = random.sample(range(len(story)), len(story))  # the reader gets no order
        (found,) = consistent_orders([story[place] for place in shown])
        assert [shown[number] for number in found] == list(range(len(story)))


@pytest.mark.parametrize("clue", CLUES)
def test_no_clue_can_be_done_without(clue):
    counts = [len(consistent_orders(story, ignore=[clue])) for story in STORIES[:100]]
    assert min(counts) >= 1
    assert sum(count > 1 for count in counts) > 20


def test_any_time_can_open_a_story():
    first = {next(s.split()[1] for s in story if s.startswith("At ")) for story in STORIES}
    assert first == set(TIMES)


@pytest.mark.parametrize(
    ("sentence", "facts"),
    [
        ("At dawn Mia finds a key.", (0, "name", None, 0, 0)),
        ("He opens the gate with it.", (None, None, "pronoun", 0, 1)),
        ("At midnight the goat runs away.", (3, None, None, 0, 2)),
        ("Smoke fills the room.", (None, None, None, 4, 2)),
        ("At noon she writes a poem.", (1, "pronoun", None, None, None)),
    ],
)
def test_a_sentence_is_read_as_by_hand(sentence, facts):
    assert facts_of(sentence) == facts


@pytest.mark.parametrize(
    ("sentences", "orders"),
    [
        (["She eats an apple.", "Mia reads a letter."], [(1, 0)]),
        (["He eats an apple.", "Mia reads a letter."], []),  # no name for him
        (["At dawn Mia eats an apple.", "At midnight Mia reads a letter."], [(1, 0)]),
        (["The goat runs away.", "Mia opens the gate with a key."], [(1, 0)]),
        (["Mia opens the gate with it.", "Mia finds a key."], [(1, 0)]),
        (["Mia finds a rope.", "Mia finds a key."], [(0, 1), (1, 0)]),
    ],
)
def test_orders_are_those_worked_by_hand(sentences, orders):
    assert consistent_orders(sentences) == orders


@pytest.mark.usefixtures("unchecked_shapes")
def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        generate_stories(0)
    with pytest.raises(TypeError, match="seed must be an integer, got float"):
        generate_stories(3, seed=1.5)
    with pytest.raises(ValueError, match=r"sentence must be one that .* got 'Mia flies\.'"):
        facts_of("Mia flies.")
    for odd in ("", "At dawn", "At dawn."):
        with pytest.raises(ValueError, match="sentence must be one"):
            facts_of(odd)
    with pytest.raises(ValueError, match=r"ignore must hold some of .* got 'places'"):
        consistent_orders(STORIES[0], ignore=["places"])
    with pytest.raises(ValueError, match="sentences must be at most 7, got 8"):
        consistent_orders(["Mia finds a key."] * 8)
    apart = ["At dawn Mia finds a key.", "At dusk Mia finds a rope."]
    with pytest.raises(ValueError, match=r"neighbouring times, got \['dawn', 'dusk'\]"):
        consistent_orders(apart)
