"""What the theme and docutils write into a page, and what a reader needs instead."""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Callable
from re import Pattern
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

Replacement = str | Callable[[re.Match[str]], str]
MENDS: list[tuple[Pattern[str], Replacement]] = [
    # The icons' web font is loaded anyway; this script (1.5 MB) would draw the same icons again.
    (re.compile(r'<script src="[^"]*/fontawesome\.js[^"]*"></script>'), ""),
    # The visible words of a button or a fold are its name; a label that differs hides them.
    (re.compile(r'(<button class="[^"]*search-button-field[^>]*) aria-label="[^"]*"'), r"\1"),
    (re.compile(r'<summary aria-label="Toggle hidden content">'), "<summary>"),
    # Everything on a page stands in a landmark, the logo too.
    (
        re.compile(r'<div id="pst-primary-sidebar"'),
        '<div id="pst-primary-sidebar" role="complementary" aria-label="Book"',
    ),
    # The parameters of a long signature are no definition list: they have no terms.
    (
        re.compile(r'<dl>\s*((?:<dd><em class="sig-param">.*?</dd>\s*)+)</dl>', re.DOTALL),
        lambda found: re.sub("<(/?)dd>", r"<\1div>", f"<div>{found[1]}</div>"),
    ),
    # The mode "auto" has no colours until a script, late, has chosen some: choose at once. Without
    # scripts the attribute stays away, and the page is light.
    (re.compile(r'(getItem\("mode"\) \|\|) ""'), r'\1 "auto"'),
    (
        re.compile(r'(getItem\("theme"\) \|\|) ""'),
        r'\1 (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")',
    ),
    # A chapter's number belongs to its title alone.
    (re.compile(r'(<h[2-6]>)<span class="section-number">[^<]*</span>'), r"\1"),
    # A word, which every font has and every screen reader says.
    (re.compile("✅"), "passed"),
    # A deprecated role, which is not allowed in a list.
    (re.compile(r'role="doc-biblioentry"'), 'role="listitem"'),
]


def mend_page(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    """Mend what the templates get wrong for screen readers, and describe the page."""

    def mend(page: str) -> str:
        for pattern, replacement in MENDS:
            page = pattern.sub(replacement, page)
        return page

    context["mend"] = mend  # called by book/_templates/layout.html
    metatags = context.get("metatags", "")
    if 'name="description"' not in metatags:
        text = _first_sentences(doctree) or context["description"]
        description = f'<meta name="description" content="{html.escape(text)}" />'
        context["metatags"] = metatags + description


def _first_sentences(doctree: object, limit: int = 160) -> str:
    """Take a page's first paragraph of prose, without mathematics, cut after a whole word."""
    if not isinstance(doctree, nodes.document):
        return ""
    for paragraph in doctree.findall(nodes.paragraph):
        is_prose = isinstance(paragraph.parent, nodes.section)
        if is_prose and not any(paragraph.findall(nodes.math)):
            return textwrap.shorten(paragraph.astext(), limit, placeholder=" ...")
    return ""
