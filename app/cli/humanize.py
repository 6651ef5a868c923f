"""Numbers, times and names as a person reads them. Pure functions."""

from datetime import UTC, datetime, timedelta

from rich.cells import cell_len, set_cell_size

_UNITS = ("kB", "MB", "GB", "TB", "PB")
_SPANS = (("y", 365 * 86400), ("mo", 30 * 86400), ("d", 86400), ("h", 3600), ("min", 60))


def size(value: int | None) -> str:
    """Bytes in the 1024-based units of pg_size_pretty: `8.0 kB`, `271 MB`; `–` for none."""
    if value is None:
        return "–"
    if value < 1024:
        return f"{value} B"
    amount, unit = value / 1024, 0
    while amount >= 999.5 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.1f} {_UNITS[unit]}" if amount < 10 else f"{amount:.0f} {_UNITS[unit]}"


def count(value: int | None, exact_to: int = 10_000_000) -> str:
    """A number of rows: exact with separators up to a limit, then `20.4 M`; `–` for none."""
    if value is None:
        return "–"
    if value < exact_to:
        return f"{value:,}"
    if value < 1_000_000_000:
        return f"{value / 1e6:.1f} M"
    return f"{value / 1e9:.1f} G"


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """`1 step`, `3 steps`, `2,000,000 rows`."""
    return f"{count(number)} {noun if number == 1 else nouns or noun + 's'}"


def span(seconds: float) -> str:
    """A length of time, rounded to its largest unit: `42s`, `5min`, `3h`, `12d`, `4mo`, `2y`."""
    seconds = abs(seconds)
    for unit, length in _SPANS:
        # Two months and two years up: "45d" says more than "1mo".
        if seconds >= length * (2 if unit in {"mo", "y"} else 1):
            return f"{round(seconds / length)}{unit}"
    return f"{int(seconds)}s"


def took(seconds: float) -> str:
    """A length of time that was measured: `0.4 ms`, `120 ms`, `4.2 s`, then as `span` has it."""
    if seconds < 1:
        return f"{1000 * seconds:.{1 if seconds < 0.01 else 0}f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else span(seconds)


def about(seconds: float) -> str:
    """A length of time that was estimated: `under a second`, `about 4s`."""
    return "under a second" if seconds < 1 else f"about {span(seconds)}"


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago: `3d ago`, `just now`; `–` for none."""
    if moment is None:
        return "–"
    passed = ((now or datetime.now(UTC)) - moment).total_seconds()
    return "just now" if passed < 1 else f"{span(passed)} ago"


def left(moment: datetime | None, now: datetime | None = None) -> str:
    """How long until it expires: `27d`, `expired`, or `never`."""
    if moment is None:
        return "never"
    seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    return "expired" if seconds <= 0 else span(seconds)


def instant(moment: datetime | None) -> str:
    """The exact moment in UTC, to the second."""
    return "–" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def elapsed(value: timedelta | float) -> str:
    """A measured time: `0.4 ms`, `18 ms`, `3.2 s`, `4min 10s`."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)}min {int(seconds % 60)}s"


def printable(text: str) -> str:
    """The text with control characters made visible, so that a name cannot steer the terminal."""
    return "".join(c if c.isprintable() else _visible(c) for c in text)


def printable_block(text: str) -> str:
    """As `printable`, but line breaks and tabs stay: for SQL and other text of several lines."""
    return "".join(c if c.isprintable() or c in "\n\t" else _visible(c) for c in text)


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def shorten(text: str, width: int) -> str:
    """The text in at most so many terminal cells: the middle gives way to `…`, the end stays."""
    text = printable(text)
    if cell_len(text) <= width:
        return text
    tail = (width - 1) // 2
    end = text[-tail:] if tail else ""
    while cell_len(end) > tail:
        end = end[1:]
    return set_cell_size(text, width - 1 - cell_len(end)).rstrip() + "…" + end
