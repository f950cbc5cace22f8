"""Captions of pictures with coloured shapes: a small grammar, and its tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile

from tutorial_lib.teacher_forcing import END, START

ROWS, COLUMNS = ("top", "middle", "bottom"), ("left", "centre", "right")
COLOURS, SHAPES = ("red", "blue", "yellow", "white"), ("square", "ring", "triangle", "cross")
WORDS = ("_", "<", ">", "and", *ROWS, *COLUMNS, *COLOURS, *SHAPES)

NUM_PLACES = len(ROWS) * len(COLUMNS)
NUM_KINDS = len(COLOURS) * len(SHAPES)  # a kind is a colour and a shape
EMPTY = -1  # where nothing stands


def caption_of(layout: Sequence[int]) -> str:
    """Write the caption of a picture, thing by thing, row by row from the top left.

    ``caption = thing {"and" thing}``, ``thing = row column colour shape``.

    Args:
        layout: The kind at each of the nine places; ``EMPTY`` where there is nothing.

    Returns:
        Such as "top left red ring and bottom right blue square".

    Raises:
        ValueError: If there are not nine places, or nothing stands anywhere.

    Taught in :doc:`/notebooks/34_injected_nested_modules`.
    """
    if len(layout) != NUM_PLACES or all(kind == EMPTY for kind in layout):
        raise ValueError(f"layout must hold something at some of nine places, got {list(layout)}")
    things = [
        f"{ROWS[place // 3]} {COLUMNS[place % 3]} {kind_name(kind)}"
        for place, kind in enumerate(layout)
        if kind != EMPTY
    ]
    return " and ".join(things)


def kind_name(kind: int) -> str:
    """Name a kind of thing.

    Args:
        kind: Its number, from 0 to 15.

    Returns:
        Such as "red ring".
    """
    return f"{COLOURS[kind // len(SHAPES)]} {SHAPES[kind % len(SHAPES)]}"


def to_tokens(caption: str) -> list[int]:
    """Write a caption as tokens.

    Args:
        caption: Words with spaces between them.

    Returns:
        The start token, a token for each word, and the end token.

    Raises:
        ValueError: If a word is not known.
    """
    numbers = {word: number for number, word in enumerate(WORDS) if number > END}
    unknown = [word for word in caption.split() if word not in numbers]
    if unknown:
        raise ValueError(f"caption must hold words of the grammar, got {unknown[0]!r}")
    return [START, *(numbers[word] for word in caption.split()), END]


def to_caption(tokens: Iterable[int]) -> str:
    """Read a caption off its tokens, up to the end token.

    Args:
        tokens: Numbers of words; the start token may be among them.

    Returns:
        Words with spaces between them.
    """
    written = takewhile(lambda token: token != END, tokens)
    return " ".join(WORDS[token] for token in written if token != START)
