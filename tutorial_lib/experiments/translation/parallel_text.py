"""Read a parallel corpus: two text files line by line, or one file with tabs."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from os import PathLike
from pathlib import Path

from tutorial_lib.validation import require_counts

File = str | PathLike[str]
Pairs = list[tuple[str, str]]


def read_two_files(source: File, target: File) -> Pairs:
    """Read a corpus whose translations stand in a file of their own, on the same line.

    Multi30k and the corpora of the WMT tasks come so.

    Args:
        source: UTF-8 text, a sentence a line.
        target: The translations, as many lines.

    Returns:
        Sentences and translations, tidied as :func:`tidy` does; lines that are empty in one of the
        files are left out.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If the numbers of lines differ.

    Taught in :doc:`/notebooks/43_translation`.
    """
    left, right = _lines(source), _lines(target)
    if len(left) != len(right):
        raise ValueError(
            f"target must have {len(left)} lines like source, got {len(right)}: {target}"
        )
    return _tidied(zip(left, right, strict=True))


def read_tab_separated(path: File, *, source_column: int = 0, target_column: int = 1) -> Pairs:
    """Read a corpus that has a sentence and its translation on each line, with tabs between.

    The exports of Tatoeba come so, some with numbers in front or a licence behind.

    Args:
        path: UTF-8 text.
        source_column: Where the sentence stands, from 0.
        target_column: Where the translation stands.

    Returns:
        Sentences and translations, tidied as :func:`tidy` does; lines that are empty in one of the
        columns are left out.

    Raises:
        OSError: If the file cannot be read.
        TypeError: If a column is not an integer.
        ValueError: If a column is negative, both are the same, or a line has too few.

    Taught in :doc:`/notebooks/43_translation`.
    """
    source_column, target_column = require_counts(
        source_column=source_column, target_column=target_column
    )
    if source_column == target_column:
        raise ValueError(f"target_column must differ from source_column, got {target_column}")
    needed, pairs = max(source_column, target_column) + 1, []
    for number, line in enumerate(_lines(path), start=1):
        fields = line.split("\t")
        if not line.strip():
            continue
        if len(fields) < needed:
            raise ValueError(
                f"path must have {needed} columns on every line, "
                f"got {len(fields)} on line {number}: {path}"
            )
        pairs.append((fields[source_column], fields[target_column]))
    return _tidied(pairs)


def tidy(text: str) -> str:
    """Write a text in one way: composed characters (Unicode NFC), single spaces, none at the ends.

    Args:
        text: Any text.

    Returns:
        The same, tidied.
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


def _lines(path: File) -> list[str]:
    # Not splitlines: it also breaks at characters that stand inside sentences.
    text = Path(path).read_text("utf-8-sig")
    return text.removesuffix("\n").split("\n") if text else []


def _tidied(pairs: Iterable[tuple[str, str]]) -> Pairs:
    tidied = ((tidy(source), tidy(target)) for source, target in pairs)
    return [(source, target) for source, target in tidied if source and target]
