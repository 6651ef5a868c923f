"""Recorded renames, as statements that undo them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.recovery.core.names import quote

_RELATIONS = frozenset({"table", "view", "materialized view", "foreign table", "index", "sequence"})
_SCHEMA_OBJECTS = _RELATIONS | {"type", "domain", "composite type", "statistics object"}
_ROUTINES = frozenset({"function", "procedure", "aggregate"})
_ON_TABLES = frozenset({"trigger", "policy", "rule"})
_COLUMNS = {
    "table column": ("TABLE", "COLUMN"),
    "foreign table column": ("FOREIGN TABLE", "COLUMN"),
    "composite type column": ("TYPE", "ATTRIBUTE"),
    "table constraint": ("TABLE", "CONSTRAINT"),
    "domain constraint": ("DOMAIN", "CONSTRAINT"),
}
_WORDS = {"composite type": "TYPE", "statistics object": "STATISTICS"}


def undo_renames(steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the statements that undo renames, the last one first; `steps` are recorded changes."""
    for changes in reversed(steps):
        renamed = changes.get("renamed") or []
        # the index of a constraint follows its constraint
        followers = {
            (one["before"]["names"][0], one["before"]["names"][-1])
            for one in renamed
            if one["before"]["kind"] == "table constraint"
        }
        for one in reversed(renamed):
            before, after = one["before"], one["after"]
            names = before["names"]
            if before["kind"] == "index" and (names[0], names[-1]) in followers:
                continue
            if before["part"]:  # it follows that of its parent
                continue
            yield from _undo(before, after)


def _undo(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    kind, old, new = before["kind"], before["names"], after["names"]
    if kind in _COLUMNS:
        above, part = _COLUMNS[kind]
        yield (
            f"ALTER {above} {quote(new[:-1])} RENAME {part} {quote(new[-1])} TO {quote(old[-1])}"
        )
    elif kind in _ON_TABLES:
        yield (
            f"ALTER {kind.upper()} {quote(new[-1])} ON {quote(new[:-1])} RENAME TO {quote(old[-1])}"
        )
    elif kind == "schema":
        yield f"ALTER SCHEMA {quote(new)} RENAME TO {quote(old)}"
    elif kind in _SCHEMA_OBJECTS or kind in _ROUTINES:
        yield from _undo_in_schema(kind, before, after)


def _undo_in_schema(
    kind: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[str]:
    old, new = before["names"], after["names"]
    arguments = after["name"][len(quote(new)) :] if kind in _ROUTINES else ""
    word = _WORDS.get(kind, kind.upper())
    if new[-1] != old[-1]:
        yield f"ALTER {word} {quote(new)}{arguments} RENAME TO {quote(old[-1])}"
    if new[0] != old[0]:
        moved = quote([new[0], old[-1]])
        yield f"ALTER {word} {moved}{arguments} SET SCHEMA {quote(old[0])}"
