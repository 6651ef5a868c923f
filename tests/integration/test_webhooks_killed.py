"""The outbox under SIGKILL of the studio and of the receiver, at random moments.

Some rounds run with the suite. For many: ZANITH_WEBHOOK_ROUNDS=50 pytest -s with this file.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.studios import run_command, wait_until

pytestmark = pytest.mark.newest

ROUNDS = int(os.environ.get("ZANITH_WEBHOOK_ROUNDS", "4"))
EVENTS = 8
WAYS = (["receiver"], ["studio"], ["receiver", "studio"], ["studio", "receiver"])
# not of type "test": a test that did not arrive is not sent again
TELL = "SELECT zanith._tell('killed {} {}', 'restore.ended', NULL, NULL, NULL, '{{}}')"
CLAIMED = (
    "SELECT event_id FROM zanith._zanith_webhook_deliveries"
    " WHERE state = 'waiting' AND lease IS NOT NULL"
)
KNOWN = "SELECT count(*) FROM zanith._zanith_webhook_receivers"
STATES = (
    "SELECT state, attempts, lease IS NOT NULL, last_error, count(*)"
    " FROM zanith._zanith_webhook_deliveries GROUP BY 1, 2, 3, 4"
)
WAITING = "SELECT count(*) FROM zanith._zanith_webhook_deliveries WHERE state <> 'delivered'"
# what takes minutes otherwise: the wait before another attempt, and a dead studio's lease
AGAIN = (
    "UPDATE zanith._zanith_webhook_deliveries SET next_attempt_at = now()"
    " WHERE state = 'waiting' AND lease IS NULL;"
    """ SELECT pg_notify('zanith', '{"event": "webhook", "id": ""}')"""
)
LATER = (
    "UPDATE zanith._zanith_webhook_deliveries SET lease = NULL, lease_expires_at = NULL"
    " WHERE state = 'waiting'"
)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def receiving(port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a receiver as a process of its own."""
    command = [sys.executable, "-m", "tests.receivers", str(port), str(log), "0.15"]
    with subprocess.Popen(command) as process:
        try:
            wait_until(lambda: listens(port))
            yield process
        finally:
            kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    process.wait()


def lines(log: Path, word: str) -> Counter[str]:
    """Count the lines of each event; the last line may be cut off."""
    found = [line.split() for line in log.read_text().splitlines()]
    return Counter(line[1] for line in found if len(line) == 2 and line[0] == word)


class Processes:
    """A receiver and a studio, each a process of its own; `start` replaces those that are dead."""

    def __init__(self, database, folder: Path, stack: ExitStack) -> None:
        self.database, self.folder, self.stack = database, folder, stack
        self.port, self.log = free_port(), folder / "received"
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        if "receiver" not in self.running:
            self.running["receiver"] = self.stack.enter_context(receiving(self.port, self.log))
        if "studio" not in self.running:
            self.database.psql(LATER)
            env = {"ZANITH_WEBHOOK_URL": f"http://127.0.0.1:{self.port}/hook"}
            command = run_command(self.database.tcp_url, self.folder, **env)
            self.running["studio"] = self.stack.enter_context(command).process
        self.database.psql(AGAIN)

    def kill(self, name: str) -> None:
        kill(self.running.pop(name))


@pytest.mark.timeout(300 + 60 * ROUNDS)
def test_each_event_arrives_and_none_twice_where_it_was_answered(database, tmp_path, monkeypatch):
    monkeypatch.setattr("tests.studios.PATIENCE", 90.0)  # a studio starts in most rounds
    told: set[str] = set()
    unrecorded: set[str] = set()  # claimed by a studio at the moment in which it was killed
    killed: Counter[str] = Counter()
    chance = random.Random(20261201)
    with ExitStack() as stack:
        processes = Processes(database, tmp_path, stack)
        for number in range(ROUNDS):
            processes.start()
            wait_until(lambda: database.psql(KNOWN) == "1")
            tells = [TELL.format(number, each) for each in range(EVENTS)]
            new = set(database.psql("; ".join(tells)).split())
            told |= new
            wait_until(lambda new=new: new & set(lines(processes.log, "got")))
            for which in WAYS[number % len(WAYS)]:
                time.sleep(chance.uniform(0, 0.6))
                killed[which] += 1
                processes.kill(which)
                if which == "studio":
                    unrecorded |= set(database.psql(CLAIMED).split())
        processes.start()
        until = time.monotonic() + 60
        while database.psql(WAITING) != "0":
            assert time.monotonic() < until, f"not delivered: {database.psql(STATES)}"
            database.psql(AGAIN)
            time.sleep(0.5)
    got, answered = lines(processes.log, "got"), lines(processes.log, "answered")
    twice = {event for event, number in answered.items() if number > 1}
    print(
        f"\n{ROUNDS} rounds, {len(told)} events: killed {dict(killed)}; {len(got)} arrived,"
        f" {sum(got.values())} requests, {len(answered)} answered, {len(twice)} answered twice"
        f" (of {len(unrecorded)} that a studio had claimed as it was killed)"
    )
    assert set(got) == told
    assert twice <= unrecorded
