"""Columns of primary keys: parked, archived and back beside live traffic."""

from __future__ import annotations

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.errors import Refused
from app.recovery.inspection.doctor import doctor
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.purge.purge import purge
from app.recovery.restore.restore import restore
from tests.online import DBA, execute, fetchval
from tests.oracle.judges import see

PLAIN = """
CREATE TABLE k (id bigint PRIMARY KEY, tag text NOT NULL UNIQUE);
INSERT INTO k SELECT g, 'r' || g FROM generate_series(1, 500) g;
CREATE TABLE points (x bigint REFERENCES k ON DELETE CASCADE DEFERRABLE);
INSERT INTO points VALUES (1), (2);
ALTER TABLE k CLUSTER ON k_pkey;
COMMENT ON CONSTRAINT k_pkey ON k IS 'its key';
"""
PARTS = """
CREATE TABLE k (tag int NOT NULL UNIQUE, id bigint NOT NULL, PRIMARY KEY (id, tag))
PARTITION BY RANGE (tag);
CREATE TABLE k1 PARTITION OF k FOR VALUES FROM (0) TO (100);
CREATE TABLE k2 PARTITION OF k DEFAULT;
INSERT INTO k SELECT g, g FROM generate_series(1, 500) g;
"""
WRONG = {PLAIN: "tag IS DISTINCT FROM 'r' || id", PARTS: "tag IS DISTINCT FROM id"}


@pytest.mark.parametrize("sql", [PLAIN, PARTS], ids=["plain", "partitioned"])
@pytest.mark.parametrize("way", ["soft_drop", "archive"])
async def test_a_primary_key_comes_back_beside_traffic(database, db, sql, way):
    """The index is made CONCURRENTLY, the key takes it over, and foreign keys follow."""
    await execute(db, sql)
    before = see(database, moved=True)["public"]
    wanted = CaptureRequest(
        f"{way}_column", "k", "id", on_dependents="cascade", online=way == "archive"
    )
    artifact = await capture(db, wanted, DBA)
    assert not await fetchval(
        db, "SELECT EXISTS (SELECT FROM pg_index WHERE indrelid = 'k'::regclass AND indisprimary)"
    )
    assert not (await doctor(db)).findings
    report = await restore(db, artifact.id, Choices(online=True), DBA)
    assert [loss.message for loss in report.losses if loss.code == "not_validated"] == []
    assert report.fidelity["missing"] == []
    # of what differs, as of any loss, the plan says it first
    lost = [loss.message for loss in report.losses if loss.code == "inheritance"]
    differing = [entry["what"] for entry in report.fidelity["different"]]
    assert len(differing) == len(lost), (differing, lost)
    assert all("not_null" in what for what in differing)
    version = await fetchval(db, "SELECT current_setting('server_version_num')::int / 10000")
    assert len(lost) == (2 if sql == PARTS and version >= 18 else 0)
    assert any("INDEX CONCURRENTLY" in step.sql for step in report.steps)
    assert any("PRIMARY KEY" in step.sql for step in report.steps)
    assert await fetchval(db, f"SELECT count(*) FROM k WHERE {WRONG[sql]}") == 0
    assert see(database, moved=True)["public"] == before


async def test_what_the_online_form_does_not_do_is_refused_by_name(db):
    """An identity asks for NOT NULL at once, and no index WITHOUT OVERLAPS is made CONCURRENTLY."""
    await execute(db, "CREATE TABLE k (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int)")
    artifact = await capture(db, CaptureRequest("soft_drop_column", "k", "id"), DBA)
    plan = await plan_restore(db, artifact.id, Choices(online=True))
    assert "it is an identity column" in plan.conflicts[0].message
    with pytest.raises(Refused):
        await restore(db, artifact.id, Choices(online=True), DBA)
    await restore(db, artifact.id, None, DBA)
    if await fetchval(db, "SELECT current_setting('server_version_num')::int >= 180000"):
        await execute(
            db, "CREATE TABLE o (r int4range, s int4range, PRIMARY KEY (r, s WITHOUT OVERLAPS))"
        )
        artifact = await capture(db, CaptureRequest("soft_drop_column", "o", "s"), DBA)
        plan = await plan_restore(db, artifact.id, Choices(online=True))
        assert "WITHOUT OVERLAPS" in plan.conflicts[0].message


async def test_a_key_is_not_purged_while_archived_values_are_stored_by_it(db):
    """Without it they could not come back; a parked key goes for good once they did."""
    await execute(db, "CREATE TABLE k (id int PRIMARY KEY, a int); INSERT INTO k VALUES (1, 2)")
    values = await capture(db, CaptureRequest("archive_column", "k", "a"), DBA)
    key = await capture(db, CaptureRequest("soft_drop_column", "k", "id"), DBA)
    with pytest.raises(Refused, match="archived values are stored by") as refused:
        await purge(db, key.id, DBA, confirm=None, confirmed=True)
    assert values.id in (refused.value.detail or "")
    plan = await plan_restore(db, values.id)
    assert [conflict.code for conflict in plan.conflicts] == ["key_gone"]
    await purge(db, values.id, DBA, confirm=None, confirmed=True)
    assert not (await doctor(db)).findings
    await purge(db, key.id, DBA, confirm=None, confirmed=True)
    assert await fetchval(db, "SELECT count(*) FROM k") == 1
