"""What the book's cross-references point to, for notebooks that are read without the site."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from myst import PARSER, plain_text, split_target
from pybtex.database import Entry, parse_file
from pybtex.richtext import Text


@dataclass
class References:
    """Everything that a role can point to, seen from one chapter.

    Args:
        root: The repository.
        docname: The chapter that refers, such as ``notebooks/12_multi_head_attention``.
        numbers: The numbers of labelled equations and figures in all chapters.
        sections: The titles of labelled sections in all chapters.
        repository: The repository's address, or nothing.
        branch: The branch that readers see.
        cited: The keys that were cited so far.
    """

    root: Path
    docname: str
    numbers: dict[str, str]
    sections: dict[str, str]
    repository: str = ""
    branch: str = "main"
    cited: list[str] = field(default_factory=list)

    def number(self, label: str) -> str:
        """Give the number of an equation or figure, such as 11.2."""
        if label not in self.numbers:
            raise ValueError(f"label {label!r} is not defined in any chapter")
        return self.numbers[label]

    def section(self, role: str) -> str:
        """Give the title of a labelled section."""
        text, label = split_target(role)
        if label not in self.sections:
            raise ValueError(f"section label {label!r} is not defined in any chapter")
        return text or self.sections[label]

    def page(self, role: str) -> str:
        """Link to a chapter's notebook, or name a page that has none."""
        text, target = split_target(role)
        path = (self.root / self.docname).parent / target
        if target.startswith("/"):
            path = self.root / target[1:]
        source = path.resolve().with_suffix(".md")
        if not source.is_file():
            raise ValueError(f"page {target!r} does not exist")
        text = text or page_title(source)
        is_chapter = source.parent.name == "notebooks"
        file = source.with_suffix(".ipynb" if is_chapter else ".md").name
        if self.repository:
            return f"[{text}]({self._address('blob')}/{source.parent.name}/{file})"
        return f"[{text}]({file})" if is_chapter else f"*{text}*"

    def file(self, path: str) -> str:
        """Give the address of a file that a chapter shows."""
        target = (self.root / self.docname).parent / path
        if not target.is_file():
            raise ValueError(f"file {path!r} does not exist")
        name = target.resolve().relative_to(self.root.resolve()).as_posix()
        return f"{self._address('raw')}/{name}" if self.repository else path

    def term(self, role: str) -> str:
        """Show a term with its definition, which appears when it is pointed at."""
        text, term = split_target(role)
        definition = glossary(self.root).get(term.lower())
        if definition is None:
            raise ValueError(f"term {term!r} is not in the glossary")
        return f'<abbr title="{html.escape(plain_text(definition))}">{text or term}</abbr>'

    def cite(self, keys: str, *, textual: bool) -> str:
        """Cite papers: Vaswani et al. (2017), or (Vaswani et al., 2017)."""
        shown = []
        for key in (key.strip() for key in keys.split(",")):
            entry = self._entry(key)
            if key not in self.cited:
                self.cited.append(key)
            year = _field(entry, "year")
            name = _short_authors(entry)
            shown.append(f"{name} ({year})" if textual else f"{name}, {year}")
        return ", ".join(shown) if textual else f"({'; '.join(shown)})"

    def code(self, role: str, *, call: bool = False) -> str:
        """Show a name of the API; a leading ~ keeps its last part only."""
        text, target = split_target(role)
        name = target[1:].rsplit(".", 1)[-1] if target.startswith("~") else target
        return f"`{text or name}{'()' if call and not text else ''}`"

    def bibliography(self) -> str:
        """List the papers that were cited, in the order of their first citation."""
        lines = ["## References", ""]
        for key in self.cited:
            entry = self._entry(key)
            title = Text.from_latex(_field(entry, "title")).render_as("text")
            line = f"- {_short_authors(entry)} ({_field(entry, 'year')}). *{title}*."
            if where := _field(entry, "booktitle") or _field(entry, "journal"):
                line += f" {where}."
            if url := _field(entry, "url"):
                line += f" <{url}>"
            if number := _field(entry, "eprint"):
                line += f" [arXiv:{number}](https://arxiv.org/abs/{number})"
            lines.append(line)
        return "\n".join(lines)

    def _address(self, kind: str) -> str:
        return f"{self.repository}/{kind}/{self.branch}"

    def _entry(self, key: str) -> Entry:
        entries = _bibliography(self.root / "book" / "references.bib")
        if key not in entries:
            raise ValueError(f"citation {key!r} is not in book/references.bib")
        return entries[key]


def page_title(source: Path) -> str:
    """Read a page's first heading."""
    for line in source.read_text("utf-8").splitlines():
        if line.startswith("# "):
            return line[2:].strip()
    raise ValueError(f"{source} has no title")


def glossary(root: Path) -> dict[str, str]:
    """Read the terms, in lower case, and their definitions."""
    page = PARSER.parse((root / "book" / "glossary.md").read_text("utf-8"))
    bodies = [token.content for token in page if token.info.startswith("{glossary}")]
    definitions: dict[str, str] = {}
    waiting: list[str] = []  # terms that share the next definition
    defined = False
    for line in "\n".join(bodies).splitlines():
        if line.startswith(" "):
            defined = True
            for term in waiting:
                definitions[term] = f"{definitions.get(term, '')} {line.strip()}".strip()
        elif line.strip() and not line.startswith(":"):
            waiting = [line.strip().lower()] if defined else [*waiting, line.strip().lower()]
            defined = False
    return definitions


@cache
def _bibliography(path: Path) -> dict[str, Entry]:
    return dict(parse_file(path).entries)


def _field(entry: Entry, name: str) -> str:
    return "" if entry.fields is None else entry.fields.get(name, "")


def _short_authors(entry: Entry) -> str:
    authors = [] if entry.persons is None else entry.persons["author"]
    names = [" ".join(map(str, person.rich_last_names)) for person in authors]
    if len(names) > 2:
        return f"{names[0]} et al."
    return " and ".join(names)
