"""The online forms: how long they take, and how long a writer of one row ever waits meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.db.database import Database
from app.recovery.plan.model import Choices
from app.recovery.restore.restore import restore
from bench.captures import ARCHIVE
from bench.place import ACTOR, Place
from bench.restores import BY_HAND, PLACE, archived_column
from bench.rows import Bar, Row, alternate, levels, times
from bench.writer import writing

TOPIC = "online"
STALL = Bar(100, of="ours")
BESIDE = "UPDATE public.beside SET n = n + 1"
DROPPED = "SELECT extract(epoch FROM ended_at) FROM zanith._zanith_jobs WHERE kind = 'capture'"


def measure(place: Place) -> Iterator[Row]:
    """Yield the rows of this topic."""
    yield from _archive(place)
    yield from _restore(place)


def _archive(place: Place) -> Iterator[Row]:
    template = place.table()
    waits: list[float] = []

    def by_hand() -> float:
        with place.clone(template) as dbname:
            started = time.perf_counter()
            place.server.psql(dbname, ARCHIVE)
            return time.perf_counter() - started

    async def work(db: Database) -> float:
        started = time.time()
        request = CaptureRequest("archive_column", "public.orders", "code", online=True)
        await capture(db, request, ACTOR)
        # the seal comes after the drop in both forms, and is measured with the streams
        async with db.acquire() as connection:
            return float(await connection.fetchval(DROPPED)) - started

    def ours() -> float:
        with place.clone(template) as dbname, writing(place.url(dbname)) as writer:
            taken = place.engine(dbname, work)
            waits.append(writer.longest)
            return taken

    found = alternate(place.rounds, ours=ours, by_hand=by_hand)
    yield times(
        *(TOPIC, "archive a column, online", "the same in one transaction"),
        *(found["ours"], found["by_hand"], Bar(2.0)),
        note="until the column is dropped",
    )
    yield levels(TOPIC, "archive online, a writer's longest wait", "ms", waits, STALL)


def _restore(place: Place) -> Iterator[Row]:
    template = archived_column(place)
    artifact = place.artifact(template)
    by_hand = BY_HAND.format(archive=place.server.psql(template, PLACE))
    waits: list[float] = []
    beside: list[float] = []
    fills: list[float] = []

    def take_by_hand() -> float:
        with place.clone(template) as dbname:
            # whoever wrote to the table itself would wait until it is all done
            place.server.psql(dbname, "CREATE TABLE public.beside AS SELECT 1 AS n")
            with writing(place.url(dbname), BESIDE) as writer:
                started = time.perf_counter()
                place.server.psql(dbname, by_hand)
                taken = time.perf_counter() - started
                beside.append(writer.longest)
                return taken

    async def work(db: Database) -> float:
        steps: list[tuple[float, str]] = []

        def note(values: object) -> None:
            if isinstance(values, dict) and values.get("step"):
                steps.append((time.perf_counter(), str(values["step"])))

        started = time.perf_counter()
        await restore(db, artifact, Choices(online=True), ACTOR, on_progress=note)
        filling = [at for at, step in steps if step.startswith("backfill the column")]
        fills.append(filling[-1] - filling[0] if filling else 0.0)
        return time.perf_counter() - started

    def ours() -> float:
        with place.clone(template) as dbname, writing(place.url(dbname)) as writer:
            taken = place.engine(dbname, work)
            waits.append(writer.longest)
            return taken

    found = alternate(place.rounds, ours=ours, by_hand=take_by_hand)
    what, update = "restore an archived column, online", "one UPDATE … FROM"
    yield times(
        *(TOPIC, what, update, found["ours"], found["by_hand"], Bar(0.6)),
        note="with the seal checked, the data asked, and every value compared",
    )
    yield times(
        *(TOPIC, f"{what}: its batches", update, fills, found["by_hand"], None),
    )
    yield levels(TOPIC, "restore online, a writer's longest wait", "ms", waits, STALL)
    other = "one UPDATE … FROM, the longest wait of a writer of another table"
    yield levels(TOPIC, other, "ms", beside, None)
