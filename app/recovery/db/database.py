"""The connection to one database: settings that do not change, and three pools.

Work runs on the main pool. What pages show, progress, and a look at who blocks whom run on a small
second one, so that neither a page nor work which holds a connection waits for one that work holds;
leases of jobs on a third, so that a live job never loses its lease because others wait for a
statement.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import asyncpg

from app.recovery.core.cache import Cache
from app.recovery.core.errors import PoolExhausted, ZanithError
from app.recovery.core.four_eyes import Change
from app.recovery.core.tasks import stop
from app.recovery.core.translate import TRANSACTION_TIMEOUT, translate
from app.recovery.db.connect import (
    Secret,
    address_of,
    cannot_connect,
    give_back,
    leave,
    make_pool,
    notice_silence,
    options_of_environment,
    reveal,
    room_for,
    unreadable_url,
)
from app.recovery.db.connections import (
    LOST,
    SERVER_ERRORS,
    Connection,
    OwnConnection,
    Pool,
    use_json,
)
from app.recovery.db.events import Hub
from app.recovery.db.local_jobs import LocalJobs
from app.recovery.db.reader_limit import ReaderLimit
from app.recovery.db.service_file import resolve
from app.recovery.db.session_settings import of_connections
from app.recovery.queries import load

SQL = load("database")

LEASE_SECONDS = 5
"""The longest that one statement about a lease, or connecting for it, may take."""

WAIT_SECONDS = 60
"""The longest that work waits for a connection that others hold."""

SIDE_SECONDS = 30
"""The longest that one short statement beside other work may take."""


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
    prepares: bool = False

    @property
    def tells_all(self) -> bool:
        """Whether NOTIFY tells of every change.

        A standby has no LISTEN. The guard notifies nobody where transactions may be prepared:
        PostgreSQL refuses PREPARE TRANSACTION after NOTIFY.
        """
        return not self.standby and not self.prepares


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
        approvals: frozenset[Change] = frozenset(),
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
        # What the settings want approved; the database may require more.
        self.approvals = approvals
        self.turns = ReaderLimit()
        self.local_jobs = LocalJobs()
        # What renews the leases of jobs that this process is about to run, by their ids.
        self._asked = asked
        self._bounded = False
        self.kept_jobs: dict[str, asyncio.Task[None]] = {}
        self.memory = Cache()
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
        approvals: frozenset[Change] = frozenset(),
    ) -> Database:
        """Connect and return the database.

        Without a url the PG* variables say where, as in libpq. ``listen_url`` is a direct
        connection for LISTEN where a pooler stands between, without which events are polled for;
        ``retention`` is when captures expire by default, "default" what the database's
        zanith.retention says; ``read_timeout`` bounds the reads of app.recovery.db.bounded_reads;
        ``approvals`` are the changes that a second person must approve.
        Failed, NotPermitted, NotFound or WrongUsage where that does not work; never with the
        password in it.
        """
        try:
            url = resolve(reveal(url))
            listen_url = resolve(reveal(listen_url), environment=False)
            environment = options_of_environment(url)
        except ValueError:
            raise unreadable_url() from None
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
            "init": _prepare,
            "connection_class": OwnConnection,
        }
        try:
            pool, options = await make_pool(max(min_size, 1), max_size, options)
        except OSError as exc:
            raise cannot_connect(*address_of(url), exc) from None
        except SERVER_ERRORS as exc:
            raise translate(exc) from None
        except ValueError:
            raise unreadable_url() from None
        # Nothing of such statements stays in the session, so that it needs no cleaning.
        own = {**options, "reset": leave}
        side_pool = asyncpg.create_pool(min_size=0, max_size=6, **own)
        await side_pool
        # A try that hangs ends while the lease still has time for another.
        brief = {**own, "timeout": LEASE_SECONDS, "command_timeout": LEASE_SECONDS}
        lease_pool = asyncpg.create_pool(min_size=0, max_size=2, **brief)
        await lease_pool
        hub = Hub(listen_url or url, application_name, direct=listen_url is not None)
        where = address_of(url)
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
            approvals=approvals,
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
            prepares=row["prepares"],
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

        PoolExhausted if none becomes free in ``wait`` seconds: a task that holds one and needs more
        waits for a short time only, since others may wait for that one.
        """
        async with self._lend(self._pool, WAIT_SECONDS if wait is None else wait) as connection:
            yield connection

    @asynccontextmanager
    async def side(self) -> AsyncIterator[Connection]:
        """Lend a connection for one short statement about Zanith's own tables.

        A page's, or one beside work under way: neither waits for those that work holds. An idle
        connection for work comes first, because its session may have the plans already.
        """
        pool = self._pool if self._pool.get_idle_size() else self._side_pool
        async with self._lend(pool, WAIT_SECONDS, SIDE_SECONDS) as connection:
            yield connection

    @asynccontextmanager
    async def leasing(self) -> AsyncIterator[Connection]:
        """Lend a connection that only leases use: to renew one, and to end a job that has one."""
        async with self._lend(self._lease_pool) as connection:
            yield connection

    @asynccontextmanager
    async def _lend(
        self, pool: Pool, wait: float | None = None, at_most: float | None = None
    ) -> AsyncIterator[Connection]:
        """Lend a connection of a pool; its user may take ``at_most`` so many seconds."""
        try:
            connection = await pool.acquire(timeout=wait)
        except OSError as exc:
            if isinstance(exc, TimeoutError) and pool.get_idle_size() == 0 == room_for(pool):
                raise PoolExhausted(
                    f"all {pool.get_max_size()} connections of this process are in use",
                    hint="wait until other work has ended: zanith jobs list",
                ) from None
            raise cannot_connect(self.server.host, self.server.port, exc) from exc
        except SERVER_ERRORS as exc:
            raise self._tell(exc) from exc
        try:
            async with asyncio.timeout(at_most):
                yield connection
        except SERVER_ERRORS as exc:
            raise self._tell(exc) from exc
        finally:
            # shielded: a connection is given back also if its user is cancelled
            release = asyncio.create_task(give_back(pool, connection))
            self._releasing.add(release)
            release.add_done_callback(self._releasing.discard)
            await asyncio.shield(release)

    def _tell(self, exc: BaseException) -> ZanithError:
        """Return our error for one of the server's: a lost session may have met a timeout."""
        error = translate(exc)
        if self._bounded and isinstance(exc, LOST):
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
        async with self.session() as session:
            return str(await session.fetchval("SHOW search_path"))

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Connection]:
        """Lend a session of its own with the settings that role, database and URL say, not ours.

        It is for SQL of users, which has to find what it finds in any other client.
        """
        try:
            session = await asyncpg.connect(**self._asked or {}, statement_cache_size=0)
        except OSError as exc:
            raise cannot_connect(self.server.host, self.server.port, exc) from exc
        except SERVER_ERRORS as exc:
            raise self._tell(exc) from exc
        try:
            await _prepare(session)
            yield session
        except SERVER_ERRORS as exc:
            raise self._tell(exc) from exc
        finally:
            session.terminate()

    async def blockers(self, pid: int) -> list[Blocker]:
        """Return who holds up a backend now; an empty list where it does not wait for a lock."""
        async with self.side() as connection:
            rows = await connection.fetch(SQL["blockers"], pid)
        return [Blocker(**dict(row)) for row in rows]


async def _prepare(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Make a new connection ready."""
    notice_silence(connection)
    await use_json(connection)
