"""`zanith studio` and `zanith demo`: the browser's side."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.console import Terminal
from app.cli.options import DatabaseUrl
from app.cli.session import settings_with

app = typer.Typer()

_PORT = Annotated[
    int | None,
    typer.Option(
        "--port",
        metavar="P",
        min=1,
        max=65535,
        help="The port to listen on. Default: ZANITH_PORT, else 4321.",
    ),
]


@app.command("studio")
def studio(
    host: Annotated[
        str | None,
        typer.Option(
            "--host",
            metavar="H",
            help="The address to listen on. Default: ZANITH_HOST, else 127.0.0.1.",
        ),
    ] = None,
    port: _PORT = None,
    auth_token: Annotated[
        str | None,
        typer.Option(
            "--auth-token",
            metavar="T",
            help="Tokens of staff: name:token, separated by commas. Better set "
            "ZANITH_AUTH_TOKEN, because ps shows options.",
        ),
    ] = None,
    read_only_auth_token: Annotated[
        str | None,
        typer.Option(
            "--read-only-auth-token",
            metavar="T",
            help="Tokens of viewers, in the same form.",
        ),
    ] = None,
    auth_token_file: Annotated[
        Path | None,
        typer.Option(
            "--auth-token-file",
            metavar="FILE",
            help="Tokens of staff: name:token, one on each line. Read again when it changes.",
        ),
    ] = None,
    read_only_auth_token_file: Annotated[
        Path | None,
        typer.Option(
            "--read-only-auth-token-file",
            metavar="FILE",
            help="Tokens of viewers, in the same form.",
        ),
    ] = None,
    audit_log: Annotated[
        Path | None,
        typer.Option(
            "--audit-log", metavar="FILE", help="Also append the audit log to this file, as NDJSON."
        ),
    ] = None,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Serve the studio for the database, until Ctrl-C.

    On 127.0.0.1 it needs no token. On any other address it does not start
    without one.

    Example:

    $ zanith studio
    $ ZANITH_AUTH_TOKEN=ana:$(openssl rand -hex 16) zanith studio --host 0.0.0.0
    """
    from app.cli.serving import serve_studio

    settings = settings_with(
        host=host,
        port=port,
        auth_token=auth_token,
        read_only_auth_token=read_only_auth_token,
        auth_token_file=auth_token_file,
        read_only_auth_token_file=read_only_auth_token_file,
        audit_log=audit_log,
        database_url=database_url,
    )
    serve_studio(settings, Terminal())


@app.command("demo")
def demo(
    port: _PORT = None,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", metavar="DIR", help="Where the demo's server keeps its data."),
    ] = None,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Delete the last demo and start again."),
    ] = False,
) -> None:
    """
    Start a demo: an embedded PostgreSQL 18, a shop with history, and the
    studio.

    It needs no database and no root. Your changes stay for the next time;
    --fresh starts again. Ctrl-C stops everything.

    Example:

    $ zanith demo
    $ zanith demo --port 8080
    """
    from app.cli.serving import serve_demo
    from app.demo import MIGRATIONS

    settings = settings_with(port=port)
    if settings.migrations is None:
        settings = settings.model_copy(update={"migrations": MIGRATIONS})
    serve_demo(settings, data_dir, fresh=fresh, terminal=Terminal())
