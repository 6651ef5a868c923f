"""A soak: everything that the studio does, beside pgbench, for as long as one likes.

Run with `python -m bench.soak --minutes 20`. pgbench reads and writes the very tables whose columns
come and go, in statements that name no such column: none of them may fail, as none would fail
beside a plain DROP. The studio's memory is looked at all the while, and so are its answers.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import random
import re
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench.place import Place, open_place
from bench.streams import studio_on
from tests import clusters

TRAFFIC = """
\\set one random(1, :rows)
\\set other random(1, :rows)
BEGIN;
UPDATE public.orders SET price = price + 1 WHERE id = :one;
SELECT id, price, at FROM public.orders WHERE id = :other;
END;
INSERT INTO public.orders (id, price) VALUES (:rows + :one * 1000 + random(0, 999), 1)
    ON CONFLICT (id) DO NOTHING;
DELETE FROM public.orders WHERE id = :other AND id > :rows;
UPDATE public.lines SET amount = amount + 1 WHERE id = :one;
"""
BEFORE_17 = ("random(0, 999)", "floor(random() * 1000)")
TABLES = """
CREATE TABLE public.lines (id bigint PRIMARY KEY, amount numeric NOT NULL DEFAULT 0,
    remark text NOT NULL DEFAULT 'none', seen boolean DEFAULT false);
INSERT INTO public.lines (id, remark, seen) SELECT n, 'r' || n, n % 2 = 0
FROM generate_series(1, {rows}) n;
CREATE INDEX lines_remark ON public.lines (remark);
VACUUM ANALYZE;
"""
PEOPLE = 8
ENDED = {"done", "failed", "cancelled", "interrupted"}


@dataclass
class Tally:
    """What was done and how long it took, in seconds; what went wrong, in words."""

    taken: dict[str, list[float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    clicks: Counter[str] = field(default_factory=Counter)
    memory: list[tuple[float, float]] = field(default_factory=list)

    def note(self, what: str, seconds: float) -> None:
        """Keep one figure."""
        self.taken.setdefault(what, []).append(seconds)


class Person:
    """Somebody who works with the studio over its API."""

    def __init__(self, client: httpx.Client, tally: Tally) -> None:
        self.client = client
        self.tally = tally

    def post(self, path: str, said: dict[str, Any]) -> httpx.Response:
        """Send a request; 409 and 423 are answers too."""
        return self.client.post(path, json=said)

    def drop(self, strategy: str, table: str, column: str | None, **more: Any) -> str | None:
        """Drop, wait for its job, and return the artifact's id."""
        name = f"{table}.{column}" if column else table
        said = {"strategy": strategy, "table": table, "column": column, "confirm": name, **more}
        job = self.wait(f"drop, {strategy}{', online' if more.get('online') else ''}",
                        self.post("/api/captures", said))  # fmt: skip
        return job["result"]["artifact_id"] if job else None

    def restore(self, artifact: str, name: str, what: str, **choices: Any) -> bool:
        """Restore, and wait for its job."""
        answer = self.post(f"/api/artifacts/{artifact}/restore", {"confirm": name, **choices})
        return self.wait(what, answer) is not None

    def wait(self, what: str, answer: httpx.Response) -> dict[str, Any] | None:
        """Wait for the end of a job; None, with a word in the tally, where it did not succeed."""
        if answer.status_code != 202:
            self.tally.wrong.append(f"{what}: {answer.status_code} {answer.text[:300]}")
            return None
        job: dict[str, Any] = answer.json()["job"]
        started = time.monotonic()
        while job["state"] not in ENDED:
            time.sleep(0.1)
            job = self.client.get(f"/api/jobs/{job['id']}").json()["job"]
        if job["state"] != "done":
            self.tally.wrong.append(f"{what}: {job['state']} {json.dumps(job['error'])[:400]}")
            return None
        self.tally.note(what, time.monotonic() - started)
        return job


# -------------------------------------------------------------------------------------- what is done


def columns(person: Person) -> None:
    """A column away and back, in each of its ways."""
    for strategy, table, column, choices in (
        ("archive_column", "public.orders", "code", {"online": True}),
        ("soft_drop_column", "public.lines", "remark", {"fill_default": True}),
        ("archive_column", "public.lines", "remark", {"online": True, "fill_default": True}),
        ("archive_column", "public.lines", "seen", {}),
    ):
        online = "online" in choices
        artifact = person.drop(strategy, table, column, **({"online": True} if online else {}))
        if artifact is None:
            return
        name = f"{table}.{column}"
        what = f"restore, {strategy}{', online' if online else ''}"
        if person.restore(artifact, name, what, **choices) and strategy == "archive_column":
            purge(person, artifact, name)


