"""Somebody who writes one row after another, and notes how long each had to wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

WRITE = "UPDATE public.orders SET price = price + 1 WHERE id = 1"


class Writer:
    """The longest wait of one write so far, in milliseconds."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.writes = 0
        self.stop = threading.Event()

    def work(self, url: str, statement: str) -> None:
        """Write until told to stop."""
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
            connection.execute("SET synchronous_commit = off")
            while not self.stop.is_set():
                started = time.perf_counter()
                connection.execute(statement)
                self.longest = max(self.longest, 1000 * (time.perf_counter() - started))
                self.writes += 1
                time.sleep(0.0005)


@contextmanager
def writing(url: str, statement: str = WRITE) -> Iterator[Writer]:
    """Let somebody write while the block runs; what it waited is known afterwards."""
    writer = Writer()
    thread = threading.Thread(target=writer.work, args=(url, statement))
    thread.start()
    try:
        while not writer.writes and thread.is_alive():
            time.sleep(0.001)
        writer.longest = 0.0
        yield writer
    finally:
        writer.stop.set()
        thread.join()
