"""Artifacts: list, inspect, and what changes one."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request

from app.recovery.approvals.standing import of_erasure, of_purge, of_restore
from app.recovery.artifacts import listing
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.core.durations import parse_duration
from app.recovery.core.errors import NotFound, Refused, WrongUsage
from app.recovery.inspection.inspect import inspect as inspect_artifact
from app.recovery.plan.blocking import find_blocking
from app.recovery.plan.planning import plan_restore, with_seal
from app.recovery.purge import hold
from app.recovery.purge.cleanup import find_digests, find_last_exports, plan_cleanup
from app.recovery.purge.erase import plan_erasure
from app.recovery.purge.purge import review_purge
from app.recovery.rows.leftover import PAGE, find_left_over
from app.routes import sealing, work
from app.routes.answers import Document, of_job
from app.routes.api.models import (
    RESPONSES,
    AnalyzedOut,
    ArtifactDocument,
    ArtifactsOut,
    CleanupIn,
    CleanupOut,
    EraseIn,
    ErasurePlanOut,
    InspectionOut,
    JobDocument,
    LeftOverOut,
    PlannedOut,
    PurgeIn,
    ReasonIn,
    RestoreIn,
)
from app.routes.pages.artifacts import Asked
from app.routes.runner import outcome
from app.routes.studio import TheStudio, Who

router = APIRouter(
    prefix="/api", responses=RESPONSES, tags=["artifacts"], default_response_class=Document
)


@router.get("/artifacts", response_model=ArtifactsOut)
async def list_artifacts(studio: TheStudio, who: Who, query: Asked) -> dict[str, Any]:
    """List artifacts, newest first, by key: pass `next` of one page as `after` of the next."""
    page = await listing.list_artifacts(studio.reading(who), query.to_filter())
    return {
        "artifacts": [item.to_json() for item in page.items],
        "total": page.total,
        "next": page.next,
        "previous": page.previous,
    }


@router.get("/artifacts/{artifact_id}", response_model=InspectionOut)
async def inspect(studio: TheStudio, who: Who, artifact_id: str) -> dict[str, Any]:
    """Inspect an artifact: by id, a unique prefix of it, or schema.table[.column]."""
    found = await inspect_artifact(studio.reading(who), artifact_id, actor=who)
    return found.to_json()


@router.post(
    "/artifacts/{artifact_id}/restore",
    status_code=202,
    response_model=JobDocument,
    responses={200: {"model": PlannedOut, "description": "dry_run: nothing changed"}},
)
async def restore(
    request: Request,
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    wanted: Annotated[RestoreIn, Body()],
) -> Any:
    """Start to restore it; `confirm` is the object's name. The job says how it goes.

    With `dry_run` the plan of these choices comes back. With `rehearse` the job runs all of it and
    rolls it back; its result is the report that would come. Where the plan stops it, or is not the
    one of `digest`, 409 holds the new plan.
    """
    if wanted.dry_run:
        request.state.reads_only = True
        db = studio.reading(who)
        found = await get_artifact(db, artifact_id)
        chosen = wanted.to_choices()
        plan = with_seal(await plan_restore(db, found.id, chosen, actor=who), chosen)
        stands = await of_restore(db, plan, chosen)
        blocks = {
            "restore": find_blocking([plan], rehearsed=False).to_json(),
            "rehearsal": find_blocking([plan], rehearsed=True).to_json(),
        }
        return Document({"plan": plan.to_json(), "blocks": blocks, "approval": stands.to_json()})
    if wanted.rehearse:
        job = await work.start_rehearsal(
            *(studio, artifact_id, wanted.to_choices(), who), accepted=wanted.blocking_ok
        )
        return of_job(job)
    job = await work.start_restore(
        studio,
        artifact_id,
        wanted.to_choices(),
        who,
        confirm=wanted.confirm,
        digest=wanted.digest,
    )
    return of_job(job)


@router.get("/artifacts/{artifact_id}/left-over", response_model=LeftOverOut)
async def list_left_over(
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    limit: Annotated[int, Query(ge=1, le=1000)] = PAGE,
    offset: Annotated[int, Query(ge=0, lt=2**31)] = 0,
) -> dict[str, Any]:
    """Name the archived values that have no row in the table as it is now, by their keys."""
    found = await find_left_over(studio.reading(who), artifact_id, who, limit=limit, offset=offset)
    return found.to_json()


@router.post("/artifacts/{artifact_id}/verify", status_code=202, response_model=JobDocument)
async def verify(studio: TheStudio, who: Who, artifact_id: str) -> dict[str, Any]:
    """Start to compare the parked object with its seal."""
    return of_job(await sealing.start_verify(studio, artifact_id, who))


@router.post("/artifacts/{artifact_id}/seal", status_code=202, response_model=JobDocument)
async def seal(studio: TheStudio, who: Who, artifact_id: str) -> dict[str, Any]:
    """Start to record the exact row count and checksum of the parked object."""
    return of_job(await sealing.start_seal(studio, artifact_id, who))


@router.post("/artifacts/{artifact_id}/hold", response_model=ArtifactDocument)
async def put_hold(
    studio: TheStudio, who: Who, artifact_id: str, wanted: ReasonIn | None = None
) -> dict[str, Any]:
    """Keep it from purge and cleanup."""
    found = await get_artifact(studio.db, artifact_id)
    await hold.hold(studio.db, found.id, who, wanted.reason if wanted else None)
    return (await get_artifact(studio.db, found.id)).to_json()


@router.post("/artifacts/{artifact_id}/release", response_model=ArtifactDocument)
async def release(studio: TheStudio, who: Who, artifact_id: str) -> dict[str, Any]:
    """Let purge and cleanup have it again."""
    found = await get_artifact(studio.db, artifact_id)
    await hold.release(studio.db, found.id, who)
    return (await get_artifact(studio.db, found.id)).to_json()


@router.post("/artifacts/{artifact_id}/analyze", response_model=AnalyzedOut)
async def analyze(studio: TheStudio, who: Who, artifact_id: str) -> dict[str, Any]:
    """Run ANALYZE on the table that a restore brought back, or gave a column; as its owner."""
    return {"table": await outcome(await work.start_analyze(studio, artifact_id, who))}


@router.post(
    "/artifacts/{artifact_id}/erase",
    status_code=202,
    response_model=JobDocument,
    responses={200: {"model": ErasurePlanOut, "description": "dry_run: nothing changed"}},
)
async def erase_rows(
    request: Request,
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    wanted: Annotated[EraseIn, Body()],
) -> Any:
    """Delete one person's rows from the parked copy for good; the rest gets a new seal."""
    if wanted.dry_run:
        request.state.reads_only = True
        db = studio.reading(who)
        plan = await plan_erasure(db, artifact_id, wanted.match, who)
        stands = await of_erasure(db, plan, wanted.match)
        return Document({**plan.to_json(), "approval": stands.to_json()})
    job = await work.start_erasure(
        studio,
        artifact_id,
        wanted.match,
        who,
        rows=wanted.row_count,
        confirm=wanted.confirm,
        digest=wanted.digest,
        reason=wanted.reason,
    )
    return of_job(job)


