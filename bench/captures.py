"""Captures: a soft-drop at any size, its restore, and one column archived in one transaction."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg

from app.recovery.db.database import Database
from app.recovery.restore.restore import restore
from bench.place import ACTOR, Place
from bench.rows import Bar, Row, alternate, levels, times
from bench.writer import writing

TOPIC = "captures"
FEW = 1_000
SOFT_DROP = "SELECT zanith.soft_drop_column('public.orders', 'code')"
ARCHIVE = "SELECT zanith.archive_column('public.orders', 'code')"
BY_HAND = """
BEGIN;
CREATE TABLE _zanith_shadow.kept AS SELECT id, code FROM public.orders;
ALTER TABLE _zanith_shadow.kept ADD PRIMARY KEY (id);
ALTER TABLE public.orders DROP COLUMN code;
COMMIT;
"""


def measure(place: Place) -> Iterator[Row]:
    """Yield the rows of this topic."""
    yield from _soft_drops(place)
    yield _archive(place)


def _soft_drops(place: Place) -> Iterator[Row]:
    with (
        place.clone(place.table(min(FEW, place.rows))) as few,
        place.clone(place.table()) as many,
    ):
        yield from _compare(place, few, many)


def _compare(place: Place, few: str, many: str) -> Iterator[Row]:
    for dbname in (few, many):
        _drop_and_restore(place, dbname)  # and all is warm
    drops: dict[str, list[tuple[float, float]]] = {few: [], many: []}
    backs: dict[str, list[tuple[float, float]]] = {few: [], many: []}
    for number in range(place.often):
        for dbname in (few, many) if number % 2 else (many, few):
            drop, back = _drop_and_restore(place, dbname)
            drops[dbname].append(drop)
            backs[dbname].append(back)
    for what, found in (("soft-drop of a column", drops), ("its restore", backs)):
        taken = {dbname: [seconds for seconds, _ in pairs] for dbname, pairs in found.items()}
        baseline = f"the same on {FEW:,} rows"
        yield times(
            TOPIC, f"{what}, {place.rows:,} rows", baseline, taken[many], taken[few], Bar(1.5)
        )
        stalls = [stall for _, stall in found[many]]
        yield levels(TOPIC, f"{what}, a writer's longest wait", "ms", stalls, Bar(20, of="ours"))


def _drop_and_restore(place: Place, dbname: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return seconds and a writer's longest wait in milliseconds, of the drop and of the restore."""
    with (
        psycopg.connect(place.url(dbname), autocommit=True) as connection,
        writing(place.url(dbname)) as writer,
    ):
        started = time.perf_counter()
        connection.execute(SOFT_DROP)
        dropping = time.perf_counter() - started
    drop = (dropping, writer.longest)
    artifact = place.artifact(dbname)

    async def back(db: Database) -> float:
        started = time.perf_counter()
        await restore(db, artifact, None, ACTOR)
        return time.perf_counter() - started

    with writing(place.url(dbname)) as writer:
        restoring = place.engine(dbname, back)
    return drop, (restoring, writer.longest)


def _archive(place: Place) -> Row:
    template = place.table()

    def take(sql: str) -> float:
        with place.clone(template) as dbname:
            started = time.perf_counter()
            place.server.psql(dbname, sql)
            return time.perf_counter() - started

    found = alternate(place.rounds, ours=lambda: take(ARCHIVE), by_hand=lambda: take(BY_HAND))
    return times(
        TOPIC,
        "archive a column, one transaction",
        "CTAS, primary key, DROP COLUMN",
        found["ours"],
        found["by_hand"],
        Bar(1.15),
    )
