"""One artifact's whole story, and the first of its rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import asyncpg

from app.recovery.artifacts.companions import Companion, find_companions
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.core.actor import Actor, require_rows
from app.recovery.core.errors import Refused, WrongUsage, ZanithError
from app.recovery.core.tasks import gather
from app.recovery.db.bounded_reads import bounded_read
from app.recovery.db.database import Database
from app.recovery.inspection.definitions import Definitions, definitions_of
from app.recovery.jobs import audit
from app.recovery.jobs.audit import Activity, ActivityFilter, list_activity
from app.recovery.jobs.model import Job, list_jobs
from app.recovery.jobs.operation import attempt
from app.recovery.plan.model import Choices, Plan
from app.recovery.plan.planning import plan_restore
from app.recovery.queries import fill, load
from app.recovery.rows.stream import prove, read_as

SQL = load("inspect")
BLOCKS = load("artifacts")
_WIDEST = 2_000
_DEEPEST = 100_000


@dataclass(frozen=True)
class Inspection:
    """Everything that is known of one artifact."""

    artifact: Artifact
    recovery_sql: str | None
    plan: Plan | None
    plan_error: ZanithError | None
    place: dict[str, Any]
    definition: dict[str, Any]
    definition_now: dict[str, Any] | None
    definitions: Definitions
    fidelity: dict[str, Any] | None
    dependents: list[dict[str, Any]]
    companions: tuple[Companion, ...]
    exports: list[Job]
    activity: list[Activity]

    def to_json(self) -> dict[str, Any]:
        """Return the artifact's keys and what inspect adds to them."""
        return {
            **self.artifact.to_json(),
            "recovery_sql": self.recovery_sql,
            "plan": self.plan.to_json() if self.plan else None,
            "place": self.place,
            "definition": self.definition,
            "definition_now": self.definition_now,
            "fidelity": self.fidelity,
            "dependents": self.dependents,
            "companions": [asdict(companion) for companion in self.companions],
            "exports": [job.to_json() for job in self.exports],
            "activity": [entry.to_json() for entry in self.activity],
        }


@dataclass(frozen=True)
class Value:
    """One value as PostgreSQL prints it, cut where it is long; ``length`` is all its characters."""

    text: str
    length: int

    @property
    def cut(self) -> bool:
        """Whether there is more of it."""
        return self.length > len(self.text)


@dataclass(frozen=True)
class Column:
    """A column of the rows, and its type's name."""

    name: str
    type: str


@dataclass(frozen=True)
class Preview:
    """Some rows in their canonical order, from `offset` on; NULL is None."""

    columns: list[Column]
    rows: list[list[Value | None]]
    offset: int
    more: bool


async def inspect(
    db: Database,
    reference: str,
    choices: Choices | None = None,
    *,
    checks: bool = True,
    actor: Actor | None = None,
) -> Inspection:
    """Return what is known of the artifact that the reference names.

    Where the plan itself cannot be made, ``plan`` is None and ``plan_error`` says why. For an
    ``actor`` who may not see rows the plan shows no value of any. Without ``checks`` nothing is
    counted, and no other read of the object is waited for.
    """
    artifact = await get_artifact(db, reference)
    planning = _plan(db, artifact.id, choices, actor, checks=checks)
    if checks:  # one read of an object at a time: the record waits for the plan
        (plan, plan_error), record = await planning, await _read_record(db, artifact, artifact.id)
        beside = await _read_beside(db, artifact.id)
    else:
        (plan, plan_error), record, beside = await gather(
            planning,
            _read_record(db, artifact, f"the record of {artifact.id}"),
            _read_beside(db, artifact.id),
        )
    return Inspection(
        artifact=artifact,
        plan=plan,
        plan_error=plan_error,
        **record,
        **beside,
    )


