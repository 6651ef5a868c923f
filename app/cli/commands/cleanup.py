"""`zanith recover cleanup`: purge by age, one transaction each."""

from typing import Annotated

import typer

from app.cli.confirm import confirm_word, require_person
from app.cli.exits import Exit, stop
from app.cli.options import DatabaseUrl, DryRun, Json, Yes
from app.cli.progress import watching
from app.cli.render.purge import candidates, outcomes
from app.cli.session import Session, run
from app.recovery.durations import parse_duration
from app.recovery.errors import WrongUsage
from app.recovery.purge import cleanup, plan_cleanup

app = typer.Typer()


@app.command("cleanup")
def cleanup_command(
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="30d", help="Captured longer ago; 30 means days."),
    ] = None,
    expired: Annotated[
        bool, typer.Option("--expired", help="Past their expiry; held ones stay.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Purge what is old or past its date, and say what was skipped and why.

    Each artifact goes in a transaction of its own: a failure or a lock skips
    one, not the rest. What was captured to stay for ever goes only by name,
    with purge. Exit 1 where one failed.

    Example:

    $ zanith recover cleanup --expired --dry-run
    $ zanith recover cleanup --older-than 90d --yes --json
    """
    if not expired and older_than is None:
        raise WrongUsage("say what to clean up", hint="pass --older-than 30d, --expired, or both")
    age = parse_duration(older_than) if older_than is not None else None
    if older_than is not None and age is None:
        raise WrongUsage("--older-than never matches nothing", hint="write 30d or 12h")

    async def body(session: Session) -> None:
        terminal = session.terminal
        plan = await plan_cleanup(session.db, age, expired)
        going = [artifact for artifact, reason in plan if reason is None]
        if dry_run:
            terminal.show(candidates(plan, terminal.out.width))
            if as_json:
                would = [{"artifact": found, "skip": why} for found, why in plan]
                terminal.emit({"candidates": would})
            return
        if going:
            require_person(terminal, yes=yes)
            if not yes:
                terminal.say(candidates(plan, terminal.err.width))
            confirm_word(terminal, str(len(going)), why="to delete them for good", yes=yes)
        ids = [artifact.id for artifact in going]
        with watching(terminal, "Cleaning up") as follow:
            results = await cleanup(
                session.db,
                age,
                expired,
                session.actor,
                only=None if yes else ids,
                on_progress=follow,
            )
        terminal.show(outcomes(results, terminal.out.width))
        if as_json:
            terminal.emit({"results": results})
        if any(result.outcome == "failed" for result in results):
            stop(Exit.FAILED)

    run(body, url=database_url, json=as_json)
