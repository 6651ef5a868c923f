"""The history of migrations and of the schema, as `history` and `snapshot` print it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from app.migrate.apply.history import read_history, read_steps, runs_of
from app.migrate.read.migrations import LONGEST_ID
from app.migrate.schema.ddl.generate import described
from app.migrate.schema.snapshots import LIVE, list_snapshots
from app.routes.answers import Document
from app.routes.api.models import RESPONSES, _Answer
from app.routes.schemas import compare
from app.routes.studio import TheStudio, Who

router = APIRouter(
    prefix="/api", responses=RESPONSES, tags=["migrations"], default_response_class=Document
)
Name = Annotated[
    str,
    Query(
        max_length=210,
        description="live, the number of a snapshot, MIGRATION:before or MIGRATION:after",
    ),
]


class HistoryOut(_Answer):
    """One page of runs, newest first; `next` goes into `before`."""

    runs: list[dict[str, Any]] = Field(
        description="as `zanith migrate history --json` prints them, with their statements"
    )
    next: int | None


class SnapshotsOut(_Answer):
    """The newest snapshots of the schema."""

    snapshots: list[dict[str, Any]] = Field(
        description="as `zanith migrate snapshot list --json` prints them"
    )


class SchemaDiffOut(_Answer):
    """What changed between two snapshots, as `zanith migrate snapshot diff --json` prints it."""

    equal: bool
    before: str = Field(description="the SHA-256 of the schema")
    after: str
    created: list[dict[str, Any]]
    dropped: list[dict[str, Any]]
    changed: list[dict[str, Any]]
    renames: list[dict[str, Any]] = Field(description="what may be renamed; nobody decides it")
    statements: list[str]
    not_generated: list[dict[str, Any]]


@router.get("/history", response_model=HistoryOut)
async def list_runs(
    studio: TheStudio,
    who: Who,
    id: Annotated[str | None, Query(max_length=LONGEST_ID)] = None,  # noqa: A002 - the name in addresses
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> dict[str, Any]:
    """List the runs of migrations, newest first, each with its statements."""
    db = studio.reading(who)
    found = await read_history(db, None, id, limit + 1, before)
    more = found[limit - 1].run if len(found) > limit else None
    async with db.acquire() as connection:
        steps = await read_steps(connection, [one.run for one in found[:limit]])
    return {"runs": runs_of(found[:limit], steps), "next": more}


@router.get("/snapshots", response_model=SnapshotsOut)
async def list_all(
    studio: TheStudio,
    who: Who,
    migration: Annotated[str | None, Query(max_length=LONGEST_ID)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> dict[str, Any]:
    """List the stored snapshots of the schema, newest first."""
    async with studio.reading(who).acquire() as connection:
        found = await list_snapshots(connection, limit, migration)
    return {"snapshots": [one.to_json() for one in found]}


@router.get("/snapshots/diff", response_model=SchemaDiffOut)
async def diff(
    studio: TheStudio, who: Who, before: Name, after: Name = LIVE, owners: bool = True
) -> dict[str, Any]:
    """Show what changed between two snapshots; `owners=no` leaves out owners and grants."""
    compared = await compare(studio.reading(who), before, after, owners=owners)
    return described(compared.found, compared.ddl)
