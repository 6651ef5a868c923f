"""What the three restore commands share: plan, show, ask, restore, report."""

from typing import Any

from rich.text import Text

from app.cli.confirm import confirm_name, confirm_word
from app.cli.exits import Exit, stop
from app.cli.humanize import printable
from app.cli.progress import watching
from app.cli.render.layout import heading
from app.cli.render.outcome import done, restored
from app.cli.render.plan import restore_plan
from app.cli.session import Session
from app.recovery import restore as engine
from app.recovery.artifacts import Artifact, get_artifact
from app.recovery.errors import WrongUsage
from app.recovery.names import parse_name
from app.recovery.plan import Choices, Plan, plan_restore
from app.recovery.restore import find_for_restore


def choices(
    as_name: str | None, fill: str | None, allow_null: bool, not_valid: bool, unverified: bool
) -> Choices:
    """The choices that the flags make; `--fill default` is the column's own default."""
    return Choices(
        as_name=as_name,
        fill=None if fill == "default" else fill,
        fill_default=fill == "default",
        allow_null=allow_null,
        not_valid=not_valid,
        unverified=unverified,
    )


async def restore_object(
    session: Session,
    name: str,
    kind: str,
    chosen: str | None,
    wanted: Choices,
    *,
    dry_run: bool,
    yes: bool,
) -> None:
    """Restore the latest recoverable artifact of a column or table, or the one that was chosen."""
    found = await _find(session, name, kind, chosen)
    digest = None
    if dry_run:
        plan = await plan_restore(session.db, found.id, wanted)
        _show(session, [(found, plan)])
        if session.terminal.json:
            session.terminal.emit(_document(found, plan))
        _stop_if_blocked([plan])
        return
    if found.status == "recoverable" and not yes:
        plan = await plan_restore(session.db, found.id, wanted)
        digest = plan.digest
        if session.terminal.interactive:
            session.terminal.say(restore_plan(plan))
        engine.check_plan(plan, None)
        confirm_name(session.terminal, found.object_name, verb="restore it", yes=yes)
        _ask_unverified(session, wanted)
    with watching(session.terminal, f"Restoring {found.object_name}") as follow:
        report = await engine.restore(
            session.db,
            found.id,
            wanted,
            session.actor,
            expected_digest=digest,
            on_progress=follow,
        )
    session.terminal.show(restored(report))
    if session.terminal.json:
        session.terminal.emit(report.to_json())


async def restore_migration(
    session: Session, migration_id: str, wanted: Choices, *, dry_run: bool, yes: bool
) -> None:
    """Restore all that one migration dropped, newest first."""
    plans = await engine.plan_migration(session.db, migration_id, wanted)
    if dry_run:
        _show(session, plans)
        if session.terminal.json:
            session.terminal.emit([_document(found, plan) for found, plan in plans])
        _stop_if_blocked([plan for _, plan in plans])
        return
    if plans and not yes:
        if session.terminal.interactive:
            _show(session, plans, aside=True)
        confirm_word(session.terminal, migration_id, why="to restore all of it", yes=yes)
        _ask_unverified(session, wanted)
    with watching(session.terminal, f"Restoring {migration_id}") as follow:
        reports = await engine.restore_migration(
            session.db, migration_id, wanted, session.actor, on_progress=follow
        )
    for report in reports:
        session.terminal.show(restored(report))
    if not reports:
        session.terminal.show(done(f"nothing of {printable(migration_id)} is left to restore"))
    if session.terminal.json:
        session.terminal.emit([report.to_json() for report in reports])


async def _find(session: Session, name: str, kind: str, chosen: str | None) -> Artifact:
    if chosen is None:
        return await find_for_restore(session.db, name, kind)
    found = await get_artifact(session.db, chosen)
    asked, has = parse_name(name), parse_name(found.object_name)
    if has[-len(asked) :] != asked or (found.source_column is not None) != (kind == "column"):
        raise WrongUsage(
            f"artifact {found.id} is not of the {kind} {name}",
            detail=f"it is the {found.artifact_type} of {found.object_name}",
        )
    return found


def _document(found: Artifact, plan: Plan) -> dict[str, Any]:
    return {"artifact": found.to_json(), "plan": plan.to_json(), "blocked": plan.blocked}


def _stop_if_blocked(plans: list[Plan]) -> None:
    """Exit 4 after a dry run where something stops it, so that a script learns of it."""
    if any(plan.blocked for plan in plans):
        stop(Exit.REFUSED)


def _show(session: Session, plans: list[tuple[Artifact, Plan]], *, aside: bool = False) -> None:
    tell = session.terminal.say if aside else session.terminal.show
    for found, plan in plans:
        tell(heading(f"{printable(found.object_name)}  ({found.artifact_type} {found.id})"))
        tell(restore_plan(plan))
    if not plans:
        tell(Text("Nothing is left to restore.", style="quiet"))


def _ask_unverified(session: Session, wanted: Choices) -> None:
    if wanted.unverified:
        why = "to restore without checking the archive"
        confirm_word(session.terminal, "unverified", why=why, yes=False)
