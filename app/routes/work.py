"""Starts what takes time: a job in the table, and a task of this process that runs it.

Pages and the API start the same work here, so that neither can do what the other refuses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from app.recovery import worker
from app.recovery.artifacts import migrations
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.artifacts.tombstones import Tombstone
from app.recovery.capture.capture import capture, job_params
from app.recovery.capture.planning import plan_capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Locked, NotConfirmed, WrongUsage, ZanithError
from app.recovery.core.four_eyes import Change
from app.recovery.jobs import model as jobs
from app.recovery.jobs import queueing
from app.recovery.jobs.approvals import find_required, require_approved
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.model import Job
from app.recovery.jobs.operation import attempt
from app.recovery.jobs.throttle import Limits
from app.recovery.plan.blocking import find_blocking, require_accepted
from app.recovery.plan.model import Choices, check_digest
from app.recovery.plan.planning import plan_restore
from app.recovery.purge.cleanup import cleanup
from app.recovery.purge.erase import (
    Match,
    as_one,
    check_erasure,
    erase,
    erasure_digest,
    plan_erasure,
)
from app.recovery.purge.purge import purge, require_named, review_purge
from app.recovery.restore import migration, preconditions, rehearsal
from app.recovery.restore.analyze import analyze
from app.recovery.restore.restore import job_params as restore_params
from app.recovery.restore.restore import restore
from app.recovery.restore.rows_plan import check_rows, plan_rows
from app.recovery.restore.some_rows import restore_rows
from app.routes.errors import ShuttingDown
from app.routes.studio import Studio

T = TypeVar("T")


async def start_restore(
    studio: Studio,
    artifact_id: str,
    choices: Choices,
    actor: Actor,
    *,
    confirm: str | None,
    digest: str | None = None,
) -> Job:
    """Start a restore and return its job.

    Refused without the typed name, and at once where the plan cannot run or has changed.
    """
    studio.runner.check()
    artifact = await get_artifact(studio.db, artifact_id)
    steps: list[str] = []
    async with attempt(studio.db, actor, Kind.RESTORE, artifact.id, artifact.object_name):
        require_named(confirm, artifact.object_name, artifact.id)
        if artifact.status == "recoverable":
            plan = await plan_restore(studio.db, artifact.id, choices)
            preconditions.check_plan(plan, digest)
            about = (studio.db, artifact, choices, plan, actor)
            await preconditions.require_approved_restore(*about)
            steps = [step.purpose for step in sorted(plan.steps, key=lambda step: step.transaction)]
        params = {
            **restore_params(artifact, choices, digest, approvals=studio.db.approvals),
            "address": actor.address,
            "steps": steps,
        }
        job = await queue(studio, Kind.RESTORE, artifact, params, actor)
    return await run_job(
        studio,
        job,
        restore(studio.db, artifact.id, choices, actor, expected_digest=digest, job=job),
        f"restore of {artifact.id}",
    )


def under_way(
    error: ZanithError, actor: Actor, kind: Kind, choices: Choices | None = None
) -> str | None:
    """Return the job of the same work by the same person: what a second click asks for."""
    job = error.job if isinstance(error, Locked) else None
    if not isinstance(job, Job) or job.kind != kind or job.actor != actor.name:
        return None
    same = choices is None or job.params.get("choices", {}) == choices.to_json()
    return job.id if same else None


async def _twin(
    studio: Studio, kind: Kind, artifact: Artifact, actor: Actor, choices: Choices
) -> Job | None:
    """Return the live job of the same work by the same person, where no index allows one only."""
    live = await jobs.list_jobs(
        studio.db, artifact_id=artifact.id, states=["queued", "running"], kinds=[kind]
    )
    same = (job for job in live if job.actor == actor.name)
    return next((job for job in same if job.params.get("choices") == choices.to_json()), None)


async def run_job(studio: Studio, job: Job, work: Coroutine[Any, Any, Any], name: str) -> Job:
    """Run a job that stands in the table, and return it."""
    await _task(studio, job, work, name)
    return job


async def _task(
    studio: Studio, job: Job, work: Coroutine[Any, Any, T], name: str, *, tell: bool = True
) -> asyncio.Task[T]:
    """Run a job and return its task; where the studio ends meanwhile, end the job as well."""
    try:
        return studio.runner.start(work, name, job.id, tell=tell)
    except ShuttingDown:
        work.close()
        await queueing.abandon(studio.db, job.id)
        raise


async def queue(
    studio: Studio, kind: Kind, artifact: Artifact, params: dict[str, Any], actor: Actor
) -> Job:
    """Put a job of an artifact into the table, which this process is about to run."""
    return await queueing.start(
        studio.db, kind, artifact.id, params, actor, object=artifact.object_name
    )


async def start_rehearsal(
    studio: Studio, artifact_id: str, choices: Choices, actor: Actor, *, accepted: bool
) -> Job:
    """Start a rehearsal of a restore, which is rolled back, and return its job.

    NotAccepted where it blocks others for long and nobody said that this is fine; Refused at once
    where the plan cannot run.
    """
    studio.runner.check()
    artifact = await get_artifact(studio.db, artifact_id)
    name = artifact.object_name
    async with attempt(studio.db, actor, Kind.REHEARSE, artifact.id, name):
        plan = await plan_restore(studio.db, artifact.id, choices)
        preconditions.check_plan(plan, None)
        require_accepted(find_blocking([plan], rehearsed=True), accepted=accepted)
        seal_check = [preconditions.SEAL_CHECK] if plan.verification is not None else []
        if twin := await _twin(studio, Kind.REHEARSE, artifact, actor, choices):
            return twin
        params = {
            "choices": choices.to_json(),
            "address": actor.address,
            "steps": seal_check + [step.purpose for step in plan.steps],
        }
        job = await queue(studio, Kind.REHEARSE, artifact, params, actor)
    work = rehearsal.rehearse(studio.db, artifact.id, choices, actor, job=job)
    return await run_job(studio, job, work, f"rehearsal of {artifact.id}")


async def start_migration(
    studio: Studio,
    migration_id: str,
    choices: Choices,
    actor: Actor,
    *,
    confirm: str | None,
    digest: str | None = None,
) -> Job:
    """Start to restore all that a migration dropped, and return the one job.

    Refused without the typed id, and at once where a plan cannot run or the plans have changed.
    """
    studio.runner.check()
    await migrations.find_all(studio.db, migration_id, quick=True)
    async with attempt(studio.db, actor, Kind.RESTORE_MIGRATION, None, migration_id):
        migration.require_migration(confirm, migration_id)
        planned = await migration.plan_migration(studio.db, migration_id, choices)
        migration.check_all(migration_id, planned, choices, digest)
        await migration.require_approvals(studio.db, migration_id, choices, actor)
        params = migration.job_params(choices, digest, approvals=studio.db.approvals)
        params["address"] = actor.address
        job = await queueing.start(
            studio.db, Kind.RESTORE_MIGRATION, None, params, actor, object=migration_id
        )
    work = migration.restore_migration(
        studio.db, migration_id, choices, actor, expected_digest=digest, job=job
    )
    return await run_job(studio, job, work, f"restore of the migration {migration_id!r}")


async def start_migration_rehearsal(
    studio: Studio, migration_id: str, choices: Choices, actor: Actor, *, accepted: bool
) -> Job:
    """Start to rehearse all that a migration dropped, in one transaction that is rolled back.

    NotAccepted where it blocks others for long and nobody said that this is fine; Refused at once
    where a plan cannot run.
    """
    studio.runner.check()
    await migrations.find_all(studio.db, migration_id, quick=True)
    async with attempt(studio.db, actor, Kind.REHEARSE, None, migration_id):
        planned = await migration.plan_migration(studio.db, migration_id, choices)
        migration.check_all(migration_id, planned, choices, None)
        plans = [plan for _, plan in planned]
        require_accepted(find_blocking(plans, rehearsed=True), accepted=accepted)
        params = {"choices": choices.to_json(), "address": actor.address}
        job = await queueing.start(
            studio.db, Kind.REHEARSE, None, params, actor, object=migration_id
        )
    work = rehearsal.rehearse_migration(studio.db, migration_id, choices, actor, job=job)
    return await run_job(studio, job, work, f"rehearsal of the migration {migration_id!r}")


async def start_purge(
    studio: Studio,
    artifact_id: str,
    actor: Actor,
    *,
    confirm: str | None,
    digest: str | None,
    reason: str | None,
) -> tuple[Job, asyncio.Task[Tombstone]]:
    """Start a purge; return its job, and the task whose outcome is the tombstone.

    Refused without the typed name.
    """
    studio.runner.check()
    artifact = await get_artifact(studio.db, artifact_id)
    name = artifact.object_name
    async with attempt(studio.db, actor, Kind.PURGE, artifact.id, name, reason=reason):
        require_named(confirm, name, artifact.id)
        await _require_approved_purge(studio, artifact, actor)
        job = await queue(studio, Kind.PURGE, artifact, {"reason": reason}, actor)
    work = purge(
        *(studio.db, artifact.id, actor),
        confirm=confirm,
        expected_digest=digest,
        reason=reason,
        job=job,
    )
    return job, await _task(studio, job, work, f"purge of {artifact.id}", tell=False)


async def _require_approved_purge(studio: Studio, artifact: Artifact, actor: Actor) -> None:
    if Change.PURGE in await find_required(studio.db):
        digest = (await review_purge(studio.db, artifact.id)).plan.digest
        about = (Change.PURGE, artifact.id, artifact.object_name, digest, actor)
        await require_approved(studio.db, *about)


async def start_analyze(studio: Studio, artifact_id: str, actor: Actor) -> asyncio.Task[str]:
    """Start ANALYZE of the table of a restored artifact; its outcome is in the audit log."""
    artifact = await get_artifact(studio.db, artifact_id)
    doing = analyze(studio.db, artifact.id, actor)
    return studio.runner.start(doing, f"ANALYZE after {artifact.id}", None, tell=False)


async def start_capture(
    studio: Studio,
    request: CaptureRequest,
    actor: Actor,
    *,
    confirm: str | None,
    digest: str | None = None,
) -> Job:
    """Start a capture and return its job.

    Refused without the typed name, and at once where it cannot be done or its plan is another by
    now.
    """
    studio.runner.check()
    words = {"reason": request.reason, "migration_id": request.migration_id}
    name = request.object_name
    async with attempt(studio.db, actor, Kind.CAPTURE, None, name, **words):
        plan = await plan_capture(studio.db, request)
        require_named(confirm, plan.object)
        check_digest(plan, digest)
        params = {
            **job_params(studio.db, request, Limits()),
            "digest": digest,
            "address": actor.address,
            "strategy": request.strategy,
            "on_dependents": request.on_dependents,
            "steps": [step.purpose for step in plan.steps],
        }
        job = await queueing.start(studio.db, Kind.CAPTURE, None, params, actor, object=plan.object)
    return await run_job(
        studio,
        job,
        capture(studio.db, request, actor, job=job, expected_digest=digest),
        f"capture of {plan.object}",
    )


async def resume(studio: Studio, job_id: str, actor: Actor) -> Job:
    """Go on with a job that rests, or begin another for one that ended half done; return it."""
    studio.runner.check()
    job = await jobs.get(studio.db, job_id)
    if not job.ended:
        return await jobs.pause(studio.db, job_id, actor, pause=False)
    job = await worker.resume(studio.db, job_id, actor)
    return await run_job(studio, job, worker.perform(studio.db, job), f"{job.kind} of {job.object}")


async def start_erasure(
    studio: Studio,
    artifact_id: str,
    match: Match,
    actor: Actor,
    *,
    rows: int,
    confirm: str | None,
    digest: str | None,
    reason: str | None,
) -> Job:
    """Start an erasure and return its job, which knows the columns and no value.

    Refused without the typed name, and at once where something stands in the way or other rows
    match.
    """
    studio.runner.check()
    artifact = await get_artifact(studio.db, artifact_id)
    name = artifact.object_name
    async with attempt(studio.db, actor, Kind.ERASE, artifact.id, name, reason=reason):
        require_named(confirm, artifact.object_name, artifact.id, repeat=False)
        plan = await plan_erasure(studio.db, artifact.id, match, actor)
        check_erasure(plan, rows, digest)
        sealed = erasure_digest(plan, rows, artifact.checksum)
        about = (Change.ERASE, artifact.id, name, sealed, actor)
        await require_approved(studio.db, *about, match=as_one(match))
        params: dict[str, Any] = {"columns": list(plan.columns), "steps": []}
        job = await queue(studio, Kind.ERASE, artifact, params, actor)
    work = erase(
        *(studio.db, artifact.id, match, actor),
        rows=rows,
        confirm=confirm,
        expected_digest=digest,
        reason=reason,
        job=job,
    )
    return await run_job(studio, job, work, f"erasure in {artifact.id}")


async def start_rows(
    studio: Studio,
    artifact_id: str,
    refs: Sequence[str],
    actor: Actor,
    *,
    confirm: str | None,
    digest: str | None,
    reason: str | None,
    unverified: bool = False,
) -> Job:
    """Start to put rows back and return the job, which knows their number and no value.

    Refused without the typed name, and at once where nothing can be put back or the rows changed.
    """
    studio.runner.check()
    artifact = await get_artifact(studio.db, artifact_id)
    name = artifact.object_name
    async with attempt(studio.db, actor, Kind.RESTORE_ROWS, artifact.id, name, reason=reason):
        require_named(confirm, name, artifact.id)
        if unverified:
            await preconditions.refuse_unverified_rows(studio.db)
        plan = await plan_rows(studio.db, artifact.id, refs, actor, unverified=unverified)
        check_rows(plan, digest)
        params: dict[str, Any] = {
            "rows": len(refs),
            "digest": digest,
            "address": actor.address,
            "steps": [preconditions.SEAL_CHECK] if plan.verification is not None else [],
        }
        job = await queue(studio, Kind.RESTORE_ROWS, artifact, params, actor)
    work = restore_rows(
        *(studio.db, artifact.id, refs, actor),
        confirm=confirm,
        expected_digest=digest,
        unverified=unverified,
        reason=reason,
        job=job,
    )
    return await run_job(studio, job, work, f"rows of {artifact.id}")


async def start_cleanup(
    studio: Studio,
    older_than: timedelta | None,
    expired: bool,
    only: list[str],
    actor: Actor,
    *,
    confirm: int | None,
    before_expiry: bool = False,
    digests: Mapping[str, str] | None = None,
    reason: str | None = None,
) -> Job:
    """Start a cleanup of exactly the artifacts in `only`; Refused unless their count was typed.

    An artifact whose digest has changed since is skipped.
    """
    studio.runner.check()
    async with attempt(studio.db, actor, Kind.CLEANUP, None, None, reason=reason):
        if not only:
            raise WrongUsage("nothing is selected", hint="tick at least one artifact")
        if confirm != len(only):
            raise NotConfirmed(
                "not confirmed: nothing was changed",
                detail=f"{len(only)} artifacts are selected,"
                f" and {confirm or 'no number'} was typed",
                hint=f"type {len(only)}",
            )
        params = {
            "older_than": older_than.total_seconds() if older_than is not None else None,
            "expired": expired,
            "only": only,
            "before_expiry": before_expiry,
            "reason": reason,
        }
        job = await queueing.start(studio.db, Kind.CLEANUP, None, params, actor)
    work = cleanup(
        *(studio.db, older_than, expired, actor, only),
        before_expiry=before_expiry,
        digests=digests,
        reason=reason,
        job=job,
    )
    return await run_job(studio, job, work, f"cleanup of {len(only)}")
