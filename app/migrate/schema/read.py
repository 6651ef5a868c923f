"""A snapshot of a live database, read with one query for each kind of object.

It works without `zanith init` and without a superuser's rights, since it reads the catalog only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import asyncpg

from app.migrate.schema.model import Key, Object, Schema
from app.recovery.db.connections import Connection
from app.recovery.db.session_settings import of_connections, set_locally
from app.recovery.queries import fill, load, places

SQL = load("snapshot")
RELATIONS = load("snapshot_relations")
TYPES = load("snapshot_types")
_PARTS = {"user_schema": SQL["user_schema"]}
_ABOUT = ("comments", "labels", "grants", "depends_on_extension")
_SETTINGS = ("settings", "set_settings")
_NO_OBJECTS = {
    *("user_schema", "fingerprint", "aliases", "needs", "default_grants"),
    *_ABOUT,
    *_SETTINGS,
}
OBJECTS = [
    *(text for name, text in SQL.items() if name not in _NO_OBJECTS),
    *RELATIONS.values(),
    *TYPES.values(),
]
# A column or table that a capture renamed, and the parts of one.
_PARKED = re.compile(r"_zanith_dropped_.*_[0-9a-f]{12}(?:_[0-9]+)?", re.DOTALL)
# What the catalog says of an object that another session dropped between two queries.
_GONE = ("XX000", "42P01", "42703", "42704", "42883")
_TRIES = 3

Place = tuple[int, int, int]


async def read_schema(connection: Connection) -> Schema:
    """Return the schema of the database: all objects but PostgreSQL's, Zanith's and extensions'.

    In a transaction of the caller it sees what that transaction changed. It leaves no setting
    behind.
    """
    for left in range(_TRIES, 0, -1):
        try:
            return await _read(connection)
        except asyncpg.PostgresError as error:
            if left == 1 or error.sqlstate not in _GONE:
                raise
    raise AssertionError


async def _read(connection: Connection) -> Schema:
    if connection.is_in_transaction():
        return await _read_within(connection)
    block = connection.transaction(isolation="repeatable_read", readonly=True)
    await block.start()
    try:
        await connection.execute(set_locally())
        return await _Reader(connection).read()
    finally:
        await block.rollback()


async def _read_within(connection: Connection) -> Schema:
    """Read in a transaction of the caller, and give it its settings back.

    The savepoint is released. PostgreSQL 15 to 18 fail at the next change of the catalog, with
    "unprocessed inval messages", if one is rolled back after ALTER DOMAIN … DROP CONSTRAINT.
    """
    async with connection.transaction():
        before = await connection.fetch(SQL["settings"], list(of_connections()))
        await connection.execute(set_locally())
        schema = await _Reader(connection).read()
        await connection.execute(
            SQL["set_settings"], [row["name"] for row in before], [row["value"] for row in before]
        )
        return schema


class _Reader:
    """One reading: the objects by their place in the catalog, then what belongs to each."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.keys: dict[Place, Key] = {}
        self.attributes: dict[Key, dict[str, Any]] = {}

    async def read(self) -> Schema:
        for text in OBJECTS:
            for row in await self._rows(text):
                self._add(row)
        self._add_order_of_columns()
        self._drop_orphans()
        for name, attribute in (
            ("comments", "comment"),
            ("labels", "security_labels"),
            ("grants", "grants"),
            ("depends_on_extension", "extensions"),
        ):
            for row in await self._rows(SQL[name]):
                key = self.keys.get((row["classid"], row["objid"], row["objsubid"]))
                if key is not None:
                    value = row[attribute]
                    self.attributes[key][attribute] = value if name == "comments" else decode(value)
        needs = await self._needs()
        objects = {
            key: Object(key, attributes, tuple(sorted(needs.get(key, ()))))
            for key, attributes in self.attributes.items()
        }
        defaults = {
            row["kind"]: decode(row["grants"]) for row in await self._rows(SQL["default_grants"])
        }
        version = (await self._rows(SQL["fingerprint"]))[0]["version"]
        return Schema(objects, version, defaults)

    async def _rows(self, text: str) -> list[Any]:
        parts = {name: _PARTS[name] for name in places(text)}
        return list(await self.connection.fetch(fill(text, **parts)))

    def _add(self, row: Any) -> None:
        key = Key(row["kind"], tuple(row["name"]))
        if any(_PARKED.fullmatch(part) for part in key.name):
            return
        self.keys[row["classid"], row["objid"], row["objsubid"]] = key
        self.attributes[key] = decode(row["attributes"])

    def _add_order_of_columns(self) -> None:
        """Give each relation the names of its columns: the query has them in their order."""
        relations = self._relations()
        for key in self.attributes:
            if key.kind == "column" and key.name[:2] in relations:
                self.attributes[relations[key.name[:2]]].setdefault("columns", []).append(
                    key.name[2]
                )

    def _relations(self) -> dict[tuple[str, ...], Key]:
        schema = Schema({key: Object(key, {}) for key in self.attributes})
        return schema.relations

    def _drop_orphans(self) -> None:
        """Leave out the parts of what was left out, such as the index of a parked table."""
        schema = Schema({key: Object(key, value) for key, value in self.attributes.items()})
        gone: set[Key] = set()
        for key in self.attributes:
            above: Key | None = key
            while above is not None and above in self.attributes and above not in gone:
                if above.kind in _PARTS_OF_RELATIONS and schema.parent(above) is None:
                    break
                above = schema.parent(above)
            if above is not None:
                gone.add(key)
        self.attributes = {key: value for key, value in self.attributes.items() if key not in gone}
        self.keys = {place: key for place, key in self.keys.items() if key not in gone}

    async def _needs(self) -> Mapping[Key, set[Key]]:
        aliases = {
            (row["classid"], row["objid"]): (row["of_classid"], row["of_objid"])
            for row in await self._rows(SQL["aliases"])
        }
        found: dict[Key, set[Key]] = {}
        for row in await self._rows(SQL["needs"]):
            one = self._find(aliases, row["classid"], row["objid"], row["objsubid"])
            other = self._find(aliases, row["refclassid"], row["refobjid"], row["refobjsubid"])
            if one is not None and other is not None and one != other:
                found.setdefault(one, set()).add(other)
        return found

    def _find(
        self, aliases: Mapping[tuple[int, int], tuple[int, int]], classid: int, objid: int, sub: int
    ) -> Key | None:
        found = self.keys.get((classid, objid, sub))
        if found is not None:
            return found
        place = aliases.get((classid, objid))
        if place is None:
            return self.keys.get((classid, objid, 0))
        return self.keys.get((*place, sub)) or self.keys.get((*place, 0))


_PARTS_OF_RELATIONS = frozenset(
    ("column", "default", "constraint", "trigger", "policy", "rule", "index")
)


def decode(value: Any) -> Any:
    """Return a value of jsonb, whether the connection decodes it or not."""
    return json.loads(value) if isinstance(value, str) else value
