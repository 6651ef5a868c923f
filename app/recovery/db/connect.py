"""Connecting: the address, the settings of each connection, and a pool that fits a pooler."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from app.recovery.core.errors import Failed, WrongUsage
from app.recovery.core.translate import translate
from app.recovery.db.connections import (
    SERVER_ERRORS,
    Pool,
    PooledConnection,
)
from app.recovery.db.session_settings import of_connections


class Secret(Protocol):
    """A text that does not print itself, such as pydantic's SecretStr."""

    def get_secret_value(self) -> str:
        """Return the text."""
        ...


# Seconds of silence before the first probe and between probes, how many, and, in ms, how long what
# was sent may stay unacknowledged.
_KEEPALIVE = {
    "TCP_KEEPIDLE": 15,
    "TCP_KEEPINTVL": 10,
    "TCP_KEEPCNT": 4,
    "TCP_USER_TIMEOUT": 55_000,
}

RELEASE_SECONDS = 10
"""The longest that a connection may take to be given back: one that takes longer is given up."""


def unreadable_url() -> WrongUsage:
    return WrongUsage(
        "the database URL cannot be read",
        detail="in a user, password or name, each of :/?#[]@ is written as % and its code",
        hint="write it as postgresql://user@host:5432/database",
    )


def room_for(pool: Pool) -> int:
    """Return how many connections may still be opened."""
    return pool.get_max_size() - pool.get_size()


async def make_pool(first: int, most: int, options: dict[str, Any]) -> tuple[Pool, dict[str, Any]]:
    """Connect; return the pool, and the options with which it could.

    A pooler may refuse to pass settings on, or ignore them: then each transaction sets its own, and
    nothing makes a session read only. What is lost later is made again when it is wanted, not by
    the pool, which would print a traceback for as long as the server is away.
    """
    sizes: dict[str, Any] = {"init_size": first, "min_size": 0, "max_size": most}
    with suppress(asyncpg.ProtocolViolationError):
        pool = await asyncpg.create_pool(**sizes, **options)
        try:
            async with pool.acquire() as connection:
                if await connection.fetchval("SHOW search_path") == of_connections()["search_path"]:
                    return pool, options
        except BaseException:
            pool.terminate()  # nobody else has it yet
            raise
        await pool.close()
    name = options["server_settings"]["application_name"]
    options = {
        **options,
        "server_settings": {"application_name": name},
        "connection_class": PooledConnection,
        "reset": leave,
    }
    return await asyncpg.create_pool(**sizes, **options), options


def options_of_environment(url: str | None) -> dict[str, str]:
    """Return PGOPTIONS as a setting, as libpq does; the options of a URL stand before it."""
    given = os.environ.get("PGOPTIONS")
    if not given or "options" in parse_qs(urlsplit(url or "").query):
        return {}
    return {"options": given}


def notice_silence(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Let the kernel tell within a minute that nobody is there any more, as libpq can (tcp(7)).

    The default is two hours: a client would wait that long for an answer that never comes.
    """
    found = connection._transport.get_extra_info("socket")  # type: ignore[attr-defined]  # noqa: SLF001
    if found is None or found.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):  # each system has its own
            found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def leave(_connection: object) -> None:
    """Leave a session as it is: asyncpg rolls back, and would send a statement that resets all."""


async def give_back(pool: Pool, connection: PoolConnectionProxy[asyncpg.Record]) -> None:
    """Give a connection back; what fails then costs the connection, and undoes nothing."""
    with suppress(*SERVER_ERRORS):
        if connection.is_in_transaction():  # its rollback was cancelled: asyncpg would complain
            async with asyncio.timeout(RELEASE_SECONDS):
                await connection.execute("ROLLBACK")
    with suppress(*SERVER_ERRORS):
        await pool.release(connection, timeout=RELEASE_SECONDS)


def reveal(url: str | Secret | None) -> str | None:
    return url if isinstance(url, str | None) else url.get_secret_value()


def cannot_connect(host: str, port: int | None, exc: OSError) -> Failed:
    return Failed(
        f"cannot connect to PostgreSQL at {host}:{port or 5432}",
        detail=exc.strerror or str(exc),
        hint=translate(exc).hint,
    )


def address_of(url: str | None) -> tuple[str, int | None]:
    """Return the host and port that a url, or else libpq's variables, name; for display."""
    parts = urlsplit(url or "")
    query = parse_qs(parts.query)
    try:
        port = parts.port
    except ValueError:  # several hosts
        port = None
    host = parts.hostname or query.get("host", [""])[0] or os.environ.get("PGHOST") or "localhost"
    port_text = query.get("port", [""])[0] or os.environ.get("PGPORT", "")
    return host, port or (int(port_text) if port_text.isdigit() else None)
