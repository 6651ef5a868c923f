"""`zanith recover cleanup`: purge by age, one transaction each."""

from datetime import timedelta
from typing import Annotated

import typer

from app.cli.confirm import confirm_word, require_person
from app.cli.exits import Exit, stop
from app.cli.options import DatabaseUrl, Json, Yes
from app.cli.progress import watching
from app.cli.render.purge import candidates, outcomes
from app.cli.session import Session, run
from app.recovery.core.durations import parse_duration
from app.recovery.core.errors import WrongUsage
from app.recovery.purge.cleanup import cleanup, find_digests, find_last_exports, plan_cleanup

app = typer.Typer()


@app.command("cleanup")
def cleanup_command(
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than",
            metavar="30d",
            help="Purge expired artifacts captured longer ago than this.",
        ),
    ] = None,
    expired: Annotated[
        bool,
        typer.Option("--expired", help="Purge artifacts past their expiry date, except held ones."),
    ] = False,
    before_expiry: Annotated[
        bool,
        typer.Option(
            "--before-expiry",
            help="With --older-than: also purge artifacts that have not expired yet.",
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", "-n", help="List what would be purged or kept; purge nothing."),
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Purge artifacts that are past their expiry date. List the artifacts that are
    kept, with the reason.

    Each artifact is purged in its own transaction. A failure or a lock skips
    only that artifact. To purge an artifact that never expires, use zanith
    recover purge. Exit 1 if a purge failed.

    Example:

    $ zanith recover cleanup --expired --dry-run
    $ zanith recover cleanup --older-than 90d --dry-run
    """
    age = _age(older_than, expired=expired, before_expiry=before_expiry)

    async def body(session: Session) -> None:
        terminal = session.terminal
        plan = await plan_cleanup(session.db, age, expired, before_expiry=before_expiry)
        going = [artifact for artifact, reason in plan if reason is None]
        exports = await find_last_exports(session.db, [artifact.id for artifact, _ in plan])
        if dry_run:
            terminal.page(candidates(plan, terminal.out.width, exports))
            if as_json:
                would = [
                    {"artifact": found, "skip": why, "last_export": exports.get(found.id)}
                    for found, why in plan
                ]
                terminal.emit({"candidates": would})
            return
        digests: dict[str, str] | None = None
        if going:
            require_person(terminal, yes=yes)
            if not yes:
                digests = await find_digests(session.db, [artifact.id for artifact in going])
                terminal.say(candidates(plan, terminal.err.width, exports))
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
                before_expiry=before_expiry,
                digests=digests,
            )
        terminal.show(outcomes(results, terminal.out.width))
        if as_json:
            terminal.emit({"results": results})
        if any(result.outcome == "failed" for result in results):
            stop(Exit.FAILED)

    run(body, url=database_url, json=as_json)


def _age(older_than: str | None, *, expired: bool, before_expiry: bool) -> timedelta | None:
    """Return how old they must be; WrongUsage where nothing, or nothing that can be, is asked."""
    if older_than is None and not expired:
        raise WrongUsage(
            "no artifacts are selected", hint="pass --expired, --older-than 30d, or both"
        )
    if older_than is None and before_expiry:
        raise WrongUsage("--before-expiry needs --older-than", hint="add --older-than 90d")
    age = parse_duration(older_than) if older_than is not None else None
    if older_than is not None and age is None:
        raise WrongUsage("--older-than never matches nothing", hint="write 30d or 12h")
    return age