@router.get("/artifacts/{artifact_id}/purge")
async def review(studio: TheStudio, who: Who, artifact_id: str) -> dict[str, Any]:
    """Return what a purge would delete, how well it is proved, and the plan with its digest."""
    db = studio.reading(who)
    looked = await review_purge(db, artifact_id)
    return {**looked.to_json(), "approval": (await of_purge(db, looked)).to_json()}


@router.delete("/artifacts/{artifact_id}")
async def purge_artifact(
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    wanted: PurgeIn | None = None,
    confirm: Annotated[
        str | None, Query(max_length=400, description="for clients that send no body with DELETE")
    ] = None,
) -> dict[str, Any]:
    """Delete it for good; `confirm` is the object's name. What comes back is the tombstone."""
    wanted = wanted or PurgeIn.model_validate({})
    typed = wanted.confirm or confirm
    _, task = await work.start_purge(
        *(studio, artifact_id, who),
        confirm=typed,
        digest=wanted.digest,
        reason=wanted.reason,
    )
    return (await outcome(task)).to_json()


@router.post(
    "/cleanup",
    response_model=CleanupOut,
    responses={202: {"model": JobDocument, "description": "it runs; the job shows its progress"}},
)
async def cleanup(studio: TheStudio, who: Who, wanted: CleanupIn) -> Any:
    """Purge by age or expiry: first with `dry_run`, then with the count as `confirm`."""
    older = parse_duration(wanted.older_than) if wanted.older_than else None
    if older is None and not wanted.expired and not wanted.only:
        raise WrongUsage("no artifacts are selected", hint="give older_than, expired, or only")
    planned = await plan_cleanup(
        studio.reading(who),
        older,
        wanted.expired,
        only=wanted.only,
        before_expiry=wanted.before_expiry,
    )
    if wanted.only is not None:
        chosen = frozenset(wanted.only)
        unknown = chosen - {artifact.id for artifact, _ in planned}
        if unknown:
            raise NotFound("some ids in `only` do not match", detail=", ".join(sorted(unknown)))
        planned = [(artifact, skip) for artifact, skip in planned if artifact.id in chosen]
    going = [artifact for artifact, skip in planned if skip is None]
    if wanted.dry_run:
        ids = [artifact.id for artifact, _ in planned]
        exports = await find_last_exports(studio.reading(who), ids)
        digests = await find_digests(studio.reading(who), [one.id for one in going])
        return {
            "count": len(going),
            "size_bytes": sum(artifact.size_bytes or 0 for artifact in going),
            "candidates": [
                {
                    "artifact": artifact.to_json(),
                    "skip": skip,
                    "digest": digests.get(artifact.id),
                    "last_export": exports.get(artifact.id),
                }
                for artifact, skip in planned
            ],
        }
    if not going:
        raise Refused("there is nothing to clean up", hint="look with dry_run")
    job = await work.start_cleanup(
        studio,
        older,
        wanted.expired,
        [artifact.id for artifact in going],
        who,
        confirm=wanted.confirm,
        before_expiry=wanted.before_expiry,
        digests=wanted.digests,
        reason=wanted.reason,
    )
    return Document(of_job(job), 202)
