r"""English sentences of a small grammar, and their translation into Velan, computed.

.. code-block:: text

    sentence  = clause [("because" | "when" | "but") clause]
    clause    = phrase predicate
    predicate = verb | verb phrase | verb phrase "to" phrase
    phrase    = determiner [adjective ...] noun ["that" predicate]

Velan has the verb at the end of its clause, the recipient in front of the object, adjectives and
determiner behind the noun in mirrored order, and endings that agree: adjectives and determiners
with their noun in gender, number and case, verbs with their subject in number.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple, NoReturn, TypeVar

from tutorial_lib.experiments.translation.lexicon import (
    ADJECTIVES,
    BEINGS,
    CONJUNCTIONS,
    DETERMINERS,
    RECIPIENT,
    RELATIVE,
    THINGS,
    VERBS,
    Case,
    Verb,
)
from tutorial_lib.validation import require_counts, require_positive

T = TypeVar("T")
Pieces = list[tuple[str, int]]  # Velan words, each with the number of its English word

DETERMINER = {word.english: word for word in DETERMINERS}
ADJECTIVE = {word.english: word for word in ADJECTIVES}
NOUN = {
    noun.english(plural=plural): (noun, plural)
    for noun in (*BEINGS, *THINGS)
    for plural in (False, True)
}
# Each form with the numbers of the subjects that it takes; the past takes both.
VERB = {
    form: (verb, numbers, past)
    for verb in VERBS
    for form, numbers, past in (
        (verb.base, (True,), False),
        (verb.third, (False,), False),
        (verb.past, (False, True), True),
    )
}
BY_OBJECTS = [[verb for verb in VERBS if verb.objects == count] for count in range(3)]


class Translation(NamedTuple):
    """A Velan sentence, and where its words come from.

    Args:
        text: The sentence.
        sources: For each Velan word, the number of the English word that it translates, from 0.
    """

    text: str
    sources: tuple[int, ...]


def translate(text: str) -> Translation:
    """Translate an English sentence of the grammar; there is one translation.

    The sentence is read from left to right, and the next word always decides which rule applies:
    no sentence can be read in two ways.

    Args:
        text: English words with single spaces, lower case, without punctuation.

    Returns:
        The Velan sentence and its alignment.

    Raises:
        TypeError: If ``text`` is not a string.
        ValueError: If it is no sentence of the grammar; the message names the word.

    Taught in :doc:`/notebooks/43_translation`.
    """
    if not isinstance(text, str):
        raise TypeError(f"text must be a string, got {type(text).__name__}")
    words, sources = zip(*_Reader(text).sentence(), strict=True)
    return Translation(" ".join(words), sources)


def draw_sentences(
    size: int, *, min_words: int = 3, max_words: int = 12, seed: int = 0
) -> list[str]:
    """Draw English sentences of the grammar, no two the same.

    Args:
        size: Number of sentences.
        min_words: Fewest words of a sentence.
        max_words: Most words of a sentence.
        seed: Seed of the draw.

    Returns:
        The sentences; :func:`translate` takes each.

    Raises:
        TypeError: If a number is not an integer.
        ValueError: If ``size`` or ``min_words`` is below 1, ``seed`` negative, ``min_words`` above
            ``max_words``, or the sentences of these lengths run out.

    Taught in :doc:`/notebooks/43_translation`.
    """
    require_positive(size=size, min_words=min_words, max_words=max_words)
    require_counts(seed=seed)
    if min_words > max_words:
        raise ValueError(f"min_words must be at most max_words={max_words}, got {min_words}")
    writer = _Writer(seed)
    found: dict[str, None] = {}  # in the order of the draw, which a set would not keep
    misses = 0
    while len(found) < size:
        words = writer.sentence()
        before = len(found)
        if min_words <= len(words) <= max_words:
            found[" ".join(words)] = None
        misses = misses + 1 if len(found) == before else 0
        if misses > 10_000:
            raise ValueError(
                f"size must be at most about {len(found)} for {min_words} to {max_words} words, "
                f"got {size}"
            )
    return list(found)


class _Reader:
    """Read a sentence word by word, and say in Velan what has been read."""

    def __init__(self, text: str) -> None:
        self.words, self.at = text.split(" "), 0

    def sentence(self) -> Pieces:
        pieces = self.clause()
        if self.next in CONJUNCTIONS:
            pieces += [(CONJUNCTIONS[self.next], self.take()), *self.clause()]
        if self.at < len(self.words):
            self.refuse("no word")
        return pieces

    def clause(self) -> Pieces:
        subject, plural = self.phrase("nominative")
        return subject + self.predicate(plural, most_objects=2)

    def predicate(self, plural: bool, *, most_objects: int) -> Pieces:
        if self.next not in VERB:
            self.refuse("a verb")
        verb, numbers, past = VERB[self.next]
        if plural not in numbers:
            self.refuse(f"a verb with a {'plural' if plural else 'singular'} subject")
        if verb.objects > most_objects:
            self.refuse("a verb without recipient")
        said = (verb.velan(plural=plural, past=past), self.take())
        found = self.phrase("accusative")[0] if verb.objects else []
        recipient: Pieces = []
        if verb.objects == 2:
            if self.next != RECIPIENT:
                self.refuse(f"{RECIPIENT!r}")
            self.take()
            recipient = self.phrase("dative")[0]
        return [*recipient, *found, said]

    def phrase(self, case: Case) -> tuple[Pieces, bool]:
        if self.next not in DETERMINER:
            self.refuse("a determiner")
        modifiers = [(DETERMINER[self.next], self.take())]
        while self.next in ADJECTIVE:
            modifiers.append((ADJECTIVE[self.next], self.take()))
        if self.next not in NOUN:
            self.refuse("a noun")
        noun, plural = NOUN[self.next]
        if plural not in modifiers[0][0].numbers:
            self.refuse(f"a noun that agrees with {modifiers[0][0].english!r}")
        pieces = [(noun.velan(case, plural=plural), self.take())]
        for word, at in reversed(modifiers):
            said = word.velan(noun.gender, case, plural=plural)
            pieces += [(said, at)] if said else []
        if self.next in RELATIVE:
            pieces.append((RELATIVE[self.next], self.take()))
            pieces += self.predicate(plural, most_objects=1)
        return pieces, plural

    @property
    def next(self) -> str:
        return self.words[self.at] if self.at < len(self.words) else ""

    def take(self) -> int:
        self.at += 1
        return self.at - 1

    def refuse(self, needed: str) -> NoReturn:
        came = repr(self.next) if self.at < len(self.words) else "the end"
        raise ValueError(
            f"text must be a sentence of the grammar: "
            f"word {self.at + 1} must be {needed}, got {came}"
        )


class _Writer:
    """Draw sentences. Only ``random()`` is used, which gives the same numbers everywhere."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed).random

    def sentence(self) -> list[str]:
        words = self.clause()
        if self.random() < 0.25:
            words += [self.one_of(list(CONJUNCTIONS)), *self.clause()]
        return words

    def clause(self) -> list[str]:
        subject, plural = self.phrase(BEINGS)
        return subject + self.predicate(plural, self.one_of((0, 0, 0, 1, 1, 1, 1, 1, 2, 2)))

    def predicate(self, plural: bool, objects: int) -> list[str]:
        verb: Verb = self.one_of(BY_OBJECTS[objects])
        words = [verb.english(plural=plural, past=self.random() < 0.5)]
        if objects:
            # What is given is a thing; what is seen may be anything.
            words += self.phrase(THINGS if objects == 2 else (*BEINGS, *THINGS))[0]
        if objects == 2:
            words += [RECIPIENT, *self.phrase(BEINGS)[0]]
        return words

    def phrase(self, nouns: Sequence) -> tuple[list[str], bool]:
        noun, plural = self.one_of(nouns), self.random() < 0.5
        words = [noun.english(plural=plural)]
        if self.random() < 0.35:
            words.insert(0, self.one_of(ADJECTIVES).english)
        determiner = self.one_of(
            ("the", "the", "these", "some") if plural else ("the", "the", "a", "this", "every")
        )
        vowel = determiner == "a" and words[0][0] in "aeiou"
        words.insert(0, "an" if vowel else determiner)
        if noun in BEINGS and self.random() < 0.25:
            words += ["that", *self.predicate(plural, self.one_of((0, 1)))]
        return words, plural

    def one_of(self, choices: Sequence[T]) -> T:
        return choices[int(self.random() * len(choices))]
