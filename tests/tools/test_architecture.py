"""The pictures of the architecture: what they say, and that nothing in them collides."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from html import escape
from itertools import combinations, pairwise
from pathlib import Path

import jupytext
import pytest
from architecture import CHAPTERS, FOLDER, PICTURES, WHOLE, all_pictures, file_of, svg_of, words_of
from architecture_on_the_site import Architecture
from architecture_shapes import WIDTH, Box, Drawing, Line, Words, labelled, pill_of
from architecture_shapes import words_of as words_in
from chapters import ROOT, chapter_paths
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from myst import PARSER
from myst_parser.parsers.directives import parse_directive_text

PHONE = 358  # pixels that a phone of 390 has for a picture
SMALLEST = 11  # pixels of a letter's size
DETAILS = {11: "head", 12: "multi-head", 13: "head", 21: "encoder-layer", 22: "decoder-layer"}
Rectangle = tuple[float, float, float, float]  # left, top, right, bottom

each_picture = pytest.mark.parametrize("name", PICTURES)
each_chapter = pytest.mark.parametrize("path", chapter_paths(), ids=lambda path: path.stem)


def drawn(name: str) -> Drawing:
    return PICTURES[name].draw()


def every_words(drawing: Drawing) -> list[Words]:
    boxes = [shape for shape in drawing.shapes if isinstance(shape, Box)]
    alone = [shape for shape in drawing.shapes if isinstance(shape, Words)]
    return [*alone, *(words for box in boxes for words in words_in(box))]


@cache  # measuring takes long
def room_of(words: Words) -> Rectangle:
    """Measure words in DejaVu Sans, which is wider than what most machines show."""
    weight = "bold" if words.bold else "normal"
    font = FontProperties(family="DejaVu Sans", weight=weight)
    width = TextPath((0, 0), words.words, words.size, prop=font).get_extents().width
    left = words.x - {"start": 0, "middle": width / 2, "end": width}[words.anchor]
    if words.upright:
        return words.x - 2, words.y - width / 2, words.x + 8, words.y + width / 2
    return left, words.y - 0.75 * words.size, left + width, words.y + 0.2 * words.size


def overlap(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def segments(drawing: Drawing) -> Iterator[Rectangle]:
    for line in drawing.shapes:
        if isinstance(line, Line):
            for (x0, y0), (x1, y1) in pairwise(line.points):
                yield min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def pictures_on(path: Path) -> list[tuple[str, dict]]:
    """Give the pictures of a chapter, by name, with their options."""
    found = []
    for cell in jupytext.read(path).cells:
        for token in PARSER.parse(cell.source) if cell.cell_type == "markdown" else []:
            if token.info.startswith("{architecture}"):
                name = token.info.partition("}")[2].strip()
                options = parse_directive_text(Architecture, name, token.content).options
                found.append((name, options))
    return found


def test_the_files_are_what_the_script_draws() -> None:
    wanted = {file_of(name, part): svg_of(name, part) for name, part in all_pictures()}
    assert set(FOLDER.glob("*.svg")) == set(wanted)
    for path, svg in wanted.items():
        assert path.read_text("utf-8") == svg, "run `make pictures`"


def test_the_same_words_give_the_same_bytes() -> None:
    for name, part in all_pictures():
        assert svg_of(name, part) == svg_of(name, part)


def test_what_is_highlighted_is_in_the_drawing() -> None:
    for name, picture in PICTURES.items():
        known = drawn(name).parts()
        for part in picture.parts.values():
            assert set(part.shapes) <= known, part.name


def test_the_label_hides_no_words() -> None:
    drawing = drawn(WHOLE)
    rooms = {words: room_of(words) for words in every_words(drawing)}
    for part in PICTURES[WHOLE].parts.values():
        box = labelled(drawing, part.shapes)
        assert box is not None, part.name
        left, top, width, height = pill_of(box)
        assert top >= 0
        for words, room in rooms.items():
            pill = (left, top, left + width, top + height)
            assert not overlap(pill, room), (part.name, words.words)


@each_picture
def test_words_fit_their_boxes(name: str) -> None:
    for box in drawn(name).shapes:
        for words in words_in(box) if isinstance(box, Box) else []:
            left, top, right, bottom = room_of(words)
            assert box.x + 3 <= left, words.words
            assert right <= box.x + box.width - 3, words.words
            assert box.y <= top, words.words
            assert bottom <= box.y + box.height, words.words


@each_picture
def test_no_words_meet_others_or_leave_the_picture(name: str) -> None:
    drawing = drawn(name)
    rooms = {words: room_of(words) for words in every_words(drawing)}
    for words, (left, top, right, bottom) in rooms.items():
        assert left >= 1, words.words
        assert top >= 1, words.words
        assert right <= WIDTH - 1, words.words
        assert bottom <= drawing.height - 1, words.words
    for one, other in combinations(rooms, 2):
        assert not overlap(rooms[one], rooms[other]), (one.words, other.words)


@each_picture
def test_words_beside_boxes_stay_outside_them_or_inside(name: str) -> None:
    boxes = [shape for shape in drawn(name).shapes if isinstance(shape, Box)]
    for words in every_words(drawn(name)):
        left, top, right, bottom = room_of(words)
        for box in boxes:
            edges = (box.x, box.y, box.x + box.width, box.y + box.height)
            if overlap((left, top, right, bottom), edges):
                assert edges[0] <= left, words.words
                assert right <= edges[2], words.words


@each_picture
def test_no_line_runs_through_a_box_or_through_words(name: str) -> None:
    drawing = drawn(name)
    for left, top, right, bottom in segments(drawing):
        for box in drawing.shapes:
            if isinstance(box, Box) and box.kind == "block":
                inside = (box.x + 1, box.y + 1, box.x + box.width - 1, box.y + box.height - 1)
                assert not overlap((left, top, right, bottom), inside), box.lines or box.parts
        for words in every_words(drawing):
            assert not overlap((left - 1, top - 1, right + 1, bottom + 1), room_of(words)), words


@each_picture
def test_words_can_be_read_on_a_phone(name: str) -> None:
    assert all(words.size * PHONE / WIDTH >= SMALLEST for words in every_words(drawn(name)))


def test_every_picture_has_words_of_its_own_for_who_cannot_see_it() -> None:
    said = ["\n".join(words_of(name, part)) for name, part in all_pictures()]
    assert len(set(said)) == len(said)
    assert all(len(words) > 100 for words in said)
    for (name, part), words in zip(all_pictures(), said, strict=True):
        svg = svg_of(name, part)
        assert 'role="img"' in svg
        assert all(f">{escape(line)}</" in svg for line in words.splitlines())


@each_chapter
def test_a_chapter_says_once_where_in_the_whole_it_is(path: Path) -> None:
    options = [options for name, options in pictures_on(path) if name == WHOLE]
    assert [list(given) for given in options] == [["part"]]
    assert options[0]["part"] in PICTURES[WHOLE].parts
    box = r":class: at-a-glance\n(?:(?!^:::).*\n)+:::\n\n:::\{architecture\} transformer\n"
    assert re.search(box, path.read_text("utf-8"), re.MULTILINE), "it follows At a glance"


@each_chapter
def test_a_detailed_picture_stands_where_its_subject_is_explained(path: Path) -> None:
    number = int(path.stem[:2])
    details = [(name, options) for name, options in pictures_on(path) if name != WHOLE]
    assert [name for name, _ in details] == ([DETAILS[number]] if number in DETAILS else [])
    for _, options in details:
        assert options["name"].startswith(f"fig-{number}-")


def test_the_picture_on_the_landing_page_leads_to_chapters_by_its_words() -> None:
    svg = svg_of(WHOLE, links={part: f"{chapter}.html" for part, chapter in CHAPTERS.items()})
    assert 'role="group"' in svg  # an image would hide its links
    links = re.findall(r'<a href="([^"]+)\.html">(.*?)</a>', svg)
    assert {target for target, _ in links} == set(CHAPTERS.values())
    assert all(re.search(r">\w[^<]*</text>", shown) or "+ positions" in shown for _, shown in links)
    for target, _ in links:
        assert (ROOT / "notebooks" / f"{target}.md").is_file()
