"""What the book's drawings of the architecture are made of.

A shape carries the names of the parts that it belongs to.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

SIZE = 13.0  # of most words, in units of a drawing that is WIDTH wide
SMALL = 12.0
WIDTH = 380  # a phone shows about as many pixels


@dataclass(frozen=True)
class Box:
    """A rounded rectangle with words in its middle, one string a line.

    A frame goes around other shapes, and lines may pass through it. A bare one is seen only where
    it is highlighted.
    """

    x: float
    y: float
    width: float
    height: float
    lines: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    kind: Literal["block", "frame", "bare"] = "block"
    pill: bool = True  # whether there is room for a label on its edge

    @property
    def middle(self) -> float:
        """Where its middle is, from the left."""
        return self.x + self.width / 2


@dataclass(frozen=True)
class Words:
    """Words beside something: ``x`` is where they start, are centred or end; ``y`` their foot."""

    x: float
    y: float
    words: str
    anchor: str = "middle"
    size: float = SMALL
    bold: bool = False
    quiet: bool = True
    upright: bool = False  # turned by a quarter, to be read from the top down
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """A line through points, with the head of an arrow at its end."""

    points: tuple[tuple[float, float], ...]
    parts: tuple[str, ...] = ()
    dashed: bool = False
    head: bool = True


@dataclass(frozen=True)
class Cells:
    """Small filled rectangles: x, y, width, height and strength, from 0 to 1."""

    cells: tuple[tuple[float, float, float, float, float], ...]
    parts: tuple[str, ...] = ()


Shape = Box | Words | Line | Cells


@dataclass
class Drawing:
    """A picture before it is written: its shapes, from the back to the front."""

    height: float
    shapes: list[Shape] = field(default_factory=list)

    def add(self, *shapes: Shape) -> None:
        """Put shapes in front of those that are there."""
        self.shapes.extend(shapes)

    def parts(self) -> set[str]:
        """Name every part that some shape belongs to."""
        return {part for shape in self.shapes for part in shape.parts}


def words_of(box: Box) -> list[Words]:
    """Place the words of a box: the first line is its name, the others say more."""
    step = 16.0
    top = box.y + box.height / 2 - step * (len(box.lines) - 1) / 2 + 4.5
    return [
        Words(box.middle, top + step * i, line, size=SMALL if i else SIZE, quiet=bool(i))
        for i, line in enumerate(box.lines)
    ]


def labelled(drawing: Drawing, here: Collection[str]) -> Box | None:
    """Choose the highlighted box that carries the label: the first with room for it."""
    boxes = (s for s in drawing.shapes if isinstance(s, Box) and s.pill)
    return next((box for box in boxes if set(here) & set(box.parts)), None)


def pill_of(box: Box) -> tuple[float, float, float, float]:
    """Place a label at the right end of a box: left, top, width, height.

    It lies on the upper edge, or inside a bare box.
    """
    middle = box.y + {"bare": box.height / 2, "frame": 0, "block": -6}[box.kind]
    return box.x + box.width - 49, middle - 9, 42, 18
