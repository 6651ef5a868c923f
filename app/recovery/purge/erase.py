"""Erasure: one person's rows out of a parked copy, with a new seal over what is left.

What identifies the rows is nowhere kept: not in the job, the audit log, a plan or an error. The old
seal is checked first, so that the new one hides no other change.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.core.actor import Actor, require_rows
from app.recovery.core.errors import Failed, NotFound, Refused, WrongUsage, ZanithError
from app.recovery.core.four_eyes import Change, digest_of_request
from app.recovery.core.progress import OnProgress, tell
from app.recovery.db.bounded_reads import bounded_read
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.locks import run_locked
from app.recovery.db.transactions import notify
from app.recovery.jobs import model as jobs
from app.recovery.jobs.approvals import use_approval
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.operation import Operation, operation
from app.recovery.plan.model import Conflict, Step, check_digest, digest_of
from app.recovery.plan.parsing import parse_conflicts, parse_steps
from app.recovery.purge.purge import require_named
from app.recovery.queries import load
from app.recovery.rows.stream import Measured, Meter, Reading, copy_out, discard, prove, reading_of

SQL = load("erase")
PLAN = load("plan")
STREAM = load("stream")
ROWS = load("some_rows")
log = logging.getLogger("zanith")
MOST_COLUMNS = 8
MOST_SETS = 1_000

Match = Mapping[str, str] | Sequence[Mapping[str, str]]
"""Columns and their values; or a set of them for each of some rows, over the same columns."""


@dataclass(frozen=True)
class ErasurePlan:
    """What an erasure would do; ``rows`` match now, where nothing stands in the way."""

    artifact_id: str
    object: str
    target: str
    columns: tuple[str, ...]
    steps: tuple[Step, ...]
    conflicts: tuple[Conflict, ...]
    rows: int | None
    """How many match; None where that was not counted, because a conflict stops it."""

    @property
    def digest(self) -> str:
        """SHA-256 of the steps, in which no value stands."""
        return digest_of(self.steps)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON shows it."""
        return {**asdict(self), "digest": self.digest}


@dataclass(frozen=True)
class Erased:
    """What was taken out, and what is left; the checksum is of what is left."""

    artifact: Artifact
    rows: int
    rows_left: int
    job_id: str

    def to_json(self) -> dict[str, Any]:
        """Return what came of it as JSON shows it."""
        counts = {"rows": self.rows, "rows_left": self.rows_left}
        return {"artifact": self.artifact.to_json(), "job_id": self.job_id, **counts}


async def plan_erasure(db: Database, artifact_id: str, match: Match, actor: Actor) -> ErasurePlan:
    """Return what would go where each column's text is the given one; it changes nothing.

    Refused for a soft-dropped column, whose values live in its table, and for what is gone;
    WrongUsage for no or too many columns; NotPermitted where the actor may not see rows, since the
    count says whether somebody is among them.
    """
    require_rows(actor, "count rows")
    artifact = await get_artifact(db, artifact_id)
    async with bounded_read(db, artifact.id) as connection:
        reading = await prove(connection, artifact.id)
        await connection.execute(STREAM["settings"], None)
        plan, count = await _plan(connection, artifact.id, match)
        rows = await _count(reading, count, match) if not plan.conflicts else None
    return ErasurePlan(**{**vars(plan), "rows": rows})


async def _plan(connection: Connection, artifact_id: str, match: Match) -> tuple[ErasurePlan, str]:
    sets = _sets_of(match)
    data = await connection.fetchval(SQL["plan"], artifact_id, _columns_of(match), len(sets))
    plan = ErasurePlan(
        artifact_id=data["artifact_id"],
        object=data["object"],
        target=data["target"],
        columns=tuple(data["columns"]),
        steps=parse_steps(data["steps"]),
        conflicts=parse_conflicts(data["conflicts"]),
        rows=None,
    )
    return plan, data["count_sql"]


