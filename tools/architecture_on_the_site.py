"""The directive ``architecture``: a picture of the architecture, drawn into the page.

It is part of the page, and not an image, so that its colours follow the theme and its words can be
searched. ``:::{architecture} transformer`` with ``:part: encoder`` says where a reader is; a
detailed picture has a ``:name:``, and so a number. The body is the caption.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from architecture import CHAPTERS, WHOLE, caption_of, picture_of, svg_of
from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

SOURCES = sorted(Path(__file__).parent.glob("architecture*.py"))


class Unnumbered(nodes.figure):
    """A figure that Sphinx does not number, as it does every plain one with a caption."""


class Architecture(SphinxDirective):
    """A figure with a picture of the architecture in it."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar[dict[str, Callable[[str], object]] | None] = {
        "part": directives.unchanged_required,
        "name": directives.unchanged_required,
        "links": directives.flag,
    }

    def run(self) -> list[nodes.Node]:
        """Build the figure, and build it again when the drawing has changed."""
        for path in SOURCES:
            self.env.note_dependency(str(path))
        name, part = self.arguments[0], self.options.get("part", "")
        try:
            picture_of(name).part(part)
        except ValueError as error:
            raise self.error(str(error)) from None
        svg = svg_of(name, part, self._links() if "links" in self.options else None)
        classes = ["architecture", "whole" if name == WHOLE else "detail"]
        kind = nodes.figure if "name" in self.options else Unnumbered
        figure = kind("", nodes.raw("", svg, format="html"), classes=classes)
        figure += self._caption(caption_of(name, part, "\n".join(self.content)))
        self.set_source_info(figure)
        self.add_name(figure)
        return [figure]

    def _caption(self, text: str) -> nodes.caption:
        holder = nodes.Element()
        lines = StringList(text.splitlines(), source=self.get_source_info()[0])
        self.state.nested_parse(lines, self.content_offset, holder)
        (paragraph,) = holder.children  # a caption is one paragraph
        return nodes.caption("", "", *paragraph.children)

    def _links(self) -> dict[str, str]:
        builder = self.env.app.builder
        return {
            part: builder.get_relative_uri(self.env.docname, f"notebooks/{chapter}")
            for part, chapter in CHAPTERS.items()
        }
