"""Foreign keys between tables of two owners: the restore can leave them NOT VALID, and somebody validates them."""

from __future__ import annotations

import asyncpg

from app.recovery.core.actor import Actor
from app.recovery.core.errors import Refused
from app.recovery.db.database import Database as Engine
from app.recovery.plan.model import Choices
from app.recovery.restore.report import RestoreReport
from app.recovery.restore.restore import restore

KEYS = """
SELECT c.conrelid::regclass::text AS relation, quote_ident(c.conname) AS name, c.convalidated
FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
WHERE c.contype = 'f' AND (n.nspname = $1 OR n.nspname ~* (' of ' || $1 || '(?![0-9])'))
ORDER BY 1, 2
"""


async def restore_as_offered(db: Engine, artifact: str, actor: Actor) -> tuple[RestoreReport, bool]:
    """Restore, with keys NOT VALID if validating them is all that stops it; the report, and whether so."""
    try:
        return await restore(db, artifact, None, actor), False
    except Refused as error:
        plan = getattr(error, "plan", None)
        if plan is None or {found.code for found in plan.conflicts} != {"several_owners"}:
            raise
        if not all("--not-valid" in found.choices for found in plan.conflicts):
            raise
        return await restore(db, artifact, Choices(not_valid=True), actor), True


def is_unvalidated(entry: dict) -> bool:
    """Whether a report says of a key only that it is NOT VALID yet."""
    validated = [entry[side].get("validated") for side in ("recorded", "now")]
    is_key = (entry["recorded"].get("definition") or "").startswith("FOREIGN KEY")
    return (is_key or entry["what"].startswith("foreign key")) and validated == [True, False]


async def validate_keys(
    schema: str, reference: asyncpg.Connection, restored: asyncpg.Connection
) -> None:
    """Validate each foreign key that is valid in the reference, as the report says."""
    valid = {
        (k["relation"], k["name"]) for k in await reference.fetch(KEYS, schema) if k["convalidated"]
    }
    for key in await restored.fetch(KEYS, schema):
        if not key["convalidated"] and (key["relation"], key["name"]) in valid:
            await restored.execute(
                f"ALTER TABLE {key['relation']} VALIDATE CONSTRAINT {key['name']}"
            )
