"""Sizes as people write them: 500kB, 50MB, 1GB; in units of 1024, as in PostgreSQL."""

from __future__ import annotations

import re

from app.recovery.core.errors import WrongUsage

_UNITS = {"": 1, "b": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3, "tb": 1024**4}
_FORM = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([a-z]*)", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Return the number of bytes; WrongUsage where it is none, or not one byte."""
    match = _FORM.fullmatch(text.strip())
    unit = _UNITS.get(match[2].lower()) if match else None
    if match is None or unit is None or (found := int(float(match[1]) * unit)) < 1:
        raise WrongUsage(f"{text!r} is not a size", hint="write 500kB, 50MB or 1GB")
    return found
