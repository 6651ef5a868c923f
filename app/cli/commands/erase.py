"""`zanith recover erase`: delete one person's rows from a parked copy."""

from typing import Annotated

import typer
from rich.text import Text

from app.cli.confirm import confirm_name, require_person
from app.cli.exits import Exit, stop
from app.cli.humanize import printable
from app.cli.options import DatabaseUrl, DryRun, Json, KeyColumns, Reference, ValuesFrom
from app.cli.progress import watching
from app.cli.render.approvals import standing
from app.cli.render.erase import erasure_plan
from app.cli.render.outcome import done, job
from app.cli.session import Session, run
from app.cli.values import key_columns, key_values
from app.recovery.approvals.standing import of_erasure
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.core.errors import WrongUsage
from app.recovery.purge.erase import check_erasure, erase, plan_erasure
from app.text import count, plural

app = typer.Typer()


@app.command("erase")
def erase_command(
    reference: Reference,
    column: KeyColumns,
    values_from: ValuesFrom = None,
    rows: Annotated[
        int | None,
        typer.Option("--rows", metavar="N", min=1, help="Refuse unless exactly N rows match."),
    ] = None,
    confirm: Annotated[
        str | None,
        typer.Option(
            "--confirm",
            metavar="NAME",
            help="The object's name, to confirm without a terminal; needs --rows.",
        ),
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option(
            "--reason", metavar="TEXT", help="The reason, for the audit log. Do not name a person."
        ),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Delete one person's rows from a parked copy for good; the remaining rows
    get a new seal.

    The values that identify the rows are never on the command line, and are
    recorded nowhere: not in the job, a log or the audit log. A value is
    compared as PostgreSQL prints it.

    Example:

    $ zanith recover erase people --column email --dry-run
    $ zanith recover erase people --column email --values-from ticket.txt \\
          --rows 10 --confirm people --reason "request 4711"
    """
    columns = key_columns(column)
    if confirm is not None and rows is None and not dry_run:
        raise WrongUsage(
            "--confirm needs --rows", hint="count the rows with --dry-run, then pass --rows"
        )

    async def body(session: Session) -> None:
        terminal, db = session.terminal, session.db
        found = await get_artifact(db, reference)
        match = key_values(terminal, columns, values_from)
        expected, digest = rows, None
        if dry_run or confirm is None:
            plan = await plan_erasure(db, found.id, match, session.actor)
            if dry_run:
                stands = await of_erasure(db, plan, match)
                terminal.page(erasure_plan(found, plan), *standing(stands, found.id))
                if as_json:
                    terminal.emit({**plan.to_json(), "approval": stands.to_json()})
                if plan.conflicts or stands.missing:
                    stop(Exit.REFUSED)
                return
            require_person(terminal, yes=False, how="--confirm NAME and --rows N")
            terminal.say(erasure_plan(found, plan))
            expected, digest = (plan.rows or 0) if rows is None else rows, plan.digest
            check_erasure(plan, expected)
            verb = f"erase {plural(expected, 'row')} for good"
            confirm_name(terminal, found.object_name, found.id, verb=verb, yes=False, repeat=False)
        with watching(terminal, f"Erasing in {found.object_name}") as follow:
            erased = await erase(
                *(db, found.id, match, session.actor),
                rows=expected or 0,
                confirm=found.object_name if confirm is None else confirm,
                expected_digest=digest,
                reason=reason,
                on_progress=follow,
            )
        words = Text(f"erased {plural(erased.rows, 'row')} of ")
        words.append(printable(found.object_name), style="name")
        words.append(f"; {count(erased.rows_left)} left, sealed again")
        terminal.show(done(words), *job(erased.job_id))
        if as_json:
            terminal.emit(erased.to_json())

    run(body, url=database_url, json=as_json)
