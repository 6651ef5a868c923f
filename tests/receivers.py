"""Receivers of webhooks for tests: real HTTP servers on loopback, which answer as they are told."""

from __future__ import annotations

import json
import os
import random
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Request:
    """One request that came."""

    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """What its body says."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def id(self) -> str:
        """Which event it is of."""
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """Answers each request as `answers` says, one after another; the last one stays."""

    port: int = 0
    answers: list[str] = field(default_factory=lambda: ["200"])
    requests: list[Request] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)  # ids that were answered with 2xx

    @property
    def url(self) -> str:
        """Where it is, with a secret in its path."""
        return f"http://127.0.0.1:{self.port}/services/T0-very-secret"

    def wait(self, number: int = 1, seconds: float = 20) -> list[Request]:
        """Return the requests once there are so many."""
        deadline = time.monotonic() + seconds
        while len(self.requests) < number:
            assert time.monotonic() < deadline, f"{len(self.requests)} of {number} came"
            time.sleep(0.02)
        return self.requests


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    state: Receiver


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        state = self.server.state
        body = self.rfile.read(int(self.headers["content-length"]))
        found = Request({k.lower(): v for k, v in self.headers.items()}, body)
        answer = state.answers.pop(0) if len(state.answers) > 1 else state.answers[0]
        status, _, rest = answer.partition(" ")
        if status.startswith("2"):
            state.acknowledged.append(found.id)
        state.requests.append(found)
        if status == "close":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        if status == "late":
            time.sleep(float(rest))
            status, rest = "200", ""
        self._answer(int(status), *rest.partition("=")[::2])

    def _answer(self, status: int, name: str, value: str) -> None:
        """Answer with a header, or with a body of so many bytes."""
        self.send_response(status)
        if name == "bytes":
            self.send_header("content-length", value)
            self.end_headers()
            try:
                for _ in range(int(value) // 1_000_000):
                    self.wfile.write(b"x" * 1_000_000)
            except OSError:
                self.close_connection = True
            return
        if name:
            self.send_header(name, value)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def receiver(*answers: str, port: int = 0) -> Iterator[Receiver]:
    """Run a receiver until the block ends."""
    server = _Server(("127.0.0.1", port), _Handler)
    state = server.state = Receiver(server.server_address[1], list(answers) or ["200"])
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Logged(BaseHTTPRequestHandler):
    """Writes each event to a file before and after the answer, so that a killed one tells both."""

    protocol_version = "HTTP/1.1"
    log: int
    longest: float

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._write("got")
        time.sleep(random.uniform(0, self.longest))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
        self.wfile.flush()
        self._write("answered")

    def _write(self, word: str) -> None:
        os.write(self.log, f"{word} {self.headers['webhook-id']}\n".encode())
        os.fsync(self.log)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Silent(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Say nothing of a client that was killed."""


def serve_logged(port: int, file: str, longest: float) -> None:
    """Receive until the process is killed; each line of the file is `got ID` or `answered ID`."""
    _Logged.log = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    _Logged.longest = longest
    _Silent(("127.0.0.1", port), _Logged).serve_forever()


if __name__ == "__main__":
    serve_logged(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
