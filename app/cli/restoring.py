"""What the three restore commands share: plan, show, ask, restore, report."""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from app.cli.confirm import confirm_name, confirm_word
from app.cli.console import Terminal
from app.cli.derived import Taking, options
from app.cli.exits import Exit, exit_for, stop
from app.cli.humanize import printable
from app.cli.options import BatchTime, Detach, DryRun, MaxLag, MaxRate, Rehearse, Yes, limits
from app.cli.progress import watching
from app.cli.render.approvals import standing
from app.cli.render.jobs import handed_over
from app.cli.render.layout import heading
from app.cli.render.outcome import done, rehearsed, restored
from app.cli.render.plan import restore_plan
from app.cli.session import Session
from app.cli.words import error_document
from app.recovery.approvals.standing import of_restore
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.core.errors import WrongUsage, ZanithError
from app.recovery.core.names import parse_name
from app.recovery.core.options import options_of
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.throttle import Limits
from app.recovery.plan.blocking import find_blocking
from app.recovery.plan.model import Choices, Plan
from app.recovery.plan.planning import plan_restore, with_seal
from app.recovery.restore.migration import OF_ONE, digest_of_all, plan_migration, require_approvals
from app.recovery.restore.migration import job_params as migration_params
from app.recovery.restore.migration import restore_migration as run_migration
from app.recovery.restore.preconditions import check_plan, require_approved_restore
from app.recovery.restore.rehearsal import rehearse, rehearse_migration
from app.recovery.restore.report import RestoreReport
from app.recovery.restore.restore import find_any, find_for_restore, job_params, restore
from app.recovery.rows.leftover import find_left_over
from app.recovery.worker import hand_over
from app.text import about

LEFT_SHOWN = 20
"""How many keys of values without a row are shown after a restore."""


@dataclass(frozen=True)
class How:
    """Whether to show the plan only, to rehearse it, or to run it; and whether it is confirmed."""

    dry_run: bool
    rehearse: bool
    yes: bool
    limits: Limits | None = None
    detach: bool = False


def how(dry_run: DryRun = False, rehearse: Rehearse = False, yes: Yes = False) -> How:
    """Return what to do; WrongUsage for two things at once."""
    if dry_run and rehearse:
        raise WrongUsage(
            "--dry-run and --rehearse cannot be used together",
            hint="a rehearsal runs the steps and rolls them back; a dry run reads only",
        )
    return How(dry_run, rehearse, yes)


def how_many(
    detach: Detach = False, dry_run: DryRun = False, rehearse: Rehearse = False, yes: Yes = False
) -> How:
    """Return the same for several objects, which a worker may restore."""
    return replace(how(dry_run, rehearse, yes), detach=detach)


