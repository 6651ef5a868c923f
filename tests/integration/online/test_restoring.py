"""Values come back beside live traffic, which stops for instants only."""

from __future__ import annotations

import asyncio

import pytest

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.errors import Cancelled, Locked, Refused, WrongUsage
from app.recovery.inspection.doctor import doctor
from app.recovery.jobs import model as jobs
from app.recovery.jobs import runs
from app.recovery.jobs.throttle import Limits
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.rehearsal import rehearse
from app.recovery.restore.restore import restore
from tests.online import (
    DBA,
    ROWS,
    SLOWLY,
    WRONG,
    archived,
    execute,
    fetchval,
    followed,
    left_behind,
    running_job,
    until,
)
from tests.sessions import client_of


async def test_a_cancelled_restore_leaves_all_as_it_was(database, db):
    artifact = await archived(db)
    before = database.schema()
    running = asyncio.create_task(
        restore(db, artifact.id, Choices(online=True), DBA, limits=Limits(rows_per_second=1_000))
    )
    job = await running_job(db, "restore")
    await until(lambda: followed(db))
    await jobs.cancel(db, job.id, DBA)
    with pytest.raises(Cancelled) as caught:
        await running
    assert "nothing has changed" in (caught.value.hint or "")
    assert database.schema() == before
    assert (await get_artifact(db, artifact.id)).status == "recoverable"


@pytest.mark.parametrize("online", [True, False])
async def test_what_went_again_is_not_said_to_be_there_and_comes_back_again(database, db, online):
    artifact = await archived(db)
    chosen = Choices(online=online)
    for by_script in (False, True, False):
        await restore(db, artifact.id, chosen, DBA)
        assert (await restore(db, artifact.id, chosen, DBA)).already_restored
        await execute(db, "ALTER TABLE t DROP COLUMN code")
        assert (await get_artifact(db, artifact.id)).status == "recoverable"
        if by_script:
            table = "zanith._zanith_migration_artifacts"
            database.psql(
                await fetchval(db, f"SELECT recovery_sql FROM {table} WHERE id = $1", artifact.id)
            )
            assert database.psql(WRONG) == "0"
            assert (await restore(db, artifact.id, chosen, DBA)).already_restored
            await execute(db, "ALTER TABLE t DROP COLUMN code")
    await restore(db, artifact.id, chosen, DBA)
    assert database.psql(WRONG) == "0"
    assert {finding.kind for finding in (await doctor(db)).findings} <= {"unsealed"}


@pytest.mark.parametrize("online", [True, False])
async def test_an_interrupted_restore_goes_on_or_begins_anew(database, db, online):
    artifact = await archived(db)
    running = asyncio.create_task(
        restore(
            db,
            artifact.id,
            Choices(online=True, fill="f"),
            DBA,
            limits=Limits(rows_per_second=1_000),
        )
    )
    await until(lambda: followed(db))
    await asyncio.sleep(0.3)
    runs.interrupt(running)
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [finding.code for finding in (await doctor(db)).findings] == ["unfinished_restoring"]
    if online:
        plan = await plan_restore(db, artifact.id, Choices(online=True, fill="other"))
        assert [conflict.code for conflict in plan.conflicts] == ["other_choices"]
    await execute(db, "INSERT INTO t (id, tag) VALUES (-1, 'new')")
    await restore(db, artifact.id, Choices(online=online, fill="f"), DBA)
    assert await fetchval(db, WRONG) == 0
    assert await fetchval(db, "SELECT code FROM t WHERE id = -1") == ("none" if online else "f")
    assert await left_behind(db) == []


async def test_rows_that_somebody_holds_are_filled_last(db):
    artifact = await archived(db)
    async with client_of(db) as holder:
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("UPDATE t SET n = 5 WHERE id IN (3, 4000)")
        running = asyncio.create_task(restore(db, artifact.id, Choices(online=True), DBA))

        async def waits():
            done = await fetchval(
                db, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            )
            return done > 0

        await until(waits)
        await transaction.commit()
        await running
    assert await fetchval(db, WRONG) == 0


