"""What the three restore commands share: plan, show, ask, restore, report."""

from app.cli.confirm import confirm_name, confirm_word
from app.cli.exits import Exit, stop
from app.cli.progress import watching
from app.cli.render.layout import heading
from app.cli.render.outcome import restored
from app.cli.render.plan import restore_plan
from app.cli.session import Session
from app.recovery import restore as engine
from app.recovery.artifacts import Artifact, get_artifact
from app.recovery.errors import Refused, WrongUsage
from app.recovery.names import parse_name
from app.recovery.plan import Choices, Plan, plan_restore
from app.recovery.restore import RestoreReport, find_for_restore


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
    plan = await plan_restore(session.db, found.id, wanted)
    if dry_run:
        _show_only(session, [(found, plan)])
        return
    if found.status == "recoverable":
        if not yes and session.terminal.interactive:
            session.terminal.say(restore_plan(plan))
        refuse_blocked(plan)
        _ask(session, found.object_name, wanted, yes=yes)
    report = await _restore(session, found, wanted, plan)
    session.terminal.show(restored(report))
    if session.terminal.json:
        session.terminal.emit(report.to_json())


async def restore_migration(
    session: Session, migration_id: str, wanted: Choices, *, dry_run: bool, yes: bool
) -> None:
    """Restore all that one migration dropped, newest first."""
    plans = await engine.plan_migration(session.db, migration_id, wanted)
    if dry_run:
        _show_only(session, plans)
        return
    if not yes and session.terminal.interactive:
        _say_all(session, plans)
    _ask(session, migration_id, wanted, yes=yes, is_name=False)
    with watching(session.terminal, f"Restoring {migration_id}") as follow:
        reports = await engine.restore_migration(
            session.db, migration_id, wanted, session.actor, on_progress=follow
        )
    for report in reports:
        session.terminal.show(restored(report))
    if session.terminal.json:
        session.terminal.emit([report.to_json() for report in reports])


def refuse_blocked(plan: Plan) -> None:
    """Stop before anybody is asked, where the plan as it stands cannot run."""
    if plan.blocked:
        flags = [flag for conflict in plan.conflicts for flag in conflict.choices]
        flags += [flag for drift in plan.drift if drift.blocks for flag in drift.choices]
        raise Refused(
            plan.blocked[0],
            detail="\n".join(plan.blocked[1:]) or None,
            hint=f"resolve with {' or '.join(dict.fromkeys(flags))}" if flags else None,
        )


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


async def _restore(session: Session, found: Artifact, wanted: Choices, plan: Plan) -> RestoreReport:
    with watching(session.terminal, f"Restoring {found.object_name}") as follow:
        return await engine.restore(
            session.db,
            found.id,
            wanted,
            session.actor,
            expected_digest=plan.digest,
            on_progress=follow,
        )


def _show_only(session: Session, plans: list[tuple[Artifact, Plan]]) -> None:
    """Show what would run; exit 4 where something stops it, so that a script learns of it."""
    _say_all(session, plans, show=True)
    documents = [
        {"artifact": found.to_json(), "plan": plan.to_json(), "blocked": list(plan.blocked)}
        for found, plan in plans
    ]
    if session.terminal.json:
        session.terminal.emit(documents[0] if len(documents) == 1 else documents)
    if any(plan.blocked for _, plan in plans):
        stop(Exit.REFUSED)


def _say_all(session: Session, plans: list[tuple[Artifact, Plan]], *, show: bool = False) -> None:
    tell = session.terminal.show if show else session.terminal.say
    for found, plan in plans:
        tell(heading(f"{found.object_name}  ({found.artifact_type} {found.id})"))
        tell(restore_plan(plan))


def _ask(session: Session, name: str, wanted: Choices, *, yes: bool, is_name: bool = True) -> None:
    if is_name:
        confirm_name(session.terminal, name, verb="restore it", yes=yes)
    else:
        confirm_word(session.terminal, name, why="to restore all of it", yes=yes)
    if wanted.unverified:
        why = "to restore without checking the archive"
        confirm_word(session.terminal, "unverified", why=why, yes=yes)
