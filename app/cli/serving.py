"""Running the studio: the address checked first, the address said, and a clean end."""

import asyncio
import errno
import importlib
import shlex
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from pydantic import SecretStr
from rich.text import Text

from app.cli.console import Terminal
from app.cli.logs import speak_in_lines
from app.cli.session import Session, run
from app.recovery.errors import Failed, NotPermitted, WrongUsage
from app.settings import Settings, require_audit_log

HEAD_BYTES = 32 * 1024
"""The longest request line with its headers."""
CONNECTIONS = 600
"""Beyond so many a request is answered 503 without a look; the studio says why a little earlier."""
AT_ONCE_SECONDS = 2.0


def serve_studio(settings: Settings, terminal: Terminal) -> None:
    """Serve the studio until it is told to stop."""
    require_audit_log(settings)
    application = _application(settings)  # it reads the token files
    with listen(settings.host, settings.port) as listener:
        run(_look, settings=settings)
        _serve(settings, application, listener, terminal, "the studio")


async def _look(session: Session) -> None:
    """Nothing: that the database could be opened, and is installed, is all that is asked."""


def serve_demo(
    settings: Settings, data_dir: Path | None, *, fresh: bool, terminal: Terminal
) -> None:
    """Start the embedded server with its sample data, and serve the studio on it."""
    from app.demo import running

    require_audit_log(settings)

    def tell(words: str) -> None:
        terminal.say(Text(words, style="quiet"))

    # Always on this machine alone and without a token, whatever the environment says.
    open_here = {
        "host": "127.0.0.1",
        "auth_token": (),
        "read_only_auth_token": (),
        "auth_token_file": None,
        "read_only_auth_token_file": None,
        "trusted_proxies": (),
        "user_header": None,
        "root_path": "",
    }
    with (
        listen("127.0.0.1", settings.port) as listener,
        running(data_dir, fresh=fresh, tell=tell) as url,
    ):
        mine = settings.model_copy(update={**open_here, "database_url": SecretStr(url)})
        terminal.say(Text("in another terminal:"))
        # One line each on every width: what is copied has no break in it.
        for line in _from_another_terminal(url):
            terminal.err.print(Text(f"  {line}", style="quiet"), soft_wrap=True)
        _serve(mine, _application(mine), listener, terminal, "the demo")


def _from_another_terminal(url: str) -> tuple[str, ...]:
    """Return the lines that use the command line and psql on the demo, each to be copied."""
    program = sys.argv[0]
    if shutil.which("zanith") == program:
        program = "zanith"
    address = shlex.quote(url)
    return f"export ZANITH_DATABASE_URL={address}", f"{program} list", f"psql {address}"


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
            hint=f"stop what listens there, or choose another: --port {port + 1}",
        )
    if exc.errno == errno.EACCES:
        return NotPermitted(
            f"permission denied: cannot bind port {port}", hint="choose one above 1023"
        )
    return Failed(f"{host}:{port} cannot be bound: {exc.strerror}", hint="choose another --host")


def _application(settings: Settings) -> Any:
    # By name: the composition root is above us, and nothing else here needs to know it.
    return importlib.import_module("app.main").create_app(settings)


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


def _serve(
    settings: Settings,
    application: Any,
    listener: socket.socket,
    terminal: Terminal,
    what: str,
) -> None:
    host, port = listener.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}{settings.root_path}/studio"
    speak_in_lines(settings.log_format)
    server = Server(configure(application), lambda: terminal.say(_address(what, address)))
    server.run(sockets=[listener])
    if not server.started:
        raise Failed("the studio did not start", hint="what it said is above")
    terminal.say(Text("stopped", style="quiet"))


def _address(what: str, address: str) -> Text:
    return Text.assemble(
        ("✓ ", "good"), f"{what} is at ", (address, "name"), ("   Ctrl-C stops it", "quiet")
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
