"""`zanith list`, `status`, `inspect` and `doctor`: what was dropped, and whether all is well."""

from dataclasses import asdict, replace
from enum import StrEnum
from typing import Annotated

import typer
from rich.text import Text

from app.cli.complete import complete_dropped_table
from app.cli.exits import Exit, stop
from app.cli.humanize import printable
from app.cli.options import DatabaseUrl, Json, Reference
from app.cli.render.artifacts import artifact_list
from app.cli.render.health import diagnosis
from app.cli.render.inspection import inspection
from app.cli.render.purge import purged_list, tombstone
from app.cli.render.status import status
from app.cli.session import Session, run
from app.recovery.artifacts.listing import ArtifactFilter, count_purged, list_artifacts, summarize
from app.recovery.artifacts.tombstones import find_purged, list_purged
from app.recovery.core.durations import parse_duration
from app.recovery.core.errors import NotFound, WrongUsage
from app.recovery.core.strategies import Strategy
from app.recovery.core.version import VERSION
from app.recovery.db.operator_role import superuser_notice
from app.recovery.inspection.doctor import doctor
from app.recovery.inspection.inspect import inspect
from app.recovery.jobs import model as jobs

app = typer.Typer()


class Status(StrEnum):
    """What an artifact can be."""

    RECOVERABLE = "recoverable"
    RESTORED = "restored"


@app.command("list")
def list_command(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="TABLE",
            help="Show artifacts of this table only, as --table.",
            autocompletion=complete_dropped_table,
        ),
    ] = None,
    artifact_type: Annotated[
        Strategy | None,
        typer.Option("--type", metavar="TYPE", help=f"Show only this type: {', '.join(Strategy)}."),
    ] = None,
    status: Annotated[
        Status | None,
        typer.Option("--status", help="Show only recoverable or only restored artifacts."),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option("--table", metavar="TABLE", help="Show artifacts of this table only."),
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than", metavar="30d", help="Show only artifacts captured longer ago than this."
        ),
    ] = None,
    purged: Annotated[
        bool, typer.Option("--purged", help="Show purged artifacts, from the audit log.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", metavar="N", min=1, help="The maximum number to show. Default: all."
        ),
    ] = None,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    List artifacts, newest first: all, those of one table, or the purged ones.

    Example:

    $ zanith list
    $ zanith list orders --older-than 30d
    $ zanith list --purged
    $ zanith list --json | jq -r '.artifacts[] | select(.health != "ok").id'
    """
    if name is not None and table is not None:
        raise WrongUsage("TABLE and --table cannot be used together", hint="leave --table out")
    table = table or name
    if purged:
        if artifact_type or status or older_than:
            raise WrongUsage(
                "--purged takes a table and --limit, no other filter",
                hint="zanith list --purged --json has every key to filter by",
            )
        run(
            lambda session: _list_purged(session, table, limit),
            url=database_url,
            json=as_json,
            read_only=True,
        )
        return
    wanted = ArtifactFilter(
        type=artifact_type.value if artifact_type else None,
        status=status.value if status else None,
        table=table,
        older_than=parse_duration(older_than) if older_than else None,
        limit=limit or 10_000,
    )

    async def body(session: Session) -> None:
        page = await list_artifacts(session.db, wanted)
        while limit is None and page.next:
            more = await list_artifacts(session.db, replace(wanted, after=page.next))
            page = replace(more, items=[*page.items, *more.items])
        terminal = session.terminal
        filtered = any((artifact_type, status, table, older_than))
        gone = None if page.items or filtered else await count_purged(session.db)
        terminal.page(artifact_list(page, terminal.out.width, filtered=filtered, purged=gone))
        if as_json:
            terminal.emit({"artifacts": page.items, "total": page.total})

    run(body, url=database_url, json=as_json, read_only=True)


async def _list_purged(session: Session, table: str | None, limit: int | None) -> None:
    found = await list_purged(session.db, table, limit)
    session.terminal.page(purged_list(found, session.terminal.out.width, filtered=bool(table)))
    if session.terminal.json:
        session.terminal.emit({"purged": found})


@app.command("status")
def status_command(as_json: Json = False, database_url: DatabaseUrl = None) -> None:
    """
    Show a summary of the database, the parked objects and the problems.

    It reads only totals. doctor checks each object, and takes longer.

    Example:

    $ zanith status
    $ zanith status --json | jq .artifacts.damaged
    """

    async def body(session: Session) -> None:
        totals = await summarize(session.db)
        live = await jobs.list_jobs(session.db, states=list(jobs.LIVE), limit=100)
        newest = await list_artifacts(session.db, ArtifactFilter(limit=1))
        session.terminal.show(status(session.db.server, totals, live, newest.items))
        if as_json:
            session.terminal.emit(
                {
                    "server": asdict(session.db.server),
                    "engine": VERSION,
                    "artifacts": asdict(totals),
                    "jobs": live,
                    "newest": newest.items[0] if newest.items else None,
                }
            )

    run(body, url=database_url, json=as_json, read_only=True)


@app.command("inspect")
def inspect_command(
    reference: Reference, as_json: Json = False, database_url: DatabaseUrl = None
) -> None:
    """
    Show one artifact: the dropped object, where it is, and the present plan
    of its restore. For a purged one, show the record in the audit log.

    Example:

    $ zanith recover inspect orders.legacy_code
    $ zanith recover inspect 7k2m --json | jq -r .recovery_sql > restore.sql
    """

    async def body(session: Session) -> None:
        try:
            found = await inspect(session.db, reference)
        except NotFound:
            purged = await find_purged(session.db, reference)
            if purged is None:
                raise
            session.terminal.page(tombstone(purged))
            if as_json:
                session.terminal.emit(purged.to_json())
            return
        session.terminal.page(inspection(found))
        if as_json:
            session.terminal.emit(found.to_json())

    run(body, url=database_url, json=as_json, read_only=True)


@app.command("doctor")
def doctor_command(
    ceiling: Annotated[
        int | None,
        typer.Option(
            "--ceiling",
            metavar="BYTES",
            min=0,
            help="Report it if parked objects take more than this.",
        ),
    ] = None,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Compare every artifact with the database, and print a remedy for each
    finding.

    It changes nothing, and works on a standby. Exit 4 if something is
    damaged, or if parked objects take more than --ceiling. An artifact that is
    only unsealed, unfinished, expired or blocked is not damaged. Only verify
    finds edited rows, because it reads them. doctor says how many artifacts were
    verified, and which never were.

    Example:

    $ zanith doctor
    $ zanith recover doctor --json | jq -r '.findings[] | .code'
    """

    async def body(session: Session) -> None:
        found = await doctor(session.db, ceiling_bytes=ceiling)
        notice = await superuser_notice(session.db)
        notes = [Text(f"! {printable(notice)}", style="warn")] if notice else []
        session.terminal.page(diagnosis(found), *notes)
        if as_json:
            session.terminal.emit(found.to_json())
        if found.damaged:
            stop(Exit.REFUSED)

    run(body, url=database_url, json=as_json, read_only=True)
