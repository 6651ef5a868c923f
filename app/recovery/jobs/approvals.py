"""Approvals by a second person: the rows, what this database requires, and the one use of each.

`app.recovery.approvals` asks for them and decides on them. A purge, an erasure and a restore use
them here, in their own transaction.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from app.recovery.core.actor import Actor
from app.recovery.core.errors import NotFound, WrongUsage
from app.recovery.core.four_eyes import TITLES, ApprovalNeeded, Change
from app.recovery.core.names import SHORTEST_ID
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.queries import fill, load

SQL = load("approvals")
EVENT = "approval"
STATES = ("requested", "approved", "rejected", "withdrawn", "used", "lapsed")
LIVE = ("requested", "approved")
PAGE = 100


@dataclass(frozen=True)
class Approval:
    """One request for an approval, and what became of it."""

    id: str
    kind: Change
    artifact_id: str | None
    object: str
    digest: str
    params: dict[str, Any]
    facts: list[list[Any]]
    """What the request showed, as pairs of a label and a value."""
    reason: str | None
    requested_by: str
    requested_by_role: str
    requested_through: str
    requested_from: str | None
    requested_at: datetime
    expires_at: datetime
    state: str
    decided_by: str | None
    decided_by_role: str | None
    decided_through: str | None
    decided_at: datetime | None
    decision_reason: str | None
    ended_at: datetime | None
    job_id: str | None

    @property
    def live(self) -> bool:
        """Whether it waits for a decision, or for its use."""
        return self.state in LIVE

    @property
    def title(self) -> str:
        """What it is about, as a person says it."""
        return f"{TITLES[self.kind]} {self.object}"

    def to_json(self) -> dict[str, Any]:
        """Return the request as JSON shows it."""
        data = {
            key: value.isoformat() if isinstance(value, datetime) else value
            for key, value in asdict(self).items()
        }
        facts = {str(label): value for label, value in self.facts}
        return {**data, "kind": self.kind.value, "facts": facts}


@dataclass(frozen=True)
class Summary:
    """What the frame of every page says."""

    pending: int = 0
    shown: bool = False


def read_approval(row: Any) -> Approval:
    """Return the approval of a row of approvals.sql."""
    data = {field.name: row[field.name] for field in fields(Approval)}
    return Approval(**{**data, "kind": Change(data["kind"])})


def query(name: str) -> str:
    """Return a block of approvals.sql that reads whole requests."""
    return fill(SQL[name], columns=SQL["columns"])


async def list_approvals(
    db: Database,
    *,
    artifact_id: str | None = None,
    states: list[str] | None = None,
    limit: int = PAGE,
    offset: int = 0,
) -> list[Approval]:
    """Return requests: those that wait for a decision first, then by age, newest first."""
    unknown = [state for state in states or () if state not in STATES]
    if unknown:
        raise WrongUsage(f"there is no state {unknown[0]!r}", hint=", ".join(STATES))
    async with db.side() as connection:
        rows = await connection.fetch(query("list"), artifact_id, states, limit, offset)
    return [read_approval(row) for row in rows]


async def get_approval(db: Database, reference: str) -> Approval:
    """Return a request by its id or a unique beginning of it; NotFound where there is none."""
    words = reference.strip()
    rows = []
    if len(words) >= SHORTEST_ID:
        async with db.side() as connection:
            rows = await connection.fetch(query("one"), words)
    if not rows:
        raise NotFound(f"there is no request {reference}", hint="see zanith approvals list")
    if len(rows) > 1 and rows[0]["id"] != words:
        raise WrongUsage(f"several requests match {reference}", hint="write more of the id")
    return read_approval(rows[0])


async def summarize(db: Database) -> Summary:
    """Return how many wait for a decision, and whether approvals are of any use here."""
    async with db.side() as connection:
        row: Any = await connection.fetchrow(SQL["summary"])
    return Summary(row["pending"], bool(row["any"] or row["required"] or db.approvals))


async def find_rules(db: Database) -> list[dict[str, Any]]:
    """Return what this database requires, with who wanted so; the settings are not among it."""
    async with db.side() as connection:
        return [dict(row) for row in await connection.fetch(SQL["rules"])]


async def find_required(db: Database) -> frozenset[Change]:
    """Return the changes that need an approval: by the settings or by this database."""
    return db.approvals | {Change(rule["kind"]) for rule in await find_rules(db)}


async def use_approval(
    connection: Connection,
    db: Database,
    change: Change,
    artifact_id: str,
    name: str,
    digest: str,
    actor: Actor,
    job_id: str | None = None,
    *,
    asked: bool = False,
    keep: bool = False,
    match: Mapping[str, str] | None = None,
) -> None:
    """Use the approval of a change, in the transaction of the change; with ``keep`` only look.

    ``asked`` says that whoever queued the work needed one. ApprovalNeeded where one is needed and
    there is none, or one of another plan. One that was given is used also where none is needed.
    """
    only = await find_matching(connection, artifact_id, digest, match) if match else None
    needed = asked or change in db.approvals
    lacking = await connection.fetchval(
        SQL["use"],
        *(change.value, needed, artifact_id, digest, job_id, actor.name, actor.address, keep, only),
    )
    if lacking is not None:
        raise approval_needed(change, artifact_id, name, lacking)


async def require_approved(
    db: Database,
    change: Change,
    artifact_id: str,
    name: str,
    digest: str,
    actor: Actor,
    *,
    match: Mapping[str, str] | None = None,
) -> None:
    """Raise ApprovalNeeded where the change could not begin now; nothing is used."""
    async with db.side() as connection, connection.transaction():
        about = (connection, db, change, artifact_id, name, digest, actor)
        await use_approval(*about, keep=True, match=match)


_COMMANDS = {
    Change.PURGE: "request-purge",
    Change.ERASE: "request-erase",
    Change.UNVERIFIED: "request-restore",
}


def how_to_ask(change: Change, artifact_id: str) -> str:
    """Return the command that asks for the approval of a change."""
    columns = " --column NAME" if change is Change.ERASE else ""
    return f"zanith approvals {_COMMANDS[change]} {artifact_id}{columns} --reason TEXT"


def approval_needed(
    change: Change, artifact_id: str, name: str, lacking: dict[str, Any]
) -> ApprovalNeeded:
    """Return the error that says why a change may not begin, and what to do."""
    title = f"the {TITLES[change]} {name}"
    ask = how_to_ask(change, artifact_id)
    why, request = lacking["why"], lacking["approval"]
    if why == "requested":
        return ApprovalNeeded(
            f"{title} waits for an approval: nothing was changed",
            detail=f"{lacking['requested_by']} asked for it in the request {request}",
            hint=f"another person approves it: zanith approvals approve {request}",
        )
    if why == "none":
        return ApprovalNeeded(
            f"{title} needs the approval of a second person: nothing was changed",
            detail="nobody asked for it yet, or it was for another change",
            hint=f"ask for it: {ask}",
        )
    reason = {
        "lapsed": "an approval lapses after a day",
        "changed": "the plan, the artifact or a choice is another than in the request",
    }[why]
    return ApprovalNeeded(
        f"the request {request} for the {TITLES[change]} {name} lapsed: nothing was changed",
        detail=reason,
        hint=f"ask again: {ask}",
    )


# ------------------------------------------------------------- the values of an erasure, unreadable

_SCRYPT = {"n": 2**14, "r": 8, "p": 1}


def hash_match(match: Mapping[str, str], salt: str | None = None) -> str:
    """Return a salted, slow hash of the values that an erasure looks for: they are not kept."""
    salt = salt or secrets.token_hex(16)
    text = "\0".join(f"{len(column)}:{column}={match[column]}" for column in sorted(match))
    found = hashlib.scrypt(text.encode(), salt=bytes.fromhex(salt), maxmem=2**26, **_SCRYPT)
    return f"{salt}:{found.hex()}"


async def find_matching(
    connection: Connection, artifact_id: str, digest: str, match: Mapping[str, str]
) -> str | None:
    """Return the live request of an erasure of just these values; an approved one first."""
    for row in await connection.fetch(SQL["hashes"], artifact_id, digest):
        salt = row["match_hash"].partition(":")[0]
        found = await asyncio.to_thread(hash_match, match, salt)
        if hmac.compare_digest(found, row["match_hash"]):
            return str(row["id"])
    return None
