"""Each step of a plan says in one sentence what it does, beginning with a verb."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "migrations" / "functions"
LITERAL = re.compile(r"'((?:[^']|'')*)'")
# A format string whose verb is a parameter, and words of a condition.
NO_PURPOSE = re.compile(r"%s %s |; $")


def arguments(text: str, start: int) -> list[str]:
    """Return the arguments of the call whose parenthesis opens just before `start`."""
    found, depth, quoted, begin = [], 0, False, start
    for at in range(start, len(text)):
        char = text[at]
        if char == "'":
            quoted = not quoted
        elif not quoted and char in "([":
            depth += 1
        elif not quoted and char in ")]" and depth:
            depth -= 1
        elif not quoted and char in "),":
            if char == ")" or not depth:
                found.append(text[begin:at])
                begin = at + 1
            if char == ")":
                break
    return found


def purposes(text: str) -> Iterator[str]:
    """Yield the literals that become the purpose of a step."""
    text = re.sub(r"(?m)^\s*--.*$", "", text)
    for call in re.finditer(r"zanith\._step\((?!\s*sql text)", text):
        purpose = arguments(text, call.end())[1]
        # the names in a sentence, and what a CASE compares, are no sentences
        purpose = re.sub(r"->>?\s*'\w+'|(?:WHEN|=)\s*'[^']*'", "", purpose)
        for literal in LITERAL.findall(purpose):
            if " " in literal and not NO_PURPOSE.match(literal):
                yield literal


@pytest.mark.parametrize("file", sorted(FOLDER.rglob("*.sql")), ids=lambda file: file.stem)
def test_a_purpose_is_a_sentence_that_begins_with_a_verb(file):
    found = list(purposes(file.read_text(encoding="utf-8")))
    assert [p for p in found if not re.match(r" \(|[A-Z][a-z]+ ", p)] == []
    assert [p for p in found if re.search(r"; it is|no more|by now|\bwhose\b", p)] == []


def test_purposes_are_found():
    everything = [p for f in FOLDER.rglob("*.sql") for p in purposes(f.read_text(encoding="utf-8"))]
    assert len(everything) > 120
    assert "Validate NOT NULL" in everything
