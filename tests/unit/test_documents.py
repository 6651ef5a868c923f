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
    assert open_ones == []


def test_no_file_has_a_mark_of_an_unfinished_merge():
    """A .sql file with one is only refused by a server, and a page not at all."""
    folders = ("app", "bench", "docs", "migrations", "scripts", "tests")
    files = [path for name in folders for path in (ROOT / name).rglob("*")]
    marked = re.compile(rb"^(?:<{7} |>{7} |={7}$)", re.MULTILINE)
    own = {".css", ".html", ".js", ".json", ".md", ".py", ".sh", ".sql", ".svg", ".toml", ".yaml"}
    found = [
        str(path.relative_to(ROOT))
        for path in [*files, *ROOT.glob("*.*"), ROOT / "Makefile"]
        if path.suffix in own or path.name == "Makefile"
        if path.is_file() and "node_modules" not in path.parts and "vendor" not in path.parts
        if marked.search(path.read_bytes())
    ]
    assert found == []
