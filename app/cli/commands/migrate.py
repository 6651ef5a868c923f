"""`zanith migrate plan`: review migrations of any tool."""

import codecs
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from app.cli.commands import snapshots
from app.cli.connection import given
from app.cli.console import Terminal, write_plain_json
from app.cli.derived import expanded
from app.cli.exits import Exit, stop
from app.cli.migrations import (
    GATES,
    DirectoryBeside,
    LayoutOption,
    refuse_useless,
    refuse_without,
)
from app.cli.options import DatabaseUrl, Json
from app.cli.render.migrate import planned, probed, summary
from app.cli.session import Session, run
from app.migrate.apply.baseline import begins_empty
from app.migrate.apply.history import has_history
from app.migrate.apply.status import read_status
from app.migrate.apply.up import ask_database, is_guarded
from app.migrate.preflight.findings import Finding, preflight_to_json
from app.migrate.preflight.run import run_preflight, with_findings
from app.migrate.read.chosen import Chosen, choose_file, require_directory
from app.migrate.read.layouts import read_migrations, read_one
from app.migrate.read.migrations import Layout, Migration
from app.migrate.read.scripts import read_script
from app.migrate.review.plan import Gates, MigrationPlan, divide, plan_migrations
from app.migrate.review.report import to_markdown, to_sarif
from app.migrate.review.world import World
from app.recovery.core.durations import parse_duration
from app.recovery.core.errors import NotPermitted, WrongUsage
from app.settings import load_settings

app = typer.Typer(no_args_is_help=True)
app.add_typer(snapshots.app, name="snapshot")


@app.callback()
def _migrate_group() -> None:
    """
    Review SQL migrations, apply them, and keep their history.

    Example:

    $ zanith migrate plan migrations/
    $ zanith migrate plan migrations/0042_drop_code.sql --max-risk medium
    $ zanith migrate status --dir migrations/
    $ zanith migrate up --dir migrations/
    """


