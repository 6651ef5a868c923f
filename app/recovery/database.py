"""The connection to one database: settings that do not change, and three pools.

Work runs on the main pool. What pages show, progress, and a look at who blocks whom run on a small
second one, so that neither a page nor work which holds a connection waits for one that work holds;
leases of jobs on a third, so that a live job never loses its lease because others wait for a
statement.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal, Protocol, TypeAlias
from urllib.parse import parse_qs, urlsplit

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from app.recovery.errors import (
    TRANSACTION_TIMEOUT,
    Failed,
    NotPermitted,
    PoolExhausted,
    WrongUsage,
    ZanithError,
    translate,
)
from app.recovery.events import Hub
from app.recovery.fixed import of_connections
from app.recovery.local_jobs import LocalJobs
from app.recovery.memory import Memory
from app.recovery.pooled import OwnConnection, PooledConnection
from app.recovery.services import resolve
from app.recovery.sql import load
from app.recovery.tasks import stop
from app.recovery.turns import Turns

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"


class Secret(Protocol):
    """A text that does not print itself, such as pydantic's SecretStr."""

    def get_secret_value(self) -> str:
        """Return the text."""
        ...


Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

SQL = load("database")

LEASE_SECONDS = 5
"""The longest that one statement about a lease, or connecting for it, may take."""

# What a lost, refusing or unreachable server raises; asyncpg calls it internal where a connection
# ended so that it cannot tell where in the protocol it stands.
SERVER_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)

_LOST = (
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    ConnectionError,
)

# Seconds of silence before the first probe and between probes, how many, and, in ms, how long what
# was sent may stay unacknowledged.
_KEEPALIVE = {
    "TCP_KEEPIDLE": 15,
    "TCP_KEEPINTVL": 10,
    "TCP_KEEPCNT": 4,
    "TCP_USER_TIMEOUT": 55_000,
}

WAIT_SECONDS = 60
"""The longest that work waits for a connection that others hold."""

RELEASE_SECONDS = 10
"""The longest that a connection may take to be given back: one that takes longer is given up."""


@dataclass(frozen=True)
class Actor:
    """Who asks: a person or a token's name, from where, and in which role."""

    name: str
    address: str | None = None
    role: Literal["dev", "staff", "viewer", "cli"] = "cli"
    sees_rows: bool = True
    """Whether it may see rows of what is parked, and export them."""


def require_rows(actor: Actor, what: str) -> None:
    """Raise NotPermitted where the actor may not see what is parked."""
    if not actor.sees_rows:
        raise NotPermitted(
            f"viewers may not {what} here",
            detail="this studio shows viewers no rows (ZANITH_VIEWER_EXPORT is off)",
            hint="sign in with a staff token",
        )


# How many characters are kept at most; rows from before these bounds stay as they are.
LONGEST_REASON = 2_000
LONGEST_NAME = 200


def check_words(actor: Actor, reason: str | None = None, migration_id: str | None = None) -> None:
    """Raise WrongUsage where a text that would be kept is too long."""
    for what, said, longest in (
        ("reason", reason, LONGEST_REASON),
        ("migration id", migration_id, LONGEST_NAME),
        ("name of who does it", actor.name, LONGEST_NAME),
    ):
        if said is not None and len(said) > longest:
            raise WrongUsage(
                f"the {what} has {len(said):,} characters, and {longest:,} are kept at most",
                hint="shorten it; write the rest down where it can be as long as it needs to be",
            )


def require_change(actor: Actor, what: str) -> None:
    """Raise NotPermitted where the actor may only look."""
    if actor.role == "viewer":
        raise NotPermitted(
            f"{actor.name} may look, verify and export, not {what}",
            hint="sign in with a staff token",
        )


@dataclass(frozen=True)
class ServerInfo:
    """Where this is: shown on every page and beside every plan."""

    host: str
    port: int
    database: str
    role: str
    version: int
    version_text: str
    standby: bool


@dataclass(frozen=True)
class Blocker:
    """One backend that holds a lock which another waits for; ``age`` of its transaction in s."""

    pid: int
    role: str | None
    application: str | None
    address: str | None
    state: str | None
    age: float | None
    query: str | None

    def describe(self, *, query: bool = True) -> str:
        """Return one line for an error's detail; a query can hold values, and is not kept."""
        where = f" from {self.address}" if self.address else ""
        age = f", its transaction open for {self.age:.0f} s" if self.age is not None else ""
        name = f" {self.application}" if self.application else ""
        who = f"pid {self.pid} ({self.role}{name}{where}, {self.state}{age})"
        return f"{who}: {' '.join((self.query or '').split())}" if query else who


