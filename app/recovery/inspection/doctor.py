"""Doctor: rows and reality reconciled. It changes nothing and says what mends each finding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from app.recovery.artifacts.model import compose
from app.recovery.core.names import quote
from app.recovery.db import session_settings
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.schema_files import files
from app.recovery.inspection.remedies import REMEDIES
from app.recovery.queries import load

SQL = load("doctor")
BLOCKS = load("artifacts")
WEBHOOKS = load("webhooks")

Kind = Literal[
    "missing",
    "moved",
    "changed",
    "orphan",
    "engine",
    "blocked",
    "unfinished",
    "unsealed",
    "expired",
    "ceiling",
    "webhook",
]
ORDER: tuple[Kind, ...] = (
    *("missing", "moved", "changed", "orphan", "engine"),
    *("blocked", "unfinished", "unsealed", "expired", "ceiling", "webhook"),
)
_UNFINISHED = {"archiving": "online archiving", "restoring": "online restore"}
DAMAGE = frozenset({"missing", "moved", "changed", "orphan", "engine", "ceiling"})
"""The kinds for which the command ends with another code than 0."""


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be, and what mends it; `code` tells the cases apart."""

    kind: Kind
    code: str
    artifact_id: str | None
    object: str | None
    message: str
    hint: str

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON shows it."""
        return asdict(self)


@dataclass(frozen=True)
class Diagnosis:
    """What the doctor found, the worst first, and what it looked at; sizes in bytes.

    ``unverified`` are the ids of sealed artifacts that were never verified; ``schemas`` is what a
    backup by schema has to name, lest archives are missing from it.
    """

    findings: tuple[Finding, ...]
    artifacts: int
    sealed: int
    verified: int
    oldest_verification: datetime | None
    unverified: tuple[str, ...]
    parked_bytes: int | None
    schemas: tuple[str, ...]

    @property
    def damaged(self) -> bool:
        """Whether somebody must do something before everything matches the record."""
        return any(finding.kind in DAMAGE for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the diagnosis as JSON shows it; times in ISO 8601."""
        oldest = self.oldest_verification
        return {**asdict(self), "oldest_verification": oldest.isoformat() if oldest else None}


async def doctor(db: Database, *, ceiling_bytes: int | None = None) -> Diagnosis:
    """Return what is wrong, and how much was looked at. It only reads, so a standby will do.

    ``ceiling_bytes`` is how much may be parked before it is said. Where functions of the engine
    are gone, nothing else is looked at: they do the looking.
    """
    async with db.acquire() as connection, connection.transaction(readonly=True):
        findings = list(
            _look_at_engine(await connection.fetch(session_settings.fill(SQL["functions"])))
        )
        blind = any(finding.code == "function_missing" for finding in findings)
        parked = None
        if not blind:
            findings += await _look(connection)
            summary: Any = await connection.fetchrow(compose(BLOCKS["summary"]))
            parked = int(summary["parked_bytes"])
            findings += _weigh(parked, ceiling_bytes)
        findings += await _look_at_webhooks(connection)
        seals: Any = await connection.fetchrow(SQL["seals"])
        schemas = await connection.fetch(SQL["schemas"])
    return Diagnosis(
        findings=tuple(sorted(findings, key=lambda finding: ORDER.index(finding.kind))),
        artifacts=seals["artifacts"],
        sealed=seals["sealed"],
        verified=seals["verified"],
        oldest_verification=seals["oldest_verification"],
        unverified=tuple(seals["unverified"]),
        parked_bytes=parked,
        schemas=tuple(row["name"] for row in schemas),
    )


def _look_at_engine(rows: list[Any]) -> Iterator[Finding]:
    """Yield what is not as migrations/ has it: a function gone, edited, or another's."""
    homes = {name: file for file in files() for name in file.functions}
    there = {row["name"] for row in rows}
    for name in sorted(homes.keys() - there):
        message = f"the function zanith.{name} is gone"
        yield _finding("engine", "function_missing", message, file=homes[name].path)
    for row in rows:
        home = homes.get(row["name"])
        if home is None:
            message = f"the function {row['signature']} differs from the one of this version"
            yield _finding("engine", "function_unknown", message, object=row["signature"])
        elif row["body"] not in home.text:
            message = f"the function {row['signature']} was edited"
            yield _finding("engine", "function_altered", message, file=home.path)
        elif not row["aggregate"] and not _has_its_settings(home.text, row):
            message = f"the settings of the function {row['signature']} were changed"
            yield _finding("engine", "function_altered", message, file=home.path)
        elif row["owner"] != row["installer"]:
            message = f"the function {row['signature']} belongs to {quote(row['owner'])}"
            yield _finding("engine", "function_owner_changed", message, owner=row["installer"])


