"""Where it is measured: a server set up as one would be, and the table that all is done to."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from app.recovery.core.actor import Actor
from app.recovery.db.database import Database
from app.recovery.rows import seal
from tests import clusters
from tests.clusters import Server
from tests.conftest import install_zanith

T = TypeVar("T")
ACTOR = Actor("bench", None, "staff")

# Durable in both. Sized: as on a small server of one's own, with a cache that holds the table, WAL that
# is not checkpointed in the middle of a measurement, and no autovacuum: the tables are vacuumed and
# analyzed when made, and nothing else may start while the clock runs. Stock: as PostgreSQL comes.
DURABLE = """
max_locks_per_transaction = 256
wal_level = replica
fsync = on
full_page_writes = on
synchronous_commit = on
"""
SETTINGS = {
    "sized": f"""{DURABLE}
shared_buffers = 1GB
maintenance_work_mem = 256MB
max_wal_size = 8GB
checkpoint_timeout = 1h
autovacuum = off
""",
    "stock": f"""{DURABLE}
shared_buffers = 128MB
""",
}

# 135 bytes a row.
TABLE = """
CREATE TABLE {name} (id bigint PRIMARY KEY, code text, price numeric, at timestamptz, meta jsonb);
INSERT INTO {name}
SELECT n, 'code-' || md5(n::text), (n::bigint * 7919 % 1000003) / 100.0,
       '2024-01-01 00:00+00'::timestamptz + n * interval '7 s',
       jsonb_build_object('n', n, 'kind', n % 17, 'tag', 'tag ' || n % 1009)
FROM generate_series(1, {rows}) AS n;
"""


class Place:
    """A running server with the options of this run, and databases that are made once."""

    def __init__(self, server: Server, options: argparse.Namespace) -> None:
        self.server = server
        self.options = options
        self.rows: int = options.rows
        self.rounds: int = options.rounds
        self.often: int = 3 * options.rounds  # for what takes next to no time
        self._serial = itertools.count(1)
        self._made: set[str] = set()

    def url(self, dbname: str) -> str:
        """Return the address of a database, over TCP as from another process on the machine."""
        return self.server.tcp_url(dbname)

    def begin(self, name: str, template: str | None = None) -> bool:
        """Make a database, of a template or with Zanith alone; False where this run has it already."""
        if name in self._made:
            return False
        self._made.add(name)
        self.server.psql("postgres", f"CREATE DATABASE {name} TEMPLATE {template or 'template0'}")
        if template is None:
            install_zanith(self.url(name))
        return True

    def table(self, rows: int | None = None) -> str:
        """Return a database that holds public.orders with so many rows."""
        rows = rows or self.rows
        name = f"orders_{rows}"
        if self.begin(name):
            self.server.psql(name, TABLE.format(name="public.orders", rows=rows))
            self.server.psql(name, "VACUUM ANALYZE; CHECKPOINT")
        return name

    def archived(self, rows: int | None = None) -> str:
        """Return a database in which that table is parked and sealed."""
        rows = rows or self.rows
        name = f"archived_{rows}"
        if self.begin(name, self.table(rows)):
            self.server.psql(name, "SELECT zanith.archive_table('public.orders')")
            artifact = self.artifact(name)
            self.engine(name, lambda db: seal.seal(db, artifact, ACTOR))
            self.server.psql(name, "CHECKPOINT")
        return name

    @contextmanager
    def clone(self, template: str) -> Iterator[str]:
        """Lend a copy of a database, file by file, and drop it afterwards."""
        name = f"clone_{next(self._serial)}"
        self.server.psql(
            "postgres", f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"
        )
        try:
            yield name
        finally:
            self.server.psql("postgres", f"DROP DATABASE {name} WITH (FORCE)")

    def artifact(self, dbname: str) -> str:
        """Return the id of the newest artifact there."""
        return self.server.psql(
            dbname,
            "SELECT id FROM zanith._zanith_migration_artifacts ORDER BY capture_order DESC LIMIT 1",
        )

    def engine(self, dbname: str, work: Callable[[Database], Awaitable[T]]) -> T:
        """Run a coroutine of the engine on a database and return what it returned."""

        async def body() -> T:
            db = await Database.open(self.url(dbname))
            try:
                return await work(db)
            finally:
                await db.close()

        return asyncio.run(body())

    def copy(self, dbname: str, query: str, into: str | None = None) -> None:
        """Run `psql -c "COPY (…) TO STDOUT"` to nowhere, or into a program, and wait for both."""
        words = f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER true, ENCODING 'UTF8')"
        psql = str(self.server.bin_dir / "psql")
        command = [psql, "-X", "-d", self.url(dbname), "-c", words]
        out = subprocess.PIPE if into else subprocess.DEVNULL
        with subprocess.Popen(command, stdout=out) as copying:
            if into:
                subprocess.run([into], stdin=copying.stdout, stdout=subprocess.DEVNULL, check=True)
        if copying.returncode:
            raise clusters.CommandFailed(f"psql ended with {copying.returncode}")


@contextmanager
def open_place(version: int, options: argparse.Namespace) -> Iterator[Place]:
    """Start a server of a version and lend the place; everything goes at the end."""
    directory = clusters.create_run_directory()
    reaper = clusters.start_reaper(directory)
    try:
        server = Server(
            version, clusters.find_versions()[version], Path(directory) / "bench", allocator=""
        )
        server.settings = SETTINGS[options.settings]
        server.create()
        yield Place(server, options)
    finally:
        reaper.communicate(timeout=120)
