"""Tests for tools/release_notes.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from chapters import ROOT
from release_notes import notes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "0.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-11-27\n\n### Added\n\n- One.\n\n"
        "## [0.1.0] - 2026-11-21\n\n- Two.\n"
    )
    return tmp_path


def test_the_notes_are_the_section_of_the_version(root: Path) -> None:
    assert notes("v0.2.0", root) == "### Added\n\n- One."


def test_a_tag_of_another_version_is_refused(root: Path) -> None:
    with pytest.raises(ValueError, match=r"the tag is v0\.3\.0, and pyproject\.toml has version 0"):
        notes("v0.3.0", root)


def test_a_version_that_the_changelog_does_not_know_is_refused(root: Path) -> None:
    (root / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n")
    with pytest.raises(ValueError, match=r"no section for 0\.2\.0"):
        notes("v0.2.0", root)


def test_the_changelog_speaks_of_the_version_that_is_cited() -> None:
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    version = citation.partition("\nversion: ")[2].split()[0]
    assert notes(f"v{version}", ROOT)
