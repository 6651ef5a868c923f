"""The HTTP server of the studio: the address bound first, and a clean end."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn

from app.recovery.core.errors import Failed, NotPermitted, WrongUsage

HEAD_BYTES = 32 * 1024
"""The longest request line with its headers."""

CONNECTIONS = 600
"""Beyond so many a request is answered 503 without a look; the studio says why a little earlier."""

AT_ONCE_SECONDS = 2.0


def listen(host: str, port: int) -> socket.socket:
    """Bind the address before anything else is started; Failed where it is taken."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as exc:
        raise WrongUsage(f"{host!r} is not an address of this machine") from exc
    # With its protocol said: asyncio turns Nagle's algorithm off only where it sees TCP; with it
    # every answer whose head and body are two packets waits 40 ms for an acknowledgement.
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(128)
    except OSError as exc:
        listener.close()
        raise _cannot_bind(host, port, exc) from exc
    return listener


def _cannot_bind(host: str, port: int, exc: OSError) -> Exception:
    if exc.errno == errno.EADDRINUSE:
        return Failed(
            f"port {port} on {host} is taken",
            hint=f"stop the program that listens there, or choose another: --port {port + 1}",
        )
    if exc.errno == errno.EACCES:
        return NotPermitted(
            f"permission denied: cannot bind port {port}", hint="choose one above 1023"
        )
    return Failed(f"{host}:{port} cannot be bound: {exc.strerror}", hint="choose another --host")


def configure(application: Any) -> uvicorn.Config:
    """Return how uvicorn serves the studio: what a proxy says is heeded in one place, not here."""
    return uvicorn.Config(
        application,
        http="h11",
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=HEAD_BYTES,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=3,
    )


async def _briefly(work: Coroutine[Any, Any, None]) -> None:
    await asyncio.wait({asyncio.ensure_future(work)}, timeout=AT_ONCE_SECONDS)


class Server(uvicorn.Server):
    """A server that says when it is ready, and lets its caller clean up after Ctrl-C or SIGTERM."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready
        application: Any = config.app
        self._studio = application.state.studio
        self._studio.connections = lambda: len(self.server_state.connections)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let the studio end its work while it still answers, then as uvicorn does it.

        A second Ctrl-C or SIGTERM waits for nothing: what runs is told, and has two seconds.
        """
        studio = self._studio
        draining = asyncio.ensure_future(studio.drain())
        while not draining.done() and not self.force_exit:
            await asyncio.wait({draining}, timeout=0.1)
        draining.cancel()
        await asyncio.wait({draining})
        if self.force_exit:
            await _briefly(studio.drain(0))
        await super().shutdown(sockets)
        if self.force_exit:  # uvicorn leaves that out then
            await _briefly(self.lifespan.shutdown())

    def handle_exit(self, _sig: int, _frame: FrameType | None) -> None:
        """Begin to end; the second time, end at once."""
        self.force_exit = self.should_exit
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn does it, without raising the signal again once the server has stopped."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._reread)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _reread(self, _number: int, _frame: FrameType | None) -> None:
        self._studio.access.reread()
