"""Use the site as its readers do: by keyboard, in the dark, searching, without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from visit import READERS, SITE, open_context, page_paths, run_axe

SOLUTION = ".tag_solution details.hide"
CHECKS = ".tag_check details.hide"
GROUND = "getComputedStyle(document.body).backgroundColor"
INK = "getComputedStyle(document.querySelector('svg.architecture .words')).fill"
WIDE_FORMULAS = """() => [...document.querySelectorAll(".katex-display")]
  .filter((formula) => formula.scrollWidth > formula.clientWidth)
  .map((formula) => ({
    focusable: formula.tabIndex === 0,
    startsInSight: formula.querySelector(".base").getBoundingClientRect().left >= 0,
  }))"""
DOWN_AND_UP = """async () => {
  for (const height of [3000, 2000]) {
    const scrolled = new Promise((done) => addEventListener("scroll", done, { once: true }));
    scrollTo(0, height);
    await scrolled;
  }
}"""
# Where the keyboard is, and whether one can see it. The page keeps a list of the places.
FOCUS = """() => {
  const spot = document.activeElement;
  if (!spot || spot === document.body) return null;
  (window.reached ??= new Set()).add(spot);
  const box = spot.closest(".bd-search") ?? spot;
  // The link of a card draws its ring around the card, with ::after.
  const styles = [getComputedStyle(spot), getComputedStyle(box), getComputedStyle(spot, "::after")];
  const shown = styles.some((s) =>
    (s.outlineStyle !== "none" && parseFloat(s.outlineWidth) > 0) || s.boxShadow !== "none");
  const places = {
    "skip link": "#pst-skip-link a",
    "search button": ".search-button__button",
    "sidebar link": ".bd-sidebar-primary nav a",
    "theme switch": ".theme-switch-button",
    "link in the text": "article a",
    "fold": "details.hide > summary",
    "link to the next page": ".prev-next-footer a",
  };
  const place = Object.keys(places).find((name) => spot.matches(places[name]));
  return { place: place ?? "", shown, html: spot.outerHTML.slice(0, 120) };
}"""
# The controls one can see that FOCUS has not met. What a closed fold or dialog holds is not seen.
UNREACHED = """() => [...document.querySelectorAll("a[href], button, summary, [tabindex='0']")]
  .filter((control) => !control.disabled && control.checkVisibility({ visibilityProperty: true }))
  .filter((control) => !window.reached.has(control))
  .map((control) => control.outerHTML.slice(0, 120))"""


@pytest.fixture
def chapter(base: str) -> str:
    """Name the first chapter that has everything: code, folds, and formulas on their own lines."""
    chapters = (path for path in page_paths() if path.startswith("notebooks/"))
    return next(path for path in chapters if "katex-display" in (SITE / path).read_text("utf-8"))


def stops_of_tab(page: Page, limit: int = 3000) -> Iterator[dict]:
    """Press Tab from the top of the page until the keyboard leaves it."""
    for _ in range(limit):
        page.keyboard.press("Tab")
        stop = page.evaluate(FOCUS)
        if stop is None:
            return
        yield stop


@pytest.mark.parametrize("start", ["book/index.html", "notebooks/", "book/api.html"])
def test_the_keyboard_reaches_everything_and_shows_where_it_is(page: Page, start: str) -> None:
    page.goto(next(path for path in page_paths() if path.startswith(start)))
    stops = list(stops_of_tab(page))
    assert [stop["html"] for stop in stops if not stop["shown"]] == []
    assert stops[0]["place"] == "skip link"
    assert page.evaluate(UNREACHED) == []  # no exceptions: no page needs one


def test_the_keyboard_finds_every_kind_of_control_in_a_chapter(page: Page, chapter: str) -> None:
    page.goto(chapter)
    assert {stop["place"] for stop in stops_of_tab(page)} >= {
        "search button",
        "sidebar link",
        "theme switch",
        "link in the text",
        "fold",
        "link to the next page",
    }


def test_the_skip_link_leads_to_the_text(page: Page, chapter: str) -> None:
    page.goto(chapter)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{page.url.split('#')[0]}#main-content")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_a_solution_opens_and_closes_from_the_keyboard(page: Page, chapter: str, key: str) -> None:
    page.goto(chapter)
    fold = page.locator(f"{SOLUTION} > summary").first
    code = page.locator(f"{SOLUTION} pre").first
    expect(fold).to_have_accessible_name("Show the solution")
    expect(code).to_be_hidden()
    fold.focus()
    page.keyboard.press(key)
    expect(code).to_be_visible()
    expect(fold).to_have_accessible_name("Hide the solution")
    page.keyboard.press(key)
    expect(code).to_be_hidden()


def test_checks_are_folded_to_one_line_that_counts_them(page: Page, chapter: str) -> None:
    page.goto(chapter)
    fold = page.locator(f"{CHECKS} > summary").first
    assert re.fullmatch(r"✓ \d+ checks?", fold.inner_text())
    box = fold.bounding_box()
    assert box is not None
    assert box["height"] < 40
    code = page.locator(f"{CHECKS} pre").first
    expect(code).to_be_hidden()
    fold.click()
    expect(code).to_contain_text("assert")


def test_a_page_says_how_often_its_claims_held(page: Page, chapter: str) -> None:
    page.goto(chapter)
    line = page.locator(".at-a-glance a", has_text="claims")
    expect(line).to_contain_text("each held in")
    line.click()
    page.wait_for_url("**/book/status.html#claims")
    rows = page.locator("section#how-often-each-claim-held tbody tr")
    assert rows.count() == sum(path.startswith("notebooks/") for path in page_paths())
    expect(rows.first).to_contain_text("AVX2")


def test_an_opened_solution_passes_the_accessibility_checker(page: Page, chapter: str) -> None:
    page.goto(chapter)
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true })")
    assert run_axe(page) == []


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_the_way_back_to_the_top_of_a_phone_passes_the_accessibility_checker(
    browser: Browser, base: str, chapter: str, color_scheme: str
) -> None:
    options = READERS["phone"] | {"color_scheme": color_scheme}
    with open_context(browser, base, reduced_motion="reduce", **options) as context:
        page = context.new_page()
        page.goto(chapter)
        page.evaluate(DOWN_AND_UP)  # the button shows on the way up
        expect(page.locator("#pst-back-to-top")).to_be_visible()
        assert run_axe(page) == []


def test_a_wide_formula_is_reached_by_keyboard_on_a_phone(
    browser: Browser, base: str, chapter: str
) -> None:
    with open_context(browser, base, **READERS["phone"]) as context:
        page = context.new_page()
        page.goto(chapter)
        expect(page.locator(".katex-display[tabindex='0']").first).to_be_visible()
        wide = page.evaluate(WIDE_FORMULAS)
    assert all(formula["focusable"] for formula in wide)
    assert all(formula["startsInSight"] for formula in wide)


def test_searching_for_attention_finds_chapters(page: Page) -> None:
    page.goto("search.html?q=attention")
    results = page.locator("#search-results ul.search li a[href*='notebooks/']")
    expect(results.first).to_be_visible()
    results.first.click()
    page.wait_for_url("**/notebooks/**")


def test_the_search_opens_with_control_and_k(page: Page) -> None:
    page.goto("book/index.html")
    page.keyboard.press("Control+k")
    field = page.get_by_role("searchbox", name="Search this book")
    expect(field).to_be_focused()
    assert run_axe(page) == []
    field.fill("softmax")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=softmax**")
    expect(page.locator("#search-results ul.search li").first).to_be_visible()


def test_the_theme_switch_darkens_the_page_and_is_remembered(page: Page) -> None:
    page.goto("book/index.html")
    root = page.locator("html")
    light, ink = page.evaluate(GROUND), page.evaluate(INK)
    switch = page.get_by_role("button", name="Color mode")
    while root.get_attribute("data-mode") != "dark":
        before = root.get_attribute("data-mode") or ""
        switch.click()
        expect(root).not_to_have_attribute("data-mode", before)
    dark = page.evaluate(GROUND)
    assert dark != light
    assert page.evaluate(INK) != ink  # drawings follow the switch too
    page.reload()
    expect(root).to_have_attribute("data-theme", "dark")
    assert page.evaluate(GROUND) == dark


def test_a_dark_system_gets_a_dark_page(browser: Browser, base: str) -> None:
    grounds = []
    for reader in ("light", "dark"):
        with open_context(browser, base, **READERS[reader]) as context:
            page = context.new_page()
            page.goto("book/index.html")
            grounds.append(page.evaluate(GROUND))
    assert grounds[0] == "rgb(255, 255, 255)"
    assert grounds[1] != grounds[0]


def test_the_table_of_contents_opens_on_a_phone(browser: Browser, base: str, chapter: str) -> None:
    with open_context(browser, base, **READERS["phone"]) as context:
        page = context.new_page()
        page.goto("book/index.html")
        link = page.locator(f".bd-sidebar-primary nav a[href$='{chapter}']")
        expect(link).not_to_be_in_viewport()
        page.locator("button.primary-toggle").click()
        expect(link).to_be_in_viewport()
        page.keyboard.press("Escape")
        expect(link).not_to_be_in_viewport()


def test_nothing_moves_for_a_reader_who_asked_for_stillness(
    browser: Browser, base: str, chapter: str
) -> None:
    with open_context(browser, base, reduced_motion="reduce", **READERS["light"]) as context:
        page = context.new_page()
        page.goto(chapter)
        assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
        assert page.evaluate("document.getAnimations().length") == 0


def test_a_chapter_can_be_read_without_scripts(browser: Browser, base: str, chapter: str) -> None:
    with open_context(browser, base, java_script_enabled=False, **READERS["light"]) as context:
        page = context.new_page()
        page.goto(chapter)
        expect(page.locator("h1").last).to_be_visible()
        # The theme's colours are there.
        assert page.evaluate(GROUND) == "rgb(255, 255, 255)"
        expect(page.locator("div.math .katex-html").first).to_be_visible()
        expect(page.locator("article pre").first).to_be_visible()
        page.locator(f"{SOLUTION} > summary").first.click()
        expect(page.locator(f"{SOLUTION} pre").first).to_be_visible()