def shape_of(match: Match) -> dict[str, Any]:
    """Return what is known of an erasure without its values: the columns, and how many sets."""
    return {"columns": _columns_of(match), "sets": len(_sets_of(match))}


async def plan_columns(
    db: Database, artifact_id: str, columns: list[str], sets: int = 1
) -> ErasurePlan:
    """Return the plan of an erasure by some columns, without any value and without a count."""
    async with bounded_read(db, artifact_id, readonly=True) as connection:
        plan, _ = await _plan(connection, artifact_id, [dict.fromkeys(columns, "")] * sets)
    return plan


def erasure_digest(plan: ErasurePlan, rows: int, checksum: str | None) -> str:
    """Return what an approval of an erasure is of: its plan, how many rows, and of which rows."""
    return digest_of_request(plan.digest, plan.columns, rows, checksum)


def _sets_of(match: Match) -> list[Mapping[str, str]]:
    sets = [match] if isinstance(match, Mapping) else list(match)
    if not sets or not 0 < len(sets[0]) <= MOST_COLUMNS:
        raise WrongUsage(
            "say which rows", hint=f"name 1 to {MOST_COLUMNS} columns and the value of each"
        )
    if len(sets) > MOST_SETS or any(list(one) != list(sets[0]) for one in sets):
        raise WrongUsage(f"{MOST_SETS:,} rows at most are erased at once, by the same columns")
    return sets


def as_one(match: Match) -> dict[str, str]:
    """Return all values by distinct names, for an approval: it is of just these."""
    first, *others = _sets_of(match)
    more = {f"{n}:{name}": one[name] for n, one in enumerate(others, 2) for name in one}
    return {**first, **more}


def _columns_of(match: Match) -> list[str]:
    return list(_sets_of(match)[0])


def _values_of(match: Match) -> list[str]:
    return [value for one in _sets_of(match) for value in one.values()]


def check_erasure(plan: ErasurePlan, rows: int, expected_digest: str | None = None) -> None:
    """Raise Refused where something stands in the way, or not just ``rows`` match, or none.

    Refused too where the plan is another than the digest says.
    """
    _refuse_conflicts(plan)
    check_digest(plan, expected_digest)
    _require_count(plan.rows, rows)


def _refuse_conflicts(plan: ErasurePlan) -> None:
    for conflict in plan.conflicts:
        raise Refused(conflict.message, detail=conflict.detail, hint=conflict.hint)


def _require_count(found: int | None, rows: int) -> None:
    if not found:
        raise Refused(
            "no row matches: nothing was changed",
            hint="a value is compared as PostgreSQL prints it: look at the rows",
        )
    if found != rows:
        raise Refused(
            f"{found:,} rows match, not {rows:,}: nothing was changed", hint="look at them again"
        )


async def erase(
    db: Database,
    artifact_id: str,
    match: Match,
    actor: Actor,
    *,
    rows: int,
    confirm: str | None,
    expected_digest: str | None = None,
    reason: str | None = None,
    job: jobs.Job | None = None,
    on_progress: OnProgress | None = None,
) -> Erased:
    """Take the rows out, seal what is left and write the audit entry: one transaction.

    Refused unless the object's name was typed and just ``rows`` match, where the plan is another
    than the digest says, on a hold, and where the parked object does not match its seal.
    """
    doing = operation(
        *(db, Kind.ERASE, actor, artifact_id), job=job, on_progress=on_progress, reason=reason
    )
    async with doing as op:
        artifact = op.artifact
        require_named(confirm, artifact.object_name, artifact.id, repeat=False)
        async with op.running({"columns": _columns_of(match)}) as run:

            async def work(connection: Connection) -> tuple[dict[str, Any], str | None]:
                found, after = await _erase(op, connection, match, rows, expected_digest)
                found = {**found, "reason": reason}
                await op.record(connection, found)
                await notify(connection, "artifact", artifact.id)
                await run.finish(connection, found)
                return found, after

            what = f"the erasure in {artifact.object_name}"
            found, after = await run_locked(db, what, work, op.report)
            run.finished = True
    if after is not None:
        await _vacuum(db, after)
    after_it = await get_artifact(db, artifact.id)
    return Erased(after_it, found["rows"], found["rows_left"], run.job.id)


