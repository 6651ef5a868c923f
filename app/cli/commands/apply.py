"""`zanith migrate up`, `status` and `history`: apply migrations, and look at what was applied."""

from typing import Annotated, Literal

import typer
from rich.text import Text

from app.cli.console import Terminal
from app.cli.derived import expanded
from app.cli.exits import Exit, stop
from app.cli.humanize import printable
from app.cli.migrations import GATES, Directory, LayoutOption, Steps, Wait, read_directory
from app.cli.options import DatabaseUrl, DryRun, Json
from app.cli.progress import watching
from app.cli.render.apply import applied, captures_of, history_list, status_list
from app.cli.render.layout import marked
from app.cli.render.migrate import planned, summary
from app.cli.session import Session, run
from app.migrate.apply.baseline import find_other_history
from app.migrate.apply.history import PastRun, Step, is_busy, read_history, read_steps, runs_of
from app.migrate.apply.status import Status, read_status
from app.migrate.apply.up import UpReport, UpRequest, migrate_up
from app.migrate.review.plan import Gates
from app.recovery.core.durations import parse_duration
from app.recovery.core.errors import WrongUsage

app = typer.Typer()


@app.command("up")
@expanded
def up_command(
    *,
    directory: Directory = None,
    layout: LayoutOption = None,
    steps: Steps = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="ID", help="Run up to this migration, by its id or version."),
    ] = None,
    gates: Annotated[Gates, GATES],
    out_of_order: Annotated[
        bool,
        typer.Option("--out-of-order", help="Run migrations that come before an applied one too."),
    ] = False,
    allow_vanished: Annotated[
        bool,
        typer.Option("--allow-vanished", help="Accept that files of applied migrations are gone."),
    ] = False,
    resume: Annotated[
        Literal["again", "skip"] | None,
        typer.Option(
            "--resume",
            help="What to do with a statement of which nobody knows whether it ended.",
        ),
    ] = None,
    no_preflight: Annotated[
        bool,
        typer.Option("--no-preflight", help="Do not ask the rows first if they stop a statement."),
    ] = False,
    wait: Wait = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Run the pending migrations, each in one transaction with its record.

    It first plans them with the catalog and the rows of the database, and
    refuses what does not pass a gate, as plan --preflight does. Drops are
    captured: by the guard if it is on, else by captures instead of the
    statements. zanith recover restore-migration ID brings back what a
    migration dropped. Each lock has a short timeout, and the whole migration is
    tried again. A file with the comment "-- zanith: no-transaction" runs
    statement by statement; if it is interrupted, the next up resumes there. One
    process runs migrations at a time.

    Exit 1 if a migration failed: what ran before it stays applied. Exit 4 if
    nothing ran because of a gate or the files. Exit 5 for locks.

    Example:

    $ zanith migrate up --dir migrations --dry-run
    $ zanith migrate up --dir migrations
    $ zanith migrate up --to 0042 --max-risk high --wait 5min
    """
    found, migrations = read_directory(directory, layout)
    request = UpRequest(
        steps,
        to,
        gates,
        out_of_order=out_of_order,
        allow_vanished=allow_vanished,
        wait=parse_duration(wait) if wait else None,
        resume=resume,
        dry_run=dry_run,
        preflight=not no_preflight,
    )

    async def body(session: Session) -> UpReport:
        await _warn_of_other_history(session)
        with watching(session.terminal, "Migrations") as follow:
            return await migrate_up(session.db, found, migrations, session.actor, request, follow)

    report = run(body, url=database_url, json=as_json)
    terminal = Terminal(json=as_json)
    if dry_run:
        terminal.page(planned(report.plan))
        terminal.say(summary(report.plan), captures_of(report))
    else:
        terminal.say(applied(report))
    if as_json:
        terminal.emit(report.to_json())
    if dry_run and report.plan.failures:
        stop(Exit.REFUSED)


@app.command("status")
def status_command(
    *,
    directory: Directory = None,
    layout: LayoutOption = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Exit 4 if a migration is pending, or if a file is not as it ran."
        ),
    ] = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Show which migrations are applied, pending, edited, vanished, out of order,
    failed or interrupted.

    Example:

    $ zanith migrate status --dir migrations
    $ zanith migrate status --check
    """
    found, migrations = read_directory(directory, layout)

    async def body(session: Session) -> Status:
        await _warn_of_other_history(session)
        return await read_status(session.db, found, migrations)

    status = run(body, url=database_url, json=as_json, read_only=True)
    terminal = Terminal(json=as_json)
    terminal.page(status_list(status))
    if as_json:
        terminal.emit(status.to_json())
    if check and (status.pending or status.problems):
        stop(Exit.REFUSED)


async def _warn_of_other_history(session: Session) -> None:
    warning = await find_other_history(session.db)
    if warning is not None:
        session.terminal.say(marked(Text("!", style="warn"), printable(warning)))


@app.command("history")
def history_command(
    *,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Show each statement with its time and locks."),
    ] = False,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="7d", help="Show runs of this time only."),
    ] = None,
    migration: Annotated[
        str | None,
        typer.Option(
            "--id", metavar="ID", help="Show the runs of one migration, by its id or version."
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="Show N runs at most.")
    ] = 50,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Show the runs of migrations, newest first: when, by whom, how long, and the
    errors.

    Views answer more: zanith.migration_failures, migration_kinds,
    migration_recoverable, migration_risks, table_changes and
    changes_outside_migrations.

    Example:

    $ zanith migrate history --since 7d
    $ zanith migrate history --id 0042_drop_code --verbose
    """
    span = parse_duration(since) if since else None
    if since and span is None:
        raise WrongUsage("--since cannot be never", hint="write a duration, such as --since 7d")

    async def body(session: Session) -> tuple[list[PastRun], list[Step], bool]:
        runs = await read_history(session.db, span, migration, limit)
        busy = await is_busy(session.db)
        if not (verbose or session.terminal.json):
            return runs, [], busy
        async with session.db.acquire() as connection:
            return runs, await read_steps(connection, [one.run for one in runs]), busy

    runs, steps, busy = run(body, url=database_url, json=as_json, read_only=True)
    terminal = Terminal(json=as_json)
    terminal.page(history_list(runs, steps, busy=busy))
    if as_json:
        terminal.emit({"runs": runs_of(runs, steps)})
