"""Sections for a second reading, and how long a chapter takes to read."""

from __future__ import annotations

from deeper_sections import minutes_of, split_deeper, with_reading_time

CELL = "```{code-cell} ipython3\n# Deeper: a comment, no heading\nprint(1)\n```\n"
FOLDED = "```{code-cell} ipython3\n:tags: [check]\n\nassert True\n```\n"
CHAPTER = f"""---
a: front matter
---
# Title

**Seed:** 0

## One

main

{CELL}
### Deeper: why

folded
#### Still folded

{CELL}
### On the way

seen
## Exercises

### Deeper: an exercise

neither
## Summary

end
"""


def test_a_section_for_a_second_reading_ends_at_the_next_heading_of_its_level() -> None:
    main, deeper = split_deeper(CHAPTER)
    assert [word in main for word in ("folded", "Still folded", "neither")] == [False] * 3
    assert [word in main for word in ("main", "seen", "end", "no heading")] == [True] * 4
    assert [word in deeper for word in ("folded", "Still folded", "neither")] == [True, True, False]
    assert deeper.count("print(1)") == 1


def test_words_and_the_cells_in_view_take_time() -> None:
    assert minutes_of("word " * 1000) == 5
    assert minutes_of("word " * 1000 + "\n" + CELL * 6) == 7
    assert minutes_of("word " * 1000 + "\n" + FOLDED * 6) == 5


def test_the_opening_says_how_long_it_takes() -> None:
    chapter = CHAPTER.replace("seen", "seen " * 800).replace("\nfolded", "\n" + "folded " * 400)
    assert (
        "**Reading time:** about 4 minutes, and 2 more for what is folded under *Deeper*\n\n"
        "**Seed:** 0"
    ) in with_reading_time(chapter)
    assert "Deeper*" not in with_reading_time(chapter.replace("### Deeper", "### No"))
