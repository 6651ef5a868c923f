"""Health as symbol, word and colour: any one of the three is enough to read it."""

from rich.text import Text

_LOOKS = {
    "ok": ("✓", "good"),
    "unsealed": ("○", "warn"),
    "expired": ("◷", "warn"),
    "moved": ("⚠", "warn"),
    "missing": ("✗", "bad"),
    "changed": ("✗", "bad"),
    "restored": ("↩", "quiet"),
    "orphan": ("?", "warn"),
}

MEANING = {
    "ok": "parked, and nothing speaks against a restore",
    "unsealed": "no checksum yet: zanith recover seal",
    "expired": "past its date: cleanup --expired takes it",
    "moved": "name, schema or owner of the parked object differ from the record",
    "missing": "the parked object is gone",
    "changed": "the archive no longer matches its seal",
}


def badge(health: str) -> Text:
    """`✓ ok` in green, `✗ changed` in bold red."""
    symbol, style = _LOOKS.get(health, ("?", "warn"))
    return Text(f"{symbol} {health}", style=style, no_wrap=True)
