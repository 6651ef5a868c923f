"""Some rows put back: confirmed by the digest of their plan, and written one by one.

Each row is a transaction of its own, whose last statement writes it: nobody else waits longer than
that one row takes. It is written only if its live values are still those of the plan. What is
overwritten is kept in a table beside the job; a purge and an erasure delete it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import asyncpg

from app.recovery.artifacts.model import Artifact
from app.recovery.core.actor import Actor, require_rows
from app.recovery.core.errors import (
    Locked,
    NotConfirmed,
    NotFound,
    NotPermitted,
    Refused,
    WrongUsage,
    ZanithError,
)
from app.recovery.core.names import names_object
from app.recovery.core.progress import OnProgress
from app.recovery.core.translate import translate
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.locks import run_locked
from app.recovery.db.transactions import lock_timeout_text, notify
from app.recovery.jobs import model as jobs
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.operation import Operation, operation
from app.recovery.plan.model import Choices
from app.recovery.plan.parsing import parse_steps
from app.recovery.queries import load
from app.recovery.restore.preconditions import (
    check_parked,
    lock_parked,
    recording_change,
    refuse_unverified_rows,
)
from app.recovery.restore.rows_plan import (
    WORDS,
    FoundTexts,
    Live,
    PlannedRow,
    RowsPlan,
    check_rows,
    plan_with_texts,
    sealable,
    standing_conflicts,
)

SQL = load("some_rows")
PLAN = load("plan")
STREAM = load("stream")

# Types whose values say nothing about a person by themselves: keys of these are in the audit log.
_NUMBERED = frozenset({"smallint", "integer", "bigint", "uuid"})


@dataclass(frozen=True)
class LeftRow:
    """A row that was not written: its number among those that were named, from 1, and why."""

    number: int
    why: str


@dataclass(frozen=True)
class RestoredRows:
    """What came of it. No value of a row is in it."""

    artifact: Artifact
    job_id: str
    form: str
    rows: int
    same: int
    left: tuple[LeftRow, ...]
    checksum: str | None
    """Of the parked object, as it was measured; None where it was not."""

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as JSON shows it."""
        return {"artifact": self.artifact.to_json(), "job_id": self.job_id, **self.kept()}

    def kept(self) -> dict[str, Any]:
        """Return what the job keeps of it."""
        left = [asdict(row) for row in self.left]
        counts = {"form": self.form, "rows": self.rows, "same": self.same}
        return {**counts, "left": left, "checksum": self.checksum}


async def restore_rows(
    db: Database,
    artifact_id: str,
    refs: Sequence[str],
    actor: Actor,
    *,
    confirm: str | None,
    expected_digest: str | None,
    unverified: bool = False,
    reason: str | None = None,
    job: jobs.Job | None = None,
    on_progress: OnProgress | None = None,
) -> RestoredRows:
    """Put rows back, one transaction each, and write the audit entry with the last one.

    The parked object is compared with its seal first, as by a restore, unless ``unverified`` says
    otherwise; ChangedArchive on a mismatch. Refused unless the object's name was typed, and where
    the plan is another than the digest says: nothing is changed then. A row that somebody changes
    after that is left out, and said.
    """
    doing = operation(
        *(db, Kind.RESTORE_ROWS, actor, artifact_id),
        job=job,
        on_progress=on_progress,
        reason=reason,
    )
    async with doing as op:
        require_rows(actor, "put rows back")
        artifact = op.artifact
        if not names_object(confirm, artifact.object_name, artifact.id):
            raise NotConfirmed(hint=f"type the name of the object: {artifact.object_name}")
        if unverified:
            await refuse_unverified_rows(db)
        async with op.running({"rows": len(refs), "digest": expected_digest}):
            read = _SealedRead(op, artifact, expected_digest, unverified=unverified)
            async with recording_change(db, artifact.id):
                plan, texts = await plan_with_texts(
                    *(db, artifact, refs),
                    whole=True,
                    unverified=unverified,
                    begin=read.begin,
                    finish=read.finish,
                )
            return await _put_back(op, artifact, plan, texts, reason, read.checksum)


