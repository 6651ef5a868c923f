"""The first byte of each page; and small pages while three others download, which nobody may wait for."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from bench import first_bytes
from bench.place import Place
from bench.rows import Bar, Row, levels
from bench.streams import studio_on

TOPIC = "pages"
DOWNLOADS = 3
REQUESTS = 200


def measure(place: Place) -> Iterator[Row]:
    """Yield the rows of this topic."""
    yield from first_bytes.measure(place)
    dbname = place.archived()
    artifact = place.artifact(dbname)
    addresses = ("/studio", "/studio/jobs", "/studio/activity", "/api/artifacts", "/healthz")
    requests = max(20, min(REQUESTS, place.rows // 100))
    found: dict[str, list[list[float]]] = {"idle": [], "busy": []}
    with studio_on(place, dbname) as studio, studio.client() as client:
        _time(client, addresses, 8)
        for _ in range(place.rounds):
            found["idle"].append(_time(client, addresses, requests))
            with _downloading(studio.url, f"/api/artifacts/{artifact}/export"):
                found["busy"].append(_time(client, addresses, requests))
    for state, words in (("idle", "idle"), ("busy", f"during {DOWNLOADS} downloads")):
        for percent in (50, 99):
            figures = [statistics.quantiles(taken, n=100)[percent - 1] for taken in found[state]]
            bar = Bar(50, of="ours") if (state, percent) == ("busy", 99) else None
            yield levels(TOPIC, f"small pages {words}, p{percent}", "ms", figures, bar)


def _time(client: httpx.Client, addresses: tuple[str, ...], requests: int) -> list[float]:
    taken = []
    for number in range(requests):
        started = time.perf_counter()
        client.get(addresses[number % len(addresses)]).raise_for_status()
        taken.append(1000 * (time.perf_counter() - started))
        time.sleep(0.005)
    return taken


@contextmanager
def _downloading(url: str, path: str) -> Iterator[None]:
    """Keep downloads under way, each in a process of its own, while the block runs."""
    readers = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.download", url, path], stdout=subprocess.PIPE
        )
        for _ in range(DOWNLOADS)
    ]
    try:
        for reader in readers:
            if reader.stdout is None or not reader.stdout.read(1):
                raise RuntimeError("a download did not begin")
        yield
        if any(reader.poll() is not None for reader in readers):
            raise RuntimeError("a download ended early")
    finally:
        for reader in readers:
            reader.kill()
            reader.communicate()