class Database:
    """Frozen settings and the pools; made by :meth:`open`, ended by :meth:`close`."""

    def __init__(
        self,
        pool: Pool,
        side_pool: Pool,
        lease_pool: Pool,
        hub: Hub,
        server: ServerInfo,
        *,
        lock_timeout: timedelta,
        lock_retries: int,
        read_only: bool,
        retention: timedelta | str | None = "default",
        read_timeout: timedelta | None = None,
        asked: dict[str, Any] | None = None,
    ) -> None:
        self._pool = pool
        self._side_pool = side_pool
        self._lease_pool = lease_pool
        self.events = hub
        self.server = server
        self.lock_timeout = lock_timeout
        self.lock_retries = lock_retries
        self.read_only = read_only
        self.pooled = False
        self.retention = retention
        self.read_timeout = read_timeout
        self.turns = Turns()
        self.local_jobs = LocalJobs()
        # What renews the leases of jobs that this process is about to run, by their ids.
        self._asked = asked
        self._bounded = False
        self.kept_jobs: dict[str, asyncio.Task[None]] = {}
        self.memory = Memory()
        self._releasing: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        """Name the place; never the password."""
        server = self.server
        return f"<Database {server.database} at {server.host}:{server.port} as {server.role}>"

    @classmethod
    async def open(
        cls,
        url: str | Secret | None = None,
        *,
        lock_timeout: timedelta = timedelta(seconds=2),
        lock_retries: int = 5,
        min_size: int = 1,
        max_size: int = 10,
        application_name: str = "zanith",
        read_only: bool = False,
        listen_url: str | Secret | None = None,
        retention: timedelta | str | None = "default",
        read_timeout: timedelta | None = None,
    ) -> Database:
        """Connect and return the database.

        Without a url the PG* variables say where, as in libpq. ``listen_url`` is a direct
        connection for LISTEN where a pooler stands between, without which events are polled for;
        ``retention`` is when captures expire by default, "default" what the database's
        zanith.retention says; ``read_timeout`` bounds the reads of app.recovery.looking. Failed,
        NotPermitted, NotFound or WrongUsage where that does not work; never with the password in
        it.
        """
        try:
            url = resolve(_reveal(url))
            listen_url = resolve(_reveal(listen_url), environment=False)
            environment = _options_of_environment(url)
        except ValueError:
            raise _unreadable() from None
        # what the user asked for, which our own settings then replace where both name one
        asked = {"application_name": application_name, **environment}
        settings = {**asked, **of_connections()}
        if read_only:
            settings["default_transaction_read_only"] = "on"
        options: dict[str, Any] = {
            "dsn": url,
            "server_settings": settings,
            # A capture or restore changes the columns of tables under other sessions' feet; a
            # cached statement would then fail with "cached plan must not change result type".
            # It also lets a transaction pooler stand between.
            "statement_cache_size": 0,
            "max_inactive_connection_lifetime": 60,
            "timeout": 10,
            "init": _notice_silence,
            "connection_class": OwnConnection,
        }
        try:
            pool, options = await _make_pool(max(min_size, 1), max_size, options)
        except OSError as exc:
            raise _cannot_connect(*_address(url), exc) from None
        except SERVER_ERRORS as exc:
            raise translate(exc) from None
        except ValueError:
            raise _unreadable() from None
        # Nothing of such statements stays in the session, so that it needs no cleaning.
        own = {**options, "reset": _leave}
        side_pool = asyncpg.create_pool(min_size=0, max_size=6, command_timeout=30, **own)
        await side_pool
        # A try that hangs ends while the lease still has time for another.
        brief = {**own, "timeout": LEASE_SECONDS, "command_timeout": LEASE_SECONDS}
        lease_pool = asyncpg.create_pool(min_size=0, max_size=2, **brief)
        await lease_pool
        hub = Hub(listen_url or url, application_name, direct=listen_url is not None)
        where = _address(url)
        placeholder = ServerInfo(where[0], where[1] or 0, "", "", 0, "", standby=False)
        db = cls(
            pool,
            side_pool,
            lease_pool,
            hub,
            placeholder,
            lock_timeout=lock_timeout,
            lock_retries=lock_retries,
            read_only=read_only,
            retention=retention,
            read_timeout=read_timeout,
            asked={"dsn": url, "timeout": 10, "server_settings": asked},
        )
        try:
            await db.refresh()
        except BaseException:
            await db.close()
            raise
        return db

    async def refresh(self) -> ServerInfo:
        """Read again what the server is (a standby may have been promoted), and return it."""
        async with self.acquire() as connection:
            row: Any = await connection.fetchrow(SQL["server_info"])
            # a pooler makes up the process that it tells of when one connects
            self.pooled = connection.get_server_pid() != row["pid"]
            self._bounded = row["bounded"]
        self.events.pooled = self.pooled
        self.server = replace(
            self.server,
            port=self.server.port or row["port"],
            database=row["database"],
            role=row["role"],
            version=row["version"],
            version_text=row["version_text"],
            standby=row["standby"],
        )
        return self.server

    async def close(self) -> None:
        """Close every connection; what still runs is cut off after ten seconds."""
        await self.events.close()
        for keeping in list(self.kept_jobs.values()):
            await stop(keeping)
        for pool in (self._pool, self._side_pool, self._lease_pool):
            try:
                async with asyncio.timeout(10):
                    await pool.close()
            except (TimeoutError, *SERVER_ERRORS):
                pool.terminate()

    @asynccontextmanager
    async def acquire(self, wait: float | None = None) -> AsyncIterator[Connection]:
        """Lend a connection; what the server raises inside leaves as a ZanithError.

        PoolExhausted where none becomes free in ``wait`` seconds: whoever holds one and needs more
        waits for a short time only, since others may wait for that one.
        """
        async with self._lend(self._pool, WAIT_SECONDS if wait is None else wait) as connection:
            yield connection

    @asynccontextmanager
    async def side(self) -> AsyncIterator[Connection]:
        """Lend a connection for one short statement about Zanith's own tables.

        A page's, or one beside work under way: neither waits for those that work holds.
        """
        async with self._lend(self._side_pool, WAIT_SECONDS) as connection:
            yield connection

    @asynccontextmanager
    async def leasing(self) -> AsyncIterator[Connection]:
        """Lend a connection that only leases use: to renew one, and to end a job that has one."""
        async with self._lend(self._lease_pool) as connection:
            yield connection

    @asynccontextmanager
    async def _lend(self, pool: Pool, wait: float | None = None) -> AsyncIterator[Connection]:
        try:
            connection = await pool.acquire(timeout=wait)
        except OSError as exc:
            if isinstance(exc, TimeoutError) and pool.get_idle_size() == 0 == _room(pool):
                raise PoolExhausted(
                    f"all {pool.get_max_size()} connections of this process are in use",
                    hint="wait until other work has ended: zanith jobs list",
                ) from None
            raise _cannot_connect(self.server.host, self.server.port, exc) from exc
        except SERVER_ERRORS as exc:
            raise self._tell(exc) from exc
        try:
            yield connection
        except SERVER_ERRORS as exc:
            raise self._tell(exc) from exc
        finally:
            # shielded: a connection is given back also where whoever had it goes away
            release = asyncio.create_task(_release(pool, connection))
            self._releasing.add(release)
            release.add_done_callback(self._releasing.discard)
            await asyncio.shield(release)

    def _tell(self, exc: BaseException) -> ZanithError:
        """Return our error for one of the server's: a lost session may have met a timeout."""
        error = translate(exc)
        if self._bounded and isinstance(exc, _LOST):
            error.hint = TRANSACTION_TIMEOUT  # which ends a session between two statements
        return error

    async def configured_path(self, connection: Connection | None = None) -> str:
        """Return the search path of an ordinary session: what role, database and URL say.

        It decides which table an unqualified name means. Our own sessions have another path, and
        PostgreSQL forgets the one that it replaced, so a session without it is asked. Behind a
        pooler that is ``connection``, where somebody has one: to wait for a second would have
        others wait for the first.
        """
        if self.pooled:
            if connection is not None:
                return str(await connection.fetchval(SQL["configured_path"]))
            async with self.side() as other:
                return str(await other.fetchval(SQL["configured_path"]))
        try:
            session = await asyncpg.connect(**self._asked or {})
            try:
                return str(await session.fetchval("SHOW search_path"))
            finally:
                session.terminate()
        except SERVER_ERRORS as exc:
            raise self._tell(exc) from exc

    async def blockers(self, pid: int) -> list[Blocker]:
        """Return who holds up a backend now; an empty list where it does not wait for a lock."""
        async with self.side() as connection:
            rows = await connection.fetch(SQL["blockers"], pid)
        return [Blocker(**dict(row)) for row in rows]


