"""Messages, help, pages and documents are in plain English: banned phrases stay away."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BANNED = re.compile(
    r"""\b(?:
        by\ now | what\ is\ parked | that\ which | beneath | whoever | whose\ it\ is | nought
        | since\ then\ nobody | nothing\ of\ it\ (?:is|was) | parent's\ no\ more | without\ us
        | proved\ for\ all\ rows | left\ pending | are\ welcome | has\ served | rows\ that\ came
        | keeping\ the\ books | the\ bookkeeping | pay\ no\ heed | the\ very\ plan
        | for\ us\ to\ bind | file\ the\ values\ under | hold\ the\ table\ for | knew\ of\ its
        | act\ on\ the\ fill | \d+\ jobs\ cannot\ be | quieter\ hour | stands\ twice
        | bears\ (?:the|its|their|a)\ | takes\ no\ NULL | has\ to\ be\ lifted | mend\ the
        | goes\ on\ from\ (?:here|there) | go\ on\ working\ on | all\ is\ as\ it\ was
        | (?<!there\ )is\ no\ (?:name|table|value|path|TOML|setting)\b
    )""",
    re.VERBOSE | re.IGNORECASE,
)
# What PostgreSQL, a browser or a program reads, where it may be written in lines of its own.
MARKUP = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|<[^>]*>", re.DOTALL)


def python_texts(path: Path) -> Iterator[str]:
    """Yield the strings of a module, and the docstrings of commands, which become their help."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.decorator_list:
            yield ast.get_docstring(node) or ""
        # a docstring is a statement of its own, and the strings of messages are not
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Constant) and not isinstance(node, ast.Expr):
                yield child.value if isinstance(child.value, str) else ""


def sql_texts(path: Path) -> Iterator[str]:
    text = re.sub(r"(?m)^\s*--.*$", "", path.read_text(encoding="utf-8"))
    yield from (literal.replace("''", "'") for literal in re.findall(r"'((?:[^']|'')*)'", text))


def page_texts(path: Path) -> Iterator[str]:
    yield from MARKUP.sub(" ", path.read_text(encoding="utf-8")).splitlines()


def document_texts(path: Path) -> Iterator[str]:
    yield from re.split(r"\n\s*\n", path.read_text(encoding="utf-8"))


SOURCES = [
    *((path, python_texts) for path in sorted((ROOT / "app").rglob("*.py"))),
    *((path, sql_texts) for path in sorted((ROOT / "migrations" / "functions").rglob("*.sql"))),
    *((path, sql_texts) for path in sorted((ROOT / "app" / "recovery" / "queries").glob("*.sql"))),
    *((path, page_texts) for path in sorted((ROOT / "app" / "templates").rglob("*.html"))),
    *((path, document_texts) for path in sorted((ROOT / "docs").glob("*.md"))),
    *((ROOT / name, document_texts) for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
]


def banned(text: str) -> list[str]:
    """Return the banned phrases of a text, whose lines may be wrapped anywhere."""
    return BANNED.findall(re.sub(r"\s+", " ", text))


@pytest.mark.parametrize(("path", "texts"), SOURCES, ids=lambda value: getattr(value, "name", None))
def test_nothing_that_people_read_has_a_banned_phrase(path, texts):
    assert [(phrase, text) for text in texts(path) for phrase in banned(text)] == []


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("orders is another table by now", "by now"),
        ("Delete what is\n    parked", "what is parked"),
        ("Its rows are its parent's no more", "parent's no more"),
        ("9 jobs cannot be", "9 jobs cannot be"),
    ],
)
def test_a_banned_phrase_is_found(text, phrase):
    assert banned(text) == [phrase]


def test_texts_are_found():
    texts = [text for path, read in SOURCES for text in read(path)]
    assert "Validate NOT NULL" in texts
    assert "no artifact is named" in texts
    assert any("Show the rows" in text or "matches its seal" in text for text in texts)
