"""What putting rows back overwrote, kept beside its job until a purge or an erasure deletes it."""

from __future__ import annotations

from dataclasses import dataclass

from app.recovery.core.actor import Actor, require_rows
from app.recovery.core.errors import (
    NotFound,
)
from app.recovery.db.database import Database
from app.recovery.jobs import audit
from app.recovery.jobs import model as jobs
from app.recovery.jobs.operation import attempt
from app.recovery.queries import load
from app.recovery.restore.rows_plan import FoundTexts
from app.recovery.rows import copies

SQL = load("some_rows")


@dataclass(frozen=True)
class Overwritten:
    """What a job overwrote: keys, and the values before; no values where it inserted rows."""

    target: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[FoundTexts, FoundTexts | None], ...]

    @property
    def inserted(self) -> bool:
        """Whether the rows were inserted: to undo that is to delete them."""
        return all(was is None for _, was in self.rows)

    def as_csv(self) -> str:
        """Return the keys, and the values before."""
        if self.inserted:
            return copies.as_csv(self.key, [key for key, _ in self.rows])
        rows = [[*key, *(was or [])] for key, was in self.rows]
        return copies.as_csv([*self.key, *self.columns], rows)

    def as_sql(self) -> str:
        """Return the statements that undo it."""
        if self.inserted:
            return copies.deletes(self.target, self.key, [key for key, _ in self.rows])
        rows = [[*key, *(was or [])] for key, was in self.rows]
        return copies.updates(self.target, self.key, self.columns[0], rows)


async def find_overwritten(db: Database, job_id: str, actor: Actor) -> Overwritten:
    """Return what a job overwrote. The audit log says who looked.

    NotPermitted where the actor may not see rows, NotFound where nothing is kept of it: a purge and
    an erasure of the artifact delete that.
    """
    job = await jobs.get(db, job_id)
    async with attempt(db, actor, "view", job.artifact_id, job.object):
        require_rows(actor, "look at rows")
        async with db.side() as connection:
            found = await connection.fetch(SQL["kept"], job.id)
        if not found:
            raise NotFound(
                "nothing that this job overwrote is kept",
                hint="a purge or an erasure of the artifact deletes it",
            )
        rows = tuple((list(r["key"]), list(r["was"]) if r["was"] else None) for r in found)
        shown = {"rows": len(rows), "overwritten_by_job": job.id}
        await audit.record_view(db, actor, job.artifact_id, job.object, shown)
    one = found[0]
    return Overwritten(one["target"], tuple(one["key_columns"]), tuple(one["columns"]), rows)
