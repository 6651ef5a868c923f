"""Durations as people write them: 30d, 12h, 90min, 3mo, never. Lists print the same units."""

from __future__ import annotations

import re
from datetime import timedelta

from app.recovery.core.errors import WrongUsage

_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "mo": timedelta(days=30),
    "y": timedelta(days=365),
}
_WORDS = {
    "second": "s",
    "minute": "min",
    "hour": "h",
    "day": "d",
    "week": "w",
    "month": "mo",
    "year": "y",
}
_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)
_LONGEST = timedelta(days=365_000)


def parse_duration(text: str) -> timedelta | None:
    """Return the duration, None for "never"; a bare number counts days. WrongUsage otherwise.

    A month has 30 days and a year 365. "m" is refused: it could be minutes or months.
    """
    word = text.strip().lower()
    if word == "never":
        return None
    match = _FORM.fullmatch(word)
    number, unit = match.groups() if match else ("", "")
    if unit == "m":
        raise WrongUsage(
            f"{text!r} could be minutes or months",
            hint=f"write {number}min for minutes, or {number}mo for months of 30 days",
        )
    one = _UNITS.get(_WORDS.get(unit.removesuffix("s"), unit) or "d")
    if match is None or one is None:
        raise WrongUsage(
            f"{text!r} is not a duration",
            hint="write 30d, 12h, 90min, 3mo or never; 30 means 30 days",
        )
    if float(number) * one.total_seconds() > _LONGEST.total_seconds():
        raise WrongUsage(f"{text!r} is too long", hint='write "never" for no end')
    return float(number) * one


def format_duration(duration: timedelta | None) -> str:
    """Return the shortest text that parses back to the duration: 30d, 36h, 1500ms, never."""
    if duration is None:
        return "never"
    milliseconds = round(duration / timedelta(milliseconds=1))
    for unit in ("d", "h", "min", "s"):
        size = round(_UNITS[unit] / timedelta(milliseconds=1))
        if milliseconds % size == 0 and milliseconds >= size:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms" if milliseconds else "0s"
