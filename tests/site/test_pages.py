"""What every page of the site promises, as seen in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import jupytext
import pytest
from chapters import chapter_paths
from visit import READERS, SITE, Visit, page_of

Look = Callable[[str, str], Visit]

BOOK = "The Tested Transformer"
LEAST_CONTRAST = 4.5  # of text and its ground, by WCAG 2.1, AA
RAW = {
    "TeX": r"\$[^\s$][^$]*\$|\$\$|\\[a-zA-Z]{2,}|\\[()\[\]]",
    "a role or directive": r"\{[a-z][\w:-]*\}|:::|```",
    "Markdown": r"\*\*[^*\n]+\*\*|\]\(|(?m:^#{1,6} )",
}


@pytest.mark.parametrize("reader", READERS)
def test_a_page_loads_without_a_complaint(path: str, reader: str, look_at: Look) -> None:
    trouble = look_at(path, reader).trouble
    assert not trouble.errors
    assert not trouble.failed


@pytest.mark.parametrize("reader", READERS)
def test_a_page_asks_no_other_server_for_anything(path: str, reader: str, look_at: Look) -> None:
    assert not look_at(path, reader).trouble.outside


def test_no_source_text_is_left_in_the_prose(path: str, look_at: Look) -> None:
    prose = look_at(path, "light").facts["prose"]
    assert {
        kind: found.group() for kind, raw in RAW.items() if (found := re.search(raw, prose))
    } == {}


def test_every_formula_is_typeset(path: str, look_at: Look) -> None:
    assert look_at(path, "light").facts["failedFormulas"] == []


@pytest.mark.parametrize("chapter", chapter_paths(), ids=lambda chapter: chapter.stem)
def test_every_figure_of_a_chapter_is_on_its_page(chapter: Path, look_at: Look) -> None:
    cells = jupytext.read(chapter).cells
    drawn = [cell for cell in cells if "figure" in cell.metadata.get("mystnb", {})]
    assert look_at(page_of(chapter), "light").facts["figures"] == len(drawn)


def test_every_picture_says_what_it_shows(path: str, look_at: Look) -> None:
    facts = look_at(path, "light").facts
    assert facts["undescribedImages"] == []
    for image in facts["images"]:
        alt = " ".join(image["alt"].split())
        assert len(alt) >= 20, image
        assert alt != " ".join(image["caption"].split()), "the caption is read out already"
        assert image["file"].rsplit(".", 1)[0] not in alt, "a file name describes nothing"


def test_every_picture_arrives(path: str, look_at: Look) -> None:
    assert all(image["width"] > 0 for image in look_at(path, "light").facts["images"])


def test_pictures_keep_their_colours_and_a_white_ground_on_a_dark_page(
    path: str, look_at: Look
) -> None:
    for image in look_at(path, "dark").facts["images"]:
        assert image["filter"] == "none"
        assert image["ground"] == "rgb(255, 255, 255)"


def test_a_page_says_what_it_is(path: str, base: str, look_at: Look) -> None:
    facts = look_at(path, "light").facts
    assert facts["language"] == "en"
    assert BOOK in facts["title"]
    assert 30 <= len(facts["description"]) <= 160
    assert not any(re.search(raw, facts["description"]) for raw in RAW.values())
    assert (SITE / facts["favicon"].removeprefix(base)).is_file()


def test_only_the_title_carries_the_number_of_the_chapter(path: str, look_at: Look) -> None:
    numbered = look_at(path, "light").facts["numbered"]
    assert numbered == (["H1"] if path.startswith("notebooks/") else [])


def test_a_page_does_not_load_the_icons_twice(path: str, look_at: Look) -> None:
    scripts = look_at(path, "light").facts["scripts"]
    assert scripts
    assert not any("fontawesome" in script for script in scripts)


@pytest.mark.parametrize("reader", READERS)
def test_the_accessibility_checker_finds_nothing(path: str, reader: str, look_at: Look) -> None:
    assert look_at(path, reader).violations == []


@pytest.mark.parametrize("reader", READERS)
def test_code_and_formulas_stand_out_from_their_ground(
    path: str, reader: str, look_at: Look
) -> None:
    for colours in look_at(path, reader).facts["colours"]:
        assert contrast(colours) >= LEAST_CONTRAST, colours


@pytest.mark.parametrize("chapter", chapter_paths(), ids=lambda chapter: chapter.stem)
def test_a_chapter_shows_where_in_the_architecture_it_is(chapter: Path, look_at: Look) -> None:
    drawings = look_at(page_of(chapter), "light").facts["drawings"]
    (whole,) = [drawing for drawing in drawings if drawing["whole"]]
    assert whole["here"] == 1
    assert whole["caption"].startswith("You are here: ")
    assert len({drawing["name"] for drawing in drawings}) == len(drawings)


@pytest.mark.parametrize("reader", READERS)
def test_the_words_of_a_drawing_stand_out_from_their_ground(
    path: str, reader: str, look_at: Look
) -> None:
    for drawing in look_at(path, reader).facts["drawings"]:
        assert drawing["colours"]
        for colours in drawing["colours"]:
            assert contrast(colours) >= LEAST_CONTRAST, (drawing["name"], colours)


def contrast(colours: str) -> float:
    """Give the contrast ratio of WCAG 2.1 for ``rgb(...) on rgb(...)``."""
    both = [[int(value) / 255 for value in re.findall(r"\d+", c)] for c in colours.split(" on ")]
    assert [len(channels) for channels in both] == [3, 3], f"{colours}: opaque colours were needed"
    linear = [
        [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        for channels in both
    ]
    dark, bright = sorted(0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in linear)
    return (bright + 0.05) / (dark + 0.05)


def test_the_contrast_is_that_of_wcag() -> None:
    assert contrast("rgb(0, 0, 0) on rgb(255, 255, 255)") == pytest.approx(21)
    assert contrast("rgb(119, 119, 119) on rgb(255, 255, 255)") == pytest.approx(4.478, abs=1e-3)


def test_nothing_scrolls_sideways_on_a_phone(path: str, look_at: Look) -> None:
    facts = look_at(path, "phone").facts
    assert facts["tooWide"] == []
    assert facts["sideways"] <= 0
