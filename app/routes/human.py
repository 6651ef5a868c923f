"""Numbers, sizes and times as a person reads them.

Each function returns plain text; templates put the exact value into the `title` beside it.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_SPACES = {"\t": "TAB", "\n": "LF", "\r": "CR"}
_SPANS = (
    (365 * 86400, "year"),
    (30 * 86400, "month"),
    (86400, "day"),
    (3600, "hour"),
    (60, "minute"),
)


def size(count: float | None) -> str:
    """Bytes in powers of 1024 with the units of `pg_size_pretty`; an en dash for None."""
    if count is None:
        return "–"
    value = float(count)
    for unit in _UNITS:
        if abs(value) < 1024 or unit == _UNITS[-1]:
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def number(count: int | float | None) -> str:
    """A count with thin spaces between thousands, for figures that must be exact."""
    return "–" if count is None else f"{count:,.0f}".replace(",", "\u202f")


def short_number(count: int | float | None) -> str:
    """A count shortened to three digits: 1.2 M; exact up to 9,999."""
    if count is None:
        return "–"
    if abs(count) < 10_000:
        return number(count)
    value = float(count)
    for unit in ("k", "M", "G", "T"):
        value /= 1000
        if abs(value) < 1000 or unit == "T":
            return f"{value:.0f} {unit}" if abs(value) >= 100 else f"{value:.1f} {unit}"
    return number(count)


def span(seconds: float | None) -> str:
    """A duration that has passed or is left: 0.4 ms, 4.2 s, 3 min 5 s, 2 h 10 min, 12 days."""
    if seconds is None:
        return "–"
    seconds = max(seconds, 0.0)
    if seconds < 1:
        return f"{1000 * seconds:.{1 if seconds < 0.01 else 0}f} ms"
    if seconds < 60:
        return f"{seconds:.{1 if seconds < 10 else 0}f} s"
    return _long_span(round(seconds))


def about(seconds: float) -> str:
    """A duration that was estimated: under a second, about 4.2 s."""
    return "under a second" if seconds < 1 else f"about {span(seconds)}"


def _long_span(seconds: int) -> str:
    if seconds < 3600:
        minutes, rest = divmod(seconds, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    if seconds < 2 * 86400:
        hours, rest = divmod(seconds // 60, 60)
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{seconds // 86400} days"


def relative(moment: datetime | None, now: datetime | None = None) -> str:
    """How far `moment` is from `now`: "3 days ago", "in 2 hours", "just now"; "never" for None."""
    if moment is None:
        return "never"
    delta = (moment - (now or datetime.now(UTC))).total_seconds()
    distance = abs(delta)
    if distance < 45:
        return "just now" if delta <= 0 else "in a moment"
    for length, name in _SPANS:
        if distance >= length or name == "minute":
            count = max(round(distance / length), 1)
            text = f"{count} {name}{'' if count == 1 else 's'}"
            return f"{text} ago" if delta < 0 else f"in {text}"
    return "just now"


def utc(moment: datetime | None) -> str:
    """The moment in UTC to the second, as DBAs write it in tickets."""
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def days_left(expires_at: datetime | None, now: datetime | None = None) -> int | None:
    """Whole days until `expires_at`, negative when past; None when it never expires."""
    if expires_at is None:
        return None
    return (expires_at - (now or datetime.now(UTC))) // timedelta(days=1)


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


def plural(count: int, singular: str, several: str | None = None) -> str:
    """`1 artifact`, `1 204 artifacts`."""
    return f"{number(count)} {singular if count == 1 else several or singular + 's'}"
