"""Sections for a second reading are folded on the site; how long the first reading takes.

A section whose title begins with ``Deeper:`` is such a section, with its cells and all. It runs and
is tested like the others.
"""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.application import Sphinx

PREFIX = "Deeper: "
GLANCE_END = "\n**Seed:**"
WORDS_A_MINUTE = 200
SECONDS_A_CELL = 20  # a visible one
CELL = re.compile(r"^```\{code-cell\}.*?^```$", re.DOTALL | re.MULTILINE)
FRONT_MATTER = re.compile(r"\A---$.*?^---$", re.DOTALL | re.MULTILINE)
FOLDED_TAG = re.compile(r"\btags: .*\b(check|draw|solution|exercise)\b")


def fold_deeper(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put each section for a second reading into a fold that its title opens."""
    if app.builder.format != "html":
        return
    for section in doctree.findall(nodes.section):
        title = section.next_node(nodes.title)
        if title is not None and title.astext().startswith(PREFIX):
            section["classes"].append("deeper")
            opening, middle, end = (
                nodes.raw("", html, format="html")
                for html in ("<details><summary>", "</summary>", "</details>")
            )
            place = section.index(title)
            section.insert(place + 1, middle)
            section.insert(place, opening)
            section.append(end)


def with_reading_time(text: str) -> str:
    """Add to a chapter's opening how long it takes to read.

    Args:
        text: The chapter.
    """
    main, deeper = (minutes_of(part) for part in split_deeper(text))
    said = f"about {main} minutes"
    if deeper:
        said += f", and {deeper} more for what is folded under *Deeper*"
    line = f"\n**Reading time:** {said}\n"
    return text.replace(GLANCE_END, f"{line}{GLANCE_END}", 1)


def split_deeper(text: str) -> tuple[str, str]:
    """Split a chapter into its main line and what is folded; exercises are in neither."""
    main: list[str] = []
    deeper: list[str] = []
    exercises: list[str] = []
    part, level, in_fence = main, 0, False
    for line in text.splitlines():
        in_fence ^= line.startswith("```")
        heading = None if in_fence else re.match(r"(#+) (.*)", line)
        if heading and (part is main or len(heading[1]) <= level):
            level = len(heading[1])
            is_deeper, is_exercises = (heading[2].startswith(t) for t in (PREFIX, "Exercises"))
            part = deeper if is_deeper else exercises if is_exercises else main
        part.append(line)
    return "\n".join(main), "\n".join(deeper)


def minutes_of(text: str) -> int:
    """Estimate the minutes that a part of a chapter takes: its words, and the cells in view."""
    in_view = [cell for cell in CELL.findall(text) if not FOLDED_TAG.search(cell)]
    prose = CELL.sub("", FRONT_MATTER.sub("", text))
    minutes = len(prose.split()) / WORDS_A_MINUTE + len(in_view) * SECONDS_A_CELL / 60
    return round(minutes)
