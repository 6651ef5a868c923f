"""The plan of a capture, as the database makes it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from app.recovery.capture.request import CaptureRequest, check_request
from app.recovery.core.errors import NotFound
from app.recovery.db.bounded_reads import bounded_read
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.plan.model import Step, digest_of
from app.recovery.plan.parsing import parse_steps
from app.recovery.queries import load

SQL = load("capture")
PLAN = load("plan")


@dataclass(frozen=True)
class CapturePlan:
    """What a capture would do; sizes in bytes.

    ``companions`` go with it, and each becomes an artifact of its own.
    """

    strategy: str
    object: str
    steps: tuple[Step, ...]
    warnings: tuple[str, ...]
    dependents: tuple[dict[str, Any], ...]
    companions: tuple[dict[str, Any], ...]
    goes_with: tuple[dict[str, Any], ...]
    publications: tuple[str, ...]
    size_bytes: int | None
    row_estimate: int | None
    online: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 of the steps: what a person confirmed is what runs, or nothing does."""
        return digest_of(self.steps)

    @property
    def copies_rows(self) -> bool:
        """Whether reads and writes wait for as long as rows are copied."""
        return any(step.grows for step in self.steps) and not self.online

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON shows it."""
        return {**asdict(self), "digest": self.digest}


async def plan_capture(db: Database, request: CaptureRequest) -> CapturePlan:
    """Return what the capture would do; raises what it would raise, and changes nothing."""
    check_request(request)
    path = await db.configured_path()
    async with bounded_read(db, request.table, readonly=True) as connection:
        return await plan_in(connection, request, path)


@asynccontextmanager
async def callers_path(
    connection: Connection, request: CaptureRequest, path: str
) -> AsyncIterator[int]:
    """Let unqualified names mean what they mean in an ordinary session, within a transaction.

    The table's oid; NotFound, with the name that was given, where it means none.
    """
    await connection.execute(SQL["callers_path"], path)
    table: int | None = await connection.fetchval(SQL["named"], request.table)
    if table is None:
        raise NotFound(
            f'relation "{request.table}" does not exist',
            hint="write its schema too, if it is not on your search_path",
            sqlstate="42P01",
        )
    yield table
    await connection.execute(SQL["own_path"])


async def plan_in(connection: Connection, request: CaptureRequest, path: str) -> CapturePlan:
    subject = (request.table, request.column, request.on_dependents, request.published_ok)
    async with callers_path(connection, request, path):
        if request.online:
            data = await connection.fetchval(PLAN["plan_archive_online"], *subject)
        else:
            data = await connection.fetchval(
                PLAN["plan_capture"], request.strategy, *subject, request.keep_rows
            )
    return parse_capture_plan(data, online=request.online)


def parse_capture_plan(data: dict[str, Any], *, online: bool) -> CapturePlan:
    """Return the plan of the database's JSON."""
    return CapturePlan(
        strategy=data["strategy"],
        object=data["object"],
        steps=parse_steps(data["steps"]),
        warnings=tuple(data["warnings"] or ()),
        dependents=tuple(data["dependents"] or ()),
        companions=tuple(data.get("companions") or ()),
        goes_with=tuple(data.get("goes_with") or ()),
        publications=tuple(data["publications"] or ()),
        size_bytes=data["size_bytes"],
        row_estimate=data["row_estimate"],
        online=online,
    )