def how_online(
    batch_time: BatchTime = None,
    max_rate: MaxRate = None,
    max_lag: MaxLag = "10s",
    detach: Detach = False,
    rehearse: Rehearse = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> How:
    """Return the same for what has an online form."""
    pace = limits(batch_time, max_rate, max_lag)
    return replace(how(dry_run, rehearse, yes), limits=pace, detach=detach)


def choices(*but: str) -> Taking:
    """Return the options of a restore but some, of which its choices are made."""
    return options(Choices, but=but, make=lambda chosen: Choices(**chosen))


async def restore_object(
    session: Session,
    name: str,
    kind: str,
    chosen: str | None,
    wanted: Choices,
    way: How,
) -> None:
    """Restore the latest recoverable artifact of a column or table, or the one that was chosen."""
    await _restore(session, await _find(session, name, kind, chosen), wanted, way)


async def restore_any(
    session: Session, reference: str | None, *, last: bool, wanted: Choices, way: How
) -> None:
    """Restore what an id or a name means, a column or a table; or what was dropped last."""
    if (reference is None) != last:
        raise WrongUsage(
            "no artifact is named"
            if reference is None
            else "--last and a name cannot be used together",
            hint="name an artifact, or pass --last for the latest drop",
        )
    await _restore(session, await find_any(session.db, reference), wanted, way)


async def _restore(session: Session, found: Artifact, wanted: Choices, way: How) -> None:
    digest = None
    if way.rehearse:
        _ask_blocking(session, [await plan_restore(session.db, found.id, wanted)], way)
        with watching(session.terminal, f"Rehearsing {found.object_name}") as follow:
            report = await rehearse(session.db, found.id, wanted, session.actor, on_progress=follow)
        await _tell(session, [report], many=False)
        return
    if way.dry_run:
        plan = with_seal(await plan_restore(session.db, found.id, wanted, strict=True), wanted)
        stands = await of_restore(session.db, plan, wanted)
        _show(session, [(found, plan)], *standing(stands, found.id))
        if session.terminal.json:
            session.terminal.emit({**_document(found, plan), "approval": stands.to_json()})
        _stop_if_blocked([plan])
        if stands.missing:
            stop(Exit.REFUSED)
        return
    if found.status == "recoverable" and not way.yes:
        plan = with_seal(await plan_restore(session.db, found.id, wanted, strict=True), wanted)
        digest = plan.digest
        if session.terminal.interactive:
            session.terminal.say(_title(found), restore_plan(plan))
        check_plan(plan, None)
        confirm_name(session.terminal, found.object_name, found.id, verb="restore it", yes=way.yes)
        _ask_unverified(session, wanted)
    if way.detach and found.status == "recoverable":
        if wanted.unverified:
            plan = await plan_restore(session.db, found.id, wanted)
            await require_approved_restore(session.db, found, wanted, plan, session.actor)
        params = job_params(*(found, wanted, digest, way.limits), approvals=session.db.approvals)
        job = await hand_over(
            session.db, "restore", found.id, params, session.actor, object=found.object_name
        )
        handed_over(session.terminal, job)
        return
    with watching(session.terminal, f"Restoring {found.object_name}") as follow:
        report = await restore(
            session.db,
            found.id,
            wanted,
            session.actor,
            expected_digest=digest,
            on_progress=follow,
            limits=way.limits,
        )
    await _tell(session, [report], many=False)


async def restore_migration(session: Session, migration_id: str, wanted: Choices, way: How) -> None:
    """Restore all that one migration dropped, newest first."""
    if way.rehearse:
        planned = await plan_migration(session.db, migration_id, wanted)
        _ask_blocking(session, [plan for _, plan in planned], way)
        with watching(session.terminal, f"Rehearsing {migration_id}") as follow:
            rehearsals = await rehearse_migration(
                session.db, migration_id, wanted, session.actor, on_progress=follow
            )
        await _tell(session, rehearsals, many=True)
        return
    plans = [
        (found, _of_many(with_seal(plan, wanted)))
        for found, plan in await plan_migration(session.db, migration_id, wanted)
    ]
    if way.dry_run:
        _show(session, plans)
        if session.terminal.json:
            session.terminal.emit({"plans": [_document(found, plan) for found, plan in plans]})
        _stop_if_blocked([plan for _, plan in plans])
        return
    if plans and session.terminal.interactive and not way.yes:
        _show(session, plans, aside=True)
    for _, plan in plans:
        check_plan(plan, None)
    if plans and not way.yes:
        confirm_word(session.terminal, migration_id, why="to restore all of it", yes=way.yes)
        _ask_unverified(session, wanted)
    digest = None if way.yes else digest_of_all(plans)
    if way.detach and plans:
        await require_approvals(session.db, migration_id, wanted, session.actor)
        params = migration_params(wanted, digest, approvals=session.db.approvals)
        kind = Kind.RESTORE_MIGRATION
        job = await hand_over(session.db, kind, None, params, session.actor, object=migration_id)
        handed_over(session.terminal, job)
        return
    reports: list[RestoreReport] = []
    try:
        with watching(session.terminal, f"Restoring {migration_id}") as follow:
            await run_migration(
                session.db,
                migration_id,
                wanted,
                session.actor,
                expected_digest=digest,
                reports=reports,
                on_progress=follow,
            )
    except ZanithError as error:
        await _stopped(session, reports, error)
        raise
    if not reports:
        session.terminal.show(done(f"nothing of {printable(migration_id)} is left to restore"))
    await _tell(session, reports, many=True)


_OF_ONE = frozenset(item.flag.split()[0] for item in options_of(Choices) if item.name in OF_ONE)


def _of_many(plan: Plan) -> Plan:
    """Return the plan with the choices of restore-migration; another is made for its object alone.

    What is restored alone first is left out of the migration then.
    """

    def way_out(flag: str) -> str:
        alone = flag.split(maxsplit=1)[0] in _OF_ONE
        return f"zanith recover restore {plan.artifact_id} {flag}" if alone else flag

    return replace(
        plan,
        choices=tuple(c for c in plan.choices if c.flag.split(maxsplit=1)[0] not in _OF_ONE),
        conflicts=tuple(
            replace(conflict, choices=tuple(map(way_out, conflict.choices)))
            for conflict in plan.conflicts
        ),
    )


async def _tell(session: Session, reports: list[RestoreReport], *, many: bool) -> None:
    """Say what came of it, or would have; as JSON the keys of one report, or several reports.

    Archived values that have no row any more are named by their keys, which nothing keeps.
    """
    documents = []
    for report in reports:
        left = None
        if report.counts is not None and report.counts.left and not report.rehearsed:
            with suppress(ZanithError):  # the restore is done, whatever became of the table since
                left = await find_left_over(
                    session.db, report.artifact.id, session.actor, limit=LEFT_SHOWN
                )
        session.terminal.show(rehearsed(report) if report.rehearsed else restored(report, left))
        said = {"left_over": left.to_json() if left else None, "job_id": report.job_id}
        documents.append(report.to_json() | said)
    if session.terminal.json:
        session.terminal.emit({"reports": documents} if many else documents[0])


async def _stopped(session: Session, reports: list[RestoreReport], error: ZanithError) -> None:
    """Say what a migration that stopped half-way has restored, and what stopped it."""
    if session.terminal.json:
        session.terminal.emit(
            {
                "error": error_document(error.as_dict()),
                "stopped_at": error.stopped_at,
                "reports": reports,
            }
        )
        stop(exit_for(error))
    await _tell(session, reports, many=True)


async def _find(session: Session, name: str, kind: str, chosen: str | None) -> Artifact:
    if chosen is None:
        return await find_for_restore(session.db, name, kind)
    found = await get_artifact(session.db, chosen)
    asked = parse_name(name)
    has = () if found.kept_kind else parse_name(found.object_name)
    if has[-len(asked) :] != asked or (found.source_column is not None) != (kind == "column"):
        raise WrongUsage(
            f"artifact {found.id} is not of the {kind} {name}",
            detail=f"it is the {found.artifact_type} of {found.title}",
        )
    return found


def _document(found: Artifact, plan: Plan) -> dict[str, Any]:
    return {"artifact": found.to_json(), "plan": plan.to_json(), "blocked": plan.blocked}


def _stop_if_blocked(plans: list[Plan]) -> None:
    """Exit 4 after a dry run where something stops it, so that a script learns of it."""
    if any(plan.blocked for plan in plans):
        stop(Exit.REFUSED)


def _show(
    session: Session,
    plans: list[tuple[Artifact, Plan]],
    *more: RenderableType,
    aside: bool = False,
) -> None:
    tell = session.terminal.say if aside else session.terminal.page
    parts: list[RenderableType] = []
    for found, plan in plans:
        parts += [_title(found), restore_plan(plan)]
    parts += more
    tell(*(parts or [Text("Nothing is left to restore.", style="quiet")]))


def _title(found: Artifact) -> Text:
    return heading(f"{printable(found.object_name)}  ({found.artifact_type} {found.id})")


def _ask_unverified(session: Session, wanted: Choices) -> None:
    if wanted.unverified:
        ask_unverified(session.terminal)


def ask_unverified(terminal: Terminal) -> None:
    """Ask for the word that says that the seal is skipped."""
    why = "to restore without checking the archive"
    confirm_word(terminal, "unverified", why=why, yes=False)


def _ask_blocking(session: Session, plans: list[Plan], way: How) -> None:
    """Say what a rehearsal keeps others from; where that is for long, ask first."""
    blocking = find_blocking(plans, rehearsed=True)
    if not blocking.what:
        return
    words = f"{printable(blocking.what)} for {about(blocking.seconds)}"
    session.terminal.say(Text(f"The rehearsal blocks {words}.", style="warn"))
    if blocking.is_long:
        confirm_word(session.terminal, "rehearse", why="if others may wait", yes=way.yes)
