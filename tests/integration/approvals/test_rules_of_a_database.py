"""What a database requires, and who may write the tables of approvals."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest

from app.recovery.approvals.deciding import approve, request, require
from app.recovery.core.errors import NotPermitted, Refused
from app.recovery.core.four_eyes import ApprovalNeeded, Change
from app.recovery.db.database import Database
from app.recovery.db.grants import grant_read
from app.recovery.jobs.approvals import get_approval, list_approvals
from app.recovery.purge.cleanup import plan_cleanup
from app.recovery.purge.purge import purge
from tests.integration.approvals.asking import (
    ANA,
    BOB,
    ask,
    without_settings,
)
from tests.sessions import client_of


async def test_the_rule_of_the_database_holds_without_the_setting(db, archived):
    plain = await without_settings(db)
    try:
        assert await require(plain, frozenset({Change.PURGE}), ANA) == ["purge"]
        assert await require(plain, frozenset({Change.PURGE}), ANA) == []
        with pytest.raises(ApprovalNeeded):
            await purge(plain, archived.id, ANA, confirm="code")
        async with client_of(plain) as connection:
            for statement in (
                "DELETE FROM zanith._zanith_approval_rules",
                "TRUNCATE zanith._zanith_approval_rules",
                "UPDATE zanith._zanith_approval_rules SET kind = 'erase'",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError, match="second person"):
                    await connection.execute(statement)
        lift = {"params": {"kinds": ["purge"]}, "reason": "too slow"}
        with pytest.raises(Refused, match="requires no approval of erase"):
            await request(
                plain, Change.LIFT, None, ANA, params={"kinds": ["erase"]}, reason="too slow"
            )
        asked = await request(plain, Change.LIFT, None, ANA, **lift)
        with pytest.raises(NotPermitted):
            await approve(plain, asked.id, ANA, confirm="purge")
        assert (await approve(plain, asked.id, BOB, confirm="purge")).state == "used"
        await purge(plain, archived.id, ANA, confirm="code")
    finally:
        await plain.close()


async def test_a_role_that_may_capture_or_look_forges_nothing(
    db, archived, operator_database, create_role
):
    """It reads at most what everybody may see, and never the hash of an erasure's values."""
    asked = await ask(db, archived)
    looker = create_role("looker")
    async with operator_database.connect() as connection:
        await grant_read(connection, looker)
    tries = (
        "UPDATE zanith._zanith_approvals SET state = 'approved', decided_by = 'eve',"
        " decided_through = 'studio'",
        "INSERT INTO zanith._zanith_approvals (id, kind, artifact_id, object, digest, requested_by,"
        f" requested_through) VALUES ('forged00', 'purge', '{archived.id}', 'x', '{'0' * 64}',"
        " 'eve', 'studio')",
        "DELETE FROM zanith._zanith_approval_rules",
        "SELECT match_hash FROM zanith._zanith_approvals",
        f"SELECT zanith._use_approval('purge', true, '{archived.id}', '{asked.digest}', NULL,"
        " 'eve', NULL)",
    )
    for role in (operator_database.owner, looker):
        async with operator_database.connect(role) as connection:
            for statement in tries:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
    readers = await Database.open(operator_database.server.url(operator_database.name, looker))
    try:
        assert [one.id for one in await list_approvals(readers)] == [asked.id]
        await plan_cleanup(readers, timedelta(0), before_expiry=True)
    finally:
        await readers.close()
    assert (await get_approval(db, asked.id)).state == "requested"


async def test_who_writes_the_table_forges_nothing_by_accident(db, archived):
    """The owner can turn the trigger off; until then it is checked too."""
    asked = await ask(db, archived)
    forged = (
        "UPDATE {0} SET state = 'approved', decided_by = 'ana', decided_through = 'studio'",
        "UPDATE {0} SET state = 'used'",
        "UPDATE {0} SET digest = repeat('0', 64)",
        "UPDATE {0} SET requested_by = 'bob'",
        "UPDATE {0} SET expires_at = 'infinity'",
        "DELETE FROM {0}",
        "TRUNCATE {0}",
        "INSERT INTO {0} (id, kind, artifact_id, object, digest, requested_by, requested_through,"
        " state, decided_by, decided_by_role, decided_through, decided_at)"
        " SELECT 'forged00', kind, 'other', object, digest, 'eve', 'studio', 'approved', 'x',"
        " 'x', 'studio', now() FROM {0}",
    )
    async with client_of(db) as connection:
        for statement in forged:
            with pytest.raises(asyncpg.PostgresError):
                await connection.execute(statement.format("zanith._zanith_approvals"))
    assert (await get_approval(db, asked.id)).state == "requested"
