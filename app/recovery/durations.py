"""Durations as people write them: 30d, 12h, 90m, never."""

from __future__ import annotations

import re
from datetime import timedelta

from app.recovery.errors import WrongUsage

_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[smhdw]?)", re.IGNORECASE)
_LONGEST = timedelta(days=365_000)


def parse_duration(text: str) -> timedelta | None:
    """Return the duration, None for "never"; a bare number counts days. WrongUsage otherwise."""
    word = text.strip().lower()
    if word == "never":
        return None
    match = _FORM.fullmatch(word)
    if match is None:
        raise WrongUsage(
            f"{text!r} is not a duration", hint="write 30d, 12h, 90m or never; 30 means 30 days"
        )
    number, unit = float(match.group(1)), match.group(2)
    one = timedelta(milliseconds=1) if unit == "ms" else _UNITS[unit or "d"]
    if number * one.total_seconds() > _LONGEST.total_seconds():
        raise WrongUsage(f"{text!r} is too long", hint='write "never" for no end')
    return number * one


def format_duration(duration: timedelta | None) -> str:
    """Return the shortest text that parses back to the duration: 30d, 36h, 1500ms, never."""
    if duration is None:
        return "never"
    milliseconds = round(duration / timedelta(milliseconds=1))
    for unit in ("d", "h", "m", "s"):
        size = round(_UNITS[unit] / timedelta(milliseconds=1))
        if milliseconds % size == 0 and milliseconds >= size:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms" if milliseconds else "0s"
