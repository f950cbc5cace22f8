"""The links between the built pages, read from their HTML; no browser is needed."""

from __future__ import annotations

import functools
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from visit import SITE, page_paths

PLACE = "http://site/"  # stands for the folder of the site while addresses are joined


class Anchors(HTMLParser):
    """Collect a page's title, its link addresses and its elements' ids."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: set[str] = set()
        self.title = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "a" and given.get("href"):
            self.addresses.append(given["href"] or "")
        # <a name> is what Sphinx's own index uses.
        self.ids.update(filter(None, (given.get("id"), given.get("name"))))

    def handle_data(self, data: str) -> None:
        if self.lasttag == "title" and not self.title:
            self.title = data.strip()


@functools.cache
def anchors_of(path: str) -> Anchors:
    anchors = Anchors()
    anchors.feed((SITE / path).read_text("utf-8"))
    return anchors


def broken_links(path: str) -> list[str]:
    """List the addresses on a page that lead nowhere within the site."""
    return [
        address for address in anchors_of(path).addresses if not _leads_somewhere(path, address)
    ]


def _leads_somewhere(path: str, address: str) -> bool:
    joined = urljoin(PLACE + path, address)
    if not joined.startswith(PLACE):
        return urlsplit(joined).scheme in {"https", "mailto"}
    parts = urlsplit(joined)
    target = unquote(parts.path.lstrip("/"))
    if not (SITE / target).is_file():
        return False
    fragment = unquote(parts.fragment)
    if not fragment or not target.endswith(".html"):
        return True
    return fragment in anchors_of(target).ids


@pytest.mark.usefixtures("base")
def test_every_link_leads_somewhere(path: str) -> None:
    assert anchors_of(path).addresses
    assert broken_links(path) == []


@pytest.mark.usefixtures("base")
def test_every_page_is_linked_from_the_sidebar_of_the_first(path: str) -> None:
    special = {"genindex.html", "search.html", "book/index.html"}
    linked = {urljoin(PLACE + "book/", a) for a in anchors_of("book/index.html").addresses}
    assert path in special or PLACE + path in linked


@pytest.mark.usefixtures("base")
def test_the_bare_address_forwards_to_the_first_page() -> None:
    assert "url=book/index.html" in (SITE / "index.html").read_text("utf-8")
    assert "book/index.html" in page_paths()


@pytest.mark.usefixtures("base")
def test_no_two_pages_share_a_title() -> None:
    titles = [anchors_of(path).title for path in page_paths()]
    assert all(titles)
    assert len(set(titles)) == len(titles)