@pytest.mark.newest
async def test_who_holds_a_row_for_long_is_named_and_it_goes_on_later(db):
    artifact = await archived(db)
    async with client_of(db) as holder:
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("UPDATE t SET n = 5 WHERE id = 3")
        # the column is made first: its lock waits for nobody who came before
        with pytest.raises(Locked) as caught:
            await restore(db, artifact.id, Choices(online=True), DBA)
        assert caught.value.blockers[0].pid == await holder.fetchval("SELECT pg_backend_pid()")
        await transaction.rollback()
    await restore(db, artifact.id, Choices(online=True), DBA)
    assert await fetchval(db, WRONG) == 0


FULL = """
CREATE TABLE kinds (code text PRIMARY KEY);
INSERT INTO kinds SELECT 'c' || g FROM generate_series(1, 300) g;
CREATE TABLE full_t (
    id integer PRIMARY KEY, tag text,
    code text NOT NULL CONSTRAINT known REFERENCES kinds CONSTRAINT short CHECK (length(code) < 9),
    CONSTRAINT once UNIQUE (code) DEFERRABLE);
INSERT INTO full_t SELECT g, 'r' || g, 'c' || g FROM generate_series(1, 300) g;
CREATE INDEX full_upper ON full_t (upper(code)) WHERE id > 5;
CREATE UNIQUE INDEX full_pair ON full_t (id, code);
COMMENT ON INDEX full_pair IS 'both';
COMMENT ON CONSTRAINT once ON full_t IS 'only once';
CREATE TABLE points (code text REFERENCES full_t (code));
INSERT INTO points VALUES ('c7');
CREATE VIEW short_codes AS SELECT left(code, 1) AS first FROM full_t;
GRANT SELECT (code) ON full_t TO PUBLIC;
"""


async def test_all_that_hangs_on_the_column_comes_back(db):
    # a deferrable key cannot be pointed at
    await execute(db, FULL.replace(" DEFERRABLE", ""))
    artifact = await archived(db, "full_t", on_dependents="cascade")
    report = await restore(db, artifact.id, Choices(online=True), DBA)
    assert report.fidelity["different"] == report.fidelity["missing"] == []
    steps = [step.sql for step in report.steps]
    assert sum("INDEX CONCURRENTLY" in sql for sql in steps) == 3
    assert not any(
        sql.startswith(("CREATE INDEX full", "CREATE UNIQUE INDEX full")) for sql in steps
    )


async def test_lifted_indexes_of_a_soft_dropped_column_are_made_beside_traffic(database, db):
    await execute(db, FULL.replace(" DEFERRABLE", ""))
    before = database.schema()
    wanted = CaptureRequest("soft_drop_column", "full_t", "code", on_dependents="cascade")
    artifact = await capture(db, wanted, DBA)
    report = await restore(db, artifact.id, Choices(online=True), DBA)
    assert report.fidelity["different"] == report.fidelity["missing"] == []
    assert sum("INDEX CONCURRENTLY" in step.sql for step in report.steps) == 3
    assert database.schema() == before


async def test_a_deferrable_unique_constraint_comes_back_so(db):
    await execute(db, FULL.split("CREATE TABLE points", maxsplit=1)[0])
    artifact = await archived(db, "full_t")
    report = await restore(db, artifact.id, Choices(online=True), DBA)
    assert report.fidelity["different"] == report.fidelity["missing"] == []
    assert await fetchval(db, "SELECT condeferrable FROM pg_constraint WHERE conname = 'once'")


async def test_an_index_that_fails_is_said_and_made_later(db):
    await execute(db, FULL.split("CREATE TABLE points", maxsplit=1)[0])
    artifact = await archived(db, "full_t")
    running = asyncio.create_task(
        restore(
            db,
            artifact.id,
            Choices(online=True, fill="c1"),
            DBA,
            limits=Limits(rows_per_second=200),
        )
    )
    await until(lambda: followed(db))
    await execute(db, "INSERT INTO full_t VALUES (1001, 'new')")  # filled with what 1 has
    report = await running
    lost = [loss.message for loss in report.losses if loss.code == "not_validated"]
    assert any("once" in message for message in lost)
    await execute(db, "DELETE FROM full_t WHERE id = 1001")
    again = await restore(db, artifact.id, None, DBA)
    assert again.fidelity["different"] == again.fidelity["missing"] == []
    assert (await restore(db, artifact.id, None, DBA)).already_restored


