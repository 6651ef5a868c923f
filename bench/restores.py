"""Restores of an archived column in one transaction, beside the UPDATE that one would write."""

from __future__ import annotations

import time
from collections.abc import Iterator

from app.recovery.db.database import Database
from app.recovery.plan.model import Choices
from app.recovery.restore.restore import restore
from app.recovery.rows import seal
from bench.captures import ARCHIVE
from bench.place import ACTOR, Place
from bench.rows import Bar, Row, alternate, times

TOPIC = "restores"
BY_HAND = """
BEGIN;
ALTER TABLE public.orders ADD COLUMN code text;
UPDATE public.orders AS t SET code = a.code FROM {archive} AS a WHERE a.id = t.id;
COMMIT;
"""
PLACE = """
SELECT format('%I.%I', physical_schema, physical_table) FROM zanith._zanith_migration_artifacts
ORDER BY capture_order DESC LIMIT 1
"""


def archived_column(place: Place) -> str:
    """Return a database in which the table's column is archived and sealed."""
    name = f"column_{place.rows}"
    if place.begin(name, place.table()):
        place.server.psql(name, ARCHIVE)
        artifact = place.artifact(name)
        place.engine(name, lambda db: seal.seal(db, artifact, ACTOR))
        place.server.psql(name, "VACUUM ANALYZE; CHECKPOINT")
    return name


def measure(place: Place) -> Iterator[Row]:
    """Yield the rows of this topic."""
    template = archived_column(place)
    artifact = place.artifact(template)
    by_hand = BY_HAND.format(archive=place.server.psql(template, PLACE))

    def take_by_hand() -> float:
        with place.clone(template) as dbname:
            started = time.perf_counter()
            place.server.psql(dbname, by_hand)
            return time.perf_counter() - started

    def take(choices: Choices) -> float:
        async def work(db: Database) -> float:
            started = time.perf_counter()
            await restore(db, artifact, choices, ACTOR)
            return time.perf_counter() - started

        with place.clone(template) as dbname:
            return place.engine(dbname, work)

    found = alternate(
        place.rounds,
        by_hand=take_by_hand,
        verified=lambda: take(Choices()),
        unverified=lambda: take(Choices(unverified=True)),
    )
    what = "restore an archived column, one transaction"
    update = "one UPDATE … FROM"
    yield times(TOPIC, what, update, found["verified"], found["by_hand"], Bar(1.0))
    yield times(
        TOPIC, f"{what}, unverified", update, found["unverified"], found["by_hand"], Bar(1.0)
    )
