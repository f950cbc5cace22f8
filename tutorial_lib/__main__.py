"""``python -m tutorial_lib fit --config reverse``: see :mod:`tutorial_lib.lightning.cli`."""

from __future__ import annotations

import sys

from tutorial_lib.lightning.cli import main

if __name__ == "__main__":
    sys.exit(main())
