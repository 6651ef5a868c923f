"""`zanith demo` as a newcomer runs it, on a port of its own; and `zanith studio` at its door."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import shlex
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest

from tests.acceptance.command import PROGRAM, done, environment, zanith

pytestmark = pytest.mark.newest


@dataclass
class Running:
    """A command that serves; what it says so far."""

    process: subprocess.Popen
    said: list[str] = field(default_factory=list)

    def wait_for(self, pattern: str, seconds: float = 60) -> str:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := re.search(pattern, "".join(self.said)):
                return found.group(1)
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"{pattern} was not said: {''.join(self.said)}")

    def stop(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@contextmanager
def serving(*args: str, url: str | None = None, **env: str) -> Iterator[Running]:
    process = subprocess.Popen(
        [PROGRAM, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(url, **env),
    )
    running = Running(process)
    output = process.stdout
    assert output is not None
    reader = threading.Thread(target=lambda: running.said.extend(output), daemon=True)
    reader.start()
    try:
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)
        reader.join(5)
        output.close()
        assert "Traceback" not in "".join(running.said), running.said


CONTRADICTIONS = {
    "who restored": """SELECT a.id FROM zanith._zanith_migration_artifacts a
        JOIN zanith._zanith_audit_log l ON l.artifact_id = a.id AND l.action = 'restore'
        WHERE (a.restored_by, a.restored_at) IS DISTINCT FROM (l.actor, l.at)""",
    "who held": """SELECT a.id FROM zanith._zanith_migration_artifacts a
        JOIN zanith._zanith_audit_log l ON l.artifact_id = a.id AND l.action = 'hold'
        WHERE a.held_by IS DISTINCT FROM l.actor""",
    "when it was verified": """SELECT a.id FROM zanith._zanith_migration_artifacts a
        JOIN zanith._zanith_audit_log l ON l.artifact_id = a.id AND l.action = 'verify'
        WHERE a.verified_at IS DISTINCT FROM l.at""",
    "a job and its entry": """SELECT j.id FROM zanith._zanith_jobs j
        JOIN zanith._zanith_audit_log l ON l.artifact_id = j.artifact_id AND l.action = j.kind
        WHERE (j.actor, j.state) IS DISTINCT FROM (l.actor, l.outcome)
           OR abs(EXTRACT(epoch FROM j.created_at - l.at)) > 1""",
    "steps of what is done": """SELECT id FROM zanith._zanith_jobs
        WHERE state = 'done' AND progress ->> 'done' <> progress ->> 'total'""",
    "the order of things": """SELECT a.id FROM zanith._zanith_migration_artifacts a
        WHERE GREATEST(a.sealed_at, a.verified_at, a.restored_at) > now()
           OR a.created_at > LEAST(a.sealed_at, a.verified_at, a.restored_at)
           OR a.sealed_at > a.verified_at""",
}


def contradictions(url: str) -> dict[str, list[str]]:
    """Return what the demo's tables say against one another."""

    async def ask() -> dict[str, list[str]]:
        connection = await asyncpg.connect(url)
        try:
            return {
                about: [row[0] for row in await connection.fetch(query)]
                for about, query in CONTRADICTIONS.items()
            }
        finally:
            await connection.close()

    return {about: found for about, found in asyncio.run(ask()).items() if found}


def psql(url: str, statement: str) -> None:
    """Run a statement as somebody else would, in a session of its own."""

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


def get(address: str) -> str:
    with urllib.request.urlopen(address, timeout=10) as answer:
        page: bytes = answer.read()
    return page.decode()


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("demo")
    for parent in [directory, *directory.parents]:
        if parent.owner() == pwd.getpwuid(os.geteuid()).pw_name and parent != Path("/tmp"):
            parent.chmod(0o755)  # the server may run as another account
    return directory / "data"


