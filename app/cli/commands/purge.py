"""`zanith recover purge`: delete a parked object for good, after showing what would be lost."""

import typer
from rich.text import Text

from app.cli.confirm import confirm_name, require_person
from app.cli.exits import Exit, stop
from app.cli.humanize import printable
from app.cli.options import DatabaseUrl, DryRun, Json, Reason, Reference, Yes
from app.cli.render.approvals import standing
from app.cli.render.outcome import done, job
from app.cli.render.plan import conflicts
from app.cli.render.purge import review
from app.cli.render.steps import steps
from app.cli.session import Session, run
from app.recovery.approvals.standing import of_purge
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.core.errors import Refused
from app.recovery.core.four_eyes import Change
from app.recovery.jobs.approvals import require_approved
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.operation import attempt
from app.recovery.purge.purge import purge, review_purge
from app.text import size

app = typer.Typer()


@app.command("purge")
def purge_command(
    reference: Reference,
    reason: Reason = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Delete a parked object for good; a tombstone stays in the audit log.

    The command first shows the object, its size, its checksum, and its last
    export and verification. A purge is refused if the artifact is held, or if
    another object depends on the parked one.

    Example:

    $ zanith recover purge orders.legacy_code --dry-run
    $ zanith recover purge orders.legacy_code --reason "retention is over"
    """

    async def body(session: Session) -> None:
        terminal = session.terminal
        found = await get_artifact(session.db, reference)
        if found.status == "restored" and not found.id.startswith(reference):
            raise Refused(
                f"{found.object_name} was restored, and nothing else of that name is recoverable",
                hint=f"to purge the {found.purged_part} that it left, give its id: {found.id}",
            )
        looked = await review_purge(session.db, found.id)
        if dry_run:
            plan = looked.plan
            stands = await of_purge(session.db, looked)
            terminal.page(
                review(looked),
                steps(plan.steps),
                *conflicts(plan.conflicts),
                *standing(stands, found.id),
            )
            blocked = bool(looked.blocked) or stands.missing
            if as_json:
                said = {"approval": stands.to_json(), "blocked": blocked}
                terminal.emit({**looked.to_json(), **said})
            if blocked:
                stop(Exit.REFUSED)
            return
        async with attempt(session.db, session.actor, Kind.PURGE, found.id, found.object_name):
            about = (Change.PURGE, found.id, found.object_name, looked.plan.digest, session.actor)
            await require_approved(session.db, *about)
        require_person(terminal, yes=yes)
        if not yes:
            terminal.say(review(looked))
        confirm_name(terminal, found.object_name, found.id, verb="delete it for good", yes=yes)
        stone = await purge(
            session.db,
            found.id,
            session.actor,
            confirm=None if yes else found.object_name,
            confirmed=yes,
            expected_digest=None if yes else looked.plan.digest,
            reason=reason,
        )
        freed = f", {size(looked.size_bytes)} freed" if looked.size_bytes else ""
        words = Text.assemble("purged ", (printable(found.object_name), "name"), freed)
        terminal.show(done(words), *job(stone.job_id))
        if as_json:
            terminal.emit(stone.to_json())

    run(body, url=database_url, json=as_json)
