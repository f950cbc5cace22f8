"""Make the notebooks that Colab, JupyterLab and nbval open from the chapters' MyST sources.

Usage::

    python tools/build_notebooks.py            write notebooks/*.ipynb
    python tools/build_notebooks.py --check    say which are out of date, write nothing
    python tools/build_notebooks.py --freeze   run the chapters and store the text of the cells
                                               tagged nbval-check-output, then write

Numbers of chapters behind the options choose only those.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from functools import cache
from pathlib import Path

import jupytext
import nbformat
import yaml
from chapters import ROOT, chapter_number, chapter_paths
from execute_chapters import outputs_of, run_outdated
from folded_cells import title_of
from myst import PARSER
from myst_to_markdown import figure_name, to_markdown
from nbformat import NotebookNode, v4
from references import References

FROZEN = "nbval-check-output"
FORM_TITLE = "# @title "  # what Colab shows of a folded cell


def main() -> int:
    """Write or check every notebook; return how many could not be made or are out of date."""
    parser = argparse.ArgumentParser(description="Make the notebooks from the chapters.")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--freeze", action="store_true")
    parser.add_argument("numbers", nargs="*", type=int, metavar="NN", help="chapters; all if none")
    options = parser.parse_args()
    if options.freeze and run_outdated(numbers=options.numbers):
        return 1
    wrong = 0
    for path in chapter_paths(numbers=options.numbers):
        target = path.with_suffix(".ipynb")
        frozen = outputs_of(path) if options.freeze else stored_outputs(target)
        try:
            text = notebook_text(path, frozen)
        except ValueError as error:
            wrong += 1
            print(error, file=sys.stderr)
            continue
        if target.is_file() and target.read_text("utf-8") == text:
            continue
        if options.check:
            wrong += 1
            print(f"{target.relative_to(ROOT)} is out of date: run `make notebooks`")
        else:
            target.write_text(text, "utf-8")
            print(f"wrote {target.relative_to(ROOT)}")
    return wrong


def notebook_text(path: Path, frozen: dict[str, NotebookNode], root: Path = ROOT) -> str:
    """Make a chapter's notebook; the same sources give the same bytes."""
    return nbformat.writes(build_notebook(path, frozen, root)) + "\n"


def build_notebook(path: Path, frozen: dict[str, NotebookNode], root: Path = ROOT) -> NotebookNode:
    """Make a chapter's notebook.

    Args:
        path: The chapter's source.
        frozen: Executed cells whose text output is kept, by their source.
        root: The repository.
    """
    references = references_for(path, root)
    cells = [v4.new_code_cell(install_code(references.repository), metadata={"tags": ["install"]})]
    for index, cell in enumerate(jupytext.read(path).cells):
        try:
            cells += _convert(cell, references)
        except ValueError as error:
            raise ValueError(f"{path.name}, cell {index + 1}: {error}") from error
    title = next(
        cell for cell in cells if cell.source.startswith("# ") and cell.cell_type == "markdown"
    )
    title.source = f"# {chapter_number(references.docname)} {title.source[2:]}"
    if references.cited:
        cells.append(v4.new_markdown_cell(references.bibliography()))
    for count, cell in enumerate((c for c in cells if c.cell_type == "code"), start=1):
        if FROZEN in cell.metadata.get("tags", []) and cell.source in frozen:
            cell.outputs = _text_outputs(frozen[cell.source], count)
            cell.execution_count = count
    _name_cells(cells)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return v4.new_notebook(cells=cells, metadata=metadata)


def install_code(repository: str) -> str:
    """Write the first cell: it fetches the package where it is missing."""
    lines = [
        "# The package that this notebook imports, if it is not here yet.",
        "import importlib.util",
        "",
        'if importlib.util.find_spec("tutorial_lib") is None:',
    ]
    if repository:
        lines.append(f'    %pip install --quiet "tutorial_lib[chapters] @ git+{repository}"')
    else:
        lines.append(
            '    raise ModuleNotFoundError("run `pip install .[chapters]` in the book\'s folder")'
        )
    return "\n".join(lines)


def repository_url(root: Path = ROOT) -> str:
    """Give the repository's address: the environment's, or the one in _config.yml."""
    url = os.environ.get("BOOK_REPOSITORY_URL") or _configuration(root)["repository"]["url"]
    return (url or "").rstrip("/")


