"""`zanith demo`, started from nothing, until its first page is there."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from bench.place import Place
from bench.rows import Bar, Row, levels
from tests.clusters import free_port

TOPIC = "demo"
PATIENCE = 60.0


def measure(place: Place) -> Iterator[Row]:
    """Yield the row of this topic."""
    taken = [_first_page() for _ in range(place.rounds)]
    yield levels(TOPIC, "zanith demo to its first page", "s", taken, Bar(5, of="ours"))


def _first_page() -> float:
    """Return seconds from the command to a whole answer."""
    port = free_port()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "ZANITH_"))}
    with tempfile.TemporaryDirectory(prefix="zb-") as folder:
        started = time.perf_counter()
        process = subprocess.Popen(
            [
                *(Path(sys.executable).parent / "zanith", "demo"),
                *("--port", str(port), "--data-dir", f"{folder}/demo"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=kept,
        )
        try:
            while time.perf_counter() - started < PATIENCE:
                try:
                    httpx.get(f"http://127.0.0.1:{port}/studio", timeout=5).raise_for_status()
                except httpx.TransportError:
                    time.sleep(0.01)
                else:
                    return time.perf_counter() - started
                if process.poll() is not None:
                    raise RuntimeError(f"zanith demo ended with {process.returncode}")
            raise TimeoutError(f"zanith demo showed no page in {PATIENCE:.0f} s")
        finally:
            process.terminate()
            process.wait(PATIENCE)
