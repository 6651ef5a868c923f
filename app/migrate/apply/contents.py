"""The contents of a migration as they are kept: the checksum, and the lines that were edited."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.migrate.read.migrations import Script

_LONGEST = 160


@dataclass(frozen=True)
class Edit:
    """A line of the file that is not as it was when the migration ran.

    `line` is its place in the file. `was` or `now` is None where the line was added or removed.
    """

    line: int
    was: str | None
    now: str | None

    def to_json(self) -> dict[str, Any]:
        return {"line": self.line, "was": self.was, "now": self.now}


def kept_text(script: Script) -> str:
    """Return the text of a script that is kept, without what editors and checkouts change.

    Line ends are those of Unix; blank lines before and after are not part of it.
    """
    return _unix(script).strip()


def checksum_of(text: str) -> str:
    """Return the SHA-256 of a kept text."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def find_edits(kept: str, script: Script) -> tuple[Edit, ...]:
    """Return the lines in which a file differs from what ran."""
    text = _unix(script)
    first = text[: len(text) - len(text.lstrip())].count("\n") + 1
    was, now = kept.splitlines(), text.strip().splitlines()
    # what is the same before and after takes difflib long, and is most of it
    same = _same_lines(was, now)
    last = _same_lines(was[same:][::-1], now[same:][::-1])
    was, now, first = was[same : len(was) - last], now[same : len(now) - last], first + same
    edits: list[Edit] = []
    matcher = difflib.SequenceMatcher(None, was, now, autojunk=False)
    for tag, from_was, to_was, from_now, to_now in matcher.get_opcodes():
        if tag == "equal":
            continue
        for place in range(max(to_was - from_was, to_now - from_now)):
            old = was[from_was + place] if from_was + place < to_was else None
            new = now[from_now + place] if from_now + place < to_now else None
            line = first + min(from_now + place, max(to_now, from_now))
            edits.append(Edit(line, _cut(old), _cut(new)))
    return tuple(edits)


def _same_lines(was: Sequence[str], now: Sequence[str]) -> int:
    """Return how many lines two texts have alike at their beginning."""
    pairs = enumerate(zip(was, now, strict=False))
    return next((n for n, (old, new) in pairs if old != new), min(len(was), len(now)))


def _unix(script: Script) -> str:
    text = script.data.decode("utf-8", "replace")
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _cut(line: str | None) -> str | None:
    if line is None or len(line) <= _LONGEST:
        return line
    return f"{line[:_LONGEST]}…"
