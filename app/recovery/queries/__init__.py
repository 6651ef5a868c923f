"""Static SQL in named blocks.

A file holds blocks that begin with a line ``-- name: what it is for``; everything up to the next
such line is the block's text.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import resources
from typing import Any

_PLACE = re.compile(r"\{([a-z_]+)\}")
_HEADER = re.compile(r"^-- ([a-z][a-z0-9_]*): .+$", re.MULTILINE)


@cache
def load(topic: str) -> dict[str, str]:
    """Return the blocks of ``<topic>.sql`` by name; ValueError where a name is given twice."""
    text = resources.files(__package__).joinpath(f"{topic}.sql").read_text(encoding="utf-8")
    headers = list(_HEADER.finditer(text))
    blocks: dict[str, str] = {}
    for header, following in zip(headers, [*headers[1:], None], strict=True):
        name = header.group(1)
        if name in blocks:
            raise ValueError(f"{topic}.sql holds {name} twice")
        end = following.start() if following else len(text)
        blocks[name] = text[header.end() : end].strip().removesuffix(";")
    return blocks


def fill(template: str, **parts: str) -> str:
    """Return a template of ours with each ``{name}`` replaced, all in one pass.

    What is put in is never looked at: it may be somebody's text, with braces in it. ValueError
    where a part is missing or has no place.
    """
    wanted = places(template)
    if wanted != set(parts):
        raise ValueError(f"the template takes {sorted(wanted)}, not {sorted(parts)}")
    return _PLACE.sub(lambda found: parts[found.group(1)], template)


def places(template: str) -> set[str]:
    """Return the names of the places that a template has."""
    return set(_PLACE.findall(template))


def containing(text: str | None) -> str | None:
    """Return the LIKE pattern of whatever contains the text; None where there is none."""
    if not text or not text.strip():
        return None
    escaped = text.strip().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def to_json(value: Any) -> str:
    """Return a value as a parameter for json or jsonb, in characters that any database has.

    Without escapes, of which a database of SQL_ASCII takes none beyond ASCII; and with three dots
    for the ellipsis of our own texts, which LATIN1 lacks.
    """
    return json.dumps(value, default=str, ensure_ascii=False).replace("\u2026", "...")