def _has_its_settings(text: str, row: Any) -> bool:
    """Whether a function has the settings that its file and the installer give it, and no other."""
    wanted = session_settings.declared(text, row["source"])
    return any(set(row["settings"]) == own | set(row["fixed"]) for own in wanted)


async def _look(connection: Connection) -> list[Finding]:
    found: list[Finding] = []
    for row in await connection.fetch(SQL["damage"]):
        message = f"{row['object']}: {row['detail']}"
        if row["code"] == "seal_broken":
            message += f" ({row['verified_at']:%Y-%m-%d %H:%M:%S} UTC)"
        owner = quote(row["owner"]) if row["owner"] else ""
        found.append(
            _finding(
                row["kind"], row["code"], message, **_named(row), place=row["place"], owner=owner
            )
        )
    for row in await connection.fetch(SQL["recipes"]):
        message = f"the recovery_sql of {row['object']} does not match its definition"
        found.append(_finding("changed", "script_differs", message, **_named(row)))
    for row in await connection.fetch(SQL["blocked"]):
        message = f"{row['object']} cannot come back now: {row['gone']} is gone"
        code = "live_table_gone" if row["is_table"] else "schema_gone"
        if row["is_table"] and row["now"]:
            code, message = "live_table_elsewhere", f"{message}; it may be {row['now']} now"
        found.append(_finding("blocked", code, message, **_named(row), gone=row["gone"]))
    for row in await connection.fetch(SQL["owners"]):
        message = f"{row['name']} belonged to {quote(row['was'])} when it was dropped, and belongs"
        message += f" to {quote(row['now'])} now"
        more = {"place": row["place"], "owner": quote(row["was"])}
        found.append(_finding("blocked", "given_to_another", message, **_named(row), **more))
    for row in await connection.fetch(SQL["unfinished"]):
        work = f"the {_UNFINISHED[row['what']]} of {row['object']}"
        message = f"{work} is not finished, and no job works on it"
        found.append(_finding("unfinished", f"unfinished_{row['what']}", message, **_named(row)))
    found += _look_at_dates(await connection.fetch(compose(SQL["told_by_rows"])))
    for row in await connection.fetch(SQL["orphans"]):
        found.append(_orphan(row))
    return found


def _look_at_dates(rows: list[Any]) -> Iterator[Finding]:
    for row in rows:
        if row["unsealed"]:
            message = f"{row['object']} is not sealed yet: no check could notice a change"
            yield _finding("unsealed", "unsealed", message, **_named(row))
        if row["expired"]:
            message = f"{row['object']} expired on {row['expires_at']:%Y-%m-%d}"
            yield _finding("expired", "expired", message, **_named(row))


def _orphan(row: Any) -> Finding:
    parts = [part for part in (row["schema"], row["name"], row["column"]) if part is not None]
    name = quote(parts)
    message = f"{name} is parked, and no artifact records it"
    if row["code"] == "duplicate_id":
        message = f"{name} has the id of an artifact whose object is elsewhere: it is a copy"
    return _finding("orphan", row["code"], message, id=row["artifact_id"], object=name)


async def _look_at_webhooks(connection: Connection) -> list[Finding]:
    """Return what webhooks did not deliver; nothing where this role may not read it."""
    if not await connection.fetchval(WEBHOOKS["readable"]):
        return []
    return [
        _finding(
            "webhook",
            "given_up",
            f"webhooks to {row['host']} did not arrive: {row['number']}. {row['error']}",
            receiver=row["id"][:8],
        )
        for row in await connection.fetch(WEBHOOKS["given_up"])
    ]


def _weigh(parked: int, ceiling_bytes: int | None) -> Iterator[Finding]:
    if ceiling_bytes is not None and parked > ceiling_bytes:
        message = f"{parked:,} bytes are parked, more than the {ceiling_bytes:,} allowed"
        yield _finding("ceiling", "ceiling", message)


def _named(row: Any) -> dict[str, str]:
    return {"id": row["id"], "object": row["object"]}


def _finding(
    kind: Kind,
    code: str,
    message: str,
    *,
    id: str | None = None,  # noqa: A002 - the name that the remedies have for it
    object: str | None = None,  # noqa: A002
    **more: str,
) -> Finding:
    hint = REMEDIES[code].format(id=id, object=object, **more)
    return Finding(kind, code, id, object, message, hint)
