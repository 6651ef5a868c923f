"""Starts what reads the rows of artifacts: seals, and verifications of one or many."""

from __future__ import annotations

from contextlib import suppress

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Refused, ZanithError
from app.recovery.jobs import model as jobs
from app.recovery.jobs import queueing
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.model import Job
from app.recovery.jobs.operation import attempt
from app.recovery.rows import seal
from app.routes.errors import ShuttingDown
from app.routes.studio import Studio
from app.routes.work import queue, run_job


def check_verifiable(artifact: Artifact) -> None:
    """Raise Refused where there is no seal to compare with."""
    if artifact.checksum is None:
        raise Refused("it is not sealed: there is no checksum to compare with")


async def start_verify(studio: Studio, artifact_id: str, actor: Actor) -> Job:
    """Start a verification and return its job."""
    studio.runner.check()
    artifact = await get_artifact(studio.db, artifact_id)
    async with attempt(studio.db, actor, Kind.VERIFY, artifact.id, artifact.object_name):
        job = await queue(studio, Kind.VERIFY, artifact, {}, actor)
    return await run_job(
        studio,
        job,
        seal.verify(studio.db, artifact.id, actor, job=job),
        f"verify of {artifact.id}",
    )


async def start_verifications(studio: Studio, found: list[Artifact], actor: Actor) -> list[Job]:
    """Verify one after another, each under a job that waits for its turn; return the jobs."""
    studio.runner.check()
    waiting: list[Job] = []
    try:
        for artifact in found:
            job = await queue(studio, Kind.VERIFY, artifact, {}, actor)
            waiting.append(job)
    except BaseException:
        await _give_up(studio, waiting)
        raise

    async def each() -> None:
        left = list(waiting)
        try:
            while left:
                job = left[0]
                with suppress(ZanithError):  # it is in its job and in the log; the others go on
                    if not (await jobs.get(studio.db, job.id)).ended:
                        await seal.verify(studio.db, job.artifact_id or "", actor, job=job)
                del left[0]
        finally:
            await _give_up(studio, left)

    if waiting:
        try:
            studio.runner.start(each(), f"verification of {len(found)}", None)
        except ShuttingDown:
            await _give_up(studio, waiting)
            raise
    return waiting


async def _give_up(studio: Studio, waiting: list[Job]) -> None:
    for job in waiting:
        with suppress(ZanithError):
            await queueing.abandon(studio.db, job.id)


async def start_seal(studio: Studio, artifact_id: str, actor: Actor) -> Job:
    """Start a seal and return its job."""
    studio.runner.check()
    artifact = await get_artifact(studio.db, artifact_id)
    async with attempt(studio.db, actor, Kind.SEAL, artifact.id, artifact.object_name):
        job = await queue(studio, Kind.SEAL, artifact, {}, actor)
    return await run_job(
        studio, job, seal.seal(studio.db, artifact.id, actor, job=job), f"seal of {artifact.id}"
    )