def _configuration(root: Path) -> dict:
    return yaml.safe_load((root / "_config.yml").read_text("utf-8"))


def references_for(path: Path, root: Path = ROOT) -> References:
    """Collect what a chapter can refer to."""
    numbers: dict[str, str] = {}
    sections: dict[str, str] = {}
    for chapter in sorted((root / "notebooks").glob("*.md")):
        own_numbers, own_sections = _labels_of(chapter, chapter.read_text("utf-8"))
        numbers |= own_numbers
        sections |= own_sections
    docname = path.relative_to(root).with_suffix("").as_posix()
    branch = _configuration(root)["repository"].get("branch", "main")
    return References(root, docname, numbers, sections, repository_url(root), branch)


@cache  # every chapter may refer to every other
def _labels_of(chapter: Path, text: str) -> tuple[dict[str, str], dict[str, str]]:
    """Give the numbers of a chapter's equations and figures, and the titles of its sections."""
    number = chapter_number(str(chapter))
    equations, figures = [], []
    numbers: dict[str, str] = {}
    sections: dict[str, str] = {}
    for cell in jupytext.reads(text, "md:myst").cells:
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        if "name" in figure:
            figures.append(figure["name"])
        if cell.cell_type != "markdown":
            continue
        tokens = PARSER.parse(cell.source)
        equations += [token.info for token in tokens if token.type == "math_block_label"]
        figures += [name for token in tokens if (name := figure_name(token))]
        for token, _, title in zip(tokens, tokens[1:], tokens[2:], strict=False):
            if token.type == "myst_target":
                sections[token.content] = title.content
    for labels in (equations, figures):
        numbers |= {label: f"{number}.{count}" for count, label in enumerate(labels, start=1)}
    return numbers, sections


def _convert(cell: NotebookNode, references: References) -> list[NotebookNode]:
    if cell.cell_type == "markdown":
        source = to_markdown(cell.source, references)
        return [v4.new_markdown_cell(source)] if source else []
    tags = cell.metadata.get("tags", [])
    metadata: dict = {"tags": tags} if tags else {}
    source = cell.source
    if title := title_of(tags, source):  # folded in JupyterLab and in Colab
        metadata |= {"jupyter": {"source_hidden": True}, "cellView": "form"}
        source = f"{FORM_TITLE}{title}\n{source}"
    code = v4.new_code_cell(source, metadata=metadata)
    figure = cell.metadata.get("mystnb", {}).get("figure")
    if figure is None:
        return [code]
    caption = to_markdown(figure["caption"], references)
    alt = to_markdown(cell.metadata["mystnb"]["image"]["alt"], references)
    words = f"<details><summary>The figure in words</summary>\n\n{alt}\n\n</details>"
    name = references.number(figure["name"])
    return [code, v4.new_markdown_cell(f"**Fig. {name}** {caption}\n\n{words}")]


def without_title(source: str) -> str:
    """Give a cell's source without the title that Colab shows of it."""
    first, _, rest = source.partition("\n")
    return rest if first.startswith(FORM_TITLE) else source


def stored_outputs(notebook: Path) -> dict[str, NotebookNode]:
    """Read the frozen cells of a notebook, by their source."""
    if not notebook.is_file():
        return {}
    cells = nbformat.read(notebook, as_version=4).cells
    return {cell.source: cell for cell in cells if cell.get("execution_count")}


def _text_outputs(cell: NotebookNode, count: int) -> list[NotebookNode]:
    outputs = []
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stdout":
            # A kernel sends what is printed in pieces, now in more and now in fewer.
            if outputs and outputs[-1].output_type == "stream":
                outputs[-1].text += output.text
            else:
                outputs.append(v4.new_output("stream", name="stdout", text=output.text))
        elif output.output_type == "execute_result":
            text = {"text/plain": output.data["text/plain"]}
            outputs.append(v4.new_output("execute_result", data=text, execution_count=count))
    return outputs


def _name_cells(cells: list[NotebookNode]) -> None:
    """Give each cell an id made of its text, so that editing one leaves the others' alone."""
    seen: dict[str, int] = {}
    for cell in cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"


if __name__ == "__main__":
    sys.exit(main())
