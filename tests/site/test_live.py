"""The figures to touch, by mouse, keyboard and screen reader, against PyTorch's numbers."""

from __future__ import annotations

import re

import pytest
import torch
from playwright.sync_api import Browser, Locator, Page, expect
from visit import READERS, open_context

from tutorial_lib.attention import scaled_dot_product_attention

PAGES = {
    "attention": "notebooks/11_scaled_dot_product_attention.html",
    "mask": "notebooks/13_masks.html",
    "positions": "notebooks/14_positional_encodings.html",
    "schedule": "notebooks/32_warmup_and_schedules.html",
    "reverse": "notebooks/41_reverse_a_sequence.html",
    "gpt": "notebooks/44_tiny_gpt.html",
}
KEYS = [[2.2, -0.6], [0.5, 0.3], [0.5, 0.8]]
VALUES = [[1.1, -1.7], [-1.0, 1.0], [1.3, 0.8]]


def figure_on(page: Page, name: str) -> Locator:
    page.goto(PAGES[name])
    found = page.locator(f"live-figure[figure={name}]")
    expect(found.locator(".live-controls")).to_be_visible()
    found.scroll_into_view_if_needed()
    return found


def shown_weights(figure: Locator) -> torch.Tensor:
    """Read the numbers off the figure's grid."""
    texts = figure.locator("svg[data-panel='1'] g text").all_text_contents()
    return torch.tensor([float(text) for text in texts]).view(3, 3)


def expected_weights(query: list[list[float]]) -> torch.Tensor:
    rows = (torch.tensor(rows) for rows in (query, KEYS, VALUES))
    return scaled_dot_product_attention(*rows)[1]


def test_a_dragged_query_gets_the_weights_of_pytorch(page: Page) -> None:
    figure = figure_on(page, "attention")
    query = figure.get_by_label("query 3", exact=True)
    box = query.locator("circle").bounding_box()
    assert box is not None
    start = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(start[0] + 60, start[1] - 40, steps=4)
    page.mouse.up()
    said = query.get_attribute("aria-valuetext")
    assert said is not None
    place = [float(number) for number in said.split(",")]
    assert place[0] > -1.1
    assert place[1] > -0.2
    expected = expected_weights([[0.3, 0.1], [0.2, 0.2], place])
    assert (shown_weights(figure) - expected).abs().max() < 0.0051  # two digits are shown


def test_a_query_moves_by_keys_and_the_figure_says_what_came_of_it(page: Page) -> None:
    figure = figure_on(page, "attention")
    figure.get_by_label("query 1", exact=True).focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(figure.get_by_label("query 1", exact=True)).to_be_focused()
    weights = expected_weights([[0.8, 0.1], [0.2, 0.2], [-1.1, -0.2]])
    assert (shown_weights(figure) - weights).abs().max() < 0.0051
    share = round(100 * weights[0, 0].item())
    expect(figure.get_by_role("status")).to_contain_text(f"Query 1 attends {share} % to key 1")
    figure.get_by_role("button", name="Start again").click()
    assert figure.get_by_label("query 1", exact=True).get_attribute("aria-valuetext") == "0.3, 0.1"


def test_sharpness_zero_averages(page: Page) -> None:
    figure = figure_on(page, "attention")
    figure.get_by_label("sharpness").fill("0")
    assert (shown_weights(figure) - 1 / 3).abs().max() < 0.0051


def test_a_cell_of_the_mask_is_clicked_and_reached_by_keys(page: Page) -> None:
    figure = figure_on(page, "mask")
    first = figure.get_by_role("checkbox", name=re.compile("query 1.* key 1,"))
    expect(first).to_be_checked()
    first.click()
    expect(figure.locator(".live-words")).to_contain_text("may attend to nothing")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    second = figure.get_by_role("checkbox", name=re.compile("query 1.* key 2,"))
    expect(second).to_be_focused()
    expect(second).to_be_checked()
    expect(figure.get_by_role("status")).to_contain_text("with 100 %")


def test_the_curve_of_the_rate_follows_its_controls(page: Page) -> None:
    figure = figure_on(page, "schedule")
    figure.get_by_label("look at step").fill("100")
    figure.get_by_label("steps of warm-up").fill("0")
    figure.get_by_label("shape").select_option("inverse root")
    # 1 / sqrt(101) of the peak
    expect(figure.locator(".live-words")).to_contain_text("10 % of its peak")


def test_the_hands_turn_with_the_position(page: Page) -> None:
    figure = figure_on(page, "positions")
    figure.get_by_role("slider", name="position").fill("0")
    expect(figure.locator(".live-words")).to_contain_text("writes (0.00, 1.00)")


def test_the_trained_reverser_answers_what_is_typed(page: Page) -> None:
    figure = figure_on(page, "reverse")
    digits = "0123456789012345"
    figure.get_by_role("textbox", name="digits").fill(digits)
    answers = figure.locator("svg[data-panel='0'] text:not(.small)").all_text_contents()[16:]
    right = sum(a == b for a, b in zip(answers, digits[::-1], strict=True))
    assert right >= 14
    figure.get_by_label("tell it the positions").uncheck()
    answers = figure.locator("svg[data-panel='0'] text:not(.small)").all_text_contents()[16:]
    assert answers[:6] == answers[10:]  # the same digits get the same answers
    figure.get_by_role("button", name="Start again").click()
    expect(figure.get_by_label("tell it the positions")).to_be_checked()
    expect(figure.get_by_role("textbox", name="digits")).to_have_value("3141592653589793")


def test_the_tiny_gpt_writes_on_and_shows_what_a_piece_reads(page: Page) -> None:
    figure = figure_on(page, "gpt")
    before = figure.locator("[data-kind=cell]").count()
    figure.get_by_label("top k").fill("1")
    figure.get_by_role("button", name="Write on").click()
    expect(figure.locator("[data-kind=cell]")).to_have_count(before + 40, timeout=60_000)
    first = "".join(figure.locator("text.mono").all_text_contents())
    figure.locator("[data-kind=cell]").nth(2).click()
    expect(figure.locator("rect.token.chosen")).to_have_count(1)
    again = figure.get_by_role("button", name="Start again")
    again.click()
    expect(again).to_be_focused()
    expect(figure.locator("[data-kind=cell]")).to_have_count(before)
    figure.get_by_label("top k").fill("1")
    figure.get_by_role("button", name="Write on").click()
    expect(figure.locator("[data-kind=cell]")).to_have_count(before + 40, timeout=60_000)
    # With the likeliest piece only there is nothing to draw.
    assert "".join(figure.locator("text.mono").all_text_contents()) == first


@pytest.mark.parametrize("name", PAGES)
def test_without_scripts_a_figure_is_a_picture_with_a_description(
    name: str, browser: Browser, base: str
) -> None:
    with open_context(browser, base, **READERS["light"], java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(PAGES[name])
        picture = page.locator(f"live-figure[figure={name}] [role=img]")
        expect(picture.locator("svg").first).to_be_visible()
        assert len(picture.get_attribute("aria-label") or "") > 60
