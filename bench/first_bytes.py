"""The first byte of every page, of a large table and beside many artifacts: no page waits for a count."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import httpx

from bench import parked
from bench.place import Place
from bench.rows import Bar, Row, levels
from bench.streams import studio_on

TOPIC = "pages"
ARTIFACTS = 1_000
REQUESTS = 20
SINCE = 212
LIMIT = 100.0

# Rows were inserted since: both restores have to count them, in a table that has no statistics of them.
CAPTURES = f"""
ALTER TABLE public.orders ADD COLUMN note text NOT NULL DEFAULT 'none';
SELECT zanith.archive_column('public.orders', 'note');
SELECT zanith.soft_drop_column('public.orders', 'price');
INSERT INTO public.orders (id, code) SELECT -n, 'since' FROM generate_series(1, {SINCE}) AS n;
"""


def measure(place: Place) -> Iterator[Row]:
    """Yield the rows of this topic."""
    dbname, column = _prepare(place)
    pages = {
        "list": "/studio",
        "artifact": f"/studio/artifacts/{column}",
        "restore": f"/studio/artifacts/{column}/restore",
        "purge": f"/studio/artifacts/{column}/purge",
        "activity": "/studio/activity",
        "jobs": "/studio/jobs",
    }
    with studio_on(place, dbname) as studio, studio.client() as client:
        client.timeout = httpx.Timeout(120)
        taken: dict[str, list[float]] = {name: [] for name in pages}
        for number in range(REQUESTS + 2):
            for name, address in pages.items():
                waited = _first_byte(client, address)
                if number > 1:  # the first ones warm up
                    taken[name].append(waited)
    for name, figures in taken.items():
        worst = statistics.quantiles(figures, n=100, method="inclusive")[98]
        what = f"first byte, {name} page"
        yield levels(TOPIC, f"{what}, median", "ms", figures, Bar(LIMIT, of="ours"))
        yield levels(TOPIC, f"{what}, p99", "ms", [worst], None)


def _prepare(place: Place) -> tuple[str, str]:
    """Return the database, and the artifact of an archived column of the large table in it."""
    dbname = f"pages_{place.rows}"
    if place.begin(dbname, place.table()):
        place.server.psql(dbname, parked.FIRST)
        parked.fill(place, dbname, 2, min(ARTIFACTS, place.options.artifacts) - 2)
        place.server.psql(dbname, CAPTURES)
        place.server.psql(dbname, "CHECKPOINT")
    found = (
        "SELECT id FROM zanith._zanith_migration_artifacts WHERE artifact_type = 'archive_column'"
    )
    return dbname, place.server.psql(dbname, found)


def _first_byte(client: httpx.Client, address: str) -> float:
    """Return the milliseconds until an answer begins."""
    started = time.perf_counter()
    with client.stream("GET", address) as answer:
        answer.raise_for_status()
        parts = answer.iter_raw()
        next(parts)
        waited = time.perf_counter() - started
        for _ in parts:  # the connection is used again
            pass
    return 1000 * waited
