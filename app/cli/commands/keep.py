"""`zanith recover seal`, `verify`, `hold` and `release`: prove an artifact, and protect it."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from app.cli.exits import Exit, stop
from app.cli.humanize import printable
from app.cli.options import DatabaseUrl, Jobs, Json, OptionalReference, Reason, Reference
from app.cli.progress import watching
from app.cli.render.inspection import hold_facts
from app.cli.render.layout import aside, facts, marked
from app.cli.render.outcome import done
from app.cli.session import Session, run
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.core.durations import parse_duration
from app.recovery.core.errors import WrongUsage, ZanithError
from app.recovery.core.sizes import parse_size
from app.recovery.purge import hold as holds
from app.recovery.rows import seal as seals
from app.text import count, instant, plural

app = typer.Typer()

_All = Annotated[bool, typer.Option("--all", help="Process all artifacts instead of one.")]


@app.command("seal")
def seal(
    reference: OptionalReference = None,
    every: _All = False,
    jobs_at_once: Jobs = 1,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Record the exact row count and checksum of a parked object.

    --all seals every artifact without a seal. Exit 1 if one failed.

    Example:

    $ zanith recover seal orders.legacy_code
    $ zanith recover seal --all
    """

    async def one(session: Session, found: Artifact) -> tuple[RenderableType, dict[str, Any]]:
        with watching(session.terminal, f"Sealing {found.object_name}") as follow:
            sealed = await seals.seal(
                session.db, found.id, session.actor, on_progress=follow, jobs_at_once=jobs_at_once
            )
        name = printable(sealed.object_name)
        words = done(f"sealed {name}, {plural(sealed.row_count or 0, 'row')}")
        if found.sealed_at is not None:
            since = f"{name} is sealed already since {instant(found.sealed_at)}; verify checks it"
            words = marked(Text("·", style="quiet"), since)
        checksum = aside(Text.assemble(("sha256  ", "quiet"), sealed.checksum or "–"))
        return Group(words, checksum), sealed.to_json()

    async def body(session: Session) -> None:
        if not _one_or_all(reference, every):
            await _each(session, await seals.find_unsealed(session.db, None), one, "sealed")
            return
        shown, document = await one(session, await get_artifact(session.db, reference or ""))
        session.terminal.show(shown)
        if as_json:
            session.terminal.emit(document)

    run(body, url=database_url, json=as_json)


@app.command("verify")
def verify(
    reference: OptionalReference = None,
    every: _All = False,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than",
            metavar="7d",
            help="With --all: only what was verified, or else sealed, longer ago than this.",
        ),
    ] = None,
    limit_rate: Annotated[
        str | None,
        typer.Option("--limit-rate", metavar="50MB", help="How much to read in a second at most."),
    ] = None,
    jobs_at_once: Jobs = 1,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Compute the checksum again and compare it with the seal. Exit 4 if they
    differ.

    --all verifies every sealed artifact, those first whose last verification is
    the oldest. Exit 1 if one failed and none differs.

    Example:

    $ zanith recover verify orders.legacy_code
    $ zanith recover verify 7k2m --json | jq .matches
    $ zanith recover verify --all
    $ zanith recover verify --all --older-than 7d --limit-rate 50MB --json
    """
    rate = parse_size(limit_rate) if limit_rate is not None else None
    age = parse_duration(older_than) if older_than is not None else None
    if older_than is not None and (age is None or not every):
        raise WrongUsage("--older-than takes a duration, and needs --all", hint="write 7d")

    async def one(session: Session, found: Artifact) -> tuple[RenderableType, dict[str, Any]]:
        with watching(session.terminal, f"Verifying {found.object_name}") as follow:
            result = await seals.verify(
                *(session.db, found.id, session.actor),
                on_progress=follow,
                jobs_at_once=jobs_at_once,
                rate=rate,
            )
        name = Text(printable(found.object_name), style="name")
        if result.matches:
            words = Text.assemble(name, f" matches its seal, {plural(result.rows, 'row')}")
            shown = Group(done(words), aside(facts([("sha256", result.actual)])))
        else:
            words = Text.assemble(name, " has CHANGED since it was sealed")
            sums = facts([("sealed", result.expected), ("now", result.actual)])
            shown = Group(marked(Text("✗", style="bad"), words), aside(sums))
        return shown, result.to_json()

    async def body(session: Session) -> None:
        if not _one_or_all(reference, every):
            await _each(session, await seals.find_sealed(session.db, age), one, "verified")
            return
        shown, document = await one(session, await get_artifact(session.db, reference or ""))
        session.terminal.show(shown)
        if as_json:
            session.terminal.emit(document)
        if not document["matches"]:
            stop(Exit.REFUSED)

    run(body, url=database_url, json=as_json)


def _one_or_all(reference: str | None, every: bool) -> bool:
    """Whether one artifact is meant; WrongUsage where nothing says which."""
    if (reference is None) != every:
        raise WrongUsage(
            "no artifact is named"
            if reference is None
            else "--all and a name cannot be used together",
            hint="name an artifact, or pass --all",
        )
    return not every


_One = Callable[[Session, Artifact], Awaitable[tuple[RenderableType, dict[str, Any]]]]


async def _each(session: Session, ids: list[str], one: _One, word: str) -> None:
    """Do it to each, whatever becomes of the others, and end as the worst of them."""
    results: list[dict[str, Any]] = []
    outcomes: Counter[str] = Counter()
    for artifact_id in ids:
        outcome, shown, document = await _outcome(session, artifact_id, one, word)
        session.terminal.show(shown)
        results.append({**document, "outcome": outcome})
        outcomes[outcome] += 1
    told = ", ".join(f"{count(number)} {outcome}" for outcome, number in outcomes.items())
    session.terminal.show(Text(told or f"Nothing is left to be {word}.", style="head"))
    if session.terminal.json:
        session.terminal.emit({"results": results})
    if outcomes["changed"]:
        stop(Exit.REFUSED)
    if outcomes["failed"]:
        stop(Exit.FAILED)


async def _outcome(
    session: Session, artifact_id: str, one: _One, word: str
) -> tuple[str, RenderableType, dict[str, Any]]:
    found = None
    try:
        found = await get_artifact(session.db, artifact_id)
        shown, document = await one(session, found)
    except ZanithError as exc:
        name = found.object_name if found else artifact_id
        cross = marked(Text("✗", style="bad"), f"{printable(name)}: {exc.message}")
        hint = [aside(f"hint: {exc.hint}")] if exc.hint else []
        return "failed", Group(cross, *hint), {"artifact": found, "error": exc.as_dict()}
    if "artifact" not in document:
        document = {"artifact": document}
    return "changed" if document.get("matches") is False else word, shown, document


@app.command("hold")
def hold(
    reference: Reference,
    reason: Reason = None,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Keep an artifact from purge and cleanup until it is released.

    An existing hold stays, with its reason.

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
                said += (
                    " That hold stays. To give another reason, release it first:"
                    " zanith recover release"
                )
            words = marked(Text("·", style="quiet"), said)
        session.terminal.show(words)
        if as_json:
            session.terminal.emit(held.to_json())

    run(body, url=database_url, json=as_json)


@app.command("release")
def release(
    reference: Reference,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="The reason, for the audit log.")
    ] = None,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Remove the hold, so that purge and cleanup may delete the artifact again.

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
