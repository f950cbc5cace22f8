"""What the site says of the chapters' claims: a line on each page, and the table of all of them."""

from __future__ import annotations

from pathlib import Path

from chapters import ROOT, chapter_paths, computation_digest
from claim_record import RECORD, ChapterRecord, number_of, read_record
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

GLANCE = ":class: at-a-glance"
HEAD = """:::{list-table}
:header-rows: 1
* - Chapter
  - Claims
  - Runs
  - Held in all
  - Instructions
  - Threads
  - Other seeds
  - PyTorch"""


def with_claims(text: str, chapter: ChapterRecord | None) -> str:
    """Add to a chapter's opening what is known of its claims.

    Args:
        text: The chapter.
        chapter: Its record; ``None`` if it has changed since its claims were counted.
    """
    before, opening, rest = text.partition(GLANCE)
    if not opening:
        return text
    said = "not counted since this page was last changed"
    if chapter is not None:
        said = f"{{ref}}`{chapter.summary()} <claims>`"
    line = f"\n**Checked:** {said}\n:::\n"
    return before + opening + rest.replace("\n:::\n", f"\n{line}", 1)


def current(path: Path) -> ChapterRecord | None:
    """Give a chapter's record if it is of the chapter as it is now."""
    chapter = read_record().get(number_of(path))
    return chapter if chapter and chapter.digest == computation_digest(path) else None


class ClaimsTable(SphinxDirective):
    """A row for each chapter: its claims, and the runs that they were held against."""

    def run(self) -> list[nodes.Node]:
        """Build the table, and build it again when the record or a chapter has changed."""
        self.env.note_dependency(str(RECORD))
        rows = []
        for path in chapter_paths():
            self.env.note_dependency(str(path))
            rows.append(row(path, current(path)))
        container = nodes.container()
        text = "\n".join([HEAD, *rows, ":::"])
        lines = StringList(text.splitlines(), source=self.get_source_info()[0])
        self.state.nested_parse(lines, self.content_offset, container)
        return container.children


def row(path: Path, chapter: ChapterRecord | None) -> str:
    """Write a chapter's row."""
    cells = [f"{{doc}}`/{path.relative_to(ROOT).with_suffix('').as_posix()}`"]
    if chapter is None:
        cells += ["not counted since it was last changed", *[""] * 6]
    else:
        counts = chapter.counts()
        runs = chapter.runs
        cells += [
            str(len(counts)),
            str(len(runs)),
            str(sum(held == made for _, held, made in counts)),
            ", ".join(sorted({run["instructions"] for run in runs})),
            ", ".join(map(str, sorted({run["threads"] for run in runs}))),
            str(len({run["shift"] for run in runs} - {0})),
            ", ".join(sorted({run["torch"] for run in runs})),
        ]
    first, *others = cells
    return "\n".join([f"* - {first}", *(f"  - {cell}" for cell in others)])
