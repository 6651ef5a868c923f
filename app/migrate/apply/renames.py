"""Recorded renames, as statements that undo them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.migrate.schema.model import Key, Schema
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


@dataclass(frozen=True)
class Undo:
    """The statements that undo one rename; `last` is the name that the object had in the end."""

    sql: tuple[str, ...]
    new: Key
    last: Key


def undo_renames(steps: Sequence[Mapping[str, Any]]) -> Iterator[Undo]:
    """Yield what undoes each rename, the last one first; `steps` are recorded changes."""
    for place in range(len(steps) - 1, -1, -1):
        changes = steps[place]
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
            new = key_of(after)
            yield Undo(tuple(_undo(before, after)), new, _follow(new, steps[place + 1 :]))


def _follow(key: Key, steps: Sequence[Mapping[str, Any]]) -> Key:
    """Return the name of an object after later renames."""
    for changes in steps:
        for one in changes.get("renamed") or []:
            old = key_of(one["before"])
            key = _renamed(key, old.kind, old.name, tuple(one["after"]["names"]))
    return key


def old_key(key: Key, steps: Sequence[Mapping[str, Any]]) -> Key:
    """Return the name that an object had before the renames."""
    for changes in reversed(steps):
        for one in reversed(changes.get("renamed") or []):
            new = key_of(one["after"])
            key = _renamed(key, new.kind, new.name, tuple(one["before"]["names"]))
    return key


def with_old_names(schema: Schema, steps: Sequence[Mapping[str, Any]]) -> Schema:
    """Return a schema in which each object has the name that it had before the renames."""
    renamed = {key: old_key(key, steps) for key in schema.objects}
    objects = {renamed[key]: replace(one, key=renamed[key]) for key, one in schema.objects.items()}
    return replace(schema, objects=objects)


def key_of(recorded: Mapping[str, Any]) -> Key:
    """Return how a schema calls an object that was recorded."""
    kind = recorded["kind"]
    return Key(_KINDS.get(kind, kind.replace(" ", "_")), tuple(recorded["names"]))


_KINDS = {
    "table column": "column",
    "foreign table column": "column",
    "composite type column": "column",
    "table constraint": "constraint",
    "domain constraint": "constraint",
    "statistics object": "statistics",
}
_PARTS = frozenset({"column", "default", "constraint", "trigger", "policy", "rule"})


def _renamed(key: Key, kind: str, new: tuple[str, ...], old: tuple[str, ...]) -> Key:
    """Return the old name of an object or of a part of it; others keep theirs."""
    if key.name[: len(new)] != new:
        return key
    is_part = key.kind in _PARTS and len(new) == 2 and len(key.name) == 3
    is_default = kind == "column" and key.kind == "default"
    if kind in (key.kind, "schema") or is_part or is_default:
        return Key(key.kind, (*old, *key.name[len(new) :]))
    return key


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
