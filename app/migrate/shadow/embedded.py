"""A shadow on an embedded server: it starts with the command, and is deleted with its data.

Migrations run there as a role that is no superuser, so that their code cannot run programs as the
person who calls Zanith. Statements that need a superuser and run no code of the schema get one.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from app.embedded import EmbeddedServer
from app.migrate.shadow.model import Live, Pattern, Shadow, connect, read_server
from app.recovery.core.names import quote
from app.recovery.db.connections import Connection
from app.recovery.db.conninfo import parameters, to_url

_PREFIX = "zanith-shadow-"
_LOCK, _KEPT, _DATA = "in-use", "kept", "data"
_DATABASE = "shadow"
_ROOT, _BOOTSTRAP, _ROLE = "zanith_root", "zanith_bootstrap", "zanith_shadow"
_CREATE = f"CREATE DATABASE {_DATABASE} OWNER {_ROLE} TEMPLATE template0"
_STOP_SECONDS = 20


@asynccontextmanager
async def embedded(
    live: Live | None, *, keep: bool, tell: Callable[[str], None]
) -> AsyncIterator[Shadow]:
    """Start a server whose version is not older than the live one's, if there is such a server.

    WrongUsage if the package of the embedded server is not installed.
    """
    with _directory(keep=keep, tell=tell) as directory:
        server = EmbeddedServer(directory / _DATA, live.server.version if live else None)
        try:
            url = await asyncio.to_thread(server.start)
            root = await _prepare(url)
            try:
                yield await _shadow(url, root, live)
            finally:
                await root.close(timeout=5)
        finally:
            if keep:
                server.leave()
            else:
                await asyncio.to_thread(server.stop)


async def _prepare(url: str) -> Connection:
    """Make the database and its role; return a superuser's session.

    The bootstrap role gets another name, so that a migration's `OWNER TO postgres` names a role
    without rights.
    """
    first = await connect(url)
    try:
        await first.execute(f"CREATE ROLE {_ROOT} LOGIN SUPERUSER")
    finally:
        await first.close()
    root = await connect(_as(url, _ROOT, "postgres"))
    await root.execute(f"ALTER ROLE postgres RENAME TO {_BOOTSTRAP}")
    await root.execute("CREATE ROLE postgres CREATEROLE CREATEDB")
    await root.execute(f"CREATE ROLE {_ROLE} LOGIN CREATEROLE CREATEDB INHERIT")
    await root.execute(f"GRANT postgres TO {_ROLE} WITH ADMIN OPTION")
    await root.execute(f"ALTER ROLE {_ROLE} SET createrole_self_grant = 'set, inherit'")
    await root.execute(_CREATE)
    return root


async def _shadow(url: str, root: Connection, live: Live | None) -> Shadow:
    async def elevate(yes: bool) -> None:
        await root.execute(f"ALTER ROLE {_ROLE} {'' if yes else 'NO'}SUPERUSER")

    async def create_roles(names: set[str]) -> None:
        rows = await root.fetch("SELECT rolname::text AS name FROM pg_catalog.pg_roles")
        for name in sorted(names - {row["name"] for row in rows}):
            await root.execute(f"CREATE ROLE {quote([name])}")
            await root.execute(f"GRANT {quote([name])} TO {_ROLE} WITH ADMIN OPTION")

    async def reset() -> None:
        await root.execute(f"DROP DATABASE {_DATABASE} WITH (FORCE)")
        await root.execute(_CREATE)

    own = _as(url, _ROLE, _DATABASE)
    connection = await connect(own)
    try:
        server = await read_server(connection)
    finally:
        await connection.close(timeout=5)
    path = live.path if live else None
    return Shadow(Pattern.EMBEDDED, own, server, reset, path, elevate, create_roles)


def _as(url: str, role: str, database: str) -> str:
    return to_url({**parameters(url), "user": role, "dbname": database})


# ------------------------------------------------------------------------------------- directories


@contextmanager
def _directory(*, keep: bool, tell: Callable[[str], None]) -> Iterator[Path]:
    """Make a directory for a server, whose lock says that this process uses it."""
    remove_leftovers(tell=tell)
    while True:
        directory = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = _lock(directory)
        if lock is not None:
            break
    try:
        yield directory
    finally:
        if keep:
            (directory / _KEPT).touch()
        else:
            shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def _lock(directory: Path) -> int | None:
    """Lock the directory for this process; None if another process uses or has deleted it."""
    path = directory / _LOCK
    try:
        lock = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_ino == path.stat().st_ino:
            return lock
    except OSError:
        pass
    os.close(lock)
    return None


def remove_leftovers(*, tell: Callable[[str], None], kept: bool = False) -> list[Path]:
    """Stop and delete the servers of runs that were killed; with `kept` also those that stayed."""
    removed = []
    for directory in sorted(Path(tempfile.gettempdir()).glob(f"{_PREFIX}*")):
        with suppress(OSError):
            if directory.stat().st_uid != os.geteuid() or directory.is_symlink():
                continue
            if (directory / _KEPT).exists() and not kept:
                continue
            lock = _lock(directory)
            if lock is None:
                continue
            try:
                _stop(directory / _DATA)
                shutil.rmtree(directory, ignore_errors=True)
            finally:
                os.close(lock)
            tell(f"removed the shadow of an earlier run in {directory}")
            removed.append(directory)
    return removed


def _stop(data: Path) -> None:
    """Stop the server of a data directory at once, if it is one."""
    try:
        pid = int((data / "postmaster.pid").read_text("ascii").split("\n", 1)[0])
    except (OSError, ValueError):
        return
    import psutil

    with suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        if str(data.resolve()) in process.cmdline():
            process.send_signal(signal.SIGQUIT)
            process.wait(_STOP_SECONDS)