@pytest.mark.parametrize("database_of_either", ["superuser"], indirect=True)
async def test_triggers_are_kept_still_or_asked_about(db, create_role):
    owner = create_role("owner")
    await execute(
        db,
        "CREATE TABLE fired (id integer);"
        "CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO public.fired VALUES (NEW.id); RETURN NEW; END';"
        "CREATE TRIGGER fire AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION fire();"
        f"ALTER TABLE t OWNER TO {owner}; ALTER TABLE fired OWNER TO {owner};"
        "CREATE TRIGGER elsewhere AFTER UPDATE OF n ON t FOR EACH ROW EXECUTE FUNCTION fire();"
        f"GRANT CREATE, USAGE ON SCHEMA _zanith_shadow TO {owner};",
    )
    artifact = await archived(db)
    await restore(db, artifact.id, Choices(online=True), DBA)  # a superuser keeps them still
    assert await fetchval(db, "SELECT count(*) FROM fired") == 0
    artifact = await archived(db)
    await execute(db, "ALTER TABLE t ENABLE ALWAYS TRIGGER fire")
    plan = await plan_restore(db, artifact.id, Choices(online=True))
    (conflict,) = plan.conflicts
    assert (conflict.code, conflict.choices) == ("triggers_fire", ("--fire-triggers",))
    assert "fire" in conflict.message
    assert "elsewhere" not in conflict.message
    await restore(db, artifact.id, Choices(online=True, fire_triggers=True), DBA)
    assert await fetchval(db, "SELECT count(*) FROM fired") == ROWS


@pytest.mark.newest
async def test_not_null_needs_a_value_for_each_row(db):
    await execute(db, "ALTER TABLE t ALTER code DROP DEFAULT")
    artifact = await archived(db)
    running = asyncio.create_task(
        restore(db, artifact.id, Choices(online=True), DBA, limits=SLOWLY)
    )
    await until(lambda: followed(db))
    await execute(db, "INSERT INTO t (id, tag) VALUES (-1, 'new')")
    with pytest.raises(Refused) as caught:
        await running
    assert "1 rows have no value" in caught.value.message
    report = await restore(db, artifact.id, Choices(online=True, allow_null=True), DBA)
    assert report.artifact.status == "restored"
    assert await fetchval(db, WRONG) == 0


@pytest.mark.newest
async def test_a_default_fills_the_rows_that_came_since(db):
    artifact = await archived(db)
    await execute(db, "INSERT INTO t (id, tag) SELECT -g, 'new' FROM generate_series(1, 500) g")
    await restore(db, artifact.id, Choices(online=True, fill_default=True), DBA)
    assert await fetchval(db, "SELECT count(*) FROM t WHERE tag = 'new' AND code = 'none'") == 500
    assert await fetchval(db, WRONG) == 0


@pytest.mark.newest
async def test_what_cannot_come_back_online_is_said(db):
    await execute(db, "ALTER TABLE t ADD serial_no serial, ADD EXCLUDE USING btree (code WITH =)")
    for name, said in (("serial_no", "sequence"), ("code", "exclusion")):
        artifact = await archived(db, name=name)
        plan = await plan_restore(db, artifact.id, Choices(online=True))
        assert [conflict.code for conflict in plan.conflicts] == ["not_online"]
        assert said in plan.conflicts[0].message
        await restore(db, artifact.id, None, DBA)
    soft = await capture(db, CaptureRequest("soft_drop_column", "t", "code"), DBA)
    plan = await plan_restore(db, soft.id, Choices(online=True))
    assert [conflict.code for conflict in plan.conflicts] == ["not_online"]
    assert "exclusion" in plan.conflicts[0].message
    with pytest.raises(WrongUsage, match="cannot be rolled back"):
        await rehearse(db, soft.id, Choices(online=True), DBA)
