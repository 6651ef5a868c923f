"""The list at 1,000 and at many artifacts: how long a page takes, and how many queries it asks."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from bench import parked
from bench.place import Place
from bench.rows import Bar, Row, times
from tests.studios import run_studio

TOPIC = "listing"
FEW = 1_000
ADDRESSES = {
    "list page": "/studio",
    "list page, second": "/studio?after={next}",
    "list page, by size": "/studio?sort=size",
    "list page, one table": "/studio?table=public.t77",
    "list page, searched": "/studio?search=t77",
    "list page, damaged": "/studio?health=damaged",
    "API list": "/api/artifacts",
    "API list, by name": "/api/artifacts?sort=name&direction=up",
    "metrics": "/metrics",
}
# Barred are the list and the API's; what reads all rows is printed beside them.
BARRED = frozenset({"list page", "list page, second", "API list"})
STATEMENT = re.compile(r"LOG:  (?:execute|statement).*?: (?!SELECT pg_advisory_unlock_all)")


def measure(place: Place) -> Iterator[Row]:
    """Yield the rows of this topic."""
    many = place.options.artifacts
    few = min(FEW, many)
    taken: dict[int, dict[str, list[float]]] = {}
    asked: dict[int, dict[str, int]] = {}
    made, name = 1, "listing"
    parked.begin(place, name)
    for size in (few, many):
        parked.fill(place, name, made + 1, size)
        made = max(made, size)
        with run_studio(place.url(name)) as studio, studio.client() as client:
            client.timeout = httpx.Timeout(300)
            taken[size] = _time_requests(client, place.often)
        asked[size] = _count_queries(place, name)
    for what in ADDRESSES:
        yield times(
            TOPIC,
            f"{what}, {many:,} artifacts",
            f"{few:,} artifacts",
            taken[many][what],
            taken[few][what],
            Bar(1.3) if what in BARRED else None,
        )
    for what in sorted(BARRED):
        yield Row(
            TOPIC,
            f"{what}, queries",
            "queries",
            asked[many][what],
            f"{few:,} artifacts",
            asked[few][what],
            asked[many][what] / asked[few][what],
            bar=Bar(1.0),
        )


def _addresses(client: httpx.Client) -> dict[str, str]:
    after = client.get("/api/artifacts").raise_for_status().json()["next"] or ""
    return {name: address.replace("{next}", after) for name, address in ADDRESSES.items()}


def _time_requests(client: httpx.Client, rounds: int) -> dict[str, list[float]]:
    """Return seconds a request by what it asks for."""
    taken: dict[str, list[float]] = {name: [] for name in ADDRESSES}
    for number in range(rounds + 1):
        for name, address in _addresses(client).items():
            started = time.perf_counter()
            client.get(address).raise_for_status()
            if number:  # the first warms up
                taken[name].append(time.perf_counter() - started)
    return taken


def _count_queries(place: Place, dbname: str) -> dict[str, int]:
    """Return how many statements the server was sent for each; the fewest of several tries.

    What the studio does by itself, at its start and on a timer, falls between them now and then.
    """
    log = place.server.directory / "log"
    place.server.psql("postgres", f"ALTER DATABASE {dbname} SET log_statement = 'all'")
    asked: dict[str, int] = {}
    try:
        with run_studio(place.url(dbname)) as studio, studio.client() as client:
            client.timeout = httpx.Timeout(300)
            for name, address in _addresses(client).items():
                if name not in BARRED:
                    continue
                counts = []
                for _ in range(6):
                    _wait_for_silence(log)
                    before = log.stat().st_size
                    client.get(address).raise_for_status()
                    with log.open("rb") as file:
                        file.seek(before)
                        counts.append(len(STATEMENT.findall(file.read().decode(errors="replace"))))
                asked[name] = min(counts)
    finally:
        place.server.psql("postgres", f"ALTER DATABASE {dbname} RESET log_statement")
    return asked


def _wait_for_silence(log: Path) -> None:
    """Wait until nobody asked anything for a moment, or a while has passed."""
    for _ in range(10):
        before = log.stat().st_size
        time.sleep(0.1)
        if log.stat().st_size == before:
            return
