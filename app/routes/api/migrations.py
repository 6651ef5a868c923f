"""Migrations: list, inspect, and restore everything that one dropped."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request
from pydantic import BaseModel, Field

from app.recovery.artifacts.migrations import PAGE, find_all, list_migrations
from app.recovery.core.actor import Actor
from app.recovery.core.errors import ZanithError
from app.recovery.core.options import read_options
from app.recovery.db.database import Database
from app.recovery.plan.blocking import find_blocking
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import with_seal
from app.recovery.plan.verdict import judge
from app.recovery.restore.migration import OF_ONE, digest_of_all, in_restore_order, plan_each
from app.routes import work
from app.routes.answers import Document, of_job
from app.routes.api.models import (
    RESPONSES,
    ArtifactOut,
    JobDocument,
    PlanOut,
    Text,
    _Answer,
    _Strict,
)
from app.routes.migration_ids import id_of
from app.routes.options import declaring
from app.routes.studio import TheStudio, Who

router = APIRouter(
    prefix="/api/migrations",
    responses=RESPONSES,
    tags=["migrations"],
    default_response_class=Document,
)
Dots = Annotated[
    str | None,
    Query(max_length=2, description="the ids `.` and `..`, which are no segments of a path"),
]


class MigrationOut(BaseModel):
    """One migration, and how many of its objects are in which state."""

    migration_id: str
    parked: int = Field(description="left to restore")
    restored: int
    purged: int
    recorded: int = Field(description="rebuilt tables, which cannot be restored")
    held: int
    damaged: int
    expiring: int = Field(description="expire within seven days")
    first_at: str | None
    last_at: str | None
    people: list[dict[str, Any]] = Field(description="who captured: `name` and `role`")


class MigrationsOut(_Answer):
    """One page of migrations; `next` goes into `after`."""

    migrations: list[MigrationOut]
    total: int
    next: str | None
    without_id: int = Field(description="artifacts that no migration is known of")


class MigrationPlanOut(BaseModel):
    """What would become of one object, in restore order."""

    artifact: ArtifactOut
    plan: PlanOut | None = Field(description="null if it could not be planned: see `error`")
    verdict: dict[str, Any] | None = Field(
        description="`outcome` is yes, choice, first or no; what it blocks and loses"
    )
    blocked: list[str]
    error: dict[str, Any] | None


class MigrationDocument(_Answer):
    """One migration: its artifacts, newest first, and the plans of what is left to restore."""

    migration_id: str
    artifacts: list[ArtifactOut]
    purged: list[dict[str, Any]]
    plans: list[MigrationPlanOut]
    digest: str = Field(description="over all plans; a restore takes it")
    blocks: dict[str, Any] = Field(
        description="what `restore` and `rehearsal` block, and for how many seconds"
    )


@declaring(Choices, but=OF_ONE)
class MigrationRestoreIn(_Strict):
    """How to restore all objects, and the migration id as confirmation."""

    confirm: Text | None = Field(None, description="the migration id; else 409")
    dry_run: bool = Field(False, description="200 with the plans of these choices; nothing runs")
    rehearse: bool = Field(
        False, description="run all of it in one transaction and roll it back; needs no `confirm`"
    )
    blocking_ok: bool = Field(
        False,
        description="of rehearse: others may wait for as long as `blocks` of a dry run says; "
        "needed above one second, else 409",
    )
    digest: Text | None = Field(
        None, description="the digest of the plans that were looked at; others are refused"
    )

    def to_choices(self) -> Choices:
        """Return the choices as the engine takes them."""
        return Choices(**read_options(Choices, vars(self)))


@router.get("", response_model=MigrationsOut)
async def list_all(
    studio: TheStudio,
    who: Who,
    search: Annotated[str | None, Query(max_length=200)] = None,
    after: Annotated[str | None, Query(max_length=20)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = PAGE,
) -> dict[str, Any]:
    """List migrations, newest first; pass `next` of one page as `after` of the next."""
    return (await list_migrations(studio.reading(who), search, after, limit)).to_json()


@router.get("/{migration_id:anything}", response_model=MigrationDocument)
async def inspect(
    studio: TheStudio,
    who: Who,
    migration_id: str,
    id: Dots = None,  # noqa: A002 - the name in addresses
) -> dict[str, Any]:
    """Show what a migration dropped, and plan what is left to restore. Encode slashes as %2F."""
    return await _document(studio.reading(who), id_of(migration_id, id), Choices(), who)


@router.post(
    "/{migration_id:anything}/restore",
    status_code=202,
    response_model=JobDocument,
    responses={200: {"model": MigrationDocument, "description": "dry_run: nothing changed"}},
)
async def restore(
    request: Request,
    studio: TheStudio,
    who: Who,
    migration_id: str,
    wanted: Annotated[MigrationRestoreIn, Body()],
    id: Dots = None,  # noqa: A002 - the name in addresses
) -> Any:
    """Start to restore everything that it dropped, under one job; `confirm` is the migration id.

    With `dry_run` the plans of these choices come back. With `rehearse` the job runs all of it in
    one transaction and rolls it back. It stops at the first object that cannot be restored;
    `results` of the job has each.
    """
    found = id_of(migration_id, id)
    if wanted.dry_run:
        request.state.reads_only = True
        return Document(await _document(studio.reading(who), found, wanted.to_choices(), who))
    if wanted.rehearse:
        job = await work.start_migration_rehearsal(
            studio, found, wanted.to_choices(), who, accepted=wanted.blocking_ok
        )
        return of_job(job)
    job = await work.start_migration(
        studio, found, wanted.to_choices(), who, confirm=wanted.confirm, digest=wanted.digest
    )
    return of_job(job)


async def _document(
    db: Database, migration_id: str, choices: Choices, actor: Actor
) -> dict[str, Any]:
    artifacts, purged = await find_all(db, migration_id)
    planned = await plan_each(db, await in_restore_order(db, artifacts), choices, actor=actor)
    plans = [(a, with_seal(p, choices)) for a, p in planned if not isinstance(p, ZanithError)]
    documents = []
    for artifact, plan in planned:
        if isinstance(plan, ZanithError):
            said: dict[str, Any] = {
                "plan": None,
                "verdict": None,
                "blocked": [],
                "error": plan.as_dict(),
            }
        else:
            shown = with_seal(plan, choices)
            verdict = judge(plan, choices).to_json()
            said = {"plan": shown.to_json(), "verdict": verdict, "blocked": shown.blocked}
            said["error"] = None
        documents.append({"artifact": artifact.to_json(), **said})
    every = [plan for _, plan in plans]
    return {
        "migration_id": migration_id,
        "artifacts": [artifact.to_json() for artifact in artifacts],
        "purged": [gone.to_json() for gone in purged],
        "plans": documents,
        "digest": digest_of_all(plans),
        "blocks": {
            "restore": find_blocking(every, rehearsed=False).to_json(),
            "rehearsal": find_blocking(every, rehearsed=True).to_json(),
        },
    }