class _SealedRead:
    """Reads the rows and the seal under one lock: what is put back is what was verified."""

    def __init__(
        self, op: Operation, artifact: Artifact, digest: str | None, *, unverified: bool
    ) -> None:
        self._op = op
        self._artifact = artifact
        self._digest = digest
        self._choices = Choices(unverified=unverified)
        self.checksum: str | None = None

    @property
    def _verifies(self) -> bool:
        return not self._choices.unverified and sealable(self._artifact)

    async def begin(self, connection: Connection) -> None:
        """Keep writers away from the parked object."""
        if self._verifies:
            await connection.execute(SQL["wait"], lock_timeout_text(self._op.db.lock_timeout))
            await lock_parked(self._op.db, connection, self._artifact, self._op.report)

    async def finish(self, connection: Connection, plan: RowsPlan) -> None:
        """Check the plan, which is quick, and then the seal."""
        check_rows(plan, self._digest)
        if self._verifies:
            asked = (self._op.db, connection, self._artifact, self._choices, self._op.report)
            measured = await check_parked(*asked)
            self.checksum = measured.checksum if measured else None


async def _put_back(
    op: Operation,
    artifact: Artifact,
    plan: RowsPlan,
    texts: dict[str, FoundTexts],
    reason: str | None,
    checksum: str | None,
) -> RestoredRows:
    done: list[PlannedRow] = []
    left: list[LeftRow] = []
    failed: ZanithError | None = None
    for number, row in enumerate(plan.rows, 1):
        if not row.written:
            if row.outcome != "same":
                left.append(LeftRow(number, WORDS[row.outcome]))
            continue
        await op.tell({"step": f"row {number:,} of {len(plan.rows):,}", "rows": len(done)})
        try:
            await _one(op, artifact, plan, row, texts[row.row.ref], len(done) + 1)
            done.append(row)
        except (ZanithError, asyncpg.PostgresError) as exc:
            error = translate(exc)
            if not isinstance(error, Refused | NotPermitted | NotFound | WrongUsage | Locked):
                raise _after(error, len(done)) from exc
            failed = failed or error
            left.append(LeftRow(number, f"left out: {error.for_log}"))
    if failed is not None and not done:
        raise failed
    same = sum(row.outcome == "same" for row in plan.rows)
    counts = (plan.form, len(done), same, tuple(left), checksum)
    outcome = RestoredRows(artifact, op.run.job.id, *counts)

    async def finish(connection: Connection) -> None:
        kept = {**outcome.kept(), "target": plan.target}
        said = {**kept, "left": len(left), "reason": reason, "unverified": plan.unverified}
        said |= _keys_to_log(plan, done)
        await op.record(connection, said)
        await notify(connection, "artifact", artifact.id)
        await op.run.finish(connection, kept)

    await run_locked(op.db, "the end of the job", finish, op.report)
    op.run.finished = True
    return outcome


def _after(error: ZanithError, done: int) -> ZanithError:
    """Say what stays where the rest was not reached."""
    if done:
        said = f"{done:,} rows were put back before that, and stay; look at the plan again"
        error.hint = "\n".join(filter(None, (error.hint, said)))
    return error


async def _one(
    op: Operation,
    artifact: Artifact,
    plan: RowsPlan,
    row: PlannedRow,
    texts: FoundTexts,
    number: int,
) -> None:
    """Put one row back: all that takes time comes before the statement that locks the row."""

    async def work(connection: Connection) -> None:
        await connection.execute(SQL["lock"], artifact.id)
        await connection.execute(SQL["commit_later"])
        await connection.execute(STREAM["settings"], None)
        data = await connection.fetchval(SQL["plan"], artifact.id)
        stops = standing_conflicts(data, unverified=plan.unverified)
        if parse_steps(data["steps"]) != plan.steps or stops:
            raise Refused("the definition of the live table changed", hint="look at the plan again")
        live = Live(connection, data, plan.columns)
        key = list(live.key_of(texts))
        old = await live.read_old(texts)
        await connection.execute(
            *(SQL["keep"], op.run.job.id, artifact.id, plan.target, list(plan.key), key),
            *(list(plan.written), old),
        )
        await op.run.fence(connection, rows=number, rows_expected=plan.count, committed=True)
        written = await live.write(row, texts)
        if written == 0:
            raise Refused("another session changed this row", hint="look at the plan again")
        if written > 1:
            raise Refused(
                "a trigger of the table changed the value",
                hint="copy the row as SQL, or disable the trigger for the length of this",
            )

    await run_locked(op.db, f"a row of {plan.target}", work, op.tell)


def _keys_to_log(plan: RowsPlan, done: Sequence[PlannedRow]) -> dict[str, Any]:
    """Return the keys of rows, where they are numbers: a key such as an e-mail address is not kept.

    An erasure cannot reach the audit log.
    """
    types = {column.name: column.type for column in plan.columns}
    said: dict[str, Any] = {"key_columns": list(plan.key)}
    if all(types.get(name) in _NUMBERED for name in plan.key):
        said["keys"] = [list(row.key) for row in done]
    return said
