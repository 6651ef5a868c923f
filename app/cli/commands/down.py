"""`zanith migrate down`: revert applied migrations."""

from typing import Annotated

import typer

from app.cli.confirm import confirm_word, require_person
from app.cli.console import Terminal
from app.cli.exits import Exit, stop
from app.cli.migrations import Directory, LayoutOption, Wait, read_directory
from app.cli.options import DatabaseUrl, Json, Yes
from app.cli.progress import watching
from app.cli.render.down import reversals, reverted
from app.cli.session import Session, run
from app.migrate.apply.down import (
    DownReport,
    DownRequest,
    migrate_down,
    plan_down,
    require_reversible,
)
from app.recovery.core.durations import parse_duration

app = typer.Typer()


@app.command("down")
def down_command(
    *,
    directory: Directory = None,
    layout: LayoutOption = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", metavar="N", help="Revert the newest N migrations. Default: 1."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="ID", help="Revert all migrations after this one."),
    ] = None,
    keep_rows: Annotated[
        bool,
        typer.Option(
            "--keep-rows",
            help="Leave rows that a migration inserted or changed as they are.",
        ),
    ] = False,
    wait: Wait = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            "-n",
            help="Show what would run; exit 4 if something cannot be reversed.",
        ),
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Revert applied migrations, newest first: by their down part, or by what was
    recorded.

    Without a down part, what a migration created is dropped (and captured),
    what it dropped is restored from its captures, renames are undone, and other
    definitions become those of the snapshot before it. The command first tries
    this in a transaction that it rolls back. It says all that cannot be
    reversed, and then changes nothing.

    Example:

    $ zanith migrate down --dir migrations --dry-run
    $ zanith migrate down --dir migrations --steps 2
    $ zanith migrate down --dir migrations --to 0041 --yes
    """
    found, migrations = read_directory(directory, layout)
    request = DownRequest(steps, to, keep_rows, parse_duration(wait) if wait else None)

    async def body(session: Session) -> DownReport:
        planned = await plan_down(session.db, found, migrations, session.actor, request)
        session.terminal.say(reversals(planned))
        if dry_run:
            return planned
        require_reversible(planned.reversals)
        require_person(session.terminal, yes=yes)
        newest = planned.reversals[0].id
        confirm_word(session.terminal, newest, why="to revert it", yes=yes)
        with watching(session.terminal, "Migrations") as follow:
            return await migrate_down(session.db, found, migrations, session.actor, request, follow)

    report = run(body, url=database_url, json=as_json)
    terminal = Terminal(json=as_json)
    terminal.say(reverted(report))
    if as_json:
        terminal.emit(report.to_json())
    if dry_run and report.blocked:
        stop(Exit.REFUSED)
