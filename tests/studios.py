"""A studio for tests: the real application on a real socket, beside the test in a thread."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx
from fastapi import FastAPI

from app.server.composition import create_app
from app.server.serving import Server, configure, listen
from app.settings import Settings, load_settings

PATIENCE = 20.0


@dataclass(frozen=True)
class Running:
    """A studio that answers at `url`, and the application behind it."""

    url: str
    app: FastAPI

    def client(self, token: str | None = None) -> httpx.Client:
        """Return a client of the API, with a token where one is needed."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE)


@contextmanager
def run_studio(
    database_url: str, unix_socket: Path | None = None, /, **settings: object
) -> Iterator[Running]:
    """Serve the studio for a database until the block ends; settings as Settings takes them.

    On a unix socket where one is given, as behind a proxy of the same machine.
    """
    if unix_socket:
        listener, port = socket.socket(socket.AF_UNIX), 4321
        listener.bind(str(unix_socket))
    else:
        listener = listen("127.0.0.1", 0)
        port = listener.getsockname()[1]
    assert settings.keys() <= Settings.model_fields.keys(), settings.keys()
    app = create_app(load_settings(database_url=database_url, port=port, **settings))
    server = Server(configure(app), lambda: None)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        _wait(lambda: server.started or not thread.is_alive())
        assert server.started, "the studio did not start"
        yield Running(f"http://127.0.0.1:{port}", app)
    finally:
        server.should_exit = True
        thread.join(2 * PATIENCE)
        listener.close()
        assert not thread.is_alive(), "the studio did not stop"


@dataclass(frozen=True)
class Command:
    """A `zanith studio` of its own process, and the file that it writes to."""

    url: str
    process: subprocess.Popen[bytes]
    output: Path

    def client(self, token: str | None = None) -> httpx.Client:
        """Return a client of the API, with a token where one is needed."""
        return Running(self.url, FastAPI()).client(token)


@contextmanager
def run_command(
    database_url: str, folder: Path, /, *, patience: float = PATIENCE, **env: str
) -> Iterator[Command]:
    """Run the real command until the block ends; settings as its environment takes them.

    It fails where the studio does not start within so many seconds.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    output = folder / f"studio-{port}.log"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "ZANITH_"))}
    with output.open("wb") as file:
        process = subprocess.Popen(
            [Path(sys.executable).parent / "zanith", "studio", "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=kept | {"ZANITH_DATABASE_URL": database_url} | env,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(lambda: process.poll() is not None or b"/studio" in output.read_bytes(), patience)
        assert process.poll() is None, output.read_text()
        yield Command(url, process, output)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def sign_in(studio: Running | Command, token: str, prefix: str = "") -> Iterator[httpx.Client]:
    """Lend a browser that signed in with a token; it follows no redirect by itself."""
    with httpx.Client(
        base_url=studio.url, headers={"Origin": studio.url}, timeout=PATIENCE
    ) as browser:
        given = form_token(browser.get(f"{prefix}/studio/login").text)
        answer = browser.post(f"{prefix}/studio/login", data={"token": token, "form_token": given})
        assert answer.status_code == 303, answer.text
        yield browser


def form_token(html: str) -> str:
    """Return the token of the forms on a page."""
    return html.split('name="form_token" value="', 1)[1].split('"', 1)[0]


@contextmanager
def locked(database, table: str = "public.orders") -> Iterator[None]:
    """Hold a lock on a table that a restore or a purge must wait for."""
    loop = asyncio.new_event_loop()

    async def lock() -> asyncpg.Connection:
        connection: asyncpg.Connection = await database.connect()
        await connection.execute(f"BEGIN; SELECT count(*) FROM {table}")
        return connection

    connection = loop.run_until_complete(lock())
    try:
        yield
    finally:
        loop.run_until_complete(connection.close())
        loop.close()


def wait_for_job(client: httpx.Client, job_id: str) -> dict:
    """Return a job once it ended."""
    found: dict = {}

    def ended() -> bool:
        found.update(client.get(f"/api/jobs/{job_id}").raise_for_status().json()["job"])
        return found["ended_at"] is not None

    _wait(ended)
    return found


def wait_until(condition) -> None:
    """Wait until a condition holds; fail where it does not in time."""
    _wait(condition)


def _wait(condition, patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.03)


ORDERS = """
CREATE TABLE public.orders (id integer PRIMARY KEY, code text, total numeric NOT NULL DEFAULT 0);
INSERT INTO public.orders SELECT n, 'C-' || n, n * 1.5 FROM generate_series(1, 500) AS n;
CREATE TABLE public.carts (id integer PRIMARY KEY, note text);
INSERT INTO public.carts
SELECT n, CASE WHEN n % 3 > 0 THEN 'cart ' || n END FROM generate_series(1, 40) AS n;
CREATE TABLE public."Weird <b>Name</b> & co" (id integer PRIMARY KEY, "Col ümn" text);
INSERT INTO public."Weird <b>Name</b> & co" VALUES (1, '<script>alert(1)</script>'), (2, NULL);
"""
CAPTURES = {
    "column": """zanith.archive_column(
        'public.orders', 'code', migration_id => '0007_codes', reason => 'no longer used')""",
    "table": "zanith.archive_table('public.carts', reason => 'moved')",
    "weird": """zanith.archive_column(
        'public."Weird <b>Name</b> & co"', 'Col ümn', expires_in => '1 day')""",
}


def capture_orders(database) -> dict[str, str]:
    """Make three tables in a test's database, park things of each, return the artifacts' ids."""
    ids = database.psql(ORDERS + "".join(f"SELECT {call};" for call in CAPTURES.values()))
    return dict(zip(CAPTURES, ids.splitlines(), strict=True))


def wait_for_seals(database) -> None:
    """Wait until a studio has sealed what was parked."""
    unsealed = """SELECT count(*) FROM zanith._zanith_migration_artifacts
        WHERE sealed_at IS NULL AND physical_table IS NOT NULL
            AND artifact_type <> 'soft_drop_column' AND status = 'recoverable'"""
    wait_until(lambda: database.psql(unsealed) == "0")
