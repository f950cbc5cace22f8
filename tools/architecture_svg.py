"""A drawing of the architecture, written as SVG.

Colours are attributes with a class beside them: alone, a file has the colours of paper; in a page,
book.css gives those of the theme.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from html import escape

from architecture_shapes import (
    WIDTH,
    Box,
    Cells,
    Drawing,
    Line,
    Shape,
    Words,
    labelled,
    pill_of,
    words_of,
)

FONT = "-apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
HEAD = 4.5  # half the width of an arrow's head

# The classes that book.css colours, with what they are on paper.
PAPER = {
    "ground": 'fill="#ffffff"',
    "block": 'fill="#f1f4f7" stroke="#5b6472" stroke-width="1.25"',
    "frame": 'fill="none" stroke="#8a939f" stroke-width="1.25"',
    "bare": 'fill="none" stroke="none"',
    "block here": 'fill="#ffe0c2" stroke="#b34700" stroke-width="3"',
    "frame here": 'fill="#fff1e3" stroke="#b34700" stroke-width="3"',
    "bare here": 'fill="#ffe0c2" stroke="#b34700" stroke-width="3"',
    "line": 'fill="none" stroke="#4a525e" stroke-width="1.5"',
    "line here": 'fill="none" stroke="#b34700" stroke-width="3"',
    "tip": 'fill="#4a525e"',
    "tip here": 'fill="#b34700"',
    "cell": 'fill="#4a525e"',
    "cell here": 'fill="#b34700"',
    "words": 'fill="#1f2430"',
    "quiet": 'fill="#4f5762"',
    "pill": 'fill="#b34700"',
    "pill-words": 'fill="#ffffff"',
}


def to_svg(
    drawing: Drawing,
    *,
    name: str,
    title: str,
    description: str,
    here: Collection[str] = (),
    pill: str = "",
    links: Mapping[str, str] | None = None,
) -> str:
    """Write a drawing.

    Args:
        drawing: What is drawn.
        name: Its name, of which the ids are made.
        title: Its name for who cannot see it.
        description: What it shows, for who cannot see it.
        here: The parts that are highlighted.
        pill: What is written on the first box among them.
        links: Addresses by the part that leads there.
    """
    marks = [f'id="architecture-{name}-{kind}"' for kind in ("title", "description")]
    role = "group" if links else "img"  # an image would hide its links
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="architecture" role="{role}"'
        f' viewBox="0 0 {WIDTH} {drawing.height:g}" width="{WIDTH * 1.25:g}"'
        f' height="{drawing.height * 1.25:g}" font-family="{FONT}"'
        f' aria-labelledby="architecture-{name}-title"'
        f' aria-describedby="architecture-{name}-description">',
        f"<title {marks[0]}>{escape(title)}</title>",
        f"<desc {marks[1]}>{escape(description)}</desc>",
        f'<rect class="ground" {PAPER["ground"]} width="{WIDTH}" height="{drawing.height:g}"/>',
    ]
    links = links or {}
    for shape in drawing.shapes:
        written = WRITERS[type(shape)](shape, bool(set(here) & set(shape.parts)))
        address = next((links[part] for part in shape.parts if part in links), None)
        has_words = isinstance(shape, Words) or (isinstance(shape, Box) and shape.lines)
        if address and has_words and not (isinstance(shape, Words) and shape.quiet):
            written = f'<a href="{escape(address)}">{written}</a>'
        lines.append(written)
    if pill and (box := labelled(drawing, here)):
        lines.append(_pill(box, pill))
    return "\n".join([*lines, "</svg>"]) + "\n"


def styled(name: str, here: bool = False) -> str:
    """Give the class and the colours on paper of a kind of shape."""
    name = f"{name} here" if here else name
    return f'class="{name}" {PAPER[name]}'


def _box(box: Box, here: bool) -> str:
    kind = styled(box.kind, here)
    place = f'x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}"'
    corner = 10 if box.kind == "frame" else 6
    written = f'<rect {kind} {place} rx="{corner}"/>'
    for words in words_of(box):
        written += _words(words, here)
    return written


def _words(words: Words, here: bool) -> str:
    turned = f' transform="rotate(90 {words.x:g} {words.y:g})"' if words.upright else ""
    weight = ' font-weight="600"' if words.bold else ""
    kind = "quiet" if words.quiet and not here else "words"
    return (
        f'<text {styled(kind)} x="{words.x:g}" y="{words.y:g}"'
        f' text-anchor="{words.anchor}" font-size="{words.size:g}"{weight}{turned}>'
        f"{escape(words.words)}</text>"
    )


def _line(line: Line, here: bool) -> str:
    points = [*line.points]
    tip = ""
    if line.head:
        (x0, y0), (x, y) = points[-2:]
        along = (max(-1.0, min(1.0, x - x0)), max(-1.0, min(1.0, y - y0)))
        points[-1] = (x - 7 * along[0], y - 7 * along[1])
        across = (HEAD * along[1], HEAD * along[0])
        left = (x - 8 * along[0] - across[0], y - 8 * along[1] - across[1])
        right = (x - 8 * along[0] + across[0], y - 8 * along[1] + across[1])
        corners = " ".join(f"{a:g},{b:g}" for a, b in ((x, y), left, right))
        tip = f'<polygon {styled("tip", here)} points="{corners}"/>'
    path = " ".join(f"{x:g},{y:g}" for x, y in points)
    dashes = ' stroke-dasharray="5 4"' if line.dashed else ""
    joined = 'stroke-linejoin="round"'
    return f'<polyline {styled("line", here)} points="{path}" {joined}{dashes}/>{tip}'


def _cells(cells: Cells, here: bool) -> str:
    paths: dict[float, str] = {}
    for x, y, width, height, strength in cells.cells:
        path = f"M{x:g} {y:g}h{width:g}v{height:g}h{-width:g}z"
        paths[strength] = paths.get(strength, "") + path
    kind = styled("cell", here)
    return "".join(
        f'<path {kind} fill-opacity="{strength:g}" d="{path}"/>' for strength, path in paths.items()
    )


def _pill(box: Box, words: str) -> str:
    x, y, width, height = pill_of(box)
    place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
    return (
        f'<rect {styled("pill")} {place} rx="9"/>'
        f'<text {styled("pill-words")} x="{x + width / 2:g}" y="{y + 13:g}" text-anchor="middle"'
        f' font-size="12" font-weight="600">{escape(words)}</text>'
    )


WRITERS: dict[type[Shape], Callable[..., str]] = {
    Box: _box,
    Words: _words,
    Line: _line,
    Cells: _cells,
}
