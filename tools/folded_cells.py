"""Cells that a reader need not see are folded to one line: on the site and in the notebooks.

A cell tagged ``check`` holds claims that are no lesson, one tagged ``draw`` code that only draws,
one tagged ``live`` a figure to touch, one tagged ``solution`` the answer to an exercise.
"""

from __future__ import annotations

from collections.abc import Collection

from claim_syntax import claims_of
from docutils import nodes
from sphinx.application import Sphinx

CHECK, DRAW, LIVE, SOLUTION = "check", "draw", "live", "solution"


def title_of(tags: Collection[str], source: str) -> str:
    """Say what a folded cell holds; a cell that stays in view has no title."""
    if CHECK in tags:
        number = len(claims_of(source))
        return f"✓ {number} check{'' if number == 1 else 's'}"
    if DRAW in tags or LIVE in tags:
        return "Show the code that draws"
    if SOLUTION in tags:
        return "Show the solution"
    return ""


def fold_cells(app: Sphinx, doctree: nodes.document) -> None:
    """Fold the cells of a page: a check as a whole, of a picture its code alone."""
    for cell in doctree.findall(nodes.container):
        if cell.get("nb_element") != "cell_code":
            continue
        tags = cell["cell_metadata"].get("tags", [])
        title = title_of(tags, next(cell.findall(nodes.literal_block)).astext())
        if title:
            cell["hide_mode"] = "input" if {DRAW, LIVE} & set(tags) else "all"
            cell["prompt_show"] = title
            cell["prompt_hide"] = title.replace("Show", "Hide")
