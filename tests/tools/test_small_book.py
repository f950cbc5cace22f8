"""A small book is built: it re-executes what an edit asks for, and shows its buttons."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from chapters import ROOT
from front_matter import FRONT_MATTER

CHAPTER = (
    FRONT_MATTER
    + """# Chapter on {module}

```{{code-cell}} ipython3
from tutorial_lib.{module} import value

print("value is", value)
```
"""
)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A small book with our tools, and a package of two modules."""
    for name in ("tools", "book/_static"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("_config.yml", "requirements.txt", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    (tmp_path / "book" / "index.md").write_text("# A small book\n")
    (tmp_path / "book" / "references.bib").write_text("")
    (tmp_path / "book" / "claims.json").write_text("{}\n")
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nparts:\n- caption: All\n  chapters:\n"
        "  - file: notebooks/11_one\n  - file: notebooks/12_two\n"
    )
    (tmp_path / "notebooks").mkdir()
    shutil.copytree(ROOT / "tutorial_lib" / "live", tmp_path / "tutorial_lib" / "live")
    (tmp_path / "tutorial_lib" / "__init__.py").write_text("")
    for name, module in (("11_one", "left"), ("12_two", "right")):
        (tmp_path / "notebooks" / f"{name}.md").write_text(CHAPTER.format(module=module))
        (tmp_path / "tutorial_lib" / f"{module}.py").write_text("value = 1\n")
    return tmp_path


BUILD = ("jupyter-book", "build", "-W", "-n", "--keep-going", ".")


def start(book: Path, *command: str, address: str = "") -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    changes = {"PYTHONPATH": str(book), "PATH": path, "BOOK_REPOSITORY_URL": address}
    environment = os.environ | changes
    return subprocess.run(
        command, cwd=book, env=environment, capture_output=True, text=True, timeout=300
    )


def run(book: Path, *command: str, address: str = "") -> str:
    done = start(book, *command, address=address)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def execute(book: Path) -> set[str]:
    """Run what is out of date, and say which chapters that were."""
    output = run(book, sys.executable, "tools/execute_chapters.py", "--jobs", "1")
    return {name for name in ("11_one", "12_two") if name in output}


def test_exactly_what_depends_on_a_change_runs_again(book: Path) -> None:
    assert execute(book) == {"11_one", "12_two"}
    assert execute(book) == set()
    (book / "tutorial_lib" / "left.py").write_text("value = 2\n")
    assert execute(book) == {"11_one"}
    chapter = book / "notebooks" / "12_two.md"
    chapter.write_text(chapter.read_text() + "\nMore prose.\n")
    assert execute(book) == set()
    chapter.write_text(chapter.read_text() + "\n```{code-cell} ipython3\n1 + 1\n```\n")
    assert execute(book) == {"12_two"}
    (book / "requirements.txt").write_text("torch==2.13.1\n")
    assert execute(book) == {"11_one", "12_two"}


def test_the_site_shows_what_the_edited_package_gives(book: Path) -> None:
    pages = {name: book / "_build/html/notebooks" / f"{name}.html" for name in ("11_one", "12_two")}
    run(book, *BUILD)
    assert "value is 1" in pages["11_one"].read_text()
    (book / "tutorial_lib" / "left.py").write_text("value = 2\n")
    run(book, *BUILD)
    assert "value is 2" in pages["11_one"].read_text()
    assert "value is 1" in pages["12_two"].read_text()


def test_a_build_writes_the_pages_that_have_changed_and_no_other(book: Path) -> None:
    one, two = (book / "notebooks" / f"{name}.md" for name in ("11_one", "12_two"))
    table = "\n```{table} A table with a number\n:name: tab-one\n| a |\n|---|\n| 1 |\n```\n"
    one.write_text(one.read_text() + table)
    run(book, *BUILD)
    pages = [book / "_build/html/notebooks" / f"{path.stem}.html" for path in (one, two)]
    assert "Table 11.1" in pages[0].read_text()
    assert '<span class="section-number">12 </span>' in pages[1].read_text()
    written = [page.stat().st_mtime_ns for page in pages]
    run(book, *BUILD)
    assert [page.stat().st_mtime_ns for page in pages] == written
    two.write_text(two.read_text() + "\nMore prose.\n")
    run(book, *BUILD)
    assert "More prose." in pages[1].read_text()
    assert pages[0].stat().st_mtime_ns == written[0]


def test_a_section_for_a_second_reading_is_folded_and_its_title_opens_it(book: Path) -> None:
    chapter = book / "notebooks" / "11_one.md"
    chapter.write_text(chapter.read_text() + "\n## Deeper: why\n\nBecause.\n\n## After\n\nSeen.\n")
    run(book, *BUILD)
    page = (book / "_build/html/notebooks/11_one.html").read_text()
    section = page.partition('<section class="deeper"')[2].partition("</section>")[0]
    fold = section.partition("<details><summary>")[2].partition("</details>")[0]
    assert re.match(r"\s*<h2>(<span.*?</span>)?Deeper: why", fold)
    assert "Because." in fold.partition("</summary>")[2]
    assert "Seen." not in section


def test_a_figure_to_touch_is_drawn_beforehand_and_loads_the_scripts_of_the_site(
    book: Path,
) -> None:
    add_cell(
        book,
        "11_one",
        "from tutorial_lib.live.figure import live_figure\nlive_figure('mask', alt='A mask.')",
    )
    run(book, *BUILD)
    one, two = (
        (book / "_build/html/notebooks" / f"{name}.html").read_text()
        for name in ("11_one", "12_two")
    )
    assert (
        '<div class="live-panels" role="img" aria-label="A mask."><div class="live-panel">' in one
    )
    for script in ("numbers", "mask", "element"):
        assert f"live/{script}.js" in one
        assert f"live/{script}.js" not in two
        assert (book / f"_build/html/_static/live/{script}.js").is_file()
    assert "customElements" not in one  # a notebook's own copy of the scripts


def add_cell(book: Path, chapter: str, code: str) -> None:
    path = book / "notebooks" / f"{chapter}.md"
    path.write_text(f"{path.read_text()}\n```{{code-cell}} ipython3\n{code}\n```\n")


def test_a_chapter_that_fails_is_named_with_its_claim_and_what_was_found(book: Path) -> None:
    add_cell(book, "11_one", "assert value > 3 and value < 5")
    add_cell(book, "12_two", "1 / (value - 1)")
    done = start(book, sys.executable, "tools/execute_chapters.py", "--jobs", "1")
    assert done.returncode == 2
    assert (
        "11_one, code cell 2: the claim\n    assert value > 3 and value < 5\n"
        "does not hold: value is 1\n"
    ) in done.stderr
    division = "12_two, code cell 2: ZeroDivisionError: division by zero, in\n    1 / (value - 1)"
    assert division in done.stderr
    assert "Traceback" not in done.stderr


def test_no_page_is_made_of_a_chapter_that_failed(book: Path) -> None:
    add_cell(book, "12_two", "assert value > 3")
    config = book / "_config.yml"
    careless = config.read_text().replace("raise_on_error: true", "raise_on_error: false")
    for text in (config.read_text(), careless):
        config.write_text(text)
        done = start(book, "jupyter-book", "build", ".")
        assert done.returncode != 0
        assert "notebooks/12_two" in done.stdout + done.stderr
        assert not list((book / "_build").rglob("*.html"))
        assert not list((book / "_build").rglob("*.err.log"))


def test_the_repositorys_address_switches_on_the_buttons_that_need_it(book: Path) -> None:
    page = book / "_build/html/notebooks/11_one.html"
    run(book, *BUILD)
    assert "colab" not in page.read_text()
    assert "btn-download" not in page.read_text()
    (book / "notebooks" / "11_one.ipynb").write_text("made for readers")
    run(book, *BUILD, address="https://github.com/me/book")
    colab = "https://colab.research.google.com/github/me/book/blob/main/notebooks/11_one.ipynb"
    assert colab in page.read_text()
    assert "btn-download-notebook-button" in page.read_text()
    assert "https://github.com/me/book/issues" in page.read_text()
    offered = book / "_build/html/_sources/notebooks/11_one.ipynb"
    assert offered.read_text() == "made for readers"
