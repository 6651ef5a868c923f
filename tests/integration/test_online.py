"""The online forms: values go and come back beside live traffic, which stops for instants only."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from app.recovery import jobs, oversight
from app.recovery.artifacts import get_artifact
from app.recovery.capture import CaptureRequest, capture, plan_capture
from app.recovery.database import Actor, Database
from app.recovery.errors import Cancelled, Failed, Locked, NotFound, Refused, WrongUsage
from app.recovery.filling import give_up
from app.recovery.health import doctor
from app.recovery.pace import Limits
from app.recovery.plan import Choices, plan_restore
from app.recovery.rehearsal import rehearse
from app.recovery.restore import restore
from app.recovery.seal import verify
from tests.conftest import install_zanith
from tests.traffic import Traffic

DBA = Actor("dba", "10.0.0.9", "staff")
ROWS = 8_000
TABLE = f"""
CREATE TABLE t (id bigint PRIMARY KEY, tag text NOT NULL, n integer NOT NULL DEFAULT 0,
                code text NOT NULL DEFAULT 'none');
INSERT INTO t (id, tag, code) SELECT g, 'r' || g, 'c' || g FROM generate_series(1, {ROWS}) g;
CREATE INDEX t_code ON t (code);
"""
# Rows that were there, told by their tags, whose value is not theirs.
WRONG = "SELECT count(*) FROM t WHERE tag LIKE 'r%' AND code IS DISTINCT FROM 'c' || substr(tag, 2)"
FOLLOWED = "SELECT EXISTS (SELECT FROM pg_trigger WHERE starts_with(tgname, '~zanith_follow_'))"
SLOWLY = Limits(rows_per_second=8_000)


@pytest.fixture
async def db(database):
    opened = await Database.open(
        database.url, lock_timeout=timedelta(milliseconds=300), lock_retries=4
    )
    async with opened.acquire() as connection:
        await connection.execute(TABLE)
    yield opened
    await opened.close()


def column(table="t", name="code", **more):
    return CaptureRequest("archive_column", table, name, online=True, **more)


async def fetchval(db, sql, *values):
    async with db.acquire() as connection:
        return await connection.fetchval(sql, *values)


async def execute(db, sql):
    async with db.acquire() as connection:
        await connection.execute(sql)


async def until(condition, seconds=20):
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.01)


async def followed(db):
    return await fetchval(db, FOLLOWED)


def place(artifact):
    return f"_zanith_shadow.{artifact.physical_name}"


async def left_behind(db):
    """What of unfinished work is still anywhere: triggers, functions, tables of keys, columns."""
    return await fetchval(
        db,
        "SELECT array(SELECT tgname::text FROM pg_trigger WHERE tgname ~ '^~zanith'"
        " UNION ALL SELECT proname FROM pg_proc WHERE proname ~ '^_zanith_follow'"
        " UNION ALL SELECT relname FROM pg_class"
        " WHERE relname ~ '^_zanith_follow' AND relkind = 'r'"
        " UNION ALL SELECT attname FROM pg_attribute WHERE attname ~ '^_zanith_restoring')",
    )


async def running_job(db, kind):
    async def started():
        return bool(await oversight.list_jobs(db, states=["running"], kinds=[kind]))

    await until(started)
    return (await oversight.list_jobs(db, states=["running"], kinds=[kind]))[0]


# ------------------------------------------------------------------------------------- archiving


async def test_a_column_is_archived_and_restored_beside_traffic(database, db):
    traffic = Traffic(database.url, "t", ROWS, only_while=FOLLOWED)
    async with traffic.flowing():
        artifact = await capture(db, column(reason="old"), DBA, limits=SLOWLY)
    assert traffic.errors == []
    assert traffic.done > 100
    assert (artifact.artifact_type, artifact.status) == ("archive_column", "recoverable")
    assert artifact.sealed_at is not None
    assert (await verify(db, artifact.id, DBA)).matches
    # of each row that was there and still is, its own value; of no other row any
    wrong = await fetchval(
        db,
        f"SELECT count(*) FROM t FULL JOIN {place(artifact)} a USING (id)"
        " WHERE (tag LIKE 'r%') IS DISTINCT FROM (a.code IS NOT NULL)"
        " OR a.code <> 'c' || substr(tag, 2)",
    )
    assert wrong == 0
    assert await left_behind(db) == []
    assert (await doctor(db)).findings == ()

    traffic.done = 0
    async with traffic.flowing():
        wanted = Choices(online=True, fill="filled")
        report = await restore(db, artifact.id, wanted, DBA, limits=SLOWLY)
    assert traffic.errors == []
    assert traffic.done > 100
    assert await fetchval(db, WRONG) == 0
    # what came before the restore was filled, what came while it ran has the column's own default
    came = "SELECT array(SELECT DISTINCT code FROM t WHERE tag = 'new' ORDER BY 1)"
    assert await fetchval(db, came) == ["filled", "none"]
    assert report.fidelity["different"] == report.fidelity["missing"] == []
    assert [loss.code for loss in report.losses if loss.code == "not_validated"] == []
    assert await left_behind(db) == []
    assert (await get_artifact(db, artifact.id)).status == "restored"


async def test_what_is_written_to_the_parked_column_is_kept(db):
    seen = asyncio.create_task(capture(db, column(), DBA, limits=Limits(rows_per_second=4_000)))
    await until(lambda: followed(db))
    parked = await fetchval(
        db, "SELECT attname FROM pg_attribute WHERE attname ~ '^_zanith_dropped_code'"
    )
    await execute(db, "INSERT INTO t VALUES (9001, 'positional', 0, 'kept')")
    await execute(db, f"UPDATE t SET \"{parked}\" = 'late' WHERE id = 1")
    await execute(db, f"UPDATE t SET \"{parked}\" = 'late' WHERE id = {ROWS}")
    artifact = await seen
    found = await fetchval(
        db,
        f"SELECT array_agg(code ORDER BY id) FROM {place(artifact)} WHERE id IN (1, {ROWS}, 9001)",
    )
    assert found == ["late", "late", "kept"]


@pytest.mark.newest
async def test_a_truncate_leaves_nothing_archived(db):
    seen = asyncio.create_task(capture(db, column(), DBA, limits=Limits(rows_per_second=4_000)))
    await until(lambda: followed(db))
    await asyncio.sleep(0.2)
    await execute(db, "TRUNCATE t")
    await execute(db, "INSERT INTO t VALUES (1, 'after', 0, 'kept')")
    artifact = await seen
    assert artifact.row_count == 1
    assert await fetchval(db, f"SELECT code FROM {place(artifact)}") == "kept"


HARD = {
    "json": ("json", "json_build_object('a', g)", "bigint", "g"),
    "numeric": ("numeric", "g || '.' || repeat('0', (g % 5)::int)", "numeric", "g"),
    "bytea": ("bytea", "decode(repeat('00ff0a22', (g % 9)::int), 'hex')", "bytea", "int8send(g)"),
    "point": ("point", "point(g, g)", "uuid", "md5(g::text)::uuid"),
    "text": ("text", "CASE WHEN g % 3 > 0 THEN 'é\"\\' || chr(10) || g END", "text", "'k' || g"),
    "float": (
        "float8",
        "CASE g % 4 WHEN 0 THEN 'NaN' WHEN 1 THEN '-0' ELSE g::text END::float8",
        "timestamptz",
        "'2024-01-01'::timestamptz + g * interval '1 s'",
    ),
    "array": ("text[]", "array[g::text, NULL, '']", "date", "'2024-01-01'::date + g::int"),
    "domain": ("mood", "'m' || g", "integer[]", "array[g::int, 1]"),
    "toast": (
        "text",
        "repeat(md5(g::text), CASE WHEN g % 50 = 0 THEN 400 ELSE 1 END)",
        "char(9)",
        "'c' || g",
    ),
}


@pytest.mark.newest
@pytest.mark.parametrize("kind", HARD)
async def test_every_type_goes_and_comes_back_byte_by_byte(db, kind):
    type_, value, key_type, key = HARD[kind]
    await execute(
        db,
        f"CREATE DOMAIN mood AS text CHECK (VALUE LIKE 'm%');"
        f'CREATE TABLE "H. ""t" ("K 1" {key_type}, "é" int, v {type_}, PRIMARY KEY ("K 1", "é"));'
        f'INSERT INTO "H. ""t" SELECT {key}, g % 3, ({value})::{type_}'
        " FROM generate_series(1, 700) g;",
    )
    query = (
        'SELECT array_agg((("K 1")::text, "é", v::text)::text ORDER BY "K 1", "é") FROM "H. ""t"'
    )
    before = await fetchval(db, query)
    artifact = await capture(db, column('"H. ""t"', "v"), DBA)
    assert (artifact.artifact_type, artifact.row_count) == ("archive_column", 700)
    await restore(db, artifact.id, Choices(online=True), DBA)
    assert await fetchval(db, query) == before
    assert await left_behind(db) == []


async def test_a_cancelled_archive_restores_or_goes_on(database, db):
    before = database.schema()
    running = asyncio.create_task(capture(db, column(), DBA, limits=Limits(rows_per_second=1_000)))
    job = await running_job(db, "capture")
    await until(lambda: followed(db))
    await oversight.cancel(db, job.id, DBA)
    with pytest.raises(Cancelled) as caught:
        await running
    artifact = await get_artifact(db, "t.code")
    assert artifact.artifact_type == "soft_drop_column"
    assert artifact.id in (caught.value.hint or "")
    assert [finding.code for finding in (await doctor(db)).findings] == ["unfinished_archiving"]
    # back, as if nothing had been
    await restore(db, artifact.id, None, DBA)
    assert database.schema() == before
    assert await fetchval(db, WRONG) == 0

    running = asyncio.create_task(capture(db, column(), DBA, limits=Limits(rows_per_second=1_000)))
    job = await running_job(db, "capture")
    await until(lambda: followed(db))
    await asyncio.sleep(0.3)
    await oversight.cancel(db, job.id, DBA)
    with pytest.raises(Cancelled):
        await running
    assert "parked already" in str((await plan_capture(db, column())).warnings)
    artifact = await capture(db, column(), DBA)
    assert (artifact.artifact_type, artifact.row_count) == ("archive_column", ROWS)
    assert await left_behind(db) == []


async def test_the_recipe_of_a_half_archived_column_restores_it(database, db):
    running = asyncio.create_task(capture(db, column(), DBA, limits=Limits(rows_per_second=1_000)))
    job = await running_job(db, "capture")
    await until(lambda: followed(db))
    await oversight.cancel(db, job.id, DBA)
    with pytest.raises(Cancelled):
        await running
    script = await fetchval(db, "SELECT recovery_sql FROM zanith._zanith_migration_artifacts")
    database.psql(script)
    assert await fetchval(db, WRONG) == 0
    assert await left_behind(db) == []


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("ALTER TABLE t DISABLE TRIGGER USER", "gone or off"),
        ("UPDATE {archive} SET code = 'x' WHERE id = 7", "1 differing"),
        ("DELETE FROM {archive} WHERE id = 7", "1 missing"),
        ("INSERT INTO {archive} VALUES (-5, 'y')", "1 surplus"),
    ],
)
async def test_nothing_is_dropped_where_the_copy_is_not_what_is_there(db, harm, said):
    running = asyncio.create_task(capture(db, column(), DBA, limits=Limits(rows_per_second=8_000)))
    await until(lambda: followed(db))
    archive = await fetchval(
        db, "SELECT relname FROM pg_class WHERE relname ~ '^_zanith_archive' AND relkind = 'r'"
    )

    async def copied():
        return await fetchval(
            db, f"SELECT EXISTS (SELECT FROM _zanith_shadow.{archive} WHERE id = 7)"
        )

    await until(copied)
    await execute(db, harm.format(archive=f"_zanith_shadow.{archive}"))
    with pytest.raises(Refused) as caught:
        await running
    assert said in caught.value.message
    assert "give_up" in (caught.value.hint or "")
    artifact = await get_artifact(db, "t.code")
    await give_up(db, artifact.id)
    assert await left_behind(db) == []
    await restore(db, artifact.id, None, DBA)
    assert await fetchval(db, WRONG) == 0


@pytest.mark.newest
async def test_the_drop_waits_for_nobody_longer_than_it_may(db):
    async with db.acquire() as reader:
        running = asyncio.create_task(capture(db, column(), DBA, limits=SLOWLY))
        await until(lambda: followed(db))
        transaction = reader.transaction()
        await transaction.start()
        await reader.fetchval("SELECT count(*) FROM t")
        with pytest.raises(Locked) as caught:
            await running
        assert caught.value.blockers[0].pid == await reader.fetchval("SELECT pg_backend_pid()")
        await transaction.rollback()
    artifact = await capture(db, column(), DBA)
    assert artifact.artifact_type == "archive_column"


@pytest.mark.newest
async def test_what_has_no_online_form_is_said(db):
    await execute(
        db,
        "CREATE TYPE shade AS ENUM ('a', 'b');"
        "CREATE TABLE parted (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);"
        "CREATE TABLE shades (id shade PRIMARY KEY, v int);"
        "CREATE TABLE falling (id int NOT NULL, v int); CREATE UNIQUE INDEX ON falling (id DESC);"
        "CREATE TABLE counted (id int PRIMARY KEY, v int GENERATED ALWAYS AS IDENTITY);",
    )
    for table, said in (
        ("parted", "tables beneath it"),
        ("shades", "not built in"),
        ("falling", "plain order"),
        ("counted", "identity"),
    ):
        with pytest.raises(Refused) as caught:
            await plan_capture(db, column(table, "v"))
        assert said in caught.value.message
    with pytest.raises(WrongUsage):
        await plan_capture(db, CaptureRequest("soft_drop_column", "t", "code", online=True))


@pytest.mark.newest
async def test_that_it_keeps_its_place_is_said_for_as_long_as_it_does(db):
    online, soft, moved = [
        " ".join((await plan_capture(db, wanted)).warnings)
        for wanted in (
            column(),
            CaptureRequest("soft_drop_column", "public.t", "code"),
            CaptureRequest("archive_column", "public.t", "code"),
        )
    ]
    for said in (online, soft):
        assert said.count("its place") == said.count("while it is parked in its table") == 1
    assert "until the last transaction the column is parked" in online
    assert "its place" not in moved


@pytest.mark.newest
async def test_nothing_of_the_owner_runs_as_who_copies(db, create_role):
    owner = create_role("owner")
    await execute(
        db,
        f"GRANT CREATE, USAGE ON SCHEMA public, _zanith_shadow TO {owner}; SET ROLE {owner};"
        "CREATE TABLE seen (who text);"
        "CREATE FUNCTION fits(text) RETURNS boolean LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO public.seen VALUES (current_user); RETURN true; END';"
        "CREATE DOMAIN fit AS text CHECK (fits(VALUE));"
        "CREATE TABLE owned (id int PRIMARY KEY, v fit);"
        "INSERT INTO owned SELECT g, 'v' || g FROM generate_series(1, 500) g;"
        "CREATE INDEX ON owned (id) WHERE v <> 'x'; RESET ROLE; TRUNCATE seen;",
    )
    wanted = column("owned", "v")
    running = asyncio.create_task(capture(db, wanted, DBA, limits=Limits(rows_per_second=300)))
    await until(lambda: followed(db))
    # what the owner has, the owner can put a trigger on
    made = "SELECT array_agg(DISTINCT pg_get_userbyid(o)) FROM ({}) m(o)".format(
        "SELECT relowner FROM pg_class WHERE relnamespace = '_zanith_shadow'::regnamespace"
        " UNION ALL SELECT proowner FROM pg_proc WHERE proname ~ '^_zanith_follow'"
    )
    assert await fetchval(db, made) == ["postgres"]
    artifact = await running
    assert await fetchval(db, made) == [owner]
    await restore(db, artifact.id, Choices(online=True), DBA)
    assert await fetchval(db, "SELECT count(DISTINCT v) FROM owned") == 500
    assert set(await fetchval(db, "SELECT array(SELECT DISTINCT who FROM seen)")) <= {owner}
    assert (await doctor(db)).findings == ()


# ------------------------------------------------------------------------------------- restoring


async def archived(db, table="t", name="code", **more):
    return await capture(db, CaptureRequest("archive_column", table, name, **more), DBA)


async def test_a_cancelled_restore_leaves_all_as_it_was(database, db):
    artifact = await archived(db)
    before = database.schema()
    running = asyncio.create_task(
        restore(db, artifact.id, Choices(online=True), DBA, limits=Limits(rows_per_second=1_000))
    )
    job = await running_job(db, "restore")
    await until(lambda: followed(db))
    await oversight.cancel(db, job.id, DBA)
    with pytest.raises(Cancelled) as caught:
        await running
    assert "all is as it was" in (caught.value.hint or "")
    assert database.schema() == before
    assert (await get_artifact(db, artifact.id)).status == "recoverable"


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
    jobs.interrupt(running)
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [finding.code for finding in (await doctor(db)).findings] == ["unfinished_restoring"]
    if online:
        plan = await plan_restore(db, artifact.id, Choices(online=True, fill="other"))
        assert [conflict.code for conflict in plan.conflicts] == ["begun_otherwise"]
    await execute(db, "INSERT INTO t (id, tag) VALUES (-1, 'new')")
    await restore(db, artifact.id, Choices(online=online, fill="f"), DBA)
    assert await fetchval(db, WRONG) == 0
    assert await fetchval(db, "SELECT code FROM t WHERE id = -1") == ("none" if online else "f")
    assert await left_behind(db) == []


async def test_rows_that_somebody_holds_are_filled_last(db):
    artifact = await archived(db)
    async with db.acquire() as holder:
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
    async with db.acquire() as holder:
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


# ------------------------------------------------------------------------------------------ pace


@pytest.mark.newest
async def test_it_rests_when_asked_and_goes_on(db):
    running = asyncio.create_task(capture(db, column(), DBA, limits=Limits(rows_per_second=4_000)))
    job = await running_job(db, "capture")
    await until(lambda: followed(db))
    await oversight.pause(db, job.id, DBA)

    async def rests():
        return "paused by dba" in json.dumps((await jobs.get(db, job.id)).progress)

    await until(rests)
    archive = await fetchval(
        db, "SELECT relname FROM pg_class WHERE relname ~ '^_zanith_archive' AND relkind = 'r'"
    )
    first = await fetchval(db, f"SELECT count(*) FROM _zanith_shadow.{archive}")
    await asyncio.sleep(1.5)
    assert await fetchval(db, f"SELECT count(*) FROM _zanith_shadow.{archive}") == first
    await oversight.pause(db, job.id, DBA, pause=False)
    assert (await running).row_count == ROWS
    with pytest.raises(Refused):
        await oversight.pause(db, job.id, DBA)


@pytest.mark.newest
async def test_limits_that_let_nothing_through_are_refused(db):
    for limits in (Limits(batch_seconds=0), Limits(rows_per_second=0), Limits(max_lag=-1)):
        with pytest.raises(WrongUsage):
            await capture(db, column(), DBA, limits=limits)
    assert await fetchval(db, "SELECT count(code) FROM t") == ROWS


@pytest.mark.newest
async def test_two_cannot_archive_the_same_column(db):
    results = await asyncio.gather(
        *(capture(db, column(), DBA) for _ in range(4)), return_exceptions=True
    )
    won = [result for result in results if not isinstance(result, Exception)]
    assert len(won) == 1
    assert all(isinstance(r, (Locked, NotFound)) for r in results if isinstance(r, Exception)), (
        results
    )
    assert won[0].row_count == ROWS


async def test_a_killed_backend_loses_nothing(database, db):
    running = asyncio.create_task(capture(db, column(), DBA, limits=Limits(rows_per_second=2_000)))
    await until(lambda: followed(db))
    archive = await fetchval(
        db, "SELECT relname FROM pg_class WHERE relname ~ '^_zanith_archive' AND relkind = 'r'"
    )
    async with database.connect() as other, other.transaction():
        await other.execute(f"LOCK TABLE _zanith_shadow.{archive} IN SHARE MODE")  # it waits here

        async def killed():
            return await other.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
            )

        await until(killed)
    with pytest.raises(Failed):
        await running
    artifact = await capture(db, column(), DBA)
    assert (artifact.artifact_type, artifact.row_count) == ("archive_column", ROWS)


async def test_it_rests_while_a_replica_is_behind(disposable_server):
    server = disposable_server
    server.psql("postgres", "CREATE DATABASE live")
    install_zanith(server.url("live"))
    replica = server.standby(server.directory.with_name(f"{server.directory.name}-replica"))
    opened = await Database.open(server.url("live"))
    try:
        await execute(opened, TABLE)
        replica.psql("live", "SELECT pg_wal_replay_pause()")
        limits = Limits(rows_per_second=3_000, max_lag=0.5)
        running = asyncio.create_task(capture(opened, column(), DBA, limits=limits))
        job = await running_job(opened, "capture")

        async def rests():
            return "waiting for a replica" in json.dumps((await jobs.get(opened, job.id)).progress)

        await until(rests)
        replica.psql("live", "SELECT pg_wal_replay_resume()")
        assert (await running).row_count == ROWS
    finally:
        await opened.close()
        replica.remove()
