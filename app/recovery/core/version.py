"""The version of the engine, the same as the package's (a test holds them together)."""

from __future__ import annotations

import re

VERSION = "0.1.0"


def as_tuple(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, so that two compare: "0.10.1" is (0, 10, 1)."""
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0]))
