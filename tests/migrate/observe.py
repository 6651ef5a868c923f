"""What PostgreSQL does for a statement: run in a transaction, looked at, and rolled back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import asyncpg

from app.migrate.risk import Mode

JUDGE = """
CREATE SCHEMA judge;
CREATE FUNCTION judge.on_rewrite() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM set_config('judge.rewritten', concat(current_setting('judge.rewritten', true), ' ',
        pg_event_trigger_table_rewrite_oid()), true);
END $$;
CREATE FUNCTION judge.on_drop() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM set_config('judge.dropped', concat(current_setting('judge.dropped', true), E'\\n',
        (SELECT string_agg(objid || ' ' || object_type, E'\\n') FROM
            pg_event_trigger_dropped_objects() WHERE NOT is_temporary)), true);
END $$;
CREATE EVENT TRIGGER judge_rewrite ON table_rewrite EXECUTE FUNCTION judge.on_rewrite();
CREATE EVENT TRIGGER judge_drop ON sql_drop EXECUTE FUNCTION judge.on_drop();
"""
RELATIONS = """
SELECT c.oid, c.oid::regclass::text AS name, c.relfilenode, c.relkind::text AS kind
FROM pg_class c
WHERE c.relnamespace IN ('public'::regnamespace, to_regnamespace('s'))
    AND c.relkind IN ('r', 'p', 'm', 'v', 'f')
"""
SCANS = """
SELECT c.oid, pg_stat_get_xact_numscans(c.oid) AS scans FROM pg_class c
WHERE c.relkind IN ('r', 'm') AND c.oid >= 16384
"""
LOCKS = """
SELECT l.relation AS oid, l.mode FROM pg_locks l
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation'
"""
FAMILY = """
WITH RECURSIVE f AS (
    SELECT i.inhparent AS top, i.inhrelid AS below FROM pg_inherits i
    UNION SELECT f.top, i.inhrelid FROM f JOIN pg_inherits i ON i.inhparent = f.below
) SELECT top, below FROM f
"""
_WORDS = {
    "AccessShareLock": Mode.ACCESS_SHARE,
    "RowShareLock": Mode.ROW_SHARE,
    "RowExclusiveLock": Mode.ROW_EXCLUSIVE,
    "ShareUpdateExclusiveLock": Mode.SHARE_UPDATE_EXCLUSIVE,
    "ShareLock": Mode.SHARE,
    "ShareRowExclusiveLock": Mode.SHARE_ROW_EXCLUSIVE,
    "ExclusiveLock": Mode.EXCLUSIVE,
    "AccessExclusiveLock": Mode.ACCESS_EXCLUSIVE,
}


@dataclass
class Observed:
    """What a statement did to what was there before it; `error` is its SQLSTATE, if it failed."""

    error: str = ""
    message: str = ""
    locks: dict[str, Mode] = field(default_factory=dict)
    rewritten: set[str] = field(default_factory=set)
    scanned: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)
    """The kinds of the objects that were there, and are dropped."""


@dataclass
class Catalog:
    """The relations before any statement, by OID."""

    names: dict[int, str]
    files: dict[int, int]
    family: dict[str, set[str]]
    """The partitions and children of each table."""
    filled: set[int]
    """The tables that have rows: to scan the others costs nothing."""


async def read_catalog(connection: asyncpg.Connection) -> Catalog:
    rows = await connection.fetch(RELATIONS)
    names = {row["oid"]: row["name"] for row in rows}
    files = {row["oid"]: row["relfilenode"] for row in rows if row["kind"] in "rm"}
    family: dict[str, set[str]] = {}
    for row in await connection.fetch(FAMILY):
        if row["top"] in names:
            family.setdefault(names[row["top"]], set()).add(names[row["below"]])
    filled = set()
    for oid, name in names.items():
        if oid in files and await connection.fetchval(f"SELECT EXISTS (SELECT FROM {name})"):
            filled.add(oid)
    return Catalog(names, files, family, filled)


async def observe(
    connection: asyncpg.Connection, catalog: Catalog, statements: Iterable[str]
) -> AsyncIterator[tuple[str, Observed]]:
    """Yield what each statement does; all is rolled back."""
    for sql in statements:
        yield sql, await _observe_one(connection, catalog, sql)


async def _observe_one(connection: asyncpg.Connection, catalog: Catalog, sql: str) -> Observed:
    found = Observed()
    transaction = connection.transaction()
    await transaction.start()
    try:
        before = {row["oid"]: row["scans"] for row in await connection.fetch(SCANS)}
        await connection.execute(sql)
        await _look(connection, catalog, before, found)
    except asyncpg.PostgresError as error:
        found.error, found.message = error.sqlstate or "", str(error)
    finally:
        await transaction.rollback()
    return found


async def _look(
    connection: asyncpg.Connection, catalog: Catalog, before: dict[int, int], found: Observed
) -> None:
    for row in await connection.fetch(LOCKS):
        name = catalog.names.get(row["oid"])
        if name is not None:
            mode = _WORDS[row["mode"]]
            found.locks[name] = max(mode, found.locks.get(name, mode))
    for row in await connection.fetch(SCANS):
        if row["oid"] in catalog.filled and row["scans"] > before.get(row["oid"], 0):
            found.scanned.add(catalog.names[row["oid"]])
    for row in await connection.fetch(RELATIONS):
        if catalog.files.get(row["oid"], row["relfilenode"]) != row["relfilenode"]:
            found.rewritten.add(catalog.names[row["oid"]])
    await _look_at_events(connection, catalog, found)


async def _look_at_events(
    connection: asyncpg.Connection, catalog: Catalog, found: Observed
) -> None:
    rewritten = await connection.fetchval("SELECT current_setting('judge.rewritten', true)")
    dropped = await connection.fetchval("SELECT current_setting('judge.dropped', true)")
    for oid in (rewritten or "").split():
        if int(oid) in catalog.names:
            found.rewritten.add(catalog.names[int(oid)])
    for line in (dropped or "").splitlines():
        oid, _, kind = line.partition(" ")
        if oid and (kind != "table" or int(oid) in catalog.names):
            found.dropped.add(kind)
