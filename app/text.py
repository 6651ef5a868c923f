"""Numbers, sizes, times and names as a person reads them: one set for the terminal and the pages.

Pure functions that return plain text. A page puts the exact value into the `title` beside it. An
en dash stands for what is not known.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta

NOTHING = "–"
_SIZES = ("kB", "MB", "GB", "TB", "PB")
_MULTIPLES = ("k", "M", "G", "T")
# Their short forms are those that app.recovery.core.durations reads.
_SPANS = (
    (365 * 86400, "y", "year"),
    (30 * 86400, "mo", "month"),
    (86400, "d", "day"),
    (3600, "h", "hour"),
    (60, "min", "minute"),
)
_SPACES = {"\t": "TAB", "\n": "LF", "\r": "CR"}


def size(value: float | None) -> str:
    """Bytes in the 1024-based units of pg_size_pretty: `8.0 kB`, `271 MB`.

    `human` in app/static/studio.js says the same of what is ticked.
    """
    if value is None:
        return NOTHING
    if value < 1024:
        return f"{value:.0f} B"
    amount, unit = value / 1024, 0
    while amount >= 999.5 and unit < len(_SIZES) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.{1 if amount < 10 else 0}f} {_SIZES[unit]}"


def number(value: float | None) -> str:
    """A number that must be exact: `2,000,000`."""
    return NOTHING if value is None else f"{value:,.0f}"


def count(value: float | None, exact_to: int = 10_000_000) -> str:
    """A number that may be rounded: exact below a limit, then `20.4 M`."""
    if value is None or abs(value) < exact_to:
        return number(value)
    amount, unit = value / 1000, 0
    while abs(amount) >= 999.5 and unit < len(_MULTIPLES) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.{1 if abs(amount) < 100 else 0}f} {_MULTIPLES[unit]}"


def short_number(value: float | None) -> str:
    """A number where there is little room: `9,999`, then `1.2 M`."""
    return count(value, 10_000)


def plural(value: int, noun: str, nouns: str | None = None) -> str:
    """`1 step`, `3 steps`, `2,000,000 rows`."""
    return f"{number(value)} {noun if value == 1 else nouns or noun + 's'}"


def span(seconds: float) -> str:
    """A length of time, rounded to its largest unit: `42s`, `5min`, `3h`, `12d`, `4mo`, `2y`."""
    seconds = abs(seconds)
    for length, unit, _ in _SPANS:
        # Two months and two years up: "45d" says more than "1mo".
        if seconds >= length * (2 if unit in {"mo", "y"} else 1):
            return f"{round(seconds / length)}{unit}"
    return f"{int(seconds)}s"


def took(seconds: float | None) -> str:
    """A length of time that was measured: `0.4 ms`, `4.2 s`, `3 min 5 s`, `2 h`, `12 days`."""
    if seconds is None:
        return NOTHING
    seconds = max(seconds, 0.0)
    if seconds < 1:
        return f"{1000 * seconds:.{1 if seconds < 0.01 else 0}f} ms"
    if seconds < 60:
        return f"{seconds:.{1 if seconds < 10 else 0}f} s"
    whole = round(seconds)
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    if whole < 2 * 86400:
        hours, rest = divmod(whole // 60, 60)
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{whole // 86400} days"


def about(seconds: float) -> str:
    """A length of time that was estimated: `under a second`, `about 4.2 s`."""
    return "under a second" if seconds < 1 else f"about {took(seconds)}"


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago, where there is little room: `3d ago`, `just now`."""
    if moment is None:
        return NOTHING
    passed = ((now or datetime.now(UTC)) - moment).total_seconds()
    return "just now" if passed < 1 else f"{span(passed)} ago"


def relative(moment: datetime | None, now: datetime | None = None) -> str:
    """How far a moment is from now: `3 days ago`, `in 2 hours`, `just now`; `never` for none."""
    if moment is None:
        return "never"
    delta = (moment - (now or datetime.now(UTC))).total_seconds()
    distance = abs(delta)
    if distance < 45:
        return "just now" if delta <= 0 else "in a moment"
    length, name = next(
        ((length, name) for length, _, name in _SPANS if distance >= length), (60, "minute")
    )
    many = max(round(distance / length), 1)
    words = f"{many} {name}{'' if many == 1 else 's'}"
    return f"{words} ago" if delta < 0 else f"in {words}"


def left(moment: datetime | None, now: datetime | None = None) -> str:
    """How long until it expires: `27d`, `expired`, or `never`."""
    if moment is None:
        return "never"
    seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    return "expired" if seconds <= 0 else span(seconds)


def days_left(expires_at: datetime | None, now: datetime | None = None) -> int | None:
    """Whole days until it expires, negative when past; None when it never does."""
    if expires_at is None:
        return None
    return (expires_at - (now or datetime.now(UTC))) // timedelta(days=1)


def instant(moment: datetime | None) -> str:
    """The exact moment in UTC, to the second, as DBAs write it in tickets."""
    return NOTHING if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def visible(text: str) -> str:
    """The text with what cannot be seen, or turns what follows round, as ‹TAB› or ‹U+202E›."""
    return "".join(_picture(character) for character in text)


def _picture(character: str) -> str:
    code = ord(character)
    if character in _SPACES:
        return f"‹{_SPACES[character]}›" + ("\n" if character == "\n" else "")
    if unicodedata.category(character) in {"Cc", "Cf", "Co", "Cn", "Zl", "Zp"}:
        return f"‹U+{code:04X}›"
    return character
