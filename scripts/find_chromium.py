"""Print the path of a Chromium that runs here, for the browser tests.

`ZANITH_CHROMIUM`, then a browser on PATH, then the one that Playwright keeps or can fetch.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ON_PATH = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ADVICE = "Install a browser (Debian, Ubuntu: apt-get install chromium) or set ZANITH_CHROMIUM."


def find_installed() -> str | None:
    """Return the browser that the user named or that PATH has, if any."""
    named = os.environ.get("ZANITH_CHROMIUM")
    if named:
        return named
    return next((found for name in ON_PATH if (found := shutil.which(name))), None)


def fetch_with_playwright() -> str:
    """Return the path of Playwright's own Chromium, fetched when it is not there yet."""
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    if not Path(path).exists():
        command = [sys.executable, "-m", "playwright", "install", "chromium"]
        if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
            sys.exit(f"Chromium could not be fetched. {ADVICE}")
    return path


def refuse_broken(path: str) -> None:
    """End with advice when the browser cannot start, most often for a missing library."""
    try:
        tried = subprocess.run(
            [path, "--version"], capture_output=True, text=True, check=False, timeout=60
        )
    except OSError as error:
        sys.exit(f"{path} cannot be run: {error}. {ADVICE}")
    if tried.returncode:
        sys.exit(f"{path} does not start:\n{tried.stderr.strip()}\n{ADVICE}")


def main() -> None:
    """Print the path, or end with what to do."""
    path = find_installed() or fetch_with_playwright()
    refuse_broken(path)
    print(path)


if __name__ == "__main__":
    main()
