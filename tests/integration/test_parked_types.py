"""Types that parked objects keep: their labels and names may change, and a seal still matches."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.planning import plan_capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.db.database import Database
from app.recovery.inspection.doctor import doctor
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.restore import restore
from app.recovery.rows.export import ExportRequest, export_to_file
from app.recovery.rows.seal import verify
from tests.clusters import CommandFailed
from tests.oracle.judges import restore_by_psql

DBA = Actor("dba")
STRATEGIES = ("archive_column", "soft_drop_column", "archive_table", "soft_drop_table")
MADE = """
CREATE TABLE {t} (k mood, id integer, c mood, PRIMARY KEY (k, id));
INSERT INTO {t} SELECT v, n, CASE WHEN n % 4 > 0 THEN v END FROM generate_series(1, 9) n,
    LATERAL (SELECT (ARRAY['sad', 'ok', 'it''s'])[1 + n % 3]::mood) s(v);
"""


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


async def test_labels_are_renamed_and_the_type_is_moved_aside(database, db, tmp_path):
    database.psql("CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s')")
    made = {}
    for strategy in STRATEGIES:
        database.psql(MADE.format(t=strategy))
        request = CaptureRequest(strategy, strategy, "c" if strategy.endswith("column") else None)
        warnings = " ".join((await plan_capture(db, request)).warnings)
        assert "DROP TYPE public.mood CASCADE would destroy the parked values" in warnings
        made[strategy] = await capture(db, request, DBA)
    with pytest.raises(CommandFailed, match="other objects depend on it"):
        database.psql("DROP TYPE mood")
    # in a circle, so that each label stands for another one now
    database.psql("""
        ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'; ALTER TYPE mood RENAME VALUE 'sad' TO 'ok';
        ALTER TYPE mood ADD VALUE 'new'; ALTER TYPE mood RENAME TO mood_of_old;
        CREATE SCHEMA aside; ALTER TYPE mood_of_old SET SCHEMA aside""")  # fmt: skip
    for strategy, artifact in made.items():
        if strategy == "soft_drop_column":
            continue
        assert (await verify(db, artifact.id, DBA)).matches, strategy
        for jobs in (1, 2):
            file = Path(tmp_path / f"{strategy}_{jobs}.csv")
            await export_to_file(db, ExportRequest(artifact.id, jobs=jobs), file, DBA)
            assert hashlib.sha256(file.read_bytes()).hexdigest() == artifact.checksum
    assert (await doctor(db)).findings == ()
    for strategy, artifact in made.items():
        assert not (await plan_restore(db, artifact.id)).blocked
        report = await restore(db, artifact.id, Choices(), DBA)
        losses = [loss.message for loss in report.losses if loss.code == "type"]
        wanted = "c comes back with the type aside.mood_of_old, the present name of its type"
        assert losses == ([wanted] if strategy == "archive_column" else [])
        values = f"SELECT string_agg(DISTINCT c::text, ',') FROM {strategy} WHERE c = k"
        assert database.psql(values) == "fine,it's,ok"


@pytest.mark.parametrize("base", ["text", "pair", "varchar(9)"])
async def test_a_domain_that_was_renamed_is_set_again(database, db, base):
    """A soft-dropped column has its base type, so nothing but its oid leads to the domain."""
    value = "ROW('c')" if base == "pair" else "'c'"
    database.psql(f"""
        CREATE TYPE pair AS (p text); CREATE DOMAIN d AS {base} CHECK (VALUE IS NOT NULL);
        CREATE TABLE t (id int PRIMARY KEY, c d, e d[]); INSERT INTO t VALUES (1, {value})""")
    made = [
        await capture(db, CaptureRequest("soft_drop_column", "t", name), DBA) for name in ("c", "e")
    ]
    database.psql(
        "ALTER DOMAIN d RENAME TO aside; CREATE SCHEMA s; ALTER DOMAIN aside SET SCHEMA s"
    )
    for artifact in made:
        assert not (await plan_restore(db, artifact.id)).blocked
        await restore(db, artifact.id, Choices(), DBA)
    types = "SELECT string_agg(format_type(atttypid, atttypmod), ' ' ORDER BY attname)"
    of_both = "FROM pg_attribute WHERE attrelid = 't'::regclass AND attname IN ('c', 'e')"
    assert database.psql(f"{types} {of_both}") == "s.aside s.aside[]"


@pytest.mark.parametrize("owner", ["superuser", "another"])
async def test_recovery_sql_knows_labels_that_were_renamed(
    database, db, create_role, owner, tmp_path
):
    made = {}
    by = create_role("another") if owner == "another" else None
    database.psql("CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s')")
    for strategy in STRATEGIES:
        database.psql(MADE.format(t=strategy))
        if by:
            database.psql(f"ALTER TABLE {strategy} OWNER TO {by}")
        request = CaptureRequest(strategy, strategy, "c" if strategy.endswith("column") else None)
        made[strategy] = await capture(db, request, DBA)
    assert made["archive_column"].checksum
    database.psql("""
        ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'; ALTER TYPE mood RENAME VALUE 'sad' TO 'ok';
        ALTER TYPE mood ADD VALUE 'new'""")  # fmt: skip
    for strategy, artifact in made.items():
        restore_by_psql(database, artifact.id, tmp_path)
        values = f"SELECT string_agg(DISTINCT c::text, ',') FROM {strategy} WHERE c = k"
        assert database.psql(values) == "fine,it's,ok", strategy


async def test_recovery_sql_still_tells_another_value(database, db, tmp_path):
    database.psql("CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s'); " + MADE.format(t="t"))
    artifact = await capture(db, CaptureRequest("archive_table", "t"), DBA)
    database.psql("ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'")
    table = f"_zanith_shadow.{artifact.physical_name}"
    database.psql(
        f"ALTER TABLE {table} DISABLE TRIGGER ALL; UPDATE {table} SET c = 'sad' WHERE id = 1"
    )
    with pytest.raises(CommandFailed, match="sha256sum"):
        restore_by_psql(database, artifact.id, tmp_path)


async def test_another_value_is_still_told(database, db):
    database.psql("CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s'); " + MADE.format(t="t"))
    artifact = await capture(db, CaptureRequest("archive_table", "t"), DBA)
    database.psql("ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'")
    table = f"_zanith_shadow.{artifact.physical_name}"
    database.psql(
        f"ALTER TABLE {table} DISABLE TRIGGER ALL; UPDATE {table} SET c = 'sad' WHERE id = 1"
    )
    assert not (await verify(db, artifact.id, DBA)).matches
