"""Doctor reconciles rows and reality, changes nothing, and says what mends it."""

from __future__ import annotations

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.db.database import Database
from app.recovery.inspection.doctor import doctor
from tests.sessions import client_of

DBA = Actor("dba")


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url)
    async with client_of(opened) as connection:
        for name in "abcdef":
            await connection.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, x text)")
    yield opened
    await opened.close()


async def test_all_is_well(db):
    await capture(db, CaptureRequest("archive_table", "a"), DBA)
    await capture(db, CaptureRequest("soft_drop_column", "b", "x"), DBA)
    await capture(db, CaptureRequest("rebuild_table", "c"), DBA)
    assert (await doctor(db)).findings == ()
    assert [f.kind for f in (await doctor(db, ceiling_bytes=1)).findings] == ["ceiling"]


async def test_every_kind_is_found(db):
    made = {name: await capture(db, CaptureRequest("archive_table", name), DBA) for name in "abcdf"}

    def place(name):
        return f'_zanith_shadow."{made[name].physical_name}"'

    async with client_of(db) as connection:
        await connection.execute(
            f"DROP TABLE {place('a')};"
            f"ALTER TABLE {place('b')} RENAME TO elsewhere;"
            "UPDATE zanith._zanith_migration_artifacts SET verified_at = now(), verified_ok = false"
            f" WHERE id = '{made['c'].id}';"
            "UPDATE zanith._zanith_migration_artifacts SET expires_at = now() - interval '1 d'"
            f" WHERE id = '{made['d'].id}';"
            "SELECT zanith.archive_table('e');"
            f"DELETE FROM zanith._zanith_migration_artifacts WHERE id = '{made['f'].id}';"
            "CREATE TABLE g (id int, _zanith_dropped_x_0123456789ab int)"
        )
    found = (await doctor(db)).findings
    assert [finding.kind for finding in found] == [
        "missing",
        "moved",
        "changed",
        "orphan",
        "orphan",
        "unsealed",
        "expired",
    ]
    assert all(finding.hint and finding.message for finding in found)
    assert {f.artifact_id for f in found if f.kind == "orphan"} == {made["f"].id, None}
    assert found[0].to_json()["object"] == "public.a"