def test_the_demo_shows_a_shop_with_history(data_dir):
    demo = ("demo", "--port", free_port(), "--data-dir", str(data_dir))
    with serving(*demo) as first:
        address = first.wait_for(r"(http://127\.0\.0\.1:\d+/studio)")
        url = first.wait_for(r"psql '(postgresql://[^']+)'")
        assert "legacy_code" in get(address)
        assert contradictions(url) == {}
        first.wait_for(r"(the guard is on)")
        guard = get(f"{address}/guard")
        assert "shop.search_log" in guard
        assert "0044_drop_search_log" in guard
        psql(url, "DROP TABLE shop.employees")
        assert "shop.employees" in get(f"{address}/guard")
        exported = first.wait_for(r"export ZANITH_DATABASE_URL=(\S+)")
        assert shlex.split(exported) == [url]
        first.wait_for(r"(zanith list)\n")
        # as in the README, where no schema is written
        drop = ("drop", "column", "orders.ordered_ip", "--strategy", "soft", "--dry-run", "--json")
        dropped = done(*drop, url=url).json
        assert dropped["object"] == "shop.orders.ordered_ip"
        assert done("inspect", "orders.legacy_code", "--json", url=url).json["id"]
        artifacts = done("recover", "list", "--json", url=url).json["artifacts"]
        assert {a["artifact_type"] for a in artifacts} == {
            *("soft_drop_column", "archive_column", "soft_drop_table"),
            *("archive_table", "rebuild_table"),
        }
        assert {a["health"] for a in artifacts} >= {"ok", "changed", "expired"}
        assert {a["status"] for a in artifacts} == {"recoverable", "restored"}
        assert [a["source_column"] for a in artifacts if a["held"]] == ["loyalty_points"]
        taken = zanith("recover", "restore-table", "shop.gift_cards", "--dry-run", url=url)
        assert taken.code == 4
        changed = zanith("recover", "restore-column", "shop.products.legacy_sku", "--yes", url=url)
        assert changed.code == 4
        done("recover", "restore-column", "shop.customers.phone", "--yes", url=url)
        assert first.stop() == 0
    # What was changed is still there the next time, and that one starts quickly.
    begun = time.monotonic()
    with serving(*demo) as second:
        get(second.wait_for(r"(http://127\.0\.0\.1:\d+/studio)"))
        assert time.monotonic() - begun < 15  # a second or two, but for a busy machine
        artifacts = done("recover", "list", "--json", url=url).json["artifacts"]
        (phone,) = [a for a in artifacts if a["source_column"] == "phone"]
        assert phone["status"] == "restored"
        assert second.stop(signal.SIGTERM) == 0
    assert not (data_dir / "postmaster.pid").exists()
    with serving(*demo, "--fresh") as third:
        third.wait_for(r"(http://127\.0\.0\.1:\d+/studio)")
        artifacts = done("recover", "list", "--json", url=url).json["artifacts"]
        (phone,) = [a for a in artifacts if a["source_column"] == "phone"]
        assert phone["status"] == "recoverable"


@pytest.mark.parametrize("command", ["studio", "demo"])
def test_a_port_that_is_taken_is_said(database, command):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = zanith(command, "--port", str(port), url=database.url)
    assert result.code == 1
    assert f"port {port}" in result.err
    assert "--port" in result.err


def test_the_studio_of_a_database(database):
    with serving("studio", "--port", free_port(), url=database.url) as studio:
        address = studio.wait_for(r"(http://127\.0\.0\.1:\d+/studio)")
        assert database.name in get(address)
        assert studio.stop() == 0


def test_an_open_address_needs_a_token(database):
    result = zanith("studio", "--host", "0.0.0.0", url=database.url)
    assert result.code in {2, 4}
    assert "ZANITH_AUTH_TOKEN" in result.err


def test_the_studio_says_what_is_wrong_with_the_database(bare_database):
    result = zanith("studio", "--port", free_port(), url=bare_database.url)
    assert result.code == 4
    assert "zanith init" in result.err
    gone = zanith("studio", "--port", free_port(), url="postgresql://nobody@127.0.0.1:1/x")
    assert gone.code == 1


def test_a_wrong_setting_is_named():
    result = zanith("recover", "list", ZANITH_LOCK_TIMEOUT="soon")
    assert result.code == 2
    assert "ZANITH_LOCK_TIMEOUT" in result.err
