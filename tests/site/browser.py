"""Find a Chromium to open the site with; `python tests/site/browser.py` prints its path."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HELP = "no browser to test the site with: run `.venv/bin/playwright install chromium`"


def find_browser() -> str:
    """Give the path of $CHROMIUM, the system's Chromium, Playwright's, or one installed now."""
    chosen = os.environ.get("CHROMIUM")
    if chosen:
        found = shutil.which(chosen)
        if found is None:
            raise FileNotFoundError(f"CHROMIUM={chosen} is no program: name one or unset it")
        return found
    found = _system_browser() or _playwright_browser()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        _install_with_apt()
        found = _system_browser()
    if found is None:
        raise FileNotFoundError(HELP)
    return found


def launch_arguments() -> list[str]:
    """Keep the browser quiet and offline, and let it start in a container."""
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    # Root cannot use Chromium's sandbox.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    return [*quiet, *sandbox, "--no-first-run", "--disable-gpu"]


def _system_browser() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


def _playwright_browser() -> str | None:
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).is_file() else None


def _install_with_apt() -> None:
    for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
        subprocess.run(["apt-get", "-qq", *command], check=False, stdout=sys.stderr)


if __name__ == "__main__":
    try:
        print(find_browser())
    except FileNotFoundError as error:
        sys.exit(str(error))
