"""Some rows: found by key among all that are archived, and put back beside somebody who writes them."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.recovery.db.database import Database
from app.recovery.restore.rows_plan import plan_rows
from app.recovery.restore.some_rows import restore_rows
from app.recovery.rows.conditions import Condition
from app.recovery.rows.search import find_rows
from bench.place import ACTOR, Place
from bench.rows import Bar, Row, levels

TOPIC = "some_rows"
FEW = 12
# Of a role that is no superuser: each statement on its table runs in a sandbox, which is slower.
PARKED = """
CREATE ROLE some_rows_owner; GRANT USAGE ON SCHEMA public TO some_rows_owner;
ALTER TABLE public.orders OWNER TO some_rows_owner;
SELECT zanith.archive_column('public.orders', 'code');
ALTER TABLE public.orders ADD code text;
"""
CLEAR = f"""
UPDATE public.orders SET code = NULL WHERE id <= {FEW};
ALTER DATABASE {{}} SET deadlock_timeout = '10ms';
ALTER DATABASE {{}} SET log_lock_waits = on;
"""
# The rows that are put back, and as many others.
TRAFFIC = f"""\\set id random(1, {2 * FEW})
UPDATE public.orders SET price = price + 1 WHERE id = :id;
"""
CLIENTS = 4
HOLDERS = re.compile(
    r"still waiting for .*\n.*DETAIL:  Process(?:es)? holding the lock: ([0-9, ]+)\."
)
"""PostgreSQL logs this of a session that waits for a lock longer than deadlock_timeout."""
CLIENTS_OF_PGBENCH = "SELECT pid FROM pg_stat_activity WHERE application_name = 'pgbench'"


def measure(place: Place) -> Iterator[Row]:
    """Yield the rows of this topic."""
    template, name = place.table(), f"some_rows_{place.rows}"
    if place.begin(name, template):
        place.server.psql(name, PARKED)
        place.server.psql(name, "VACUUM ANALYZE; CHECKPOINT")
    artifact = place.artifact(name)
    by_key = [
        place.engine(name, lambda db: _search(db, artifact, place.rows // 2))
        for _ in range(place.often)
    ]
    what = f"a search by key among {place.rows:,} archived rows"
    yield levels(TOPIC, what, "ms", by_key, Bar(50, of="ours"))
    scanned = [place.engine(name, lambda db: _scan(db, artifact)) for _ in range(place.rounds)]
    yield levels(TOPIC, "a search without an index, limit of 5 s", "s", scanned, Bar(6, of="ours"))
    for_it, for_others = [], []
    for _ in range(place.rounds):
        place.server.psql(name, CLEAR.format(name, name))
        with _traffic(place, name) as waits:
            place.engine(name, lambda db: _put_back(db, artifact))
        ours, others = waits()
        for_it.append(float(ours))
        for_others.append(float(others))
    what = f"waits over 10 ms of pgbench for a restore of {FEW} rows"
    yield levels(TOPIC, what, "", for_it, Bar(0, of="ours"))
    yield levels(TOPIC, "waits over 10 ms for pgbench meanwhile", "", for_others, None)


@contextmanager
def _traffic(place: Place, name: str) -> Iterator[Callable[[], tuple[int, int]]]:
    """Let pgbench write the rows while the block runs.

    Yield what counts the waits afterwards: those for others than pgbench, and those for pgbench.
    """
    log = place.server.directory / "log"
    before = len(log.read_text("utf-8", "replace"))
    clients: set[str] = set()

    def count() -> tuple[int, int]:
        found = HOLDERS.findall(log.read_text("utf-8", "replace")[before:])
        others = sum(set(pids.split(", ")) <= clients for pids in found)
        return len(found) - others, others

    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(TRAFFIC)
        script.flush()
        pgbench = subprocess.Popen(
            [
                *(place.server.bin_dir / "pgbench", "--no-vacuum", "--file", script.name),
                *("--client", str(CLIENTS), "--time", "600", "--dbname", place.url(name)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            time.sleep(1.0)
            if pgbench.poll() is not None:
                raise RuntimeError(f"pgbench ended: {pgbench.communicate()[1].decode()}")
            clients.update(place.server.psql(name, CLIENTS_OF_PGBENCH).split())
            yield count
        finally:
            pgbench.kill()
            pgbench.communicate()


async def _search(db: Database, artifact: str, key: int) -> float:
    await find_rows(db, artifact, [Condition("id", "=", "1")], ACTOR)  # its connection is open
    started = time.perf_counter()
    found = await find_rows(db, artifact, [Condition("id", "=", str(key))], ACTOR)
    taken = time.perf_counter() - started
    if [len(found.rows), found.indexed] != [1, True]:
        raise RuntimeError("the row was not found by its key")
    return 1000 * taken


async def _scan(db: Database, artifact: str) -> float:
    started = time.perf_counter()
    await find_rows(db, artifact, [Condition("code", "LIKE", "%no such code%")], ACTOR)
    return time.perf_counter() - started


async def _put_back(db: Database, artifact: str) -> None:
    found = await find_rows(db, artifact, [Condition("id", "<=", str(FEW))], ACTOR)
    refs = [row.ref for row in found.rows]
    plan = await plan_rows(db, artifact, refs, ACTOR)
    done = await restore_rows(
        *(db, artifact, refs, ACTOR), confirm=plan.object, expected_digest=plan.digest
    )
    if done.rows != FEW:
        raise RuntimeError(f"{done.rows} rows were put back, not {FEW}: {done.left}")