def purge(person: Person, artifact: str, name: str) -> None:
    """Purge, with a name and a reason."""
    started = time.monotonic()
    answer = person.client.request(
        "DELETE", f"/api/artifacts/{artifact}", json={"confirm": name, "reason": "soak"}
    )
    if answer.status_code != 200:
        person.tally.wrong.append(f"purge of {name}: {answer.status_code} {answer.text[:300]}")
    person.tally.note("purge", time.monotonic() - started)


def exports(person: Person, artifact: str) -> None:
    """Download an archive in one form after another."""
    for form in ({"format": "csv"}, {"format": "jsonl"}, {"format": "csv", "compress": "zstd"}):
        started = time.monotonic()
        with person.client.stream(
            "GET", f"/api/artifacts/{artifact}/export", params=form
        ) as answer:
            if answer.status_code != 200:
                person.tally.wrong.append(f"export {form}: {answer.status_code}")
                return
            for _ in answer.iter_raw():
                pass
        person.tally.note(f"export, {' '.join(form.values())}", time.monotonic() - started)


def crowd(person: Person, dbname: str, place: Place) -> None:
    """Several people click Restore of one artifact at once: one wins, the others are told."""
    place.server.psql(
        dbname, "CREATE TABLE IF NOT EXISTS public.wanted (id int PRIMARY KEY, v text)"
    )
    artifact = person.drop("soft_drop_table", "public.wanted", None)
    if artifact is None:
        return
    said = {"confirm": "public.wanted"}

    def click(_: int) -> int:
        return person.post(f"/api/artifacts/{artifact}/restore", said).status_code

    with concurrent.futures.ThreadPoolExecutor(PEOPLE) as people:
        answers = list(people.map(click, range(PEOPLE)))
    person.tally.clicks.update(str(answer) for answer in answers)
    deadline = time.monotonic() + 30
    while person.client.get(f"/api/artifacts/{artifact}").json()["status"] != "restored":
        if time.monotonic() > deadline:
            person.tally.wrong.append("nobody of the crowd restored it")
            return
        time.sleep(0.05)
    done = place.server.psql(
        dbname,
        "SELECT count(*) FROM zanith._zanith_audit_log"
        f" WHERE artifact_id = '{artifact}' AND action = 'restore' AND outcome = 'done'",
    )
    if done != "1":
        person.tally.wrong.append(f"{done} of a crowd restored one table")


def cleanups(person: Person, dbname: str, place: Place) -> None:
    """Park a hundred tables at once, and clean them up."""
    place.server.psql(
        dbname,
        "DO $$ DECLARE n int; BEGIN FOR n IN 1..100 LOOP"
        " EXECUTE format('CREATE TABLE public.temporary_%s (id int)', n);"
        " PERFORM zanith.archive_table(format('public.temporary_%s', n)::regclass,"
        " expires_in => interval '0'); END LOOP; END $$",
    )
    started = time.monotonic()
    answer = None
    while answer is None or answer.status_code == 409:  # one was sealed meanwhile: look again
        found = person.post("/api/cleanup", {"expired": True, "dry_run": True}).json()
        only = [item["artifact"]["id"] for item in found["candidates"] if item["skip"] is None]
        said = {"expired": True, "dry_run": False, "only": only, "confirm": len(only)}
        answer = person.post("/api/cleanup", said)
    job = person.wait("cleanup of 100", answer)
    person.tally.note("cleanup, as people see it", time.monotonic() - started)
    left = [item for item in (job or {"result": {"results": []}})["result"]["results"]
            if item["outcome"] == "failed"]  # fmt: skip
    if left:
        person.tally.wrong.append(f"cleanup left {left[:2]}")


# ------------------------------------------------------------------------------------------ the soak


@contextmanager
def traffic(
    place: Place, dbname: str, seconds: int, directory: Path
) -> Iterator[subprocess.Popen[str]]:
    """Let pgbench work on the database while the block runs."""
    script = directory / "traffic.sql"
    words = TRAFFIC if place.server.version >= 17 else TRAFFIC.replace(*BEFORE_17)
    script.write_text(words, encoding="utf-8")
    command = [
        str(place.server.bin_dir / "pgbench"),
        *("--no-vacuum", "--client", "4", "--jobs", "1", "--time", str(seconds), "--rate", "200"),
        *("--define", f"rows={place.rows}", "--file", str(script), "--progress", "10"),
        *("--latency-limit", "1000", "--failures-detailed", place.url(dbname)),
    ]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield running
    finally:
        running.terminate()