@app.command("plan")
@expanded
def plan_command(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="PATH",
            help="A SQL file, a directory of migrations, or - for stdin. Default: --dir.",
        ),
    ] = None,
    *,
    directory: DirectoryBeside = None,
    layout: LayoutOption = None,
    after: Annotated[
        str | None,
        typer.Option(
            "--after",
            metavar="ID",
            help="Plan the migrations after this one, as pending together: a table that one of "
            "them creates is empty. Default: with a database those that it has not applied; else "
            "all, each as if those before it were applied.",
        ),
    ] = None,
    gates: Annotated[Gates, GATES],
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")
    ] = False,
    sarif: Annotated[
        bool, typer.Option("--sarif", help="Print SARIF 2.1.0, for code scanning.")
    ] = False,
    preflight: Annotated[
        bool,
        typer.Option(
            "--preflight",
            help="With a database: look for rows that stop a statement, such as duplicates, "
            "orphans and NULLs.",
        ),
    ] = False,
    preflight_time: Annotated[
        str | None,
        typer.Option(
            "--preflight-time",
            metavar="DURATION",
            help="How long all probes together may take. Default: 1min.",
        ),
    ] = None,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Show what migrations do: the level, reasons and locks of each operation.

    It reads SQL files of any tool with PostgreSQL's parser, and needs no
    database. With --database-url, -h, -p, -U or --profile it reads the catalog
    too: sizes, types, constraints. --preflight then also reads the rows. Exit 4
    if an operation does not pass a gate: --max-risk, --fail-on, a statement that
    would fail, or a loss of data that no capture covers. A comment before a
    statement allows a reason:
    -- zanith: allow truncates_table

    Example:

    $ zanith migrate plan migrations/
    $ zanith migrate plan migrations/0042_drop_code.sql --dir migrations/
    $ zanith migrate plan migrations/ --after 0041 --max-risk medium
    $ zanith migrate plan migrations/ --after 0041 -d shop --preflight
    $ alembic upgrade FROM:head --sql | zanith migrate plan - --markdown
    """
    if sum((markdown, sarif, as_json)) > 1:
        raise WrongUsage("--json, --markdown and --sarif exclude each other", hint="give one")
    if not preflight:
        refuse_without("--preflight", ("--preflight-time", preflight_time))
    refuse_contradictions(path, directory, after)
    known = directory or (None if path == Path("-") else load_settings().migrations)
    chosen = read_named(path, known, layout)
    found, migrations = chosen.layout, chosen.migrations if chosen.down is None else []
    live, asked = None, database_url is not None or given().parts or given().profile
    together = bool(asked and len(migrations) > 1 and after is None)
    if together:
        migrations = _pending(found, migrations, database_url, json=as_json)
    pending = divide(migrations, after)[1]
    if asked:
        live, gates = _ask(pending, gates, database_url, json=as_json)
    elif preflight:
        raise WrongUsage("--preflight needs a database", hint="name it: -d, or --profile")
    plan = plan_migrations(found, migrations, gates, after, chosen.before, live, together=together)
    plan = replace(plan, notes=tuple(_notes(chosen, path)))
    findings: tuple[Finding, ...] | None = None
    if preflight:
        findings = _probe(plan, pending, database_url, preflight_time or "1min", json=as_json)
        plan = with_findings(plan, findings)
    _show(plan, findings, Terminal(json=as_json), markdown=markdown, sarif=sarif)
    if plan.failures:
        stop(Exit.REFUSED)


def _notes(chosen: Chosen, path: Path | None) -> Iterator[str]:
    """Yield what a person has to know of the files that are named."""
    down = chosen.migrations[0].down if chosen.down is not None else None
    if down is not None:
        read_script(down)  # it has to be SQL
        name = chosen.migrations[0].id
        yield (
            f"{chosen.down} is the down part of {name}, and a plan shows what up runs:"
            f" zanith migrate plan - < {chosen.down} shows its statements"
        )
    elif path is not None and not path.is_dir() and not chosen.before:
        warning = begins_empty(chosen.migrations[0])
        if warning is not None:
            yield f"{chosen.migrations[0].up.path}: {warning}"


def _show(
    plan: MigrationPlan,
    findings: tuple[Finding, ...] | None,
    terminal: Terminal,
    *,
    markdown: bool,
    sarif: bool,
) -> None:
    if markdown:
        sys.stdout.write(to_markdown(plan) + "\n")
        return
    if sarif:
        write_plain_json(to_sarif(plan))
        return
    terminal.page(planned(plan))
    if findings is not None:
        terminal.page(probed(findings))
    terminal.say(summary(plan))
    if terminal.json:
        preflight = None if findings is None else preflight_to_json(findings)
        terminal.emit({**plan.to_json(), "preflight": preflight})


def refuse_contradictions(path: Path | None, directory: Path | None, after: str | None) -> None:
    """Raise WrongUsage if a PATH and --dir name two directories, or a file is after another."""
    if path is None:
        return
    two = directory is not None and path.is_dir() and path.resolve() != directory.resolve()
    refuse_useless(
        (two, f"PATH is the directory {path}, and --dir names another", "name one of them"),
        (
            after is not None and (path == Path("-") or path.is_file()),
            "a file and --after exclude each other",
            "leave --after out: with --dir the migrations before the file count as applied",
        ),
    )


def read_named(path: Path | None, directory: Path | None, layout: Layout | None) -> Chosen:
    """Return the migrations that PATH and --dir name, and those that are applied before them."""
    if path is None and directory is None:
        raise WrongUsage(
            "no migrations are named", hint="name a file, a directory or -, or set --dir"
        )
    if directory is not None and (path is None or not path.is_dir()):
        require_directory(directory)
    if path == Path("-"):
        known = read_migrations(directory, layout)[1] if directory is not None else []
        return Chosen(*_read_stdin(layout), known)
    if path is None or directory is None or path.is_dir():
        return Chosen(*read_migrations(path or directory or Path(), layout))
    return choose_file(path, directory, layout)


def _pending(
    layout: Layout, migrations: Sequence[Migration], url: str | None, *, json: bool
) -> Sequence[Migration]:
    """Return those that the history of the database does not have."""

    async def body(session: Session) -> list[Migration]:
        if not await has_history(session.db):
            raise WrongUsage(
                "which migrations are pending is not known",
                hint="name the last one that was applied with --after, or name one file;"
                " after zanith init and zanith migrate baseline the database knows it",
            )
        status = await read_status(session.db, layout, migrations)
        return [entry.migration for entry in status.pending if entry.migration is not None]

    return run(body, url=url, json=json, installed=False, read_only=True)


def _ask(
    migrations: Sequence[Migration], gates: Gates, url: str | None, *, json: bool
) -> tuple[World, Gates]:
    """Return what the database says of what the migrations name, and the gates with its guard."""

    async def body(session: Session) -> tuple[World, Gates]:
        guarded = False
        with suppress(NotPermitted):  # a role that knows nothing of Zanith
            guarded = await has_history(session.db) and await is_guarded(session.db)
        return await ask_database(session.db, migrations, gates, guarded=guarded)

    return run(body, url=url, json=json, installed=False, read_only=True)


def _probe(
    plan: MigrationPlan,
    migrations: Sequence[Migration],
    url: str | None,
    within: str,
    *,
    json: bool,
) -> tuple[Finding, ...]:
    """Return what the rows of the database say of the migrations."""
    limit = parse_duration(within)
    if limit is None:
        raise WrongUsage("--preflight-time is no duration", hint="write 30s or 5min")

    async def body(session: Session) -> tuple[Finding, ...]:
        return await run_preflight(session.db, plan, migrations, session.actor, limit)

    return run(body, url=url, json=json, installed=False)


def _read_stdin(layout: Layout | None) -> tuple[Layout, list[Migration]]:
    data = sys.stdin.buffer.read().removeprefix(codecs.BOM_UTF8)
    return read_one(Path("stdin"), layout, data)
