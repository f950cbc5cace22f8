"""A chapter depends on exactly what it imports."""

from __future__ import annotations

from pathlib import Path

import pytest
from chapters import chapter_number, dependency_digest, imported_files, stamped
from front_matter import FRONT_MATTER

CHAPTER = (
    FRONT_MATTER
    + """# Title

```{code-cell} ipython3
from tutorial_lib.upper import shout
```
"""
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    package = tmp_path / "tutorial_lib"
    package.mkdir()
    files = {
        "__init__.py": "",
        "upper.py": "from tutorial_lib.lower import whisper\nshout = whisper",
        "lower.py": "import os\nwhisper = os",
        "unrelated.py": "",
    }
    for name, text in files.items():
        (package / name).write_text(text)
    for name in ("requirements.txt", "constraints.txt"):
        (tmp_path / name).write_text("torch==2.13.0\n")
    return tmp_path


def test_imports_are_followed_through_the_package(root: Path) -> None:
    files = imported_files("from tutorial_lib.upper import shout", root)
    assert sorted(path.name for path in files) == ["__init__.py", "lower.py", "upper.py"]


def test_every_way_to_import_a_module_is_followed(root: Path) -> None:
    for code in (
        "import tutorial_lib.lower",
        "from tutorial_lib import lower",
        "from tutorial_lib.lower import whisper",
        "def late():\n    from tutorial_lib import lower",
    ):
        assert root / "tutorial_lib" / "lower.py" in imported_files(code, root)


@pytest.mark.parametrize("name", ["tutorial_lib/upper.py", "tutorial_lib/lower.py"])
def test_a_change_of_an_imported_module_changes_the_digest(root: Path, name: str) -> None:
    before = dependency_digest(CHAPTER, root)
    (root / name).write_text((root / name).read_text() + "\n# changed\n")
    assert dependency_digest(CHAPTER, root) != before


@pytest.mark.parametrize("name", ["requirements.txt", "constraints.txt"])
def test_a_change_of_the_pinned_versions_changes_the_digest(root: Path, name: str) -> None:
    before = dependency_digest(CHAPTER, root)
    (root / name).write_text("torch==2.13.1\n")
    assert dependency_digest(CHAPTER, root) != before


def test_a_change_of_another_module_leaves_the_digest_alone(root: Path) -> None:
    before = dependency_digest(CHAPTER, root)
    (root / "tutorial_lib" / "unrelated.py").write_text("x = 1")
    assert dependency_digest(CHAPTER, root) == before


def test_a_change_of_a_script_that_lies_beside_a_module_changes_the_digest(root: Path) -> None:
    script = root / "tutorial_lib" / "scripts" / "figure.js"
    script.parent.mkdir()
    script.write_text("one")
    before = dependency_digest(CHAPTER, root)
    script.write_text("two")
    assert dependency_digest(CHAPTER, root) != before


def test_the_stamp_stands_in_the_kernels_name_and_moves_no_line(root: Path) -> None:
    text = stamped(CHAPTER, root)
    assert f"display_name: Python 3 {dependency_digest(CHAPTER, root)}\n" in text
    assert len(text.splitlines()) == len(CHAPTER.splitlines())


def test_a_page_without_a_notebooks_front_matter_is_refused(root: Path) -> None:
    with pytest.raises(ValueError, match="front matter of a MyST notebook"):
        dependency_digest("# Title", root)


def test_only_chapters_have_a_number() -> None:
    assert chapter_number("notebooks/11_scaled_dot_product_attention") == "11"
    assert chapter_number("notebooks/01_a_first_look") == "01"
    assert chapter_number("book/index") is None


def test_the_command_line_brings_the_configs_and_what_they_name(root: Path) -> None:
    package = root / "tutorial_lib"
    folder = package / "experiments" / "one"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("class_path: tutorial_lib.upper.Shout\n")
    (package / "lightning").mkdir()
    (package / "lightning" / "cli.py").write_text("")
    files = imported_files("from tutorial_lib.lightning.cli import main", root)
    names = ["__init__.py", "cli.py", "config.yaml", "lower.py", "upper.py"]
    assert sorted(path.name for path in files) == names
