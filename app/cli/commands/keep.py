"""`zanith recover seal`, `verify`, `hold` and `release`: prove an artifact, and protect it."""

from typing import Annotated

import typer
from rich.text import Text

from app.cli.exits import Exit, stop
from app.cli.humanize import instant, plural, printable
from app.cli.options import DatabaseUrl, Jobs, Json, Reason, Reference
from app.cli.progress import watching
from app.cli.render.inspection import hold_facts
from app.cli.render.layout import aside, facts, marked
from app.cli.render.outcome import done
from app.cli.session import Session, run
from app.recovery import hold as holds
from app.recovery import seal as seals
from app.recovery.artifacts import get_artifact

app = typer.Typer()


@app.command("seal")
def seal(
    reference: Reference,
    jobs_at_once: Jobs = 1,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Record the exact row count and checksum of what is parked.

    Example:

    $ zanith recover seal orders.legacy_code
    """

    async def body(session: Session) -> None:
        found = await get_artifact(session.db, reference)
        with watching(session.terminal, f"Sealing {found.object_name}") as follow:
            sealed = await seals.seal(
                session.db, found.id, session.actor, on_progress=follow, jobs_at_once=jobs_at_once
            )
        name = printable(sealed.object_name)
        words = done(f"sealed {name}, {plural(sealed.row_count or 0, 'row')}")
        if found.sealed_at is not None:
            since = f"{name} is sealed already since {instant(found.sealed_at)}; verify checks it"
            words = marked(Text("·", style="quiet"), since)
        session.terminal.show(
            words, aside(Text.assemble(("sha256  ", "quiet"), sealed.checksum or "–"))
        )
        if as_json:
            session.terminal.emit(sealed.to_json())

    run(body, url=database_url, json=as_json)


@app.command("verify")
def verify(
    reference: Reference,
    jobs_at_once: Jobs = 1,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Compute the checksum again and compare it with the seal; exit 4 where they
    differ.

    Example:

    $ zanith recover verify orders.legacy_code
    $ zanith recover verify 7k2m --json | jq .matches
    """

    async def body(session: Session) -> None:
        found = await get_artifact(session.db, reference)
        with watching(session.terminal, f"Verifying {found.object_name}") as follow:
            result = await seals.verify(
                session.db, found.id, session.actor, on_progress=follow, jobs_at_once=jobs_at_once
            )
        name = Text(printable(found.object_name), style="name")
        if result.matches:
            words = Text.assemble(name, f" matches its seal, {plural(result.rows, 'row')}")
            session.terminal.show(done(words), aside(facts([("sha256", result.actual)])))
        else:
            words = Text.assemble(name, " has CHANGED since it was sealed")
            sums = facts([("sealed", result.expected), ("now", result.actual)])
            session.terminal.show(marked(Text("✗", style="bad"), words), aside(sums))
        if as_json:
            session.terminal.emit(result.to_json())
        if not result.matches:
            stop(Exit.REFUSED)

    run(body, url=database_url, json=as_json)


@app.command("hold")
def hold(
    reference: Reference,
    reason: Reason = None,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Keep an artifact from purge and cleanup until it is released.

    A hold that is there already stays, with its reason.

    Example:

    $ zanith recover hold customers.loyalty_points --reason "legal, case 2214"
    """

    async def body(session: Session) -> None:
        found = await get_artifact(session.db, reference)
        held = await holds.hold(session.db, found.id, session.actor, reason)
        words = done(f"{printable(held.object_name)} is on hold")
        if found.held:
            said = (
                f"{printable(held.object_name)} is on hold already, {printable(hold_facts(held))}."
            )
            if reason is not None:
                said += " That stays. For another reason release it first: zanith recover release"
            words = marked(Text("·", style="quiet"), said)
        session.terminal.show(words)
        if as_json:
            session.terminal.emit(held.to_json())

    run(body, url=database_url, json=as_json)


@app.command("release")
def release(
    reference: Reference,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why.")] = None,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Lift the hold, so that purge and cleanup may take the artifact again.

    Example:

    $ zanith recover release customers.loyalty_points
    """

    async def body(session: Session) -> None:
        found = await get_artifact(session.db, reference)
        free = await holds.release(session.db, found.id, session.actor, reason)
        words = done(f"{printable(free.object_name)} is no longer on hold")
        if not found.held:
            words = marked(
                Text("·", style="quiet"), f"{printable(free.object_name)} was not on hold"
            )
        session.terminal.show(words)
        if as_json:
            session.terminal.emit(free.to_json())

    run(body, url=database_url, json=as_json)
