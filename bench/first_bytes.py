"""The first byte of every page: none waits for a count or a scan.

Also what each page sends, compressed and plain, and how many requests it takes.
"""

from __future__ import annotations

import gzip
import html
import re
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx

from bench import parked
from bench.place import Place
from bench.rows import Bar, Row, levels
from bench.streams import studio_on
from tests.studios import wait_for_job

TOPIC = "pages"
ARTIFACTS = 1_000
TABLES = 2_000
REQUESTS = 20
MANY = 100_000
"""With fewer rows it is only seen whether all is measured: two requests of each page are enough."""
SINCE = 212
LIMIT = 100.0

# Rows were inserted since: both restores have to count them, in a table that has no statistics of them.
CAPTURES = f"""
ALTER TABLE public.orders ADD COLUMN note text NOT NULL DEFAULT 'none';
SELECT zanith.archive_column('public.orders', 'note');
SELECT zanith.soft_drop_column('public.orders', 'price');
INSERT INTO public.orders (id, code) SELECT -n, 'since' FROM generate_series(1, {SINCE}) AS n;
CREATE TABLE public.back (id int PRIMARY KEY, note text);
INSERT INTO public.back SELECT n, 'note ' || n FROM generate_series(1, 1000) AS n;
SELECT zanith.archive_column('public.back', 'note');
"""
# What the page Drop shows: tables of ten columns. In several transactions, for each takes locks.
LIVE = """
DO $do$ BEGIN
    FOR n IN {first}..{last} LOOP
        EXECUTE format('CREATE TABLE public.live_%s (id int PRIMARY KEY, a text, b text, c text, d text, '
            'e int, f int, g numeric, h timestamptz, i jsonb)', n);
    END LOOP;
END $do$
"""
OF_COLUMN = (
    "SELECT id FROM zanith._zanith_migration_artifacts"
    " WHERE artifact_type = 'archive_column' AND source_table = '{table}'"
)
# What a page fetches by itself: its files, once and for all, and the parts that come later.
FILES = re.compile(r'<(?:link|script)[^>]+(?:href|src)="(/static/[^"]+)"')
PARTS = re.compile(r'hx-get="([^"]+)" hx-trigger="load"')


@dataclass
class Taken:
    """What requests for one page took: milliseconds, bytes as sent, bytes, and its later parts."""

    waited: list[float] = field(default_factory=list)
    sent: int = 0
    plain: int = 0
    parts: list[str] = field(default_factory=list)


def measure(place: Place) -> Iterator[Row]:
    """Yield the rows of this topic."""
    dbname = _prepare(place)
    column, back = (
        place.server.psql(dbname, OF_COLUMN.format(table=table)) for table in ("orders", "back")
    )
    with studio_on(place, dbname) as studio, studio.client() as client:
        client.timeout = httpx.Timeout(120)
        restored = client.post(f"/api/artifacts/{back}/restore", json={"confirm": back}).json()
        job = wait_for_job(client, restored["job"]["id"])["id"]
        pages = _pages(column, back, job)
        taken = {name: Taken() for name in pages}
        for number in range((REQUESTS if place.rows >= MANY else 2) + 2):
            for name, address in pages.items():
                waited = _first_byte(client, address, taken[name])
                if number > 1:  # the first ones warm up
                    taken[name].waited.append(waited)
        for found in taken.values():
            _fetch_parts(client, found)
        files, sent = _files(client)
    for name, found in taken.items():
        worst = statistics.quantiles(found.waited, n=100, method="inclusive")[98]
        what = f"first byte, {name} page"
        yield levels(TOPIC, f"{what}, median", "ms", found.waited, Bar(LIMIT, of="ours"))
        yield levels(TOPIC, f"{what}, p99", "ms", [worst], None)
    yield levels(TOPIC, f"files of the first page, {files} requests", "kB", [sent / 1000], None)
    for name, found in taken.items():
        requests = f"{len(found.parts) + 1} request{'s' if found.parts else ''}"
        what = f"sent, {name} page, {requests}"
        yield Row(TOPIC, what, "kB", found.sent / 1000, "plain", found.plain / 1000)


