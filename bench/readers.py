"""Behind a long reader: what a writer waits while a capture tries to have its lock, and who is named."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.errors import Locked
from app.recovery.db.database import Database
from bench.place import ACTOR, Place
from bench.rows import Bar, Row, levels
from bench.writer import writing

TOPIC = "readers"
LOCK_TIMEOUT = timedelta(milliseconds=50)
READER = 1.0
RENAME = "ALTER TABLE public.orders RENAME COLUMN code TO parked"
BACK = "ALTER TABLE public.orders RENAME COLUMN parked TO code"


def measure(place: Place) -> Iterator[Row]:
    """Yield the rows of this topic."""
    dbname = place.table(min(1_000, place.rows))
    ours, plain, named = [], [], []
    for _ in range(place.rounds):
        stall, told = _behind(place, dbname)
        ours.append(stall)
        named.append(float(told))
        plain.append(_rename(place, dbname))
    limit = LOCK_TIMEOUT.total_seconds() * 1000
    yield levels(
        TOPIC,
        f"a writer's longest wait, capture under lock_timeout {limit:.0f} ms",
        "ms",
        ours,
        Bar(2 * limit, of="ours"),
    )
    yield levels(TOPIC, f"the same, plain RENAME, a reader of {READER:.0f} s", "ms", plain, None)
    yield levels(TOPIC, "the reader is named", "share", named, Bar(1, of="ours", least=True))


@contextmanager
def _reading(place: Place, dbname: str) -> Iterator[int]:
    """Hold a transaction open that has read the table; gives its process id."""
    with psycopg.connect(place.url(dbname)) as reader:
        reader.execute("SELECT count(*) FROM public.orders")
        yield reader.info.backend_pid


def _behind(place: Place, dbname: str) -> tuple[float, bool]:
    """Return a writer's longest wait in milliseconds, and whether the error names the reader."""
    request = CaptureRequest("soft_drop_column", "public.orders", "code")

    async def work(reader: int) -> bool:
        db = await Database.open(place.url(dbname), lock_timeout=LOCK_TIMEOUT, lock_retries=3)
        try:
            await capture(db, request, ACTOR)
        except Locked as error:
            return reader in {blocker.pid for blocker in error.blockers}
        finally:
            await db.close()
        raise RuntimeError("the capture did not wait for the reader")

    with _reading(place, dbname) as reader, writing(place.url(dbname)) as writer:
        named = asyncio.run(work(reader))
    return writer.longest, named


def _rename(place: Place, dbname: str) -> float:
    """Return a writer's longest wait while a plain RENAME waits for a reader that takes its time."""

    def rename() -> None:
        with psycopg.connect(place.url(dbname), autocommit=True) as connection:
            connection.execute(RENAME)
            connection.execute(BACK)

    renaming = threading.Thread(target=rename)
    with writing(place.url(dbname)) as writer:
        with _reading(place, dbname):
            renaming.start()
            time.sleep(READER)
        renaming.join()
    return writer.longest
