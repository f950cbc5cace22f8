"""What a cell shows: an element with a description, its data, and in a notebook its scripts."""

from __future__ import annotations

import json
import re

import pytest

from tutorial_lib.live.figure import FIGURES, SCRIPTS, live_figure, scripts_of


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_brings_its_scripts_in_the_order_in_which_they_need_each_other(name: str) -> None:
    shown = live_figure(name, alt="a picture")._repr_html_()
    assert scripts_of(name)[0] == "numbers"
    assert scripts_of(name)[-1] == "element"
    places = [
        shown.index((SCRIPTS / f"{script}.js").read_text("utf-8")) for script in scripts_of(name)
    ]
    assert places == sorted(places)


def test_what_is_said_of_a_picture_is_on_one_line_and_escaped() -> None:
    element = live_figure("mask", alt='a "b"\n  <c>').element()
    assert 'aria-label="a &quot;b&quot; &lt;c&gt;"' in element


def test_as_text_a_figure_is_its_description_and_the_same_in_every_run() -> None:
    assert repr(live_figure("mask", alt="a  picture")) == "A figure to touch: a picture"


def test_no_text_of_the_data_ends_its_script() -> None:
    element = live_figure("gpt", alt="a picture", beginning="</script>").element()
    (data,) = re.findall(r'<script type="application/json">(.*?)</script>', element)
    assert json.loads(data) == {"beginning": "</script>"}


def test_a_figure_asks_for_nothing_outside() -> None:
    for path in SCRIPTS.iterdir():
        assert not re.search(r"https?:|fetch\(|import\(", path.read_text("utf-8")), path.name


@pytest.mark.parametrize(
    ("name", "alt", "said"),
    [("clock", "a picture", "name must be one of"), ("mask", " ", "alt must say")],
)
def test_a_wrong_call_says_what_was_needed(name: str, alt: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        live_figure(name, alt=alt)
