"""The API page: a section for each module, made from its docstrings and from who imports it.

The page names modules in blocks of their own, a line each; a folder, written with a slash at its
end, stands for a section with all its modules.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from chapters import PACKAGE, ROOT, chapter_paths, imported_modules, module_name

BLOCK = re.compile(r"^```\{api\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MOST_CHAPTERS, MOST_MODULES = 4, 8  # more are counted instead of listed
# Lightning and PyTorch say what these are.
HOOKS = (
    "extra_repr, on_train_start, on_train_batch_end, on_train_end, on_validation_end, "
    "state_dict, load_state_dict"
)


def with_modules(text: str, root: Path = ROOT) -> str:
    """Put the sections of the modules in the place of their names.

    Args:
        text: The page.
        root: The repository.
    """

    def sections(block: re.Match[str]) -> str:
        return "\n\n".join(_section(name, root) for name in block[1].split())

    return BLOCK.sub(sections, text)


def named_modules(text: str, root: Path = ROOT) -> list[str]:
    """List the modules that have a section on the page."""
    names = [name for block in BLOCK.finditer(text) for name in block[1].split()]
    return [n for name in names for n in (_inside(name, root) if name[-1] == "/" else [name])]


def _section(name: str, root: Path) -> str:
    if name[-1] != "/":
        return _module(name, _title(name.rpartition(".")[2]), "###", root)
    folder = name.strip("/")
    said = ast.get_docstring(
        ast.parse((root / PACKAGE / folder / "__init__.py").read_text("utf-8"))
    )
    title = _title(Path(folder).name)
    parts = [f"### {title}\n\n{(said or '').replace('``', '`')}"]
    for module in _inside(name, root):
        last = module.rpartition(".")[2].replace("_", " ")
        parts.append(_module(module, f"{title}: {last}", "####", root))
    return "\n\n".join(parts)


def _inside(folder: str, root: Path) -> list[str]:
    paths = sorted((root / PACKAGE / folder).glob("[!_]*.py"))
    return [module_name(path, root / PACKAGE) for path in paths]


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _module(name: str, title: str, level: str, root: Path) -> str:
    module = f"{PACKAGE}.{name}"
    options = ["members:", "special-members: __call__", f"exclude-members: {HOOKS}"]
    if (root / PACKAGE / name.replace(".", "/") / "__init__.py").is_file():
        options.append("imported-members:")
    lines = [f".. automodule:: {module}", *(f"   :{option}" for option in options)]
    return "\n".join(
        [
            f"{level} {title}",
            "",
            f"{{mod}}`{module}`. {_users(module, root)}".rstrip(),
            "",
            "```{eval-rst}",
            *lines,
            "```",
        ]
    )


def _users(module: str, root: Path) -> str:
    """Say in a sentence which chapters import a module, or else which modules do."""
    chapters = [
        f"{{doc}}`/{path.relative_to(root).with_suffix('').as_posix()}`"
        for path in chapter_paths(root)
        if module in _imported(path, root)
    ]
    if len(chapters) > MOST_CHAPTERS:
        return f"Imported in {len(chapters)} chapters, first in {chapters[0]}."
    if chapters:
        return f"Imported in {', '.join(chapters)}."
    users = {
        module_name(path, root)
        for path in (root / PACKAGE).rglob("*.py")
        if "exercises" not in path.parts and module in _imported(path, root)
    }
    # Of interop the page shows the package, which has the names of its modules.
    names = {re.sub(r"(\.interop)\..*", r"\1", name) for name in users - {module}}
    if len(names) > MOST_MODULES:
        return f"Imported by {len(names)} modules."
    linked = ", ".join(f"{{mod}}`{name}`" for name in sorted(names))
    return f"Imported by {linked}." if linked else ""


@cache
def _imported(path: Path, root: Path) -> set[str]:
    return imported_modules(path, root)
