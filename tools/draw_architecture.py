"""Draw the pictures of the architecture.

Usage::

    python tools/draw_architecture.py            write book/_static/architecture/*.svg
    python tools/draw_architecture.py --check    say which are out of date, write nothing

The site draws its pictures as it is built; the notebooks show these files.
"""

from __future__ import annotations

import argparse
import sys

from architecture import FOLDER, all_pictures, file_of, svg_of
from chapters import ROOT


def main() -> int:
    """Write or check every file; return how many are out of date."""
    parser = argparse.ArgumentParser(description="Draw the pictures of the architecture.")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    wanted = {file_of(name, part): svg_of(name, part) for name, part in all_pictures()}
    wrong = 0
    for path in sorted({*wanted, *FOLDER.glob("*.svg")}):
        if path in wanted and path.is_file() and path.read_text("utf-8") == wanted[path]:
            continue
        if options.check:
            wrong += 1
            print(f"{path.relative_to(ROOT)} is out of date: run `make pictures`")
        elif path in wanted:
            FOLDER.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path], "utf-8")
        else:
            path.unlink()
    return wrong


if __name__ == "__main__":
    sys.exit(main())
