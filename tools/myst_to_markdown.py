"""Turn a chapter's MyST into the plain Markdown and HTML that Colab and JupyterLab show.

The text is parsed by myst-parser; what its tokens call a role or a directive is replaced in place,
everything else stays as it was written. What this module does not know is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from architecture import caption_of, file_of, words_of
from architecture_on_the_site import Architecture
from chapters import ROOT
from docutils.parsers.rst import Directive
from docutils.parsers.rst.directives.admonitions import Admonition, Note
from docutils.parsers.rst.directives.tables import ListTable
from markdown_it.token import Token
from myst import PARSER
from myst_parser.parsers.directives import parse_directive_text
from references import References
from sphinx.directives.patches import Figure, MathDirective
from sphinx_design.dropdown import DropdownDirective


class UnknownMarkupError(ValueError):
    """A role, directive or link that would reach the reader as raw text."""


@dataclass(frozen=True)
class Block:
    """A directive: its argument, its options and its body."""

    argument: str
    options: dict[str, Any]
    body: str


def to_markdown(text: str, references: References) -> str:
    """Replace every role, directive, target and comment of a text."""
    lines = text.splitlines(keepends=True)
    starts = [0]  # where each line begins in the text
    for line in lines:
        starts.append(starts[-1] + len(line))
    edits: list[tuple[int, int, str]] = []
    cursor = 0
    for token in PARSER.parse(text):
        if token.map is None:
            continue
        begin, end = starts[token.map[0]], starts[min(token.map[1], len(lines))]
        if token.type == "inline":
            cursor = max(cursor, begin)
            cursor = _replace_roles(token, text, cursor, edits, references)
            continue
        replacement = _replace_block(token, references)
        if replacement is not None:
            first_line = text[begin:end].splitlines()[0]
            indent = first_line[: len(first_line) - len(first_line.lstrip())]
            edits.append((begin, end, _indented(replacement, indent) + "\n"))
    for begin, end, replacement in sorted(edits, reverse=True):
        text = text[:begin] + replacement + text[end:]
    return text.strip()


def figure_name(token: Token) -> str | None:
    """Give the name of a figure or of a picture of the architecture; other tokens have none."""
    name, _, argument = token.info[1:].partition("}")
    if token.info.startswith("{") and name in ("figure", "architecture"):
        directive, _ = DIRECTIVES[name]
        return parse_directive_text(directive, argument.strip(), token.content).options.get("name")
    return None


def _replace_roles(
    inline: Token,
    text: str,
    cursor: int,
    edits: list[tuple[int, int, str]],
    references: References,
) -> int:
    for token in inline.children or []:
        if token.type == "link_open":
            _require_absolute(str(token.attrs["href"]))
        if token.type == "code_inline":  # a role in code is no role: step over it
            # The parser has joined code that is broken over two lines.
            begin = text.replace("\n", " ").find(token.content, cursor)
            cursor = max(cursor, begin + len(token.content))
        if token.type != "myst_role":
            continue
        name = token.meta["name"]
        source = f"{{{name}}}`{token.content}`"
        begin = text.find(source, cursor)
        if begin < 0:
            raise UnknownMarkupError(f"{source} must stand on one line, in single backticks")
        if name not in ROLES:
            raise UnknownMarkupError(f"role {{{name}}} is unknown; known are {sorted(ROLES)}")
        cursor = begin + len(source)
        edits.append((begin, cursor, ROLES[name](token.content, references)))
    return cursor


def _require_absolute(href: str) -> None:
    if not href.startswith(("https://", "http://", "#")):
        raise UnknownMarkupError(f"link to {href}: use {{doc}} for the book's own pages")


def _replace_block(token: Token, references: References) -> str | None:
    """Say what a block becomes, or ``None`` where it stays as it is."""
    if token.type in ("fence", "colon_fence") and token.info.startswith("{"):
        return _replace_directive(token, references)
    if token.type == "math_block_label":
        return _display_math(token.content, token.info, references)
    if token.type == "myst_target":
        return f'<a id="{token.content}"></a>\n'
    if token.type in ("myst_line_comment", "myst_block_break"):
        return ""
    if token.type == "colon_fence":
        raise UnknownMarkupError(f"::: {token.info!r} names no directive")
    return None


def _replace_directive(token: Token, references: References) -> str:
    name, _, first_line = token.info[1:].partition("}")
    if name not in DIRECTIVES:
        raise UnknownMarkupError(f"directive {{{name}}} is unknown; known: {sorted(DIRECTIVES)}")
    directive, convert = DIRECTIVES[name]
    parsed = parse_directive_text(directive, first_line.strip(), token.content)
    if parsed.warnings:
        raise UnknownMarkupError(f"directive {{{name}}}: {parsed.warnings[0].msg}")
    block = Block(" ".join(parsed.arguments), parsed.options, "\n".join(parsed.body))
    return convert(name, block, references)


def _admonition(name: str, block: Block, references: References) -> str:
    title = to_markdown(block.argument, references) if block.argument else TITLES[name]
    body = to_markdown(block.body, references)
    return _indented(f"**{title}**\n\n{body}", "> ")


def _figure(name: str, block: Block, references: References) -> str:
    if not block.options.get("alt"):
        raise UnknownMarkupError(f"figure {block.argument}: an option alt is needed")
    number = references.number(block.options["name"])
    caption = to_markdown(block.body, references)
    address = references.file(block.argument)
    return f"![{block.options['alt']}]({address})\n\n**Fig. {number}** {caption}"


def _architecture(name: str, block: Block, references: References) -> str:
    part = block.options.get("part", "")
    title, description = words_of(block.argument, part)
    path = file_of(block.argument, part).relative_to(ROOT)
    address = references.file(f"../{path.as_posix()}")  # chapters lie one folder deep
    caption = to_markdown(caption_of(block.argument, part, block.body), references)
    if "name" in block.options:
        caption = f"**Fig. {references.number(block.options['name'])}** {caption}"
    return f"![{title}. {description}]({address})\n\n{caption}"


def _dropdown(name: str, block: Block, references: References) -> str:
    body = to_markdown(block.body, references)
    return f"<details><summary>{block.argument}</summary>\n\n{body}\n\n</details>"


def _math(name: str, block: Block, references: References) -> str:
    return _display_math(block.body, block.options.get("label"), references)


def _display_math(content: str, label: str | None, references: References) -> str:
    tag = "" if label is None else f" \\tag{{{references.number(label)}}}"
    return f"$$\n{content.strip()}{tag}\n$$"


def _list_table(name: str, block: Block, references: References) -> str:
    rows = _nested_items(block.body)
    if not rows or len({len(row) for row in rows}) != 1:
        raise UnknownMarkupError(f"list-table {block.argument!r}: rows differ in length")
    lines = [_table_row(to_markdown(cell, references) for cell in row) for row in rows]
    lines.insert(1, _table_row("---" for _ in rows[0]))
    title = f"**{to_markdown(block.argument, references)}**\n\n" if block.argument else ""
    return title + "\n".join(lines)


def _nested_items(body: str) -> list[list[str]]:
    """Read a list of lists: each outer item is a row, each inner item a cell."""
    lines = body.splitlines()
    rows: list[list[str]] = []
    for token in PARSER.parse(body):
        if token.type != "list_item_open" or token.map is None:
            continue
        if token.level == 1:
            rows.append([])
        elif token.level == 3:
            source = lines[token.map[0] : token.map[1]]
            source[0] = source[0].lstrip("* ").removeprefix("- ").removeprefix("-")
            rows[-1].append(" ".join(line.strip() for line in source).strip())
    return rows


def _table_row(cells: Any) -> str:
    # A bar would end the cell.
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _indented(text: str, prefix: str) -> str:
    return "\n".join((prefix + line).rstrip() for line in text.splitlines())


TITLES = {
    name: name.capitalize() for name in ("note", "tip", "hint", "important", "warning", "caution")
} | {"seealso": "See also"}

Convert = Callable[[str, Block, References], str]
DIRECTIVES: dict[str, tuple[type[Directive], Convert]] = {
    "admonition": (Admonition, _admonition),
    "architecture": (Architecture, _architecture),
    "dropdown": (DropdownDirective, _dropdown),
    "figure": (Figure, _figure),
    "math": (MathDirective, _math),
    "list-table": (ListTable, _list_table),
    **dict.fromkeys(TITLES, (Note, _admonition)),
}

ROLES: dict[str, Callable[[str, References], str]] = {
    "doc": lambda target, references: references.page(target),
    "ref": lambda target, references: references.section(target),
    "numref": lambda target, references: f"Fig. {references.number(target)}",
    "eq": lambda target, references: f"({references.number(target)})",
    "term": lambda target, references: references.term(target),
    "cite:t": lambda keys, references: references.cite(keys, textual=True),
    "cite:p": lambda keys, references: references.cite(keys, textual=False),
    "class": lambda target, references: references.code(target),
    "meth": lambda target, references: references.code(target),
    "attr": lambda target, references: references.code(target),
    "mod": lambda target, references: references.code(target),
    "func": lambda target, references: references.code(target, call=True),
}