def _pages(column: str, back: str, job: str) -> dict[str, str]:
    """Return the addresses of the pages: of the large archived column, and of a restored one."""
    artifact = f"/studio/artifacts/{column}"
    return {
        "list": "/studio",
        "search": "/studio/search?q=orders",
        "artifact": artifact,
        "restored artifact": f"/studio/artifacts/{back}",
        "restore": f"{artifact}/restore",
        "purge": f"{artifact}/purge",
        "rows": f"{artifact}/rows",
        "diff": f"{artifact}/diff",
        "erase": f"{artifact}/erase",
        "export": f"{artifact}/export",
        "migrations": "/studio/migrations",
        "one migration": "/studio/migrations/m1",
        "drop": "/studio/capture",
        "drop of one table": "/studio/capture?schema=public&table=orders",
        "guard": "/studio/guard",
        "coverage": "/studio/coverage",
        "cleanup": "/studio/cleanup",
        "cleanup of all": "/studio/cleanup?older_than=0s&before_expiry=yes",
        "jobs": "/studio/jobs",
        "one job": f"/studio/jobs/{job}",
        "report": f"/studio/jobs/{job}/report",
        "activity": "/studio/activity",
        "approvals": "/studio/approvals",
        "webhooks": "/studio/webhooks",
    }


def _prepare(place: Place) -> str:
    """Return the database: the large table, many artifacts, and many tables to drop."""
    dbname = f"pages_{place.rows}"
    if place.begin(dbname, place.table()):
        place.server.psql(dbname, parked.FIRST)
        parked.fill(place, dbname, 2, min(ARTIFACTS, place.options.artifacts) - 3)
        place.server.psql(dbname, CAPTURES)
        tables = min(TABLES, 2 * place.options.artifacts)
        for first in range(1, tables + 1, 200):
            last = min(first + 199, tables)
            place.server.psql(dbname, LIVE.format(first=first, last=last))
        place.server.psql(dbname, "VACUUM ANALYZE; CHECKPOINT")
    return dbname


def _first_byte(client: httpx.Client, address: str, taken: Taken) -> float:
    """Return the milliseconds until an answer begins, and note what was sent."""
    started = time.perf_counter()
    with client.stream("GET", address, headers={"Accept-Encoding": "gzip"}) as answer:
        answer.raise_for_status()
        parts = answer.iter_raw()
        body = next(parts)
        waited = time.perf_counter() - started
        body += b"".join(parts)  # the connection is used again
    plain = _plain(answer, body)
    taken.sent, taken.plain = len(body), len(plain)
    taken.parts = [html.unescape(part) for part in PARTS.findall(plain.decode())]
    return 1000 * waited


def _plain(answer: httpx.Response, body: bytes) -> bytes:
    return gzip.decompress(body) if answer.headers.get("content-encoding") == "gzip" else body


def _fetch_parts(client: httpx.Client, taken: Taken) -> None:
    """Add the bytes of the parts of a page that come after it."""
    for address in taken.parts:
        headers = {"Accept-Encoding": "gzip", "HX-Request": "true"}
        with client.stream("GET", address, headers=headers) as answer:
            answer.raise_for_status()
            body = b"".join(answer.iter_raw())
        taken.sent += len(body)
        taken.plain += len(_plain(answer, body))


def _files(client: httpx.Client) -> tuple[int, int]:
    """Return how many files the first page of a browser needs, and the bytes that they take."""
    found = set(FILES.findall(client.get("/studio").text))
    sent = 0
    for address in found:
        with client.stream("GET", address, headers={"Accept-Encoding": "gzip"}) as answer:
            sent += sum(map(len, answer.iter_raw()))
    return len(found), sent
