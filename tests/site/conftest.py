from __future__ import annotations

import contextlib
import functools
import http.server
import math
import threading
from collections.abc import Callable, Iterator

import pytest
from browser import find_browser, launch_arguments
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from visit import READERS, SITE, Visit, open_context, page_of, page_paths, visit


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serve files over connections that stay open, without a log."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for every page; without a site, once, to say so."""
    if "path" in metafunc.fixturenames:
        metafunc.parametrize("path", page_paths() or ["book/index.html"])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give all tests of a page to one process, which visits it once, and the largest page first."""
    for item in items:
        if page := _page_of(item):
            item.add_marker(pytest.mark.xdist_group(page))
    items.sort(key=lambda item: -_size_of(_page_of(item)))


def _page_of(item: pytest.Item) -> str:
    """Name the page that a test looks at; nothing for one that goes through several."""
    arguments = getattr(getattr(item, "callspec", None), "params", {})
    chapter = arguments.get("chapter")
    return page_of(chapter) if chapter else arguments.get("path", "")


def _size_of(page: str) -> float:
    if not page:
        return math.inf
    return (SITE / page).stat().st_size if (SITE / page).is_file() else 0


@pytest.fixture(scope="session")
def base() -> Iterator[str]:
    """Serve the built site on a free port of this machine alone."""
    if not page_paths():
        pytest.fail("there is no site in _build/html: run `make book` first", pytrace=False)
    handler = functools.partial(QuietHandler, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="session")
def browser(base: str) -> Iterator[Browser]:
    """Start one browser for all tests."""
    executable, problem = None, ""
    try:
        executable = find_browser()
    except FileNotFoundError as error:
        problem = str(error)
    if executable is None:
        pytest.fail(problem, pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=launch_arguments())
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def look_at(browser: Browser, base: str) -> Iterator[Callable[[str, str], Visit]]:
    """Look at a page as one kind of reader, once for all the tests that ask."""
    with contextlib.ExitStack() as stack:
        windows: dict[str, BrowserContext] = {}

        @functools.cache
        def look(path: str, reader: str) -> Visit:
            if reader not in windows:
                window = open_context(browser, base, **READERS[reader])
                windows[reader] = stack.enter_context(window)
            return visit(windows[reader], base, path)

        yield look


@pytest.fixture
def page(browser: Browser, base: str) -> Iterator[Page]:
    """Give a fresh tab, with no memory, to click and type in."""
    with open_context(browser, base, **READERS["light"]) as context:
        yield context.new_page()
