"""A shadow in a database that somebody names, such as a service container in CI."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from app.migrate.observe.catalog import read_catalog
from app.migrate.shadow.model import (
    KEPT,
    MARK,
    SQL,
    Live,
    Pattern,
    Server,
    Shadow,
    connect,
    read_server,
)
from app.recovery.core.errors import Locked, NotPermitted, Refused
from app.recovery.core.names import quote
from app.recovery.core.translate import translate
from app.recovery.db.connections import SERVER_ERRORS, Connection

_IN_USE = 0x5A616E6974680001
"""The advisory lock of the database while a shadow is in it."""
_PUBLIC = (
    "CREATE SCHEMA public",
    "GRANT USAGE ON SCHEMA public TO PUBLIC",
    "COMMENT ON SCHEMA public IS 'standard public schema'",
)
_OWNER = "ALTER SCHEMA public OWNER TO pg_database_owner"


@asynccontextmanager
async def given(
    url: str,
    live: Live | None,
    forbidden: Live | None,
    *,
    keep: bool,
    tell: Callable[[str], None],
) -> AsyncIterator[Shadow]:
    """Use a database that is empty, or that has the mark of a shadow, and empty it afterwards.

    Refused if it has objects, or if it is the forbidden one; Locked if another run uses it.
    """
    control = await connect(url)
    try:
        server = await read_server(control)
        if forbidden is not None and await _is_live(control, server, forbidden):
            raise Refused(
                f"the shadow is the live database {forbidden.server.name}",
                hint="name another database, which is empty",
            )
        await _claim(control, server, tell)

        async def reset() -> None:
            await empty(control)

        try:
            yield Shadow(Pattern.URL, url, server, reset, live.path if live else None)
        finally:
            if not keep:
                await empty(control)
            mark = f"'{KEPT}'" if keep else "NULL"
            await control.execute(f"COMMENT ON DATABASE {quote([server.name])} IS {mark}")
    except SERVER_ERRORS as exc:
        raise translate(exc) from None
    finally:
        with suppress(*SERVER_ERRORS):
            await control.close(timeout=5)


async def _is_live(control: Connection, server: Server, live: Live) -> bool:
    """Whether both sessions are in one database: also through a proxy, or under another name."""
    if server.identity == live.server.identity:
        return True
    key = secrets.randbits(62)
    other = await connect(live.url)
    try:
        async with other.transaction():
            await other.execute("SELECT pg_catalog.pg_advisory_xact_lock($1)", key)
            return bool(await control.fetchval(SQL["holds"], key))
    finally:
        await other.close(timeout=5)


async def _claim(control: Connection, server: Server, tell: Callable[[str], None]) -> None:
    if not await control.fetchval(SQL["lock"], _IN_USE):
        raise Locked(
            f"another run uses the database {server.name} as its shadow",
            hint="wait until it ends, or name another database",
        )
    if not server.owner:
        raise NotPermitted(
            f"the role {server.role} does not own the database {server.name}",
            hint="name a database that the role owns",
        )
    if server.mark in {MARK, KEPT}:
        tell(f"emptying {server.name}, which is the shadow of an earlier run")
        await empty(control)
    else:
        catalog = await read_catalog(control)
        found = [one for address in catalog.entries if (one := catalog.find(address))]
        others = [one for one in found if str(one) != "schema public"]
        if others:
            raise Refused(
                f"the database {server.name} is not empty: it has {others[0]}",
                hint="name an empty database: its objects would be dropped",
            )
    await control.execute(f"COMMENT ON DATABASE {quote([server.name])} IS '{MARK}'")


async def empty(control: Connection) -> None:
    """Drop all objects of the database, and make the schema public as a new database has it."""
    async with control.transaction():
        for row in await control.fetch(SQL["everything"]):
            await control.execute(row["statement"])
        for statement in _PUBLIC:
            await control.execute(statement)
        with suppress(*SERVER_ERRORS):
            async with control.transaction():
                await control.execute(_OWNER)
