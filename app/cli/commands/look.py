"""`zanith recover list`, `inspect` and `doctor`: what was dropped, and whether all is well."""

from dataclasses import replace
from enum import StrEnum
from typing import Annotated

import typer
from rich.text import Text

from app.cli.exits import Exit, stop
from app.cli.humanize import printable
from app.cli.options import DatabaseUrl, Json, Reference
from app.cli.render.artifacts import artifact_list
from app.cli.render.health import diagnosis
from app.cli.render.inspection import inspection
from app.cli.session import Session, run
from app.recovery.artifacts import ArtifactFilter, count_purged, inspect, list_artifacts
from app.recovery.durations import parse_duration
from app.recovery.health import doctor
from app.recovery.operator import superuser_notice

app = typer.Typer()


class Type(StrEnum):
    """The five ways to capture."""

    SOFT_DROP_COLUMN = "soft_drop_column"
    SOFT_DROP_TABLE = "soft_drop_table"
    ARCHIVE_COLUMN = "archive_column"
    ARCHIVE_TABLE = "archive_table"
    REBUILD_TABLE = "rebuild_table"


class Status(StrEnum):
    """What an artifact can be."""

    RECOVERABLE = "recoverable"
    RESTORED = "restored"


@app.command("list")
def list_command(
    artifact_type: Annotated[
        Type | None,
        typer.Option("--type", metavar="TYPE", help=f"Only of this type: {', '.join(Type)}."),
    ] = None,
    status: Annotated[
        Status | None, typer.Option("--status", help="Only recoverable or only restored ones.")
    ] = None,
    table: Annotated[
        str | None, typer.Option("--table", metavar="TABLE", help="Only of this table.")
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="30d", help="Only captured longer ago than this."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="At most so many; else all.")
    ] = None,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    List every artifact, newest first.

    Example:

    $ zanith recover list --table orders --older-than 30d
    $ zanith recover list --json | jq -r '.artifacts[] | select(.health != "ok") | .id'
    """
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
        purged = None if page.items or filtered else await count_purged(session.db)
        terminal.show(artifact_list(page, terminal.out.width, filtered=filtered, purged=purged))
        if as_json:
            terminal.emit({"artifacts": page.items, "total": page.total})

    run(body, url=database_url, json=as_json, read_only=True)


@app.command("inspect")
def inspect_command(
    reference: Reference, as_json: Json = False, database_url: DatabaseUrl = None
) -> None:
    """
    Show one artifact: what was dropped, where it is, and the plan of its
    restore as of now.

    Example:

    $ zanith recover inspect orders.legacy_code
    $ zanith recover inspect 7k2m --json | jq -r .recovery_sql > restore.sql
    """

    async def body(session: Session) -> None:
        found = await inspect(session.db, reference)
        session.terminal.show(inspection(found))
        if as_json:
            session.terminal.emit(found.to_json())

    run(body, url=database_url, json=as_json, read_only=True)


@app.command("doctor")
def doctor_command(
    ceiling: Annotated[
        int | None,
        typer.Option("--ceiling", metavar="BYTES", min=0, help="Say so if more is parked."),
    ] = None,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Compare every artifact with what is really there, and say what mends it.

    It changes nothing, and works on a standby. Exit 4 where something is
    damaged; what is unsealed, expired or blocked alone is no damage. Edited
    rows show in verify, which reads them; doctor says what was verified when.

    Example:

    $ zanith recover doctor
    $ zanith recover doctor --json | jq -r '.findings[] | .code'
    """

    async def body(session: Session) -> None:
        found = await doctor(session.db, ceiling_bytes=ceiling)
        session.terminal.show(diagnosis(found))
        if notice := await superuser_notice(session.db):
            session.terminal.show(Text(f"! {printable(notice)}", style="warn"))
        if as_json:
            session.terminal.emit(found.to_json())
        if found.damaged:
            stop(Exit.REFUSED)

    run(body, url=database_url, json=as_json, read_only=True)
