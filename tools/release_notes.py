"""Print the changelog's section for a tag; fail if there is none, or it is not this version.

Usage: ``python tools/release_notes.py v0.2.0``
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Print the notes of the tag that is given."""
    if len(sys.argv) != 2:
        print("a tag is needed, such as v0.2.0", file=sys.stderr)
        return 2
    try:
        print(notes(sys.argv[1], ROOT))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def notes(tag: str, root: Path) -> str:
    """Give the text of a release.

    Args:
        tag: Such as "v0.2.0".
        root: The repository.

    Raises:
        ValueError: If the package has another version, or the changelog has no such section.
    """
    # By hand: the oldest Python that is promised has no reader of TOML.
    found = re.search(
        r'^version = "(.*)"$', (root / "pyproject.toml").read_text("utf-8"), re.MULTILINE
    )
    version = found[1] if found else "none"
    if tag != f"v{version}":
        raise ValueError(f"the tag is {tag}, and pyproject.toml has version {version}")
    changelog = (root / "CHANGELOG.md").read_text("utf-8")
    for section in re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]:
        title, _, text = section.partition("\n")
        if title.startswith(f"[{version}]") and text.strip():
            return text.strip()
    raise ValueError(f"CHANGELOG.md has no section for {version}")


if __name__ == "__main__":
    sys.exit(main())
