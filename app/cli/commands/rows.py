"""`zanith recover restore-rows`: find some rows of an artifact, and put them back."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from app.cli.confirm import confirm_name, require_person
from app.cli.console import Terminal
from app.cli.exits import Exit, stop
from app.cli.humanize import printable_block
from app.cli.options import DatabaseUrl, DryRun, Json, OptionalReference, Reason, Yes
from app.cli.progress import watching
from app.cli.render.rows import restored_rows, rows_plan
from app.cli.restoring import ask_unverified
from app.cli.session import Session, run
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.core.errors import Refused, WrongUsage
from app.recovery.restore.overwritten import find_overwritten
from app.recovery.restore.rows_plan import RowsPlan, check_rows, copy_rows, plan_rows
from app.recovery.restore.some_rows import restore_rows
from app.recovery.rows.conditions import Condition, parse_conditions
from app.recovery.rows.search import MOST_ROWS, find_rows
from app.text import plural

app = typer.Typer()


class Form(StrEnum):
    """What rows are printed as."""

    CSV = "csv"
    SQL = "sql"


@app.command("restore-rows")
def restore_rows_command(
    reference: OptionalReference = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            metavar="CONDITION",
            help="Which rows, such as \"order_id = 4711 AND note LIKE 'gift%'\". All conditions "
            "must hold.",
        ),
    ] = None,
    printed: Annotated[
        Form | None,
        typer.Option(
            "--print",
            metavar="csv|sql",
            help="Print the archived rows, or SQL that puts them back, and change nothing.",
        ),
    ] = None,
    undo: Annotated[
        str | None,
        typer.Option(
            "--undo",
            metavar="JOB",
            help="Print the SQL that undoes an earlier job (with --print csv: the overwritten "
            "values), and change nothing.",
        ),
    ] = None,
    seconds: Annotated[
        int,
        typer.Option(
            "--seconds",
            metavar="N",
            min=1,
            max=3600,
            help="How long a search without an index may take.",
        ),
    ] = 30,
    unverified: Annotated[
        bool,
        typer.Option(
            "--unverified",
            help="Put the rows back without checking the archive against its seal. The audit log "
            "records this. The command asks again.",
        ),
    ] = False,
    reason: Reason = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Put some rows of an artifact back: the values of a column by UPDATE, rows of
    a table by INSERT.

    It first shows the archived values beside the live ones, and asks for the
    name. Then the archive is checked against its seal, as by a restore. Each
    row is a transaction of its own, so other sessions do not wait. A row that
    another session changes meanwhile is left out. The overwritten values are
    kept with the job until a purge or an erasure of the artifact.

    Example:

    $ zanith recover restore-rows orders.note --where 'order_id = 4711' --dry-run
    $ zanith recover restore-rows orders.note --where 'order_id <= 12' --yes
    $ zanith recover restore-rows orders --where 'order_id = 4711' --print sql
    """
    if (undo is None) == (reference is None):
        raise WrongUsage("name an artifact", hint="or a job with --undo")
    conditions = parse_conditions(where or ()) if undo is None else ()

    asked = _Asked(conditions, seconds, printed, reason, dry_run, yes, unverified)

    async def body(session: Session) -> None:
        if undo is None:
            await _work(session, reference or "", asked)
            return
        old = await find_overwritten(session.db, undo, session.actor)
        _print(session.terminal, old.as_csv() if printed is Form.CSV else old.as_sql())

    run(body, url=database_url, json=as_json)


@dataclass(frozen=True)
class _Asked:
    """What the options say."""

    conditions: tuple[Condition, ...]
    seconds: int
    printed: Form | None
    reason: str | None
    dry_run: bool
    yes: bool
    unverified: bool


async def _work(session: Session, reference: str, asked: _Asked) -> None:
    db, terminal, actor = session.db, session.terminal, session.actor
    artifact = await get_artifact(db, reference)
    found = await find_rows(
        *(db, artifact.id, asked.conditions, actor), limit=MOST_ROWS, seconds=asked.seconds
    )
    if not found.complete:
        raise Refused(
            "not all rows were found: nothing was changed",
            detail=found.limit_reached,
            hint="search by an indexed column, or with a longer --seconds",
        )
    if not found.rows:
        raise Refused("no row matches: nothing was changed", hint="look at the rows")
    refs = [row.ref for row in found.rows]
    if asked.printed is not None:
        _print(terminal, await copy_rows(db, artifact.id, refs, actor, asked.printed))
        return
    plan = await plan_rows(db, artifact.id, refs, actor, unverified=asked.unverified)
    if asked.dry_run:
        terminal.page(rows_plan(artifact, plan))
        if terminal.json:
            terminal.emit(plan.to_json())
        if plan.conflicts or not plan.count:
            stop(Exit.REFUSED)
        return
    await _put_back(session, artifact, plan, refs, asked)


async def _put_back(
    session: Session, artifact: Artifact, plan: RowsPlan, refs: list[str], asked: _Asked
) -> None:
    terminal = session.terminal
    require_person(terminal, yes=asked.yes)
    terminal.say(rows_plan(artifact, plan))
    check_rows(plan)
    verb = f"put {plural(plan.count, 'row')} back"
    confirm_name(terminal, artifact.object_name, artifact.id, verb=verb, yes=asked.yes)
    if asked.unverified and not asked.yes:
        ask_unverified(terminal)
    with watching(terminal, f"Putting rows of {artifact.object_name} back") as follow:
        outcome = await restore_rows(
            *(session.db, artifact.id, refs, session.actor),
            confirm=artifact.object_name,
            expected_digest=plan.digest,
            unverified=asked.unverified,
            reason=asked.reason,
            on_progress=follow,
        )
    terminal.show(restored_rows(outcome))
    if terminal.json:
        terminal.emit(outcome.to_json())


def _print(terminal: Terminal, text: str) -> None:
    """Write a text to stdout as it is, on a terminal without control characters."""
    if terminal.json:
        terminal.emit({"text": text})
    else:
        terminal.out.file.write(printable_block(text) if terminal.out.is_terminal else text)
