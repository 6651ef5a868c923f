"""Documents name tests and files that exist, and every promise names the tests that hold it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*(ROOT / "docs").glob("*.md"), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md"))]
)
# `test_…` or `tests/…`, as a document names them.
TEST = re.compile(r"`(test_\w+)`")
FILE = re.compile(r"`((?:app|bench|docs|migrations|scripts|tests)/[\w./-]*)`")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")


@cache
def known_tests() -> frozenset[str]:
    """Return the names of all test functions, and of the files that hold them."""
    names: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        names.add(path.stem)
        names.update(re.findall(r"def (test_\w+)", path.read_text("utf-8")))
    return frozenset(names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_document_names_exists(page):
    text = page.read_text("utf-8")
    unknown = sorted(set(TEST.findall(text)) - known_tests())
    missing = sorted(name for name in set(FILE.findall(text)) if not (ROOT / name).exists())
    broken = sorted(name for name in set(LINK.findall(text)) if not (page.parent / name).exists())
    assert (unknown, missing, broken) == ([], [], [])


def test_every_promise_names_what_holds_it():
    text = (ROOT / "docs" / "promises.md").read_text("utf-8")
    promises = re.split(r"^(?=\d+\. \*\*)", text, flags=re.MULTILINE)[1:]
    assert [promise.split(".")[0] for promise in promises] == [str(n) for n in range(1, 15)]
    open_ones = [p.split(".")[0] for p in promises if not TEST.search(p) and not FILE.search(p)]
    assert open_ones == ["13"]  # it says itself that it is not built
