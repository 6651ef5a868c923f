"""Snapshots that are stored: taken in the caller's transaction, listed, and found by name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from app.migrate.read.migrations import find_named
from app.migrate.schema.model import Schema
from app.migrate.schema.read import read_schema
from app.recovery.core.errors import NotFound, WrongUsage
from app.recovery.db.connections import Connection
from app.recovery.queries import load

SQL = load("snapshots")

Moment = Literal["before", "after", "baseline", "manual"]
LIVE = "live"
"""The name of the schema as it is now."""


@dataclass(frozen=True)
class Snapshot:
    """A stored snapshot, without its contents."""

    id: int
    moment: str
    migration_id: str | None
    hash: str
    version: int
    taken_at: datetime
    taken_by: str
    taken_by_role: str
    objects: int
    changed: bool | None = None
    """Whether it differs from the snapshot that was taken before it; None if nobody compared."""

    def to_json(self) -> dict[str, Any]:
        """Return the snapshot as JSON; times in ISO 8601."""
        return {**vars(self), "taken_at": self.taken_at.isoformat()}


async def take(
    connection: Connection,
    migration_id: str | None = None,
    when: Moment = "manual",
    *,
    by: str,
    schema: Schema | None = None,
) -> int:
    """Store the schema in the caller's transaction, and return the number of the snapshot.

    `schema` is what was read just now, if it was. Contents that are stored already are not sent.
    """
    schema = schema or await read_schema(connection)
    described = {
        "moment": when,
        "migration_id": migration_id,
        "hash": schema.hash,
        "objects": len(schema.objects),
        "taken_by": by,
    }
    number = await _record(connection, described, None, None)
    if number is None:
        number = await _record(connection, described, schema.contents, schema.needs)
    if number is None:
        raise AssertionError
    return number


async def _record(
    connection: Connection, described: dict[str, Any], contents: str | None, needs: Any
) -> int | None:
    number: int | None = await connection.fetchval(SQL["record"], described, contents, needs)
    return number


async def list_snapshots(
    connection: Connection, limit: int = 100, migration_id: str | None = None
) -> list[Snapshot]:
    """Return the newest snapshots, newest first."""
    rows = await connection.fetch(SQL["list"], limit, migration_id)
    return [Snapshot(**dict(row)) for row in rows]


async def load_snapshot(connection: Connection, number: int) -> tuple[Snapshot, Schema]:
    """Return a stored snapshot and its schema; NotFound if there is none of this number."""
    row = await connection.fetchrow(SQL["one"], number)
    if row is None:
        raise NotFound(
            f"there is no snapshot {number}",
            hint="zanith migrate snapshot list shows them; a migration is MIGRATION:before or"
            " MIGRATION:after",
        )
    found = dict(row)
    contents, needs = found.pop("contents"), found.pop("needs")
    return Snapshot(**found), Schema.stored(contents, needs, found["version"])


async def find_migration(connection: Connection, text: str) -> str:
    """Return the id of the migration that a text means; NotFound if it has no snapshot."""
    rows = await connection.fetch(SQL["migrations"])
    found = find_named(text, [row["migration_id"] for row in rows])
    if found is None:
        raise NotFound(
            f"there is no snapshot of the migration {text}",
            hint="zanith migrate snapshot list shows them",
        )
    return found


async def find_schema(connection: Connection, name: str, *, exact: bool = False) -> Schema:
    """Return the schema that a name means.

    `live`, the number of a snapshot, a migration by its id or version with `:before` or `:after`,
    or a file that `snapshot show --json` wrote. With `exact` a version is no name of a migration.
    """
    if name == LIVE:
        return await read_schema(connection)
    if name.isdecimal() and len(name) < 19:
        return (await load_snapshot(connection, int(name)))[1]
    migration, colon, moment = name.rpartition(":")
    if colon and moment in ("before", "after"):
        if not exact:
            migration = await find_migration(connection, migration)
        number = await connection.fetchval(SQL["latest"], migration, moment)
        if number is None:
            raise NotFound(
                f"there is no snapshot {moment} the migration {migration}",
                hint="zanith migrate snapshot list shows them",
            )
        return (await load_snapshot(connection, number))[1]
    return read_file(Path(name))


def needs_database(name: str) -> bool:
    """Whether the name means a stored snapshot, and not the live schema or a file."""
    return name != LIVE and (name.isdecimal() or name.endswith((":before", ":after")))


def read_file(path: Path) -> Schema:
    """Return the schema of a file that `snapshot show --json` wrote."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise NotFound(
            f"{path} is neither a snapshot nor a file",
            hint="name live, the number of a snapshot, MIGRATION:before, MIGRATION:after or a file",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUsage(f"{path} cannot be read: {error}", hint="check the file") from None
    try:
        data = json.loads(text)
    except ValueError:
        raise WrongUsage(
            f"{path} is not JSON", hint="write it with zanith migrate snapshot show --json"
        ) from None
    if isinstance(data, dict) and "schema" in data:  # the document of the command
        data = data["schema"]
    return Schema.from_json(data)
