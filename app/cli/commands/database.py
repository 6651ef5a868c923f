"""`zanith init`: install or upgrade what lives in the database."""

import sys
from typing import Annotated

import typer
from rich.text import Text

from app.cli.humanize import plural
from app.cli.options import DatabaseUrl, Json
from app.cli.session import Session, run
from app.recovery.names import parse_name
from app.recovery.schema import grant_capture, install, print_sql

app = typer.Typer()


@app.command("init")
def init(
    grant: Annotated[
        str | None,
        typer.Option("--grant", metavar="ROLE", help="Also let this role capture (migrations)."),
    ] = None,
    print_only: Annotated[
        bool,
        typer.Option("--print", help="Print the SQL for psql instead of running it."),
    ] = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Install or upgrade what lives in the database.

    Two schemas: zanith (artifacts, audit log, jobs, functions) and
    _zanith_shadow (archives). It is one transaction, and running it again
    changes nothing that is up to date.

    Example:

    $ zanith init --grant migrator
    $ zanith init --print | psql "$DATABASE_URL"
    """
    if print_only:
        sys.stdout.write(print_sql())
        return

    async def body(session: Session) -> None:
        async with session.db.acquire() as connection:
            applied = await install(connection)
            role = _role(grant)
            if role is not None:
                await grant_capture(connection, role)
        server = session.db.server
        session.terminal.show(
            Text.assemble(
                ("✓ ", "good"),
                f"{server.database} on {server.host}:{server.port}: ",
                f"{plural(len(applied), 'file')} applied" if applied else "already up to date",
                f"; {role} may capture" if role else "",
            )
        )
        if as_json:
            session.terminal.emit(
                {"database": server.database, "applied": applied, "granted": role}
            )

    run(body, url=database_url, json=as_json, installed=False)


def _role(text: str | None) -> str | None:
    return None if text is None else ".".join(parse_name(text))
