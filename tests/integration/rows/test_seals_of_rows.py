"""Single rows come back from an archive that matches its seal, as a whole artifact does."""

from __future__ import annotations

import pytest

from app.recovery.approvals.deciding import require
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.core.errors import Locked, Refused
from app.recovery.core.four_eyes import Change
from app.recovery.db.database import Database
from app.recovery.restore.preconditions import ChangedArchive
from app.recovery.restore.rows_plan import plan_rows
from app.recovery.restore.some_rows import restore_rows
from app.recovery.rows.seal import seal
from tests.integration.rows.putting import DBA, archived_notes, plan_for, put_back
from tests.online import execute, fetchval
from tests.sessions import client_of

LOGGED = (
    "SELECT detail FROM zanith._zanith_audit_log WHERE action = 'restore_rows'"
    " AND outcome = 'done' ORDER BY id DESC LIMIT 1"
)
RESTORED = "SELECT count(*) FROM orders WHERE note <> 'new'"


async def parked(db: Database, artifact: str) -> str:
    """Return the name of the parked table."""
    return await fetchval(
        db,
        "SELECT format('%I.%I', physical_schema, physical_table)"
        f" FROM zanith._zanith_migration_artifacts WHERE id = '{artifact}'",
    )


async def forge(db: Database, artifact: str, number: int) -> None:
    """Change a parked row, as a superuser can."""
    table = await parked(db, artifact)
    await execute(
        db,
        f"ALTER TABLE {table} DISABLE TRIGGER USER;"
        f" UPDATE {table} SET note = 'forged' WHERE order_id = {number}",
    )


@pytest.fixture
async def sealed(db: Database) -> str:
    artifact = await archived_notes(db)
    await seal(db, artifact, DBA)
    return artifact


@pytest.mark.each_version
async def test_the_seal_is_verified_before_a_row_is_written(db, sealed):
    plan = await plan_for(db, sealed, "order_id = 7")
    assert plan.verification is not None
    done = await put_back(db, plan)
    recorded = (await get_artifact(db, sealed)).checksum
    assert (done.rows, done.checksum) == (1, recorded)
    said = await fetchval(db, LOGGED)
    assert (said["checksum"], said["unverified"]) == (recorded, False)
    # another row than the one that comes back
    await forge(db, sealed, 9)
    plan = await plan_for(db, sealed, "order_id = 8")
    with pytest.raises(ChangedArchive, match="was changed since it was sealed"):
        await put_back(db, plan)
    assert await fetchval(db, RESTORED) == 1
    assert (await get_artifact(db, sealed)).seal_broken
    plan = await plan_for(db, sealed, "order_id = 8")
    assert [(one.code, one.ways_out) for one in plan.conflicts] == [
        ("seal_broken", ("--unverified",))
    ]
    refs = [row.row.ref for row in plan.rows]
    without = await plan_rows(db, sealed, refs, DBA, unverified=True)
    assert (without.conflicts, without.verification) == ((), None)
    with pytest.raises(Refused):  # it was confirmed without the choice
        await put_back(db, plan, unverified=True)
    done = await put_back(db, without, unverified=True)
    assert (done.rows, done.checksum) == (1, None)
    assert (await fetchval(db, LOGGED))["unverified"] is True


@pytest.mark.newest
async def test_rows_without_the_seal_where_that_needs_an_approval(db, sealed):
    plan = await plan_for(db, sealed, "order_id = 7")
    refs = [row.row.ref for row in plan.rows]
    without = await plan_rows(db, sealed, refs, DBA, unverified=True)
    strict = await Database.open(db._asked["dsn"], approvals=frozenset({Change.UNVERIFIED}))
    try:
        given = {"confirm": plan.object, "expected_digest": without.digest, "unverified": True}
        with pytest.raises(Refused, match="where that needs an approval"):
            await restore_rows(strict, sealed, refs, DBA, **given)
    finally:
        await strict.close()
    await require(db, frozenset({Change.UNVERIFIED}), DBA)
    with pytest.raises(Refused, match="where that needs an approval"):
        await put_back(db, without, unverified=True)
    assert (await put_back(db, plan)).rows == 1


@pytest.mark.newest
async def test_nobody_writes_to_the_archive_between_the_seal_and_the_rows(db, sealed):
    """A writer that holds the parked table makes the job wait, and then give up."""
    plan = await plan_for(db, sealed, "order_id = 7")
    async with client_of(db) as connection:
        block = connection.transaction()
        await block.start()
        await connection.execute(f"LOCK TABLE {await parked(db, sealed)} IN ROW EXCLUSIVE MODE")
        with pytest.raises(Locked):
            await put_back(db, plan)
        await block.rollback()
    assert (await put_back(db, plan)).rows == 1


@pytest.mark.newest
async def test_a_change_before_the_verification_does_not_come_back(db, sealed):
    """The row is changed after the plan: the digest refuses it before the archive is read."""
    plan = await plan_for(db, sealed, "order_id = 7")
    await forge(db, sealed, 7)
    with pytest.raises(Refused):
        await put_back(db, plan)
    assert await fetchval(db, RESTORED) == 0


@pytest.mark.newest
async def test_an_archive_without_a_seal_and_a_soft_dropped_column(db):
    artifact = await archived_notes(db)
    assert (await get_artifact(db, artifact)).checksum is None
    assert (await put_back(db, await plan_for(db, artifact, "order_id = 7"))).rows == 1
    await execute(
        db, "CREATE TABLE soft (id int PRIMARY KEY, v text); INSERT INTO soft VALUES (1, 'a')"
    )
    column = await fetchval(db, "SELECT zanith.soft_drop_column('soft', 'v')")
    await execute(db, "ALTER TABLE soft ADD v text")
    plan = await plan_for(db, column, "id = 1")
    assert plan.verification is None
    done = await put_back(db, plan)
    assert (done.rows, done.checksum) == (1, None)
