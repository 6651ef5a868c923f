"""A shadow beside the live database: a new database on the same server, dropped afterwards."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg

from app.migrate.shadow.model import KEPT, MARK, SQL, Live, Pattern, Shadow, connect, read_server
from app.recovery.core.errors import NotPermitted, Refused
from app.recovery.core.names import quote
from app.recovery.core.translate import translate
from app.recovery.db.connections import SERVER_ERRORS, Connection

# A database is made before it can have a comment: this limit of connections marks it until then.
_LIMIT = 8719
_PREFIX = "zanith_shadow_"


@asynccontextmanager
async def same_server(
    live: Live, *, keep: bool, tell: Callable[[str], None]
) -> AsyncIterator[Shadow]:
    """Make a database on the live server, and drop it; with `keep` it stays.

    NotPermitted if the role may not create databases, and Refused on a standby.
    """
    _check(live)
    control = await connect(live.url)
    name = f"{_PREFIX}{secrets.token_hex(12)}"
    try:
        await drop_leftovers(control, tell=tell)
        await control.fetchval(SQL["lock"], _key(name))
        try:
            await _create(control, name)
            url = live.beside(name)

            async def reset() -> None:
                await _drop(control, name)
                await _create(control, name)

            yield Shadow(Pattern.SAME_SERVER, url, await _look(url), reset, live.path)
        finally:
            if keep:
                await _mark(control, name, KEPT)
            else:
                await _drop(control, name)
    except SERVER_ERRORS as exc:
        raise translate(exc) from None
    finally:
        with suppress(*SERVER_ERRORS):
            await control.close(timeout=5)


async def drop_leftovers(
    control: Connection, *, tell: Callable[[str], None], kept: bool = False
) -> list[str]:
    """Drop the shadows of runs that ended without doing so; with `kept` those that were kept too.

    A database that only has the name of a shadow is left, and told.
    """
    dropped = []
    for row in await control.fetch(SQL["leftovers"]):
        name, mark = row["name"], row["mark"]
        if row["used"] or (mark == KEPT and not kept):
            continue
        if mark not in {MARK, KEPT} and not (mark is None and row["connections"] == _LIMIT):
            tell(f"the database {name} has the name of a shadow, but not its mark: it stays")
            continue
        try:
            await _drop(control, name)
        except asyncpg.PostgresError as exc:
            tell(f"the shadow {name} of an earlier run cannot be dropped: {exc}")
        else:
            tell(f"dropped the shadow {name} of an earlier run")
            dropped.append(name)
    return dropped


def _check(live: Live) -> None:
    if live.server.standby:
        raise Refused(
            "the server is a standby: no database can be created there",
            hint="connect to the primary, or use the embedded server",
        )
    if not (live.server.creates or live.server.superuser):
        raise NotPermitted(
            f"the role {live.server.role} may not create databases",
            hint=f"ALTER ROLE {quote([live.server.role])} CREATEDB, use the embedded server, or"
            " name an empty database with --shadow-url",
        )


def _key(name: str) -> int:
    """Return the number of the advisory lock that says that the shadow is in use."""
    return int(name.removeprefix(_PREFIX)[:15], 16)


async def _create(control: Connection, name: str) -> None:
    (row,) = await control.fetch(SQL["settings_of_database"])
    # CREATE DATABASE takes no parameters: names and literals are quoted here
    await control.execute(
        f"CREATE DATABASE {quote([name])} TEMPLATE template0 CONNECTION LIMIT {_LIMIT} {_like(row)}"
    )
    await control.execute(f"REVOKE ALL ON DATABASE {quote([name])} FROM PUBLIC")
    await _mark(control, name, MARK)


def _like(row: Any) -> str:
    """Return the options for the encoding and the locale of another database."""
    words = {
        "ENCODING": row["encoding"],
        "LC_COLLATE": row["collate"],
        "LC_CTYPE": row["ctype"],
    }
    if row["provider"] == "i":
        words |= {"LOCALE_PROVIDER": "icu", "ICU_LOCALE": row["locale"]}
    elif row["provider"] == "b":
        words |= {"LOCALE_PROVIDER": "builtin", "BUILTIN_LOCALE": row["locale"]}
    return " ".join(f"{word} {_literal(value)}" for word, value in words.items())


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


async def _mark(control: Connection, name: str, mark: str) -> None:
    await control.execute(f"COMMENT ON DATABASE {quote([name])} IS {_literal(mark)}")


async def _drop(control: Connection, name: str) -> None:
    await control.execute(f"DROP DATABASE IF EXISTS {quote([name])} WITH (FORCE)")


async def _look(url: str) -> Any:
    connection = await connect(url)
    try:
        return await read_server(connection)
    finally:
        await connection.close(timeout=5)
