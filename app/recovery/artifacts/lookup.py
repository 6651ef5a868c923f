"""Artifacts found by what people call them: an id, the beginning of one, or the object's name."""

from __future__ import annotations

import re

from app.recovery.artifacts.model import Artifact, compose, from_row
from app.recovery.core.errors import NotFound, WrongUsage
from app.recovery.core.names import SHORTEST_ID, parse_name, quote
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.transactions import rolled_back
from app.recovery.queries import load

BLOCKS = load("artifacts")

ID = re.compile(r"[0-9a-z]{1,24}")


async def get_artifact(db: Database, reference: str) -> Artifact:
    """Return the artifact that an id, a unique prefix of one, or schema.table[.column] names.

    A name goes before a prefix, which needs four characters; it means its latest recoverable
    artifact, else its latest. NotFound where nothing matches,
    WrongUsage where several do, with the candidates.
    """
    async with db.side() as connection:
        artifact_id = await _resolve(db, connection, reference.strip())
        row = await connection.fetchrow(compose(BLOCKS["one"]), artifact_id)
    if row is None:
        raise no_artifact(reference)
    return from_row(row)


def no_artifact(reference: str) -> NotFound:
    """Return the error for an artifact that is not there."""
    return NotFound(f"there is no artifact {reference}", hint="see zanith recover list")


async def _resolve(db: Database, connection: Connection, reference: str) -> str:
    like_id = ID.fullmatch(reference) is not None
    if like_id and await connection.fetchval(BLOCKS["by_id"], reference):
        return reference
    named = None if reference[:1].isdigit() else await _find_by_name(db, connection, reference)
    if named is not None:
        return named
    ids: list[str] = []
    if like_id and len(reference) >= SHORTEST_ID:
        ids = [row["id"] for row in await connection.fetch(BLOCKS["by_prefix"], reference)]
    if len(ids) > 1:
        raise WrongUsage(
            f"several artifacts match {reference}",
            detail=", ".join(ids),
            hint="write more of the id",
        )
    if not ids:
        raise NotFound(
            f"there is no artifact {reference}",
            hint="zanith recover list shows all; write schema.table[.column], an id,"
            f" or at least {SHORTEST_ID} characters of one",
        )
    return ids[0]


async def _find_by_name(db: Database, connection: Connection, reference: str) -> str | None:
    """Return the id of the object's artifact: three parts, or two, or one with the search path."""
    parts = parse_name(reference)
    if len(parts) > 3:
        raise WrongUsage(f"{reference} has too many parts", hint="write schema.table.column")
    for schema, table, column in readings(parts):
        found = await find_latest(db, connection, schema, table, column)
        if found is not None:
            return found
    return None


def readings(parts: tuple[str, ...]) -> list[tuple[str | None, str, str | None]]:
    """Return what a name can mean, as schema, table and column, the likeliest first."""
    return [
        *([(parts[0], parts[1], parts[2])] if len(parts) == 3 else []),
        *([(parts[0], parts[1], None), (None, parts[0], parts[1])] if len(parts) == 2 else []),
        *([(None, parts[0], None)] if len(parts) == 1 else []),
    ]


async def find_latest(
    db: Database,
    connection: Connection,
    schema: str | None,
    table: str,
    column: str | None,
    types: tuple[str, ...] | None = None,
) -> str | None:
    """Return the id of an object's latest recoverable artifact, else its latest, or None.

    Without a schema the search path decides; WrongUsage where that leaves several.
    """
    rows = await connection.fetch(
        compose(BLOCKS["by_name"]), schema, table, column, list(types) if types else None
    )
    schemas = list(dict.fromkeys(row["source_schema"] for row in rows))
    if len(schemas) > 1:
        path = await schemas_on_path(db, connection)
        visible = [name for name in path if name in schemas]
        if not visible:
            names = [quote([name, table, *([column] if column else [])]) for name in schemas]
            raise WrongUsage(
                f"{table} was dropped in several schemas",
                detail=", ".join(names),
                hint="write the schema too",
            )
        rows = [row for row in rows if row["source_schema"] == visible[0]]
    return str(rows[0]["id"]) if rows else None


async def schemas_on_path(db: Database, connection: Connection) -> list[str]:
    """Return the schemas in which an ordinary session looks for a name without one."""
    configured = await db.configured_path(connection)
    async with rolled_back(connection):
        path: list[str] = await connection.fetchval(BLOCKS["search_path"], configured)
    return path