async def _erase(
    op: Operation,
    connection: Connection,
    match: Match,
    rows: int,
    expected_digest: str | None,
) -> tuple[dict[str, Any], str | None]:
    db, artifact, report = op.db, op.artifact, op.report
    row: Any = await connection.fetchrow(SQL["lock_row"], artifact.id)
    if row is None:
        raise NotFound(f"{artifact.object_name} was purged meanwhile")
    plan, count = await _plan(connection, artifact.id, match)
    _refuse_conflicts(plan)
    check_digest(plan, expected_digest)
    digest = erasure_digest(plan, rows, row["checksum"])
    about = (Change.ERASE, artifact.id, artifact.object_name, digest, op.actor, op.run.job.id)
    await use_approval(connection, db, *about, match=as_one(match))
    lock, *rest = [step for step in plan.steps if step.transaction == 1]
    await connection.execute(lock.sql)
    reading = await reading_of(connection, artifact.id)
    await connection.execute(STREAM["settings"], row["settings"])
    if row["checksum"] is not None:
        await tell(report, {"step": "comparing it with its seal"})
        before = await _measure(db, reading, row["checksum_query"])
        if before.checksum != row["checksum"]:
            raise Refused(
                "the parked object does not match its seal: a new seal would hide that",
                hint="verify it, and find out who changed it",
            )
    await connection.execute(STREAM["settings"], None)
    found = await _count(reading, count, match)
    _require_count(found, rows)
    await tell(report, {"step": "deleting the rows"})
    values = _values_of(match)
    for step in rest:
        if step.grows:
            await connection.execute(
                PLAN["run_with"], reading.role, step.sql, "rows", reading.path, values
            )
        else:
            await connection.execute(step.sql)
    if await _count(reading, count, match):
        raise Failed("a rule of the table prevented the deletion of rows: nothing was changed")
    await tell(report, {"step": "sealing the remaining rows"})
    settings = await connection.fetchval(STREAM["canonical_settings"])
    query = await connection.fetchval(STREAM["canonical_query"], artifact.id)
    left = await _measure(db, reading, query)
    await connection.execute(SQL["record"], artifact.id, left.rows, left.checksum, query, settings)
    await connection.execute(SQL["render"], artifact.id)
    await connection.execute(ROWS["forget"], artifact.id)
    vacuum = next((step.sql for step in plan.steps if step.transaction == 2), None)
    return {
        "columns": _columns_of(match),
        "rows": found,
        "rows_left": left.rows,
        "checksum": left.checksum,
        "checksum_before": row["checksum"],
    }, vacuum


async def _count(reading: Reading, statement: str, match: Match) -> int:
    """Return how many rows match, counted as a role that may read them."""
    values = _values_of(match)
    counted = await reading.connection.fetchval(
        PLAN["run_with"], reading.role, statement, "values", reading.path, values
    )
    return int(counted[0])


async def _measure(db: Database, reading: Reading, query: str) -> Measured:
    """Stream it, in a savepoint: nothing of it stays."""
    savepoint = reading.connection.transaction()
    await savepoint.start()
    measured = await copy_out(db, reading, query, discard, Meter())
    await savepoint.rollback()
    return measured


async def _vacuum(db: Database, statement: str) -> None:
    """Free the space now; where that does not work, autovacuum does it later."""
    try:
        async with db.acquire() as connection:
            await connection.execute(statement)
    except ZanithError as exc:
        log.warning("%s is left to autovacuum: %s", statement, exc.for_log)
