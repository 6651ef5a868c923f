"""What PostgreSQL does for a statement: run in a transaction, observed, and rolled back.

Event triggers check the observer: what they tell, it must have seen.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, replace

import asyncpg

from app.migrate.observe.catalog import Catalog, Object, read_catalog
from app.migrate.observe.compare import Names, read_names
from app.migrate.observe.look import Observed, look, read_scans

EVENTS = """
CREATE SCHEMA judge;
CREATE FUNCTION judge.on_rewrite() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM set_config('judge.rewritten', concat(current_setting('judge.rewritten', true), ' ',
        pg_event_trigger_table_rewrite_oid()), true);
END $$;
CREATE FUNCTION judge.on_drop() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM set_config('judge.dropped', concat(current_setting('judge.dropped', true), E'\\n',
        (SELECT string_agg(concat_ws(' ', classid, objid, objsubid, object_identity), E'\\n') FROM
            pg_event_trigger_dropped_objects() WHERE NOT is_temporary)), true);
END $$;
CREATE EVENT TRIGGER judge_rewrite ON table_rewrite EXECUTE FUNCTION judge.on_rewrite();
CREATE EVENT TRIGGER judge_drop ON sql_drop EXECUTE FUNCTION judge.on_drop();
"""


@dataclass(frozen=True)
class Run:
    """What a statement did; `error` is its SQLSTATE, if it failed."""

    error: str = ""
    message: str = ""
    observed: Observed | None = None
    missed: tuple[str, ...] = ()
    """What event triggers told and the observer did not see."""

    @property
    def seen(self) -> Observed:
        return self.observed or Observed({})


@dataclass(frozen=True)
class Database:
    """A shape before any statement."""

    catalog: Catalog
    names: Names
    filled: frozenset[str]
    """The tables that have rows: to scan the others costs nothing."""


async def read_database(connection: asyncpg.Connection) -> Database:
    catalog = await read_catalog(connection)
    filled = set()
    for address in catalog.entries:
        one = catalog.find(address)
        if one is None or one.kind not in {"table", "materialized view"}:
            continue
        if await connection.fetchval(f"SELECT EXISTS (SELECT FROM {one.name})"):
            filled.add(one.name)
    return Database(catalog, await read_names(connection, catalog), frozenset(filled))


async def run_all(
    connection: asyncpg.Connection, database: Database, statements: Iterable[str]
) -> AsyncIterator[tuple[str, Run]]:
    """Yield what each statement does; all is rolled back."""
    for sql in statements:
        yield sql, await _run_one(connection, database, sql)


async def _run_one(connection: asyncpg.Connection, database: Database, sql: str) -> Run:
    transaction = connection.transaction()
    await transaction.start()
    try:
        scans = await read_scans(connection)
        await connection.execute(sql)
        observed, _ = await look(connection, database.catalog, scans)
        missed = [one async for one in _missed(connection, database, observed)]
    except asyncpg.PostgresError as error:
        return Run(error.sqlstate or "", str(error))
    finally:
        await transaction.rollback()
    scanned = frozenset(one for one in observed.scanned if one.name in database.filled)
    return Run(observed=replace(observed, scanned=scanned), missed=tuple(missed))


async def _missed(
    connection: asyncpg.Connection, database: Database, observed: Observed
) -> AsyncIterator[str]:
    rewritten = await connection.fetchval("SELECT current_setting('judge.rewritten', true)")
    dropped = await connection.fetchval("SELECT current_setting('judge.dropped', true)")
    for oid in (rewritten or "").split():
        one = database.catalog.relation(int(oid))
        if one is not None and one not in observed.rewritten:
            yield f"rewrite of {one}"
    told = {replace(one, part=False) for one in observed.dropped}
    for lost in _told(database, dropped or ""):
        if lost not in told:
            yield f"drop of {lost}"


def _told(database: Database, dropped: str) -> Iterator[Object]:
    for line in filter(None, dropped.splitlines()):
        words = line.split(" ", 3)
        one = database.catalog.find((int(words[0]), int(words[1]), int(words[2])))
        if one is not None:
            yield one
