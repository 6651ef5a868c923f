"""A shadow: where it is, and how to open it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import asyncpg

from app.recovery.core.translate import translate
from app.recovery.db.connections import SERVER_ERRORS, Connection
from app.recovery.db.conninfo import parameters, to_url
from app.recovery.db.service_file import resolve
from app.recovery.queries import load

SQL = load("shadow")
MARK = "Shadow of zanith migrate verify: it may be dropped."
"""The comment on a database that Zanith may empty or drop."""
KEPT = f"{MARK} Kept on request."


class Pattern(StrEnum):
    """Where a shadow is made."""

    EMBEDDED = "embedded"
    """On a server of its own, which starts and ends with the command."""
    SAME_SERVER = "same-server"
    """A new database beside the live one."""
    URL = "url"
    """An empty database that somebody names."""


def pattern_of(said: str | None, url: str | None) -> Pattern:
    """Return the pattern that a setting names, or else the one for the address of a shadow."""
    if said is not None:
        return Pattern(said)
    return Pattern.URL if url else Pattern.EMBEDDED


@dataclass(frozen=True)
class Server:
    """A database and its server, as a session sees them."""

    system: int
    oid: int
    name: str
    version: int
    version_text: str
    role: str
    superuser: bool
    creates: bool
    owner: bool
    standby: bool
    mark: str | None

    @property
    def identity(self) -> tuple[int, int]:
        """What no two databases have in common, except copies of the files of a server."""
        return self.system, self.oid


@dataclass(frozen=True)
class Live:
    """The live database: `url` opens it, and `path` is the search path of its ordinary sessions."""

    url: str | None
    server: Server
    path: str

    def beside(self, database: str) -> str:
        """Return the address of another database on its server."""
        return to_url({**known_parts(self.url), "dbname": database})


@dataclass(frozen=True)
class Shadow:
    """A shadow that is ready: an empty database."""

    pattern: Pattern
    url: str
    server: Server
    reset: Callable[[], Awaitable[None]] = field(repr=False)
    """Empties the database; no session may be open in it."""
    path: str | None = None
    elevate: Callable[[bool], Awaitable[None]] | None = field(default=None, repr=False)
    """Makes the session's role a superuser, or an ordinary role again; only on a server of ours."""
    create_roles: Callable[[set[str]], Awaitable[None]] | None = field(default=None, repr=False)
    """Creates roles that do not exist; only on a server of ours."""

    @property
    def address(self) -> str:
        """The address without its password, for people."""
        found = {key: value for key, value in known_parts(self.url).items() if key != "password"}
        return to_url(found)

    async def connect(self) -> Connection:
        """Open a session as a tool would have it: with the search path of the live database."""
        settings = {"search_path": self.path} if self.path is not None else {}
        return await connect(self.url, settings)

    def to_json(self) -> dict[str, Any]:
        return {"pattern": self.pattern.value, "version": self.server.version_text}


def known_parts(url: str | None) -> dict[str, str]:
    text = resolve(url)
    return parameters(text) if text else {}


async def connect(url: str | None, settings: Mapping[str, str] | None = None) -> Connection:
    """Open one session; what the server says leaves as a ZanithError."""
    given = {"application_name": "zanith verify", **(settings or {})}
    try:
        return await asyncpg.connect(
            resolve(url), timeout=10, statement_cache_size=0, server_settings=given
        )
    except SERVER_ERRORS as exc:
        raise translate(exc) from None


async def read_server(connection: Connection) -> Server:
    """Return what the server and the database are."""
    (row,) = await connection.fetch(SQL["server"])
    return Server(**dict(row))


async def read_live(url: str | None) -> Live:
    """Return the live database: nothing is changed there."""
    connection = await connect(url)
    try:
        path = await connection.fetchval("SHOW search_path")
        return Live(url, await read_server(connection), path)
    finally:
        await connection.close(timeout=5)
