"""English sentences of seven words, and their French, which has seven words too."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from jaxtyping import Int
from torch import Tensor

# Masculine, feminine.
ARTICLES = {"the": ("le", "la"), "a": ("un", "une")}
COLOURS = {
    "black": ("noir", "noire"),
    "white": ("blanc", "blanche"),
    "green": ("vert", "verte"),
    "grey": ("gris", "grise"),
    "red": ("rouge", "rouge"),
    "yellow": ("jaune", "jaune"),
}
MASCULINE = {"cat": "chat", "dog": "chien", "horse": "cheval", "rabbit": "lapin"}
FEMININE = {"cow": "vache", "mouse": "souris", "hen": "poule", "goat": "chèvre"}
ANIMALS = MASCULINE | FEMININE
VERBS = {"sees": "voit", "follows": "suit", "likes": "aime", "hears": "entend"}

ORDER = (ARTICLES, COLOURS, ANIMALS, VERBS, ARTICLES, COLOURS, ANIMALS)  # of an English sentence
ENGLISH = sorted({word for kind in ORDER for word in kind})
FRENCH = sorted(
    {form for kind in (ARTICLES, COLOURS) for forms in kind.values() for form in forms}
    | {word for kind in (ANIMALS, VERBS) for word in kind.values()}
)


def all_sentences() -> list[str]:
    """List every English sentence: article, colour, animal, verb, article, colour, animal.

    Returns:
        All of them, in the order of the word lists.

    Taught in :doc:`/notebooks/01_a_first_look`.
    """
    return [" ".join(words) for words in product(*ORDER)]


def translate(sentence: str) -> str:
    """Write a sentence in French: the colour behind its animal, and everything in its gender.

    Args:
        sentence: One of :func:`all_sentences`.

    Returns:
        The French sentence.

    Raises:
        ValueError: If the sentence has not seven words, or one of them has no place there.

    Taught in :doc:`/notebooks/01_a_first_look`.
    """
    words = sentence.split()
    if len(words) != len(ORDER):
        raise ValueError(f"sentence must have {len(ORDER)} words, got {len(words)}: {sentence!r}")
    for place, (word, kind) in enumerate(zip(words, ORDER, strict=True)):
        if word not in kind:
            raise ValueError(f"word {place} must be one of {', '.join(kind)}, got {word!r}")
    subject, verb, other = words[:3], words[3], words[4:]
    return " ".join([*_phrase(*subject), VERBS[verb], *_phrase(*other)])


def word_numbers(sentences: Sequence[str], words: list[str]) -> Int[Tensor, "sentence word"]:
    """Replace each word by its number in a list of words.

    Args:
        sentences: Sentences of one length.
        words: The vocabulary, ``ENGLISH`` or ``FRENCH``.

    Returns:
        The numbers, a row for each sentence.

    Raises:
        ValueError: If a word is not in the list, or the lengths differ.

    Taught in :doc:`/notebooks/01_a_first_look`.
    """
    number = {word: i for i, word in enumerate(words)}
    rows = [sentence.split() for sentence in sentences]
    unknown = next((word for row in rows for word in row if word not in number), None)
    if unknown is not None:
        raise ValueError(f"sentences must hold known words only, got {unknown!r}")
    lengths = sorted({len(row) for row in rows})
    if len(lengths) != 1:
        raise ValueError(f"sentences must have one length, got lengths {lengths}")
    return torch.tensor([[number[word] for word in row] for row in rows])


def _phrase(article: str, colour: str, animal: str) -> tuple[str, str, str]:
    gender = int(animal in FEMININE)
    return ARTICLES[article][gender], ANIMALS[animal], COLOURS[colour][gender]