def watch(pid: int, tally: Tally, stop: threading.Event) -> None:
    """Note the studio's memory, in MiB, every few seconds."""
    process = psutil.Process(pid)
    started = time.monotonic()
    while not stop.wait(5):
        tally.memory.append((time.monotonic() - started, process.memory_info().rss / 2**20))


def soak(place: Place, minutes: float) -> int:
    """Do everything until the time is up, print what came of it, and return the exit status."""
    dbname = place.table()
    place.server.psql(dbname, TABLES.format(rows=place.rows))
    place.server.psql(dbname, "ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf()")
    place.server.psql(dbname, "CREATE TABLE public.big AS SELECT * FROM public.orders;"
                              " SELECT zanith.archive_table('public.big')")  # fmt: skip
    big = place.artifact(dbname)
    tally = Tally()
    until = time.monotonic() + 60 * minutes
    directory = place.server.directory
    with studio_on(place, dbname) as studio, studio.client() as client:
        stop = threading.Event()
        watcher = threading.Thread(target=watch, args=(studio.process.pid, tally, stop))
        watcher.start()
        with traffic(place, dbname, int(60 * minutes), directory) as pgbench:
            work: tuple[Callable[[Person], None], ...] = (
                columns,
                lambda person: exports(person, big),
                lambda person: crowd(person, dbname, place),
                lambda person: cleanups(person, dbname, place),
            )
            threads = [
                threading.Thread(target=_again, args=(each, client, tally, until)) for each in work
            ]
            for thread in threads:
                thread.start()
            out, err = pgbench.communicate()
            for thread in threads:
                thread.join()
        stop.set()
        watcher.join()
    return report(tally, out, err, pgbench.returncode)


def _again(
    work: Callable[[Person], None], client: httpx.Client, tally: Tally, until: float
) -> None:
    person = Person(client, tally)
    while time.monotonic() < until:
        try:
            work(person)
        except Exception as exc:  # noqa: BLE001 - it is what the report is of
            tally.wrong.append(repr(exc))
        time.sleep(random.uniform(0.1, 1))


def report(tally: Tally, out: str, err: str, status: int) -> int:
    """Print the table, and return 1 where anything went wrong."""
    print("| what | times | median s | p95 s | longest s |\n| --- | --- | --- | --- | --- |")
    for what, taken in sorted(tally.taken.items()):
        ordered = sorted(taken)
        high = ordered[int(0.95 * (len(ordered) - 1))]
        middle = statistics.median(ordered)
        print(f"| {what} | {len(ordered)} | {middle:.2f} | {high:.2f} | {ordered[-1]:.2f} |")
    early = [mib for at, mib in tally.memory if 60 < at <= 180] or [m for _, m in tally.memory[:3]]
    late = [mib for _, mib in tally.memory[-24:]]
    print(f"\nclicks of {PEOPLE} people at once: {dict(tally.clicks)}")
    if early and late:
        print(f"memory: {statistics.median(early):.0f} MiB in the second and third minute,"
              f" {statistics.median(late):.0f} MiB at the end,"
              f" {max(m for _, m in tally.memory):.0f} MiB at most")  # fmt: skip
    print("\npgbench:\n" + out)
    lags = [float(found) for found in re.findall(r"lat ([\d.]+) ms", err)]
    if lags:
        print(f"latency by tens of seconds: median {statistics.median(lags):.1f} ms,"
              f" worst {max(lags):.1f} ms")  # fmt: skip
    failures = [line for line in err.splitlines() if "ERROR" in line or "aborted" in line]
    for line in [*tally.wrong[:20], *failures[:20]]:
        print("WRONG", line)
    print(f"{len(tally.wrong)} wrong with us, {len(failures)} in the traffic")
    return 1 if tally.wrong or failures or status else 0


def main() -> int:
    """Soak one server."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.set_defaults(rounds=1, settings="sized")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--version", type=int, default=max(clusters.find_versions()))
    options = parser.parse_args()
    with open_place(options.version, options) as place:
        return soak(place, options.minutes)


if __name__ == "__main__":
    sys.exit(main())
