"""The report of a restore that can be sent on, its digest, and whether the log has the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.recovery.core.actor import Actor
from app.recovery.core.errors import Refused
from app.recovery.core.names import quote
from app.recovery.db.database import Database
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.model import Job
from app.recovery.queries import load

SQL = load("reports")
KINDS = frozenset({Kind.RESTORE, Kind.RESTORE_MIGRATION, Kind.REHEARSE})
"""Jobs that have such a report."""


def compose(job: Job, reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the report of a job, of what became of each object; it does not change any more.

    Its keys are those that every interface shows, so that anybody can compute the digest again.
    """
    return {
        "job_id": job.id,
        "kind": job.kind.value,
        "object": job.object,
        "actor": job.actor,
        "actor_role": job.actor_role,
        "created_at": job.created_at.isoformat(),
        "choices": job.params.get("choices") or {},
        "reports": [
            {"row_count" if key == "rows" else key: value for key, value in report.items()}
            for report in reports
        ],
    }


def digest_of(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the canonical JSON: keys in order, no white space, UTF-8."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def detail_of(job: Job, reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what an entry of the log keeps of a report."""
    return {"job": job.id, "report": digest_of(compose(job, reports))}


def reports_of(job: Job) -> list[dict[str, Any]]:
    """Return the reports that a job's result holds, one for each object."""
    result = job.result or {}
    if "reports" in result:
        return list(result["reports"])
    return [result] if "artifact" in result and not result.get("already_restored") else []


def name_of(artifact: Mapping[str, Any]) -> str:
    """Return the name of the object of a report's artifact, quoted where PostgreSQL quotes."""
    if artifact.get("kept_name"):
        return str(artifact["kept_name"])
    parts = (artifact["source_schema"], artifact["source_table"], artifact.get("source_column"))
    return quote([part for part in parts if part is not None])


def document_of(job: Job) -> dict[str, Any]:
    """Return the report of a job that ended; Refused where it has none."""
    reports = reports_of(job) if job.kind in KINDS and job.ended else []
    if not reports:
        raise Refused(
            f"job {job.id} has no report",
            detail=f"it is a {job.kind.words}, {job.state}",
            hint="only a restore or a rehearsal that did something has one",
        )
    return compose(job, reports)


@dataclass(frozen=True)
class Checked:
    """A digest computed again, beside the one in the log; ``entry`` is that entry's number."""

    object: str
    computed: str
    recorded: str | None
    entry: int | None

    @property
    def matches(self) -> bool:
        """Whether the log has the same."""
        return self.computed == self.recorded


async def check(db: Database, job: Job) -> tuple[Checked, ...]:
    """Compute the digest of a job's report again and compare it with the audit log.

    Where a migration stopped half-way, the log has no entry of the whole: each object's report is
    compared with the object's own entry.
    """
    document = document_of(job)
    async with db.side() as connection:
        rows = await connection.fetch(SQL["recorded"], job.id, job.artifact_id)
        whole = next((row for row in rows if row["whole"]), None)
        if whole is not None or job.kind is not Kind.RESTORE_MIGRATION:
            return (_checked(job.object or job.id, document, whole),)
        found = []
        for report in document["reports"]:
            artifact = report["artifact"]
            own = await connection.fetchrow(SQL["recorded_part"], job.id, artifact["id"])
            found.append(_checked(name_of(artifact), compose(job, [report]), own))
        return tuple(found)


def _checked(name: str, document: Mapping[str, Any], row: Any) -> Checked:
    recorded, entry = (row["report"], row["id"]) if row is not None else (None, None)
    return Checked(name, digest_of(document), recorded, entry)


def for_reader(document: dict[str, Any], actor: Actor) -> dict[str, Any]:
    """Return the report without values for somebody who may not see any.

    A value that was chosen to fill in is one, and the SQL may hold it.
    """
    choices = document["choices"]
    if actor.sees_rows or choices.get("fill") is None:
        return document
    hidden = {
        **document,
        "choices": {**choices, "fill": "hidden"},
        "hidden": ["the value that was chosen", "the SQL that holds it"],
    }
    hidden["reports"] = [
        {**report, "steps": [{**step, "sql": None} for step in report["steps"]]}
        for report in document["reports"]
    ]
    return hidden