def _unreadable() -> WrongUsage:
    return WrongUsage(
        "the database URL cannot be read",
        detail="in a user, password or name, each of :/?#[]@ is written as % and its code",
        hint="write it as postgresql://user@host:5432/database",
    )


def _room(pool: Pool) -> int:
    """Return how many connections may still be opened."""
    return pool.get_max_size() - pool.get_size()


async def _make_pool(first: int, most: int, options: dict[str, Any]) -> tuple[Pool, dict[str, Any]]:
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
        "reset": _leave,
    }
    return await asyncpg.create_pool(**sizes, **options), options


def _options_of_environment(url: str | None) -> dict[str, str]:
    """Return PGOPTIONS as a setting, as libpq does; the options of a URL stand before it."""
    given = os.environ.get("PGOPTIONS")
    if not given or "options" in parse_qs(urlsplit(url or "").query):
        return {}
    return {"options": given}


async def _notice_silence(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Let the kernel tell within a minute that nobody is there any more, as libpq can (tcp(7)).

    The default is two hours, for which whoever waits for an answer would wait in vain.
    """
    found = connection._transport.get_extra_info("socket")  # type: ignore[attr-defined]  # noqa: SLF001
    if found is None or found.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):  # each system has its own
            found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def _leave(_connection: object) -> None:
    """Leave a session as it is: asyncpg rolls back, and would send a statement that resets all."""


async def _release(pool: Pool, connection: PoolConnectionProxy[asyncpg.Record]) -> None:
    """Give a connection back; what fails then costs the connection, and undoes nothing."""
    with suppress(*SERVER_ERRORS):
        if connection.is_in_transaction():  # its rollback was cancelled: asyncpg would complain
            async with asyncio.timeout(RELEASE_SECONDS):
                await connection.execute("ROLLBACK")
    with suppress(*SERVER_ERRORS):
        await pool.release(connection, timeout=RELEASE_SECONDS)


@asynccontextmanager
async def rolled_back(connection: Connection, **options: Any) -> AsyncIterator[None]:
    """Run the body in a transaction that leaves nothing, however it ends."""
    block = connection.transaction(**options)
    await block.__aenter__()
    try:
        yield
    finally:
        with suppress(*SERVER_ERRORS):
            await block.__aexit__(Exception, None, None)


@asynccontextmanager
async def transaction(connection: Connection, **options: Any) -> AsyncIterator[None]:
    """Run the body in a transaction, or a savepoint within one; a lost connection masks nothing.

    (asyncpg's own context manager fails to roll back on a connection that was given up, and that
    failure would take the place of the reason.)
    """
    block = connection.transaction(**options)
    await block.__aenter__()  # not start(): cancelled there, it would be complained of
    try:
        yield
    except BaseException as exc:
        with suppress(*SERVER_ERRORS):
            await block.__aexit__(type(exc), exc, None)
        raise
    await block.__aexit__(None, None, None)


def milliseconds(limit: timedelta) -> int:
    """Return a timeout as PostgreSQL takes it: none of less than a millisecond."""
    return max(1, round(limit.total_seconds() * 1000))


def lock_timeout_text(limit: timedelta) -> str:
    """Return the limit as PostgreSQL's setting takes it."""
    return f"{milliseconds(limit)}ms"


async def notify(connection: Connection, event: str, *keys: str) -> None:
    """Tell listeners, at commit, that artifacts, jobs or the audit log changed."""
    await connection.execute(SQL["notify"], event, keys)


def _reveal(url: str | Secret | None) -> str | None:
    return url if isinstance(url, str | None) else url.get_secret_value()


def _cannot_connect(host: str, port: int | None, exc: OSError) -> Failed:
    return Failed(
        f"cannot connect to PostgreSQL at {host}:{port or 5432}",
        detail=exc.strerror or str(exc),
        hint=translate(exc).hint,
    )


def _address(url: str | None) -> tuple[str, int | None]:
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
