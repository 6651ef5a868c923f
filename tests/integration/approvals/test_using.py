"""An approval is used once, by the change that it was given for."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from app.recovery.approvals.deciding import approve
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.core.errors import Refused, WrongUsage
from app.recovery.core.four_eyes import ApprovalNeeded, Change
from app.recovery.db.database import Database
from app.recovery.jobs.approvals import get_approval, list_approvals
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.purge.cleanup import cleanup, plan_cleanup
from app.recovery.purge.erase import erase
from app.recovery.purge.purge import purge
from app.recovery.restore.migration import restore_migration
from app.recovery.restore.restore import restore
from tests.integration.approvals.asking import (
    ANA,
    BOB,
    CY,
    SECRET,
    UNVERIFIED,
    age,
    ask,
    without_settings,
)
from tests.sessions import client_of


async def test_an_approval_is_used_once_whoever_comes(db, archived):
    """A restore and a purge of one approval cannot both have it; nor two restores."""
    asked = await ask(
        db, archived, kind=Change.UNVERIFIED, params={"choices": UNVERIFIED.to_json()}
    )
    await approve(db, asked.id, BOB, confirm="code")
    async with client_of(db) as one, client_of(db) as two:
        uses = [
            connection.fetchval(
                "SELECT zanith._use_approval('unverified', true, $1, $2, NULL, 'x', NULL)",
                *(archived.id, asked.digest),
            )
            for connection in (one, two)
        ]
        said = await asyncio.gather(*uses)
    assert sorted(word["why"] if word else "" for word in said) == ["", "none"]
    assert (await get_approval(db, asked.id)).state == "used"
    with pytest.raises(ApprovalNeeded):
        await restore(db, archived.id, UNVERIFIED, ANA)


async def test_an_approval_is_used_also_by_a_client_that_needs_none(db, archived, people):
    match = {"email": SECRET}
    erasure = await ask(db, people, kind=Change.ERASE, match=match, rows=10)
    waiting = await ask(db, people)
    purging = await ask(db, archived)
    for asked, name in ((erasure, "people"), (purging, "code")):
        await approve(db, asked.id, BOB, confirm=name)
    plain = await without_settings(db)
    try:
        await purge(plain, archived.id, ANA, confirm="code")
        await erase(plain, people.id, match, ANA, rows=10, confirm="people")
        await purge(
            plain, people.id, ANA, confirm="people"
        )  # nobody approved it, and it needs none
    finally:
        await plain.close()
    states = [(await get_approval(db, one.id)).state for one in (erasure, purging, waiting)]
    assert states == ["used", "used", "requested"]


async def test_a_change_that_fails_uses_nothing(db, archived):
    asked = await ask(db, archived)
    await approve(db, asked.id, BOB, confirm="code")
    async with client_of(db) as connection, connection.transaction():
        place = await connection.fetchval(
            "SELECT format('%I.%I', physical_schema, physical_table)"
            " FROM zanith._zanith_migration_artifacts WHERE id = $1",
            archived.id,
        )
        await connection.execute(f"LOCK TABLE {place} IN ACCESS SHARE MODE")
        with pytest.raises(Exception, match="lock"):
            await purge(db, archived.id, ANA, confirm="code")
    assert (await get_approval(db, asked.id)).state == "approved"
    await purge(db, archived.id, CY, confirm="code")
    assert (await get_approval(db, asked.id)).state == "used"


async def test_an_approval_that_lapses_while_it_is_used(db, archived):
    """The purge waits for the row: by the time that it has it, the day is over."""
    asked = await ask(db, archived)
    await approve(db, asked.id, BOB, confirm="code")
    await age(db, asked, by="23 hours 59 minutes 58 seconds")
    async with client_of(db) as connection:
        async with connection.transaction():
            await connection.execute(
                "SELECT FROM zanith._zanith_approvals WHERE id = $1 FOR UPDATE", asked.id
            )
            slow = await Database.open(
                db._asked["dsn"], lock_timeout=timedelta(seconds=8), approvals=db.approvals
            )
            task = asyncio.create_task(purge(slow, archived.id, ANA, confirm="code"))
            await asyncio.sleep(2.5)
        with pytest.raises(ApprovalNeeded, match="lapsed"):
            await task
        await slow.close()
    assert (await get_artifact(db, archived.id)).status == "recoverable"


async def test_an_erasure_keeps_no_value_and_needs_them_again(db, people):
    match = {"email": SECRET}
    with pytest.raises(ApprovalNeeded):
        await erase(db, people.id, match, ANA, rows=10, confirm="people")
    with pytest.raises(Refused, match="10 rows match, not 9"):
        await ask(db, people, kind=Change.ERASE, match=match, rows=9)
    asked = await ask(db, people, kind=Change.ERASE, match=match, rows=10)
    assert asked.params == {"columns": ["email"], "sets": 1, "rows": 10}
    with pytest.raises(Refused, match="already"):
        await ask(db, people, BOB, kind=Change.ERASE, match=match, rows=10)
    other = await ask(db, people, kind=Change.ERASE, match={"email": "x1"}, rows=1)
    await approve(db, asked.id, BOB, confirm="people")
    for wrong, rows in (({"email": "x2"}, 1), ({"email": "x1"}, 1), ({"id": "10"}, 1)):
        with pytest.raises(ApprovalNeeded):
            await erase(db, people.id, wrong, ANA, rows=rows, confirm="people")
    async with client_of(db) as connection:
        texts = [
            await connection.fetchval(f"SELECT string_agg(t::text, '') FROM zanith.{table} t")
            for table in ("_zanith_approvals", "_zanith_audit_log", "_zanith_jobs")
        ]
    assert not any(SECRET in text for text in texts)
    await erase(db, people.id, match, ANA, rows=10, confirm="people")
    assert (await get_approval(db, asked.id)).state == "used"
    async with client_of(db) as connection:
        hashes = await connection.fetch(
            "SELECT state, match_hash FROM zanith._zanith_approvals ORDER BY request_order"
        )
    assert [(row["state"], row["match_hash"] is None) for row in hashes] == [
        ("used", True),
        ("requested", False),
    ]
    with pytest.raises(Refused, match="another than ana asked for"):  # of other rows by now
        await approve(db, other.id, BOB, confirm="people")


async def test_a_restore_without_the_seal(db, archived):
    choices = {"choices": UNVERIFIED.to_json()}
    with pytest.raises(ApprovalNeeded):
        await restore(db, archived.id, UNVERIFIED, ANA)
    with pytest.raises(ApprovalNeeded):
        await restore_migration(db, "0007", UNVERIFIED, ANA)
    with pytest.raises(WrongUsage, match="needs no approval"):
        await ask(db, archived, kind=Change.UNVERIFIED, params={"choices": {}})
    asked = await ask(db, archived, kind=Change.UNVERIFIED, params=choices)
    await approve(db, asked.id, BOB, confirm="code")
    with pytest.raises(ApprovalNeeded):  # other choices
        await restore(db, archived.id, Choices(unverified=True, as_name="code2"), ANA)
    with pytest.raises(Refused, match="cannot work online"):
        await restore(db, archived.id, Choices(unverified=True, online=True), ANA)
    plan = await plan_restore(db, archived.id, UNVERIFIED)
    await restore(db, archived.id, UNVERIFIED, CY, expected_digest=plan.digest)
    assert (await get_approval(db, asked.id)).state == "used"
    assert (await get_artifact(db, archived.id)).status == "restored"


async def test_a_restore_that_checks_the_seal_needs_nobody(db, archived):
    await restore(db, archived.id, Choices(), ANA)
    assert await list_approvals(db) == []


async def test_a_migration_with_approvals(db, archived):
    asked = await ask(
        db, archived, kind=Change.UNVERIFIED, params={"choices": UNVERIFIED.to_json()}
    )
    await approve(db, asked.id, BOB, confirm="code")
    assert len(await restore_migration(db, "0007", UNVERIFIED, ANA)) == 1


async def test_cleanup_takes_what_is_approved_and_names_the_rest(db, archived, people):
    """Also with ids, as cron and the pages give them."""
    planned = await plan_cleanup(db, timedelta(0), before_expiry=True)
    assert {why.split(":")[0] for _, why in planned} == {"a second person must approve it"}
    results = await cleanup(db, timedelta(0), False, ANA, before_expiry=True)
    assert {(one.outcome, one.why.split(":")[0]) for one in results} == {
        ("skipped", "a second person must approve it")
    }
    asked = await ask(db, archived)
    await approve(db, asked.id, BOB, confirm="code")
    results = await cleanup(db, None, False, CY, [archived.id, people.id])
    assert {one.artifact.id: one.outcome for one in results} == {
        archived.id: "purged",
        people.id: "skipped",
    }
    assert (await get_approval(db, asked.id)).state == "used"


async def test_an_approval_of_another_plan_does_not_serve_a_cleanup(db, archived):
    asked = await ask(db, archived)
    await approve(db, asked.id, BOB, confirm="code")
    async with client_of(db) as connection:
        await connection.execute("UPDATE zanith._zanith_migration_artifacts SET row_count = 7")
    (result,) = await cleanup(db, timedelta(0), False, ANA, before_expiry=True)
    assert (result.outcome, "lapsed" in result.why) == ("skipped", True)
