"""The storeys of the package: who may import whom, and that the tests stand as it does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from chapters import imported_modules

TESTS = Path(__file__).parent
PACKAGE = TESTS.parents[1] / "tutorial_lib"
MODULES = sorted(path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py"))
GROUND_FLOOR = [path.name for path in MODULES if len(path.parts) == 1 and path.name[0] != "_"]
# Which folder may import which, besides itself and the ground floor.
FOLDERS = {
    "live": set(),
    "interop": set(),
    "lightning": set(),
    "experiments": {"lightning", "interop"},
    "exercises": {"experiments", "lightning", "interop"},
}
HEAVY = ("pytorch_lightning", "lightning", "matplotlib", "seaborn", "transformers")


def imported_by(path: Path) -> set[tuple[str, ...]]:
    """List the package's modules that a module imports, as parts of their names."""
    names = imported_modules((PACKAGE / path).with_suffix(".py"))
    return {tuple(name.split(".")[1:]) for name in names - {PACKAGE.name}}


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_storey_imports_only_what_is_below_it(path: Path) -> None:
    folders = {parts[0] for parts in imported_by(path)} - set(GROUND_FLOOR)
    if path == Path("__main__"):
        assert folders == {"lightning"}  # the command line
    elif len(path.parts) == 1:
        assert not folders
    else:
        assert folders <= FOLDERS[path.parts[0]] | {path.parts[0]}


@pytest.mark.parametrize(
    "folder", sorted(path.parent.name for path in (PACKAGE / "experiments").glob("*/config.yaml"))
)
def test_an_experiment_says_on_which_other_it_is_built(folder: str) -> None:
    home = Path("experiments") / folder
    others = {
        parts[1]
        for path in MODULES
        if home in path.parents
        for parts in imported_by(path)
        if parts[0] == "experiments" and len(parts) > 1 and parts[1] != folder
    }
    said = (PACKAGE / home / "__init__.py").read_text("utf-8").partition("Built on")[2]
    assert others == {name for name in said.split("``")[1:2] if name}


def test_every_test_stands_where_its_module_does() -> None:
    tests = {path.relative_to(TESTS) for path in TESTS.rglob("test_*.py")} - {Path("test_house.py")}
    tested = {path.with_name(path.stem.removeprefix("test_")) for path in tests}
    assert tested <= set(MODULES)


def test_the_blocks_load_neither_lightning_nor_the_drawing_packages() -> None:
    # One process for all: nothing that a first module loads could be blamed on a later one.
    modules = [name for name in GROUND_FLOOR if name != "plotting"] + ["interop"]
    script = f"""
import importlib, sys
import tutorial_lib
assert "torch" not in sys.modules, "tutorial_lib loads torch"
for name in {modules!r}:
    importlib.import_module("tutorial_lib." + name)
    loaded = [heavy for heavy in {HEAVY!r} if heavy in sys.modules]
    assert not loaded, f"tutorial_lib.{{name}} loads {{loaded}}"
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
