"""A column is archived beside live traffic, which stops for instants only."""

from __future__ import annotations

import asyncio

import pytest

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.capture.capture import capture
from app.recovery.capture.planning import plan_capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.errors import Cancelled, Failed, Locked, NotFound, Refused, WrongUsage
from app.recovery.inspection.doctor import doctor
from app.recovery.jobs import model as jobs
from app.recovery.jobs.throttle import Limits
from app.recovery.plan.model import Choices
from app.recovery.restore.backfill import give_up
from app.recovery.restore.restore import restore
from app.recovery.rows.seal import verify
from tests.online import (
    DBA,
    FOLLOWED,
    ROWS,
    SLOWLY,
    WRONG,
    column,
    execute,
    fetchval,
    followed,
    left_behind,
    place,
    restore_beside,
    running_job,
    until,
    wrongly_archived,
)
from tests.sessions import client_of
from tests.traffic import Traffic


@pytest.mark.smoke
async def test_a_column_is_archived_and_restored_beside_traffic(database, db):
    traffic = Traffic(database.url, "t", ROWS, only_while=FOLLOWED)
    async with traffic.flowing():
        artifact = await capture(db, column(reason="old"), DBA, limits=SLOWLY)
    assert traffic.errors == []
    assert traffic.done > 100
    assert (artifact.artifact_type, artifact.status) == ("archive_column", "recoverable")
    assert artifact.sealed_at is not None
    assert (await verify(db, artifact.id, DBA)).matches
    assert await wrongly_archived(db, artifact) == 0
    assert await left_behind(db) == []
    assert (await doctor(db)).findings == ()

    await restore_beside(db, artifact, traffic)
    assert traffic.errors == []
    assert traffic.done > 100
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
    await execute(db, "INSERT INTO t (id, tag) VALUES (2, 'after')")  # another row under its key
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
    await jobs.cancel(db, job.id, DBA)
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
    await jobs.cancel(db, job.id, DBA)
    with pytest.raises(Cancelled):
        await running
    assert "already parked" in str((await plan_capture(db, column())).warnings)
    artifact = await capture(db, column(), DBA)
    assert (artifact.artifact_type, artifact.row_count) == ("archive_column", ROWS)
    assert await left_behind(db) == []


async def test_the_recipe_of_a_half_archived_column_restores_it(database, db):
    running = asyncio.create_task(capture(db, column(), DBA, limits=Limits(rows_per_second=1_000)))
    job = await running_job(db, "capture")
    await until(lambda: followed(db))
    await jobs.cancel(db, job.id, DBA)
    with pytest.raises(Cancelled):
        await running
    script = await fetchval(db, "SELECT recovery_sql FROM zanith._zanith_migration_artifacts")
    database.psql(script)
    assert await fetchval(db, WRONG) == 0
    assert await left_behind(db) == []


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("ALTER TABLE t DISABLE TRIGGER USER", "missing or disabled"),
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
    async with client_of(db) as reader:
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
        "CREATE TABLE parted (id int PRIMARY KEY, v int); CREATE TABLE part () INHERITS (parted);"
        "CREATE TABLE shades (id shade PRIMARY KEY, v int);"
        "CREATE TABLE falling (id int NOT NULL, v int); CREATE UNIQUE INDEX ON falling (id DESC);"
        "CREATE TABLE counted (id int PRIMARY KEY, v int GENERATED ALWAYS AS IDENTITY);",
    )
    for table, said in (
        ("parted", "inheritance children"),
        ("shades", "not built in"),
        ("falling", "ascending unique index"),
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
    assert "until the last transaction the column is soft-dropped" in online
    assert "its place" not in moved


@pytest.mark.newest
async def test_nothing_of_the_owner_runs_as_who_copies(database, db, create_role):
    owner, operator = create_role("owner"), db.server.role
    inherits = " WITH INHERIT TRUE, SET TRUE" if database.server.version >= 16 else ""
    database.psql(
        f"GRANT CREATE, USAGE ON SCHEMA public TO {owner}; GRANT {owner} TO {operator}{inherits}"
    )
    await execute(
        db,
        f"SET ROLE {owner};"
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
    # what the owner has, the owner can put a trigger on; what follows writes acts as the owner
    tables = (
        "SELECT array_agg(DISTINCT pg_get_userbyid(relowner)) FROM pg_class"
        " WHERE relnamespace = '_zanith_shadow'::regnamespace"
    )
    functions = "SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE proname ~ '^_zanith_follow'"
    assert await fetchval(db, tables) == [operator]
    assert await fetchval(db, functions) == owner
    artifact = await running
    assert await fetchval(db, tables) == [operator]
    assert await fetchval(db, functions) is None
    await restore(db, artifact.id, Choices(online=True), DBA)
    assert await fetchval(db, "SELECT count(DISTINCT v) FROM owned") == 500
    assert set(await fetchval(db, "SELECT array(SELECT DISTINCT who FROM seen)")) <= {owner}
    assert (await doctor(db)).findings == ()


@pytest.mark.newest
async def test_two_cannot_archive_the_same_column(db):
    results = await asyncio.gather(
        *(capture(db, column(), DBA) for _ in range(4)), return_exceptions=True
    )
    won = [result for result in results if not isinstance(result, Exception)]
    assert len(won) == 1
    lost = [result for result in results if isinstance(result, Exception)]
    assert all(isinstance(result, (Locked, NotFound, Refused)) for result in lost), results
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
