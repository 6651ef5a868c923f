"""The studio and the demo, started from the command line until Ctrl-C."""

import shlex
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from rich.text import Text

from app.cli.console import Terminal
from app.cli.session import Session, run
from app.recovery.core.errors import Failed
from app.server.logs import speak_in_lines
from app.server.serving import Server, configure, listen
from app.settings import Settings, require_audit_log


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
        "webhook_url": (),
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


def _application(settings: Settings) -> Any:
    from app.server.composition import create_app  # slow to import

    return create_app(settings)


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
        raise Failed("the studio did not start", hint="its output is above")
    terminal.say(Text("stopped", style="quiet"))


def _address(what: str, address: str) -> Text:
    return Text.assemble(
        ("✓ ", "good"), f"{what} is at ", (address, "name"), ("   Ctrl-C stops it", "quiet")
    )
