"""What is kept of an error names objects and counts: values of rows would outlive an erasure."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor, check_words
from app.recovery.core.errors import Locked, Refused, WrongUsage, ZanithError
from app.recovery.db.database import Database
from app.recovery.jobs import audit, queueing, runs
from app.recovery.jobs import model as jobs
from app.recovery.plan.planning import plan_restore
from app.recovery.purge.hold import hold
from app.recovery.purge.purge import purge
from app.recovery.restore import restore

SECRET = "ann@example.com"
DBA = Actor("dba", None, "staff")
NAMES = ("regconfig", "regrole", "regclass", "regproc", "regnamespace")
NAMED = " ".join(
    [
        "CASE kind",
        *(f"WHEN '{name}' THEN email::{name} IS NOT NULL" for name in NAMES),
        "ELSE current_setting(email) = '' END",
    ]
)
MADE = f"""
CREATE TABLE people (id int PRIMARY KEY, email text, n int NOT NULL CONSTRAINT few CHECK (n > 0));
INSERT INTO people VALUES (1, '{SECRET}', 1), (2, '{SECRET}', 2);
CREATE DOMAIN short AS text CONSTRAINT brief CHECK (length(value) < 4);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no %', NEW USING DETAIL = NEW::text, ERRCODE = TG_ARGV[0]; END $$;
CREATE FUNCTION hint() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no' USING HINT = NEW::text, ERRCODE = 'check_violation'; END $$;
CREATE TABLE raised_check (email text); CREATE TRIGGER t BEFORE INSERT ON raised_check
    FOR EACH ROW EXECUTE FUNCTION tell('check_violation');
CREATE TABLE raised_rights (email text); CREATE TRIGGER t BEFORE INSERT ON raised_rights
    FOR EACH ROW EXECUTE FUNCTION tell('insufficient_privilege');
CREATE TABLE raised (email text); CREATE TRIGGER t BEFORE INSERT ON raised
    FOR EACH ROW EXECUTE FUNCTION tell('P0001');
CREATE FUNCTION make() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE NEW.email; END $$;
CREATE TABLE made (email text);
CREATE TRIGGER t BEFORE INSERT ON made FOR EACH ROW EXECUTE FUNCTION make();
CREATE TABLE hinted (email text); CREATE TRIGGER t BEFORE INSERT ON hinted
    FOR EACH ROW EXECUTE FUNCTION hint();
