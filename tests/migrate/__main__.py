"""`python -m tests.migrate --document` makes the tables of docs/migrate.md anew."""

from __future__ import annotations

import sys

from tests.migrate.documented import DOCUMENT, document


def main() -> None:
    if "--document" in sys.argv:
        DOCUMENT.write_text(document(DOCUMENT.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
