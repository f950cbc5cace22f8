"""The chapters of the book, and what each of them depends on."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

import yaml
from claim_syntax import without_magics
from myst_nb.core.config import NbParserConfig
from myst_nb.core.read import create_nb_reader
from myst_parser.config.main import MdParserConfig
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
VENDOR = ROOT / "_build" / "vendor"  # what the site ships beside book/_static
PACKAGE = "tutorial_lib"
ENVIRONMENT = ("requirements.txt", "constraints.txt")
COMMAND_LINE = f"{PACKAGE}/lightning/cli.py"  # who imports it may run every config
CLASS_PATH = re.compile(rf"class_path: ({PACKAGE}[\w.]*)")


def chapter_paths(root: Path = ROOT, numbers: Collection[int] = ()) -> list[Path]:
    """List the chapters in the order of the table of contents.

    Args:
        root: The repository.
        numbers: Only the chapters with these numbers; all of them when empty.
    """
    toc = yaml.safe_load((root / "_toc.yml").read_text("utf-8"))
    names = [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    paths = [root / f"{name}.md" for name in names if name.startswith("notebooks/")]
    return [path for path in paths if not numbers or int(path.stem[:2]) in numbers]


def chapter_number(docname: str) -> str | None:
    """Read the two digits off a chapter's file name, 01 too; other pages have none."""
    stem = Path(docname).stem
    is_chapter = Path(docname).parent.name == "notebooks" and stem[:2].isdigit()
    return stem[:2] if is_chapter else None


def read_chapter(path: Path, root: Path = ROOT) -> NotebookNode:
    """Read a chapter as the site does: a notebook that knows what it depends on."""
    text = path.read_text("utf-8")
    notebook = _notebook(text)
    kernel = notebook.metadata["kernelspec"]
    kernel["display_name"] = f"{kernel['display_name']} {dependency_digest(text, root)}"
    return notebook


def stamped(text: str, root: Path = ROOT) -> str:
    """Write the digest of what a chapter depends on into its kernel's display name.

    The cache of executed notebooks compares the code cells and the kernelspec. With the digest in
    the kernelspec, a change of the package or of the pinned versions is a change of the notebook.
    """
    digest = dependency_digest(text, root)
    return re.sub(r"^(\s+display_name: .*)$", rf"\1 {digest}", text, count=1, flags=re.MULTILINE)


def dependency_digest(text: str, root: Path = ROOT) -> str:
    """Hash the package's modules that a chapter imports, however deep, and the environment.

    The scripts that lie beside a module count with it: a figure to touch brings them along.
    """
    digest = hashlib.sha256()
    modules = imported_files(_code_of(text), root)
    scripts = {path for module in modules for path in module.parent.glob("scripts/*")}
    for path in (*sorted(modules | scripts), *(root / name for name in ENVIRONMENT)):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def computation_digest(path: Path, root: Path = ROOT) -> str:
    """Hash what a chapter computes: its code, that of the modules it imports, and the versions.

    Comments, docstrings, prose and layout do not count, nor in which module a definition stands.
    """
    code = _code_of(path.read_text("utf-8"))
    digest = hashlib.sha256("\n".join(_statements(code)).encode())
    pieces: set[str] = set()
    for file in imported_files(code, root):
        text = file.read_text("utf-8")
        pieces.update(_statements(text) if file.suffix == ".py" else [_anywhere(text)])
    for piece in sorted(pieces):
        digest.update(piece.encode() + b"\0")
    pins = (root / "requirements.txt").read_text("utf-8")
    digest.update(pins.partition("# run")[2].partition("\n\n")[0].encode())
    return digest.hexdigest()[:12]


@cache
def _statements(code: str) -> list[str]:
    """Give the meaning of each statement at the top of a file; docstrings have none."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        is_documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        if is_documented and node.body and _is_text(node.body[0]):
            node.body[0] = ast.Pass()
    kept = [node for node in tree.body if not (_is_plain_import(node) or _is_list_of_names(node))]
    return [_anywhere("\n".join(_shape(node))) for node in kept]


def _is_plain_import(node: ast.stmt) -> bool:
    """Tell an import from the package, under the names that things have there."""
    if not isinstance(node, ast.ImportFrom) or (node.module or "").partition(".")[0] != PACKAGE:
        return False
    return all(alias.asname is None for alias in node.names)


def _is_list_of_names(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"


def _anywhere(text: str) -> str:
    """Take the names of the package's modules out of a text."""
    return re.sub(rf"\b{PACKAGE}(\.[a-z_0-9]+)+", PACKAGE, text)


def _is_text(node: ast.stmt) -> bool:
    value = getattr(node, "value", None)
    return (
        isinstance(node, ast.Expr) and isinstance(value, ast.Constant) and type(value.value) is str
    )


def _shape(node: ast.AST) -> Iterator[str]:
    """Walk through a tree in an order, and with words, that are those of every Python."""
    yield type(node).__name__
    for name, value in ast.iter_fields(node):
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, ast.AST):
                yield name
                yield from _shape(item)
            elif item is not None:
                yield f"{name}={item!r}"


def imported_files(code: str, root: Path = ROOT) -> set[Path]:
    """Find the package's files that running the code reads.

    Code that imports the command line may run every config, and what the configs name.
    """
    found: set[Path] = set()
    waiting = list(_module_files(code, root))
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        text = path.read_text("utf-8")
        if path == root / COMMAND_LINE:
            waiting.extend((root / PACKAGE / "experiments").glob("*/config.yaml"))
        if path.suffix == ".yaml":
            text = "\n".join(f"import {name}" for name in CLASS_PATH.findall(text))
        waiting.extend(_module_files(text, root))
    return found


def imported_modules(path: Path, root: Path = ROOT) -> set[str]:
    """List the package's modules that a chapter or a module itself imports, and what they lie in.

    Args:
        path: A ``.md`` or a ``.py``.
        root: The repository.
    """
    text = path.read_text("utf-8")
    files = _module_files(_code_of(text) if path.suffix == ".md" else text, root)
    return {module_name(file, root) for file in files}


def module_name(path: Path, root: Path = ROOT) -> str:
    """Give the name by which a module's file, or the ``__init__.py`` of a package, is imported."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _notebook(text: str) -> NotebookNode:
    reader = create_nb_reader("chapter.md", MdParserConfig(), NbParserConfig(), text)
    if reader is None:
        raise ValueError("a chapter needs the front matter of a MyST notebook (jupytext)")
    return reader.read(text)


@cache
def _code_of(text: str) -> str:
    cells = [cell.source for cell in _notebook(text).cells if cell.cell_type == "code"]
    return "\n".join(map(without_magics, cells))


def _module_files(code: str, root: Path) -> Iterator[Path]:
    for name in _imported_names(code):
        parts = name.split(".")
        if parts[0] != PACKAGE:
            continue
        # Importing a.b.c runs a/__init__.py and a/b/__init__.py too.
        for depth in range(1, len(parts) + 1):
            base = root.joinpath(*parts[:depth])
            yield from (p for p in (base / "__init__.py", base.with_suffix(".py")) if p.is_file())


@cache
def _imported_names(code: str) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # "from a import b": b may be a module.
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names