CREATE TABLE named (kind text, email text, CHECK ({NAMED}));
CREATE FUNCTION name_it(kind text, email text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT {NAMED} $$;
CREATE TABLE named_by_sql (kind text, email text, CHECK (name_it(kind, email)));
CREATE TABLE loose (email text); INSERT INTO loose VALUES ('{SECRET}');
CREATE TABLE target (email text PRIMARY KEY);
"""
# A statement, and what is kept of its error.
ERRORS = {
    "unique": ("CREATE UNIQUE INDEX u ON people (email)", "23505", "constraint u"),
    "check": (f"INSERT INTO people VALUES (3, '{SECRET}', 0)", "23514", "constraint few"),
    "not null": (f"INSERT INTO people VALUES (3, '{SECRET}', NULL)", "23502", "column n"),
    "foreign key": (
        "ALTER TABLE loose ADD CONSTRAINT f FOREIGN KEY (email) REFERENCES target",
        "23503",
        "constraint f",
    ),
    "exclusion": (
        "ALTER TABLE people ADD CONSTRAINT e EXCLUDE USING btree (email WITH =)",
        "23P01",
        "constraint e",
    ),
    "domain": ("ALTER TABLE people ALTER email TYPE short", "23514", None),
    "text": ("ALTER TABLE people ALTER email TYPE int USING email::int", "22P02", None),
    "raised": (f"INSERT INTO raised VALUES ('{SECRET}')", "P0001", None),
    "raised as a check": (f"INSERT INTO raised_check VALUES ('{SECRET}')", "23514", None),
    "raised as a right": (f"INSERT INTO raised_rights VALUES ('{SECRET}')", "42501", None),
    "a statement made of a value": (f"INSERT INTO made VALUES ('\"{SECRET}\"')", "42601", None),
    "a hint": (f"INSERT INTO hinted VALUES ('{SECRET}')", "23514", None),
    # a value that is cast to a name, or given to a function that takes one
    **{
        f"{kind} by {way}": (f"INSERT INTO {table} VALUES ('{kind}', '\"{SECRET}\"')", state, None)
        for kind, state in (
            *(("regconfig", "42704"), ("regrole", "42704"), ("regclass", "42P01")),
            *(("regproc", "42883"), ("regnamespace", "3F000"), ("setting", "42704")),
        )
        for way, table in (("an expression", "named"), ("a function", "named_by_sql"))
    },
}


@pytest.fixture
async def db(database):
    database.psql(MADE)
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


def kept(database) -> str:
    """Everything that Zanith keeps, but for the parked rows themselves."""
    return database.pg_dump("--data-only", "--schema=zanith")


# As in a session of the database's users: those of the engine find nothing without its schema.
PUBLIC = "SET search_path = public, pg_catalog"


@pytest.mark.parametrize("case", ERRORS)
async def test_no_value_of_a_row_is_kept_of_an_error(db, database, case, caplog):
    """PostgreSQL's message and detail are shown; the log and the job keep state and names."""
    statement, state, named = ERRORS[case]
    job = await queueing.start(db, "capture", None, {}, DBA, object="x")
    with pytest.raises(ZanithError) as shown:
        async with (
            audit.recording_failure(db, DBA, "restore", None, "x"),
            runs.running(db, job),
            db.acquire() as connection,
        ):
            await connection.execute(f"{PUBLIC}; {statement}")
    assert shown.value.sqlstate == state
    stored = kept(database)
    assert SECRET not in stored
    assert SECRET not in caplog.text
    [entry] = await audit.list_activity(db)
    ended = await jobs.get(db, job.id)
    for found in (entry.detail, ended.error):
        assert found["sqlstate"] == state
        assert found["message"]
        assert named is None or named in found["detail"]


async def test_of_a_refused_restore_examples_are_shown_and_not_kept(db, database):
    """Duplicates are told by their value on the screen; the log and the job have the count."""
    async with db.acquire() as connection:
        await connection.execute(PUBLIC)
        await connection.execute("CREATE TABLE u (id int PRIMARY KEY, email text UNIQUE)")
        await connection.execute(f"INSERT INTO u VALUES (1, '{SECRET}')")
        made = await connection.fetchval("SELECT zanith.soft_drop_column('u', 'email')")
        parked = await connection.fetchval(
            "SELECT physical_column FROM zanith._zanith_migration_artifacts"
        )
        await connection.execute(f"INSERT INTO u (id, \"{parked}\") VALUES (2, '{SECRET}')")
    with pytest.raises(Refused) as shown:
        await restore.restore(db, made, None, DBA)
    assert SECRET in shown.value.detail
    stored = kept(database)
    assert SECRET not in stored
    assert "1 value occurs more than once" in stored


async def test_an_example_is_a_key_or_a_place_and_never_the_row(db):
    """Rows without a key are named by the place where they stand."""
    async with db.acquire() as connection:
        await connection.execute(PUBLIC)
        await connection.execute(
            f"""CREATE TABLE nokey (email text REFERENCES target, note text);
            INSERT INTO target VALUES ('gone'); INSERT INTO nokey VALUES ('gone', '{SECRET}');
            CREATE TABLE child (id int PRIMARY KEY, email text REFERENCES target, note text);
            INSERT INTO child VALUES (7, 'gone', '{SECRET}');"""
        )
        made = [
            await connection.fetchval("SELECT zanith.archive_table($1::text::regclass)", table)
            for table in ("nokey", "child")
        ]
        await connection.execute("DELETE FROM target")
    without, with_key = [(await plan_restore(db, artifact)).drift for artifact in made]
    assert [drift.kind for drift in (*without, *with_key)] == ["foreign_key_orphans"] * 2
    assert "ctid (0,1)" in without[0].examples[0]
    assert with_key[0].examples == ("7",)
    assert SECRET not in str((without, with_key))


async def test_the_query_of_who_is_in_the_way_is_shown_and_not_kept(database, db):
    async with db.acquire() as connection:
        made = await connection.fetchval("SELECT zanith.soft_drop_column('public.people', 'email')")
    impatient = await Database.open(
        database.url, lock_timeout=timedelta(seconds=0.2), lock_retries=1
    )
    other = await asyncpg.connect(database.url)
    try:
        async with other.transaction():
            await other.execute(f"SELECT '{SECRET}' FROM people")
            with pytest.raises(Locked) as shown:
                await restore.restore(impatient, made, None, DBA)
    finally:
        await other.close()
        await impatient.close()
    assert SECRET in shown.value.detail
    stored = kept(database)
    assert "pid " in stored
    assert SECRET not in stored


LONG = "x" * 2001


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT zanith.soft_drop_column('public.people', 'email', reason => '{LONG}')",
        f"SELECT zanith.archive_table('public.people', migration_id => '{LONG[:201]}')",
        f"SET zanith.actor = '{LONG[:201]}'; SELECT zanith.archive_table('public.people')",
    ],
)
async def test_a_reason_a_migration_and_a_name_have_a_length(db, sql):
    """The SQL functions say how long it is and how long it may be."""
    async with db.acquire() as connection:
        with pytest.raises(asyncpg.PostgresError, match=r"characters, and 2\d* are kept at most"):
            await connection.execute(sql)
        fits = "SELECT zanith.soft_drop_column('public.people', 'email', $1, reason => $2)"
        await connection.execute("RESET zanith.actor")
        await connection.execute(fits, LONG[:200], LONG[:2000])


async def test_the_engine_says_what_is_too_long_before_it_begins(db):
    request = CaptureRequest("soft_drop_column", "public.people", "email", reason=LONG)
    with pytest.raises(WrongUsage, match="the reason has 2,001 characters"):
        await capture(db, request, DBA)
    async with db.acquire() as connection:
        made = await connection.fetchval("SELECT zanith.soft_drop_column('public.people', 'email')")
    with pytest.raises(WrongUsage, match="the reason has"):
        await hold(db, made, DBA, LONG)
    with pytest.raises(WrongUsage, match="the reason has"):
        await purge(db, made, DBA, confirm="email", reason=LONG)
    with pytest.raises(WrongUsage, match="the name of the person has 201 characters"):
        check_words(Actor("x" * 201))


async def test_rows_from_before_the_bound_stay_readable(db):
    async with db.acquire() as connection:
        made = await connection.fetchval("SELECT zanith.soft_drop_column('public.people', 'email')")
        await connection.execute("UPDATE zanith._zanith_migration_artifacts SET reason = $1", LONG)
    report = await restore.restore(db, made, None, DBA)
    assert report.artifact.reason == LONG
