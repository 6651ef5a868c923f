"""`zanith init` and `zanith uninstall`: what lives in the database, put there and taken out."""

import sys
from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from app.cli.confirm import confirm_word, require_person
from app.cli.humanize import printable, printable_block
from app.cli.options import DatabaseUrl, Json, Yes
from app.cli.render.outcome import done
from app.cli.session import Session, run
from app.recovery.core.names import parse_name
from app.recovery.db.grants import grant_capture, grant_read
from app.recovery.db.installer import install, print_sql, uninstall
from app.recovery.db.operator_role import set_operator, superuser_notice
from app.text import plural

app = typer.Typer()


@app.command("init")
def init(
    grant: Annotated[
        str | None,
        typer.Option("--grant", metavar="ROLE", help="Also let this role capture (migrations)."),
    ] = None,
    grant_to_read: Annotated[
        str | None,
        typer.Option(
            "--grant-read",
            metavar="ROLE",
            help="Also let this role read: list, status, inspect, doctor.",
        ),
    ] = None,
    operator: Annotated[
        str | None,
        typer.Option(
            "--operator",
            metavar="ROLE",
            help="Also make this role, which is no superuser, the owner of Zanith's objects. "
            "Then run Zanith as this role.",
        ),
    ] = None,
    print_only: Annotated[
        bool,
        typer.Option("--print", help="Print the SQL for psql instead of running it."),
    ] = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Install or upgrade Zanith in the database.

    It creates two schemas: zanith (artifacts, audit log, jobs, functions) and
    _zanith_shadow (archives). It is one transaction, and running it again
    changes nothing that is up to date.

    Example:

    $ zanith init --grant migrator
    $ zanith init --grant-read auditor
    $ zanith init --operator zanith_operator
    $ zanith init --print | psql "$DATABASE_URL"
    """
    if print_only:
        sys.stdout.buffer.write(print_sql().encode())  # exactly, whatever a terminal can show
        return

    async def body(session: Session) -> None:
        async with session.db.acquire() as connection:
            notes: list[str] = []
            applied = await install(connection, notes)
            role = _role(grant)
            if role is not None:
                await grant_capture(connection, role)
            reader = _role(grant_to_read)
            if reader is not None:
                await grant_read(connection, reader)
            chosen = _role(operator)
            found = None if chosen is None else await set_operator(connection, chosen)
        notice = None if chosen else await superuser_notice(session.db)
        server = session.db.server
        session.terminal.show(
            Text.assemble(
                ("✓ ", "good"),
                f"{server.database} on {server.host}:{server.port}: ",
                f"{plural(len(applied), 'file')} applied" if applied else "already up to date",
                f"; {role} may capture" if role else "",
                f"; {reader} may read" if reader else "",
                f"; {chosen} is the operator" if chosen else "",
            )
        )
        for line in (*notes, *(found.notes if found else ()), *((notice,) if notice else ())):
            session.terminal.show(Text.assemble(("! ", "warn"), printable(line)))
        if found and found.grants:
            why = (
                f"{found.role} is not yet a member of some roles that own tables;"
                " to let it work on their tables:"
            )
            session.terminal.show(Text(printable_block("\n".join([why, *found.grants]))))
        if as_json:
            session.terminal.emit(
                {
                    "database": server.database,
                    "applied": applied,
                    "granted": role,
                    "granted_read": reader,
                    "operator": asdict(found) if found else None,
                    "notes": notes,
                    "notice": notice,
                }
            )

    run(body, url=database_url, json=as_json, installed=False)


@app.command("uninstall")
def uninstall_command(
    yes: Yes = False, as_json: Json = False, database_url: DatabaseUrl = None
) -> None:
    """
    Remove Zanith's two schemas from the database, with the audit log.

    The command is refused while there are artifacts, because only Zanith can
    restore or purge them, and while the database requires approvals: a second
    person ends that first. It asks for the name of the database.

    Example:

    $ zanith recover list
    $ zanith uninstall
    """

    async def body(session: Session) -> None:
        terminal, database = session.terminal, session.db.server.database
        require_person(terminal, yes=yes, dry_run=False)
        why = "to remove the schemas zanith and _zanith_shadow, with the audit log"
        confirm_word(terminal, database, why=why, yes=yes)
        async with session.db.acquire() as connection:
            removed = await uninstall(connection)
        terminal.show(done(f"{printable(database)} no longer has Zanith"))
        if as_json:
            terminal.emit({"database": database, "removed": removed})

    run(body, url=database_url, json=as_json)


def _role(text: str | None) -> str | None:
    return None if text is None else ".".join(parse_name(text))
