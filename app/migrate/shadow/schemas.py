"""Schemas compared object by object: drift, a declared schema, and what a down part leaves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.migrate.apply.baseline import HISTORIES
from app.migrate.schema.difference import OWNERSHIP, Difference, difference
from app.migrate.schema.model import Key, Schema
from app.migrate.schema.read import read_schema
from app.migrate.shadow.model import connect

# The schemas that tools keep for themselves.
SCHEMAS = frozenset({"drizzle", "sqitch", "supabase_migrations"})
# The version since which NOT NULL constraints are objects with names.
_NAMED_NOT_NULL = 18


@dataclass(frozen=True)
class Change:
    """An object that is only on one side, or differs: `created`, `dropped` or `changed`."""

    change: str
    object: str
    attributes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"change": self.change, "object": self.object, "attributes": list(self.attributes)}


async def read_at(url: str | None) -> Schema:
    """Return the schema of a database."""
    connection = await connect(url)
    try:
        return await read_schema(connection)
    finally:
        await connection.close(timeout=5)


def changes(before: Schema, after: Schema, *, owners: bool = False) -> tuple[Change, ...]:
    """Return what turns one schema into the other.

    Owners and grants count with `owners`. The tables in which tools keep their history never count,
    nor what only one of two versions of PostgreSQL has, or prints in another way.
    """
    same = _is_named(before) == _is_named(after)
    one, other = _counted(before, not_null=same), _counted(after, not_null=same)
    ignored = frozenset() if owners else OWNERSHIP
    if before.version // 10000 != after.version // 10000:
        ignored |= {"definition"}
    found = difference(one, other, ignored)
    return tuple(_list(found))


def _list(found: Difference) -> Iterator[Change]:
    for word, schema, keys in (
        ("created", found.after, found.created),
        ("dropped", found.before, found.dropped),
    ):
        for key in keys:
            if schema.parent(key) not in keys:  # a part comes and goes with the whole
                yield Change(word, str(key))
    for key, attributes in found.changed.items():
        yield Change("changed", str(key), tuple(attributes))


def _is_named(schema: Schema) -> bool:
    return schema.version // 10000 >= _NAMED_NOT_NULL


def _counted(schema: Schema, *, not_null: bool) -> Schema:
    kept = {
        key: one
        for key, one in schema.objects.items()
        if not _is_history(schema, key)
        and (not_null or key.kind != "constraint" or one.get("type") != "not null")
    }
    return Schema(kept, schema.version, schema.defaults)


def _is_history(schema: Schema, key: Key) -> bool:
    above: Key | None = key
    while above is not None:
        if above.name[0] in SCHEMAS or (len(above.name) > 1 and above.name[1] in HISTORIES):
            return True
        above = schema.parent(above)
    return False
