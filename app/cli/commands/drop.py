"""`zanith drop …`: park a column or a table, or record a table before it is rebuilt."""

from dataclasses import asdict, replace
from typing import Annotated, Any

import typer

from app.cli.complete import complete_column, complete_table
from app.cli.confirm import confirm_name, confirm_word, require_person
from app.cli.derived import Taking, expanded, options
from app.cli.options import PACE, DatabaseUrl, Detach, DryRun, Json, Strategy, Yes
from app.cli.progress import watching
from app.cli.render.jobs import handed_over
from app.cli.render.outcome import captured
from app.cli.render.plan import capture_plan, capture_plans
from app.cli.session import Session, run
from app.recovery.artifacts.companions import find_companions
from app.recovery.capture.capture import capture, capture_together, job_params
from app.recovery.capture.planning import plan_capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.errors import WrongUsage
from app.recovery.core.names import parse_name, quote
from app.recovery.jobs.throttle import Limits
from app.recovery.worker import hand_over

app = typer.Typer(no_args_is_help=True)

Asked = dict[str, Any]
"""The options of a capture, as its request takes them."""


def _asked(*but: str) -> Taking:
    return options(CaptureRequest, but=but, make=dict)


_TABLE = Annotated[
    str,
    typer.Argument(
        metavar="TABLE",
        help="A table or schema.table, quoted as in SQL if needed.",
        autocompletion=complete_table,
    ),
]


@app.callback()
def _drop_group() -> None:
    """
    Drop in a recoverable way: the object is parked, and its artifact can
    restore it.

    Example:

    $ zanith drop column orders.legacy_code --strategy archive --dry-run
    """


@app.command("column")
@expanded
def drop_column(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="TABLE.COLUMN",
            help="One or several columns, quoted as in SQL if needed.",
            autocompletion=complete_column,
        ),
    ],
    strategy: Strategy,
    *,
    asked: Annotated[Asked, _asked("keep_rows")],
    pace: Annotated[Limits, PACE],
    detach: Detach = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Drop a column so that it can be restored.

    soft renames the column, instant at any size. archive copies its values with
    their key to the shadow schema, seals them, and drops the column. With
    --online it copies in batches, while reads and writes go on. The command
    first shows the plan, and asks for the column's name. It drops several
    columns in one transaction, all or none, and asks for their number.

    Example:

    $ zanith drop column orders.fax --strategy archive --reason "unused"
    $ zanith drop column orders.fax --strategy archive --online --max-rate 9000
    $ zanith drop column '"Odd.Name"."Col"' --strategy soft --expires-in never
    """
    requests = [
        CaptureRequest(
            strategy="soft_drop_column" if strategy == "soft" else "archive_column",
            table=quote(path),
            column=column,
            **asked,
        )
        for *path, column in map(_column, names)
    ]
    if len(requests) > 1:
        if asked.get("online") or detach:
            raise WrongUsage(
                "--online and --detach take one column", hint="drop the columns one by one"
            )
        _drop_together(requests, dry_run=dry_run, yes=yes, as_json=as_json, url=database_url)
        return
    _drop(
        requests[0],
        dry_run=dry_run,
        yes=yes,
        as_json=as_json,
        url=database_url,
        pace=pace,
        detach=detach,
    )


@app.command("table")
@expanded
def drop_table(
    name: _TABLE,
    strategy: Strategy,
    *,
    asked: Annotated[Asked, _asked("keep_rows", "online")],
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Drop a table so that it can be restored.

    soft renames the table in its schema. archive moves it to the shadow schema
    and seals it. No rows move. The command first shows the plan, and asks for
    the table's name.

    Example:

    $ zanith drop table public.orders_2019 --strategy archive --migration-id 0042
    """
    _drop(
        CaptureRequest(
            strategy="soft_drop_table" if strategy == "soft" else "archive_table",
            table=_table(name),
            **asked,
        ),
        dry_run=dry_run,
        yes=yes,
        as_json=as_json,
        url=database_url,
    )


@app.command("rebuild")
@expanded
def drop_rebuild(
    name: _TABLE,
    *,
    asked: Annotated[Asked, _asked("on_dependents", "published_ok", "online")],
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Record a table's full definition before it is rebuilt.

    The table itself stays. The artifact is for comparison: inspect shows the
    definition then and now, recorded rows can be exported, and a restore is
    refused.

    Example:

    $ zanith drop rebuild orders --keep-rows --migration-id 0043
    """
    _drop(
        CaptureRequest(
            strategy="rebuild_table",
            table=_table(name),
            **asked,
        ),
        dry_run=dry_run,
        yes=yes,
        as_json=as_json,
        url=database_url,
    )


def _drop(
    request: CaptureRequest,
    *,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    url: str | None,
    pace: Limits | None = None,
    detach: bool = False,
) -> None:
    async def body(session: Session) -> None:
        terminal = session.terminal
        plan = await plan_capture(session.db, request)
        if dry_run:
            terminal.page(capture_plan(plan))
            if as_json:
                terminal.emit(plan.to_json())
            return
        require_person(terminal, yes=yes)
        if not yes:
            terminal.say(capture_plan(plan))
        verb = "record it" if request.strategy == "rebuild_table" else "drop it recoverably"
        confirm_name(terminal, plan.object, verb=verb, yes=yes)
        if detach:
            by_name = replace(request, table=quote(parse_name(plan.object)[:-1]))
            params = {**job_params(session.db, by_name, pace), "digest": plan.digest}
            job = await hand_over(
                session.db, "capture", None, params, session.actor, object=plan.object
            )
            handed_over(terminal, job)
            return
        with watching(terminal, f"Capturing {plan.object}") as follow:
            artifact = await capture(
                *(session.db, request, session.actor),
                on_progress=follow,
                expected_digest=None if yes else plan.digest,
                limits=pace,
            )
        companions = await find_companions(session.db, artifact.id)
        terminal.show(captured(artifact, companions))
        if as_json:
            found = [asdict(companion) for companion in companions]
            terminal.emit(artifact.to_json() | {"companions": found})

    run(body, url=url, json=as_json)


def _drop_together(
    requests: list[CaptureRequest], *, dry_run: bool, yes: bool, as_json: bool, url: str | None
) -> None:
    async def body(session: Session) -> None:
        terminal = session.terminal
        plans = [await plan_capture(session.db, request) for request in requests]
        objects = [plan.object for plan in plans]
        if len(set(objects)) < len(objects):
            raise WrongUsage("a column is given twice", hint="name each column once")
        if dry_run:
            terminal.page(capture_plans(plans))
            if as_json:
                terminal.emit({"plans": [plan.to_json() for plan in plans]})
            return
        require_person(terminal, yes=yes)
        if not yes:
            terminal.say(capture_plans(plans))
        why = f"to drop these {len(plans)} columns recoverably"
        confirm_word(terminal, str(len(plans)), why=why, yes=yes)
        with watching(terminal, f"Capturing {len(plans)} columns") as follow:
            artifacts = await capture_together(
                session.db, requests, plans, session.actor, on_progress=follow
            )
        terminal.show(*map(captured, artifacts))
        if as_json:
            terminal.emit({"artifacts": artifacts})

    run(body, url=url, json=as_json)


def _column(name: str) -> tuple[str, ...]:
    parts = parse_name(name)
    if len(parts) not in {2, 3}:
        raise WrongUsage(f"{name} does not name a column", hint="write table.column")
    return parts


def _table(name: str) -> str:
    parts = parse_name(name)
    if len(parts) > 2:
        raise WrongUsage(f"{name} does not name a table", hint="write [schema.]table")
    return quote(parts)
