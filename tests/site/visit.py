"""Open a page as one kind of reader does and write down everything that the tests ask about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, Request, Response

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
FACTS = Path(__file__).with_name("facts.js")

# Thousands of spans that differ in nothing but their colours take the checker most of its time.
# They are put away while it runs; the contrasts of their colours are facts of their own.
RUN_AXE = """async (whole) => {
  const dense = [...document.querySelectorAll("pre, .katex-html")].filter(
    (element) => !whole && !element.querySelector(":not(span)"));
  const parts = dense.map((element) => [...element.childNodes]);
  // A formula's letters as plain text would be wider than it, and scroll where it does not.
  dense.forEach((element) =>
    element.replaceChildren(element.matches("pre") ? element.textContent : ""));
  const found = await axe.run(document, { resultTypes: ["violations"] });
  dense.forEach((element, index) => element.replaceChildren(...parts[index]));
  return found.violations;
}"""

READERS: dict[str, Any] = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
}


@dataclass
class Trouble:
    """What a browser complained about."""

    errors: list[str] = field(default_factory=list)  # the console's and the scripts'
    failed: list[str] = field(default_factory=list)  # requests without a good answer
    outside: list[str] = field(default_factory=list)  # requests to any other server


@dataclass
class Visit:
    """A page as it was found."""

    trouble: Trouble
    facts: dict[str, Any]  # see facts.js
    violations: list[str]  # axe's, one line each


def page_paths() -> list[str]:
    """List the built pages; index.html at the top only forwards to the first of them."""
    pages = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))
    return [page for page in pages if page != "index.html" and not page.startswith("_")]


def page_of(chapter: Path) -> str:
    """Name the page that a chapter becomes."""
    return chapter.relative_to(ROOT).with_suffix(".html").as_posix()


@contextmanager
def open_context(browser: Browser, base: str, **options: Any) -> Iterator[BrowserContext]:
    """Open a browser window from which only the tested site can be reached."""
    context = browser.new_context(base_url=base, **options)
    context.set_default_timeout(10_000)
    context.route(lambda url: is_outside(url, base), lambda route: route.abort())
    yield context
    context.close()


def is_outside(url: str, base: str) -> bool:
    """Tell whether a request leaves the tested site."""
    return not url.startswith((base, "data:", "blob:", "about:"))


def watch(page: Page, base: str) -> Trouble:
    """Collect a page's complaints from now on."""
    trouble = Trouble()

    def on_request(request: Request) -> None:
        if is_outside(request.url, base):
            trouble.outside.append(request.url)

    def on_response(response: Response) -> None:
        if response.status >= 400:
            trouble.failed.append(f"{response.status} {response.url}")

    page.on("request", on_request)
    page.on("response", on_response)
    page.on("requestfailed", lambda request: trouble.failed.append(request.url))
    page.on("pageerror", lambda error: trouble.errors.append(str(error)))
    page.on("console", lambda m: trouble.errors.append(m.text) if m.type == "error" else None)
    return trouble


def visit(context: BrowserContext, base: str, path: str) -> Visit:
    """Open a page, look at it and close it."""
    page = context.new_page()
    trouble = watch(page, base)
    page.goto(path)
    violations = run_axe(page, whole=False)  # takes longer than what a script would still fetch
    facts = page.evaluate(FACTS.read_text("utf-8"))
    page.close()
    return Visit(trouble, facts, violations)


def run_axe(page: Page, *, whole: bool = True) -> list[str]:
    """Name what the accessibility checker objects to: the rule, the element, the reason.

    Args:
        page: The page, as it stands open.
        whole: Whether it looks at each letter of code and formulas.
    """
    page.evaluate(AXE.read_text("utf-8"))
    return [
        f"{rule['id']}: {node['html'][:150]} {' '.join(node['failureSummary'].split())[:300]}"
        for rule in page.evaluate(RUN_AXE, whole)
        for node in rule["nodes"][:5]
    ]
