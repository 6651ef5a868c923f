"""Cleanup of many artifacts, beside the bare DROPs of the same tables, one transaction each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

from app.recovery.db.database import Database
from app.recovery.purge.cleanup import cleanup
from bench import parked
from bench.place import ACTOR, Place
from bench.rows import Bar, Row, alternate, times

TOPIC = "cleanup"
DROPS = """
SELECT string_agg(format('DROP TABLE %I.%I;', physical_schema, physical_table), E'\\n')
FROM zanith._zanith_migration_artifacts
"""


def measure(place: Place) -> Iterator[Row]:
    """Yield the row of this topic."""
    many, template = place.options.purges, "purges"
    if parked.begin(place, template):
        parked.fill(place, template, 2, many)
    drops = place.server.psql(template, DROPS)

    def by_hand() -> float:
        with place.clone(template) as dbname:
            started = time.perf_counter()
            place.server.psql(dbname, drops)
            return time.perf_counter() - started

    async def work(db: Database) -> float:
        started = time.perf_counter()
        results = await cleanup(db, timedelta(0), expired=False, actor=ACTOR, before_expiry=True)
        taken = time.perf_counter() - started
        if left := [result for result in results if result.outcome != "purged"]:
            raise RuntimeError(f"{left[0].artifact.id} was not purged: {left[0].why}")
        return taken

    def ours() -> float:
        with place.clone(template) as dbname:
            return place.engine(dbname, work)

    found = alternate(place.rounds, ours=ours, by_hand=by_hand)
    yield times(
        TOPIC,
        f"cleanup of {many:,} artifacts",
        "bare DROPs, one transaction each",
        found["ours"],
        found["by_hand"],
        Bar(1.3),
    )
