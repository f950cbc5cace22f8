"""A text that every reader has: the Python language reference inside CPython."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tutorial_lib.validation import require_positive, require_probability

# Source and licence of what `reference_paragraphs` returns.
LICENCE = "Python documentation, Python Software Foundation License Version 2"
_UNDERLINE = re.compile(r"([^\w\s])\1{2,}")  # the line below a heading


class TextSplits(NamedTuple):
    """Three parts of a text, one behind the other.

    Args:
        train: The beginning.
        val: What follows.
        test: The end.
    """

    train: str
    val: str
    test: str


def reference_paragraphs(*, repeats: bool = False) -> list[str]:
    """Read the Python language reference, topic by topic in alphabetical order.

    The text is what ``help("if")`` shows. Many sections stand in it twice: once as a topic of
    their own, and once inside a larger one. Python versions differ a little.

    Args:
        repeats: Whether to keep paragraphs that have been there before.

    Returns:
        The paragraphs, without the blank lines between them.

    Source: ``pydoc_data.topics`` of CPython, made from the Python documentation; Python Software
    Foundation License Version 2. Taught in :doc:`/notebooks/44_tiny_gpt`.
    """
    from pydoc_data.topics import topics

    found = [paragraph for name in sorted(topics) for paragraph in paragraphs_of(topics[name])]
    return found if repeats else without_repeats(found)


def paragraphs_of(text: str) -> list[str]:
    """Cut a text at its blank lines.

    Args:
        text: Any text.

    Returns:
        The paragraphs, indented as they were; none for a text without letters.

    Used in :doc:`/notebooks/44_tiny_gpt`.
    """
    pieces = re.split(r"\n(?:[ \t]*\n)+", text)
    return [piece.strip("\n") for piece in pieces if piece.strip()]


def without_repeats(paragraphs: Sequence[str]) -> list[str]:
    """Keep each paragraph where it comes first.

    Paragraphs that differ only in white space, or in the line below a heading, are the same.

    Args:
        paragraphs: Paragraphs in order.

    Returns:
        Those that have not been there before.

    Taught in :doc:`/notebooks/44_tiny_gpt`.
    """
    kept: dict[str, str] = {}
    for paragraph in paragraphs:
        kept.setdefault(_essence(paragraph), paragraph)
    return list(kept.values())


def split_text(
    paragraphs: Sequence[str], *, val_share: float = 0.1, test_share: float = 0.1
) -> TextSplits:
    """Cut a text into a beginning to train on, a middle to validate and an end to test.

    A paragraph belongs to the part in which it begins, so that none is in two of them.

    Args:
        paragraphs: Paragraphs in order; each is followed by a blank line.
        val_share: Share of the characters to validate.
        test_share: Share of the characters to test.

    Returns:
        The three parts, contiguous and in order.

    Raises:
        TypeError: If a share is not a number.
        ValueError: If a share lies outside [0, 1), nothing is left to train on, or a part would
            be empty.

    Taught in :doc:`/notebooks/44_tiny_gpt`.
    """
    require_probability(val_share=val_share, test_share=test_share)
    if val_share + test_share >= 1:
        raise ValueError(
            f"val_share and test_share must leave something to train on, "
            f"got {val_share} and {test_share}"
        )
    pieces = [paragraph + "\n\n" for paragraph in paragraphs]
    total = sum(map(len, pieces))
    ends = (1 - val_share - test_share) * total, (1 - test_share) * total
    parts, position = ["", "", ""], 0
    for piece in pieces:
        parts[sum(position >= end for end in ends)] += piece
        position += len(piece)
    if not all(parts):
        raise ValueError(f"paragraphs must fill three parts, got {len(pieces)} of them")
    return TextSplits(*parts)


def read_splits(path: str | Path | None = None) -> TextSplits:
    """Read a text, drop what repeats, and split it.

    Args:
        path: A text file, UTF-8, with blank lines between its paragraphs; the Python language
            reference when left out.

    Returns:
        Four fifths to train on, a tenth to validate, a tenth to test.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the text has too few paragraphs.

    Used in :doc:`/notebooks/44_tiny_gpt`.
    """
    if path is None:
        return split_text(reference_paragraphs())
    return split_text(without_repeats(paragraphs_of(Path(path).read_text("utf-8"))))


def shared_windows(text: str, source: str, *, length: int) -> float:
    r"""Say how much of a text can be copied from another.

    .. math:: \frac{1}{n - k + 1} \sum_{i=0}^{n-k}
        [\, t_{i:i+k} \text{ occurs in the source} \,]

    Args:
        text: The text, of n characters.
        source: Where its windows are looked for.
        length: Number of characters in a window, k.

    Returns:
        Share of the text's windows, from 0 to 1.

    Raises:
        TypeError: If ``length`` is not an integer.
        ValueError: If it is below 1, or the text is shorter.

    Taught in :doc:`/notebooks/44_tiny_gpt`.
    """
    require_positive(length=length)
    if len(text) < length:
        raise ValueError(f"text must have at least length={length} characters, got {len(text)}")
    there = {source[start : start + length] for start in range(len(source) - length + 1)}
    starts = range(len(text) - length + 1)
    return sum(text[start : start + length] in there for start in starts) / len(starts)


def _essence(paragraph: str) -> str:
    lines = (line.strip() for line in paragraph.splitlines())
    return " ".join(" ".join(line for line in lines if not _UNDERLINE.fullmatch(line)).split())
