"""Doctor: rows and reality reconciled. It changes nothing and says what mends each finding."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from app.recovery.artifact import fill
from app.recovery.database import Connection, Database
from app.recovery.names import quote
from app.recovery.sql import load

SQL = load("health")

Kind = Literal["missing", "moved", "changed", "unsealed", "expired", "orphan", "ceiling"]
ORDER = ("missing", "moved", "changed", "orphan", "unsealed", "expired", "ceiling")


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be, and what mends it."""

    kind: Kind
    artifact_id: str | None
    object: str | None
    message: str
    hint: str

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON shows it."""
        return asdict(self)


async def doctor(db: Database, *, ceiling_bytes: int | None = None) -> list[Finding]:
    """Return what is wrong, the worst first; an empty list where all is well.

    ``ceiling_bytes`` is how much may be parked before it is said.
    """
    async with db.acquire() as connection, connection.transaction(readonly=True):
        findings = [
            *await _look_at_places(connection),
            *await _look_at_rows(connection),
            *await _look_for_orphans(connection),
        ]
        if ceiling_bytes is not None:
            findings += await _weigh(connection, ceiling_bytes)
    return sorted(findings, key=lambda finding: ORDER.index(finding.kind))


async def _look_at_places(connection: Connection) -> list[Finding]:
    found: list[Finding] = []
    for row in await connection.fetch(SQL["missing_or_moved"]):
        place = json.loads(row["place"])
        if place["state"] == "missing":
            found.append(
                Finding(
                    "missing",
                    row["id"],
                    row["object"],
                    f"what was parked of {row['object']} is gone: {place.get('detail')}",
                    f"restore it from a backup, or zanith recover purge {row['id']}",
                )
            )
        elif place["state"] == "moved":
            found.append(
                Finding(
                    "moved",
                    row["id"],
                    row["object"],
                    f"what was parked of {row['object']} was moved: {place.get('detail')}",
                    "put it back under its recorded name, schema and owner",
                )
            )
    return found


async def _look_at_rows(connection: Connection) -> list[Finding]:
    found: list[Finding] = []
    for row in await connection.fetch(SQL["told_by_rows"]):
        name, artifact_id = row["object"], row["id"]
        if row["changed"]:
            when = f"{row['verified_at']:%Y-%m-%d %H:%M} UTC"
            message = f"{name} did not match its seal when it was verified at {when}"
            hint = "find out who changed it; verify again after it is mended"
            found.append(Finding("changed", artifact_id, name, message, hint))
        if row["unsealed"]:
            message = f"{name} is not sealed yet: nothing could prove it untouched"
            hint = f"zanith recover seal {artifact_id}"
            found.append(Finding("unsealed", artifact_id, name, message, hint))
        if row["expired"]:
            message = f"{name} expired on {row['expires_at']:%Y-%m-%d}"
            hint = "zanith recover cleanup --expired --dry-run"
            found.append(Finding("expired", artifact_id, name, message, hint))
    return found


async def _look_for_orphans(connection: Connection) -> list[Finding]:
    found = [
        Finding(
            "orphan",
            row["artifact_id"],
            quote((row["schema"], row["name"])),
            f"{quote((row['schema'], row['name']))} is parked, and no artifact knows it",
            "look into it: drop it by hand, or bring its row back from a backup",
        )
        for row in await connection.fetch(SQL["orphan_tables"])
    ]
    for row in await connection.fetch(SQL["orphan_columns"]):
        name = quote((row["schema"], row["name"], row["column"]))
        message = f"{name} is a parked column, and no artifact knows it"
        hint = "look into it: drop it by hand, or bring its row back from a backup"
        found.append(Finding("orphan", None, name, message, hint))
    return found


async def _weigh(connection: Connection, ceiling_bytes: int) -> list[Finding]:
    row: Any = await connection.fetchrow(fill("summary"))
    parked = int(row["parked_bytes"])
    if parked <= ceiling_bytes:
        return []
    message = f"{parked:,} bytes are parked, more than the {ceiling_bytes:,} allowed"
    hint = "zanith recover cleanup --older-than 30d --dry-run"
    return [Finding("ceiling", None, None, message, hint)]