async def _read_record(db: Database, artifact: Artifact, subject: str) -> dict[str, Any]:
    """Return what the row says, where the object is, and how its definition compares."""
    async with bounded_read(db, subject, readonly=True) as connection:
        row: Any = await connection.fetchrow(BLOCKS["record"], artifact.id)
        definition = row["definition"]
        fidelity = now = None
        compared = artifact.artifact_type == "rebuild_table" or artifact.status == "restored"
        definitions = await definitions_of(connection, artifact.id, also_now=compared)
        if compared:
            fidelity = await connection.fetchval(BLOCKS["compare"], artifact.id)
    if fidelity is not None and artifact.artifact_type == "rebuild_table":
        now = fidelity.pop("now", None)
        definition = fidelity.pop("then", definition)
    return {
        "recovery_sql": row["recovery_sql"],
        "place": row["place"],
        "definition": definition,
        "definition_now": now,
        "definitions": definitions,
        "fidelity": fidelity,
        "dependents": row["dependents"],
    }


async def _read_beside(db: Database, artifact_id: str) -> dict[str, Any]:
    """Return what Zanith's own tables say of it, over one connection at a time."""
    return {
        "companions": await find_companions(db, artifact_id),
        "exports": await list_jobs(db, artifact_id=artifact_id, kinds=["export"], limit=20),
        "activity": await list_activity(db, ActivityFilter(artifact_id=artifact_id, limit=50)),
    }


async def _plan(
    db: Database, artifact_id: str, choices: Choices | None, actor: Actor | None, *, checks: bool
) -> tuple[Plan | None, ZanithError | None]:
    try:
        return await plan_restore(db, artifact_id, choices, checks=checks, actor=actor), None
    except ZanithError as exc:
        return None, exc


async def preview_rows(
    db: Database, artifact_id: str, actor: Actor, *, limit: int = 20, offset: int = 0
) -> Preview | None:
    """Return some of the rows; None where the artifact holds none. The audit log says who looked.

    NotPermitted where the actor may not see rows, Refused where what was parked is gone, WrongUsage
    beyond row 100,000: an export has them all.
    """
    if not 0 <= offset <= _DEEPEST:
        raise WrongUsage(
            f"rows can be looked at up to number {_DEEPEST:,}", hint="export them to see all"
        )
    artifact = await get_artifact(db, artifact_id)
    async with attempt(db, actor, "view", artifact.id, artifact.object_name):
        require_rows(actor, "look at rows")
        preview = await _read_rows(db, artifact.id, limit, offset)
        if preview is not None:
            shown = {"offset": offset, "rows": len(preview.rows)}
            await audit.record_view(db, actor, artifact.id, artifact.object_name, shown)
    return preview


async def find_columns(db: Database, artifact_id: str) -> list[Column]:
    """Return the columns of the parked rows; none where there are no rows. It shows no value."""
    preview = await _read_rows(db, artifact_id, 0, 0)
    return preview.columns if preview else []


async def _read_rows(db: Database, artifact_id: str, limit: int, offset: int) -> Preview | None:
    async with bounded_read(db, artifact_id) as connection:
        reading = await prove(connection, artifact_id)
        query = await connection.fetchval(BLOCKS["row_query"], artifact_id)
        if query is None:
            return None
        await connection.execute(SQL["settings"])
        try:
            statement = await connection.prepare(query)
        except asyncpg.UndefinedTableError as exc:
            raise Refused("the parked object is gone", sqlstate=exc.sqlstate) from exc
        columns = [Column(a.name, a.type.name) for a in statement.get_attributes()]
        query = await read_as(reading, query, [column.name for column in columns])
        numbers = range(1, len(columns) + 1)
        parts = {
            "values": ", ".join(fill(SQL["value"], number=str(n)) for n in numbers),
            "lengths": ", ".join(fill(SQL["length"], number=str(n)) for n in numbers),
            "names": ", ".join(f"c{n}" for n in numbers),
            "query": query,
        }
        text = fill(SQL["preview"], **parts)
        rows = await connection.fetch(text, limit + 1, _WIDEST, offset)
    found = [_values(row["values"], row["lengths"]) for row in rows[:limit]]
    return Preview(columns, found, offset, len(rows) > limit)


def _values(texts: list[str | None], lengths: list[int | None]) -> list[Value | None]:
    pairs = zip(texts, lengths, strict=True)
    return [None if text is None else Value(text, length or 0) for text, length in pairs]
