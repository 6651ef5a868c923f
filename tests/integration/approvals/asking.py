"""The people of the tests of approvals, and what they do."""

from __future__ import annotations

from app.recovery.approvals.deciding import request
from app.recovery.core.actor import Actor
from app.recovery.core.four_eyes import Change
from app.recovery.db.database import Database
from app.recovery.jobs.audit import ActivityFilter, list_activity
from app.recovery.plan.model import Choices
from tests.sessions import client_of

ANA = Actor("ana", "10.0.0.1", "staff")
BOB = Actor("bob", "10.0.0.2", "staff")
CY = Actor("cy", "10.0.0.3", "staff")
VIC = Actor("vic", None, "viewer")
NOBODY = Actor("token 1", None, "staff", named=False)
SECRET = "ann@example.com"
UNVERIFIED = Choices(unverified=True)
CLI_ANA = Actor("ana", None, "cli")


async def ask(db, artifact, who=ANA, kind=Change.PURGE, **more):
    return await request(db, kind, artifact.id, who, reason="retention is over", **more)


async def age(db, approval, by="25 hours"):
    """Let the request be older than it is; the trigger lets nobody do that."""
    async with client_of(db) as connection:
        await connection.execute(
            "ALTER TABLE zanith._zanith_approvals DISABLE TRIGGER approval_is_checked;"
            "UPDATE zanith._zanith_approvals SET requested_at = requested_at - interval '25 hours',"
            f" expires_at = expires_at - interval '{by}' WHERE id = '{approval.id}';"
            "ALTER TABLE zanith._zanith_approvals ENABLE ALWAYS TRIGGER approval_is_checked"
        )


async def actions(db, artifact):
    entries = await list_activity(db, ActivityFilter(artifact_id=artifact.id))
    return [(entry.action, entry.outcome, entry.actor) for entry in reversed(entries)]


async def without_settings(db):
    """A client of the same database that does not know the setting."""
    found = db._asked["dsn"]
    return await Database.open(found, lock_retries=1)
