"""The rules by which a reader puts the sentences of a story in order."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import permutations
from typing import Literal, NamedTuple, get_args

from tutorial_lib.experiments.ordering.stories import (
    ERRANDS,
    MEN,
    PASTIMES,
    PICKING_UP,
    TIMES,
    WOMEN,
)

Clue = Literal["times", "objects", "causes", "pronouns"]
CLUES: tuple[Clue, ...] = get_args(Clue)
_PICK_UP, _USE, _EFFECT = range(3)


class Facts(NamedTuple):
    """What one sentence says.

    Args:
        time: The time it tells, as a number in ``TIMES``; None where it tells none.
        woman: How it calls a woman: "name", "pronoun", or None.
        man: How it calls a man, likewise.
        errand: The errand it belongs to, as a number in ``ERRANDS``; None for a pastime.
        stage: 0 for picking up, 1 for using, 2 for the effect; None for a pastime.
    """

    time: int | None
    woman: str | None
    man: str | None
    errand: int | None
    stage: int | None


def facts_of(sentence: str) -> Facts:
    """Read one sentence of a story.

    Args:
        sentence: As :func:`tutorial_lib.experiments.ordering.stories.generate_stories` writes it.

    Returns:
        What it says; nothing about its place in the story is used.

    Raises:
        ValueError: If the sentence is not of that kind.

    Used in :doc:`/notebooks/46_sentence_ordering`.
    """
    words = sentence.removesuffix(".").split()
    time = None
    if len(words) > 2 and words[0] == "At" and words[1] in TIMES:
        time, words = TIMES.index(words[1]), words[2:]
    subject, clause = (words[0] if words else ""), " ".join(words[1:])
    whole = " ".join(words).lower()
    for number, errand in enumerate(ERRANDS):
        if whole == errand.effect:
            return Facts(time, None, None, number, _EFFECT)
    woman = "name" if subject in WOMEN else "pronoun" if subject.lower() == "she" else None
    man = "name" if subject in MEN else "pronoun" if subject.lower() == "he" else None
    if woman or man:
        if clause in PASTIMES:
            return Facts(time, woman, man, None, None)
        for number, errand in enumerate(ERRANDS):
            if clause in {f"{verb} {errand.thing}" for verb in PICKING_UP}:
                return Facts(time, woman, man, number, _PICK_UP)
            if clause.startswith(f"{errand.use} with "):
                return Facts(time, woman, man, number, _USE)
    raise ValueError(f"sentence must be one that generate_stories writes, got {sentence!r}")


def consistent_orders(
    sentences: Sequence[str], *, ignore: Collection[Clue] = ()
) -> list[tuple[int, ...]]:
    """Find all orders of some sentences that make a story.

    The clues: *times* go from one to the next in the circle dawn, noon, dusk, midnight, and a
    story does not go round it; *objects* are picked up before they are used; *causes* come
    before their effects; *pronouns* come after a name.

    Args:
        sentences: The sentences of one story, in any order, at most 7.
        ignore: Clues that the reader does not know.

    Returns:
        Each order as the numbers of the sentences, first to last.

    Raises:
        ValueError: If a sentence is not of the stories' kind, there are more than 7, the times
            are not neighbours in the circle, or a clue is not known.

    Taught in :doc:`/notebooks/46_sentence_ordering`.
    """
    for clue in ignore:
        if clue not in CLUES:
            raise ValueError(f"ignore must hold some of {list(CLUES)}, got {clue!r}")
    if len(sentences) > 7:
        raise ValueError(f"sentences must be at most 7, got {len(sentences)}")
    facts = [facts_of(sentence) for sentence in sentences]
    before = {pair for clue in CLUES if clue not in ignore for pair in _pairs(facts, clue)}
    return [
        order
        for order in permutations(range(len(facts)))
        if _keeps(order, before)
        and ("pronouns" in ignore or _names_first([facts[number] for number in order]))
    ]


def _pairs(facts: Sequence[Facts], clue: Clue) -> Iterator[tuple[int, int]]:
    """Give the pairs (earlier, later) that a clue settles."""
    start = _first_time(facts) if clue == "times" else 0
    stages = {"objects": (_PICK_UP, _USE), "causes": (_USE, _EFFECT)}.get(clue)
    for i, one in enumerate(facts):
        for j, other in enumerate(facts):
            if clue == "times" and one.time is not None and other.time is not None:
                if (one.time - start) % len(TIMES) < (other.time - start) % len(TIMES):
                    yield i, j
            elif stages == (one.stage, other.stage) and one.errand == other.errand:
                yield i, j


def _first_time(facts: Sequence[Facts]) -> int:
    """Find the time of the first scene: the one that follows none of the others."""
    told = {fact.time for fact in facts if fact.time is not None}
    starts = [time for time in told if (time - 1) % len(TIMES) not in told]
    if told and len(starts) != 1:
        names = sorted(TIMES[time] for time in told)
        raise ValueError(f"sentences must tell neighbouring times, got {names}")
    return starts[0] if starts else 0


def _keeps(order: tuple[int, ...], before: Collection[tuple[int, int]]) -> bool:
    place = {number: index for index, number in enumerate(order)}
    return all(place[earlier] < place[later] for earlier, later in before)


def _names_first(story: Sequence[Facts]) -> bool:
    """Say whether each person is called by name before any pronoun."""
    for calls in ([fact.woman for fact in story], [fact.man for fact in story]):
        mentioned = [call for call in calls if call]
        if mentioned and mentioned[0] != "name":
            return False
    return True
