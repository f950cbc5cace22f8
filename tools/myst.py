"""The parser of the book's Markdown, with the syntax that _config.yml switches on."""

from __future__ import annotations

from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

EXTENSIONS = {"colon_fence", "deflist", "dollarmath"}
PARSER = create_md_parser(MdParserConfig(enable_extensions=EXTENSIONS), RendererHTML)


def split_target(role: str) -> tuple[str, str]:
    """Split ``text <target>``; a role without text has only a target."""
    if role.endswith(">") and "<" in role:
        text, _, target = role[:-1].rpartition("<")
        return text.strip(), target.strip()
    return "", role


def plain_text(markdown: str) -> str:
    """Strip a paragraph of its markup; a role leaves its words, mathematics its TeX."""
    words = []
    for block in PARSER.parse(markdown):
        for token in block.children or []:
            if token.type == "myst_role":
                text, target = split_target(token.content)
                words.append(text or target.removeprefix("~"))
            elif token.type == "softbreak":
                words.append(" ")
            else:
                words.append(token.content)
    return "".join(words)
