"""What a migration does to its own session: it is refused, or the run is recorded all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.migrate.apply.down import DownRequest, migrate_down
from app.migrate.apply.errors import MigrationFailed
from app.migrate.apply.history import read_history, read_run
from app.migrate.read.layouts import read_migrations
from app.migrate.read.statements import Unreadable
from app.recovery.core.errors import NotFound, WrongUsage, ZanithError
from app.recovery.db.database import Database
from tests.integration.test_migrate_up import DBA, states, up, write

OUTSIDE = "-- zanith: no-transaction\n"
TABLE = "CREATE TABLE t (a text); INSERT INTO t VALUES ('kept');"
# the statement that PostgreSQL would read as three
TWO_READINGS = "SELECT 'x\\', '; DROP TABLE t; COMMIT; --';"
STRINGS = "standard_conforming_strings is off"
LOCK = "released the lock"
PROCEDURE = "CREATE PROCEDURE p() LANGUAGE plpgsql AS $p$ BEGIN PERFORM {}; END $p$;\n"
# what is refused: the file, the line, and the words
REFUSED = {
    "strings": (f"SET standard_conforming_strings = off;\n{TWO_READINGS}", 2, STRINGS),
    "strings, local": (f"SET LOCAL standard_conforming_strings = 0;\n{TWO_READINGS}", 2, STRINGS),
    "strings, by a function": (
        f"SELECT set_config('standard_conforming_strings', 'off', false);\n{TWO_READINGS}",
        2,
        STRINGS,
    ),
    "strings, outside": (
        f"{OUTSIDE}SET standard_conforming_strings = off;\n{TWO_READINGS}",
        3,
        STRINGS,
    ),
    "strings, before a capture": (
        'SET standard_conforming_strings = off;\nALTER TABLE t RENAME a TO "b\\";\n'
        'ALTER TABLE t DROP "b\\";',
        2,
        STRINGS,
    ),
    "strings, in a call": (
        PROCEDURE.format("set_config('standard_conforming_strings', 'off', false)").join(
            (OUTSIDE, f"CALL p();\n{TWO_READINGS}")
        ),
        4,
        STRINGS,
    ),
    "encoding of bytes": (
        "SELECT 1;\nSET client_encoding = 'SQL_ASCII';\nSELECT 'é';",
        2,
        "SQL_ASCII",
    ),
    "encoding": ("SET NAMES 'LATIN1';\nSELECT '💥';", 1, "LATIN1"),
    "encoding, outside": (f"{OUTSIDE}SET client_encoding = 'SJIS';\nSELECT 1;", 2, "SJIS"),
    "encoding, in a call": (
        PROCEDURE.format("set_config('client_encoding', 'SQL_ASCII', false)").join(
            (OUTSIDE, "CALL p();\nSELECT 1;")
        ),
        3,
        "SQL_ASCII",
    ),
    "read only, outside": (
        f"{OUTSIDE}SET default_transaction_read_only = on;\nSELECT 1;",
        2,
        "default_transaction_read_only is on",
    ),
    "lock": ("SELECT pg_advisory_unlock_all();", 1, LOCK),
    "lock, by a block": (
        "DO $$ BEGIN PERFORM pg_advisory_unlock_all(); END $$;\nSELECT 1;",
        2,
        LOCK,
    ),
    "lock, outside": (f"{OUTSIDE}SELECT pg_advisory_unlock_all();", 2, LOCK),
    "lock, in a call": (
        PROCEDURE.format("pg_advisory_unlock_all()").join((OUTSIDE, "CALL p();")),
        3,
        LOCK,
    ),
}


@pytest.fixture
async def db(database) -> AsyncIterator[Database]:
    database.psql(TABLE)
    opened = await Database.open(database.url, lock_timeout=timedelta(seconds=2))
    yield opened
    await opened.close()


async def recorded(db: Database) -> tuple[str, str]:
    """Return the outcome of the newest run, and what its statements came to."""
    run, steps = await read_run(db, (await read_history(db))[0].run)
    return run.outcome, " ".join(step.status for step in steps)


@pytest.mark.each_version
@pytest.mark.parametrize("case", REFUSED)
async def test_what_would_mislead_or_blind_us_is_refused(database, db, tmp_path, case):
    text, line, words = REFUSED[case]
    write(tmp_path, **{"0001_a": text})
    with pytest.raises(MigrationFailed, match=rf"0001_a\.sql:{line}:1: .*{words}") as caught:
        await up(db, tmp_path)
    assert caught.value.hint
    assert (caught.value.migration, caught.value.line) == ("0001_a", line)
    assert database.psql("SELECT a FROM t").strip() == "kept"
    outcome, steps = await recorded(db)
    assert outcome == "failed"
    assert "begun" not in steps
    assert (await states(db, tmp_path)) == {"0001_a": "failed"}
    # the next run is no heir of it
    (tmp_path / "0001_a.sql").write_text("SELECT 'x\\';")
    if "CREATE PROCEDURE" not in text and not text.startswith(OUTSIDE):
        assert len((await up(db, tmp_path)).ran) == 1


async def test_a_database_that_reads_strings_otherwise(database, db, tmp_path):
    database.psql(f"ALTER DATABASE {database.name} SET standard_conforming_strings = off")
    opened = await Database.open(database.url)
    try:
        write(tmp_path, **{"1": "ALTER TABLE t ADD b text;", "2": TWO_READINGS})
        with pytest.raises(MigrationFailed, match=rf"2\.sql:1:1: {STRINGS}"):
            await up(opened, tmp_path)
        assert database.psql("SELECT a FROM t").strip() == "kept"
        on = "SET standard_conforming_strings = on;\n"
        (tmp_path / "2.sql").write_text(f"{on}INSERT INTO t SELECT 'x\\';")
        assert [one.id for one in (await up(opened, tmp_path)).ran] == ["2"]
        assert database.psql("SELECT string_agg(a, ' ' ORDER BY a) FROM t").strip() == "kept x\\"
    finally:
        await opened.close()


async def test_discard_all_is_refused_before_anything_runs(db, tmp_path):
    write(tmp_path, **{"1": "SELECT 1;", "2": f"{OUTSIDE}SELECT 1;\nDISCARD ALL;"})
    with pytest.raises(Unreadable, match=r"2\.sql:3:1: DISCARD ALL would release the lock"):
        await up(db, tmp_path)
    assert await read_history(db) == []


# what a file outside a transaction may leave its session with
LEFT = {
    "user": "SET SESSION AUTHORIZATION {role};\nINSERT INTO t VALUES ('b');\nCALL pg_temp.p();",
    "role": "SET ROLE {role};\nINSERT INTO t VALUES ('b');\nCALL pg_temp.p();",
    "both": "SET SESSION AUTHORIZATION {role};\nSET ROLE NONE;\nINSERT INTO t VALUES ('b');",
    "path": "SET search_path = pg_temp;",
    "several": "BEGIN;\nSET SESSION AUTHORIZATION {role};\nINSERT INTO t VALUES ('b');\nCOMMIT;",
}


@pytest.mark.parametrize("case", LEFT)
async def test_what_it_leaves_in_its_session_does_not_hinder_the_record(
    database, db, tmp_path, create_role, case
):
    role = create_role()
    database.psql(f"GRANT INSERT ON t TO {role}")
    procedure = (
        "CREATE PROCEDURE pg_temp.p() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;\n"
        f"GRANT EXECUTE ON PROCEDURE pg_temp.p() TO {role};\n"
    )
    text = LEFT[case].format(role=role)
    write(tmp_path, **{"1": OUTSIDE + procedure + text, "2": "CREATE TABLE own (a int);"})
    report = await up(db, tmp_path)
    assert [one.id for one in report.ran] == ["1", "2"]
    newest, first = await read_history(db)
    assert (newest.outcome, first.outcome) == ("applied", "applied")
    assert newest.applied_by_role == first.applied_by_role != role
    owner = database.psql("SELECT relowner::regrole FROM pg_class WHERE relname = 'own'").strip()
    assert owner == first.applied_by_role


async def test_an_error_of_the_record_is_not_said_to_be_one_at_commit(database, db, tmp_path):
    write(tmp_path, **{"1": "SELECT 1;\nSET TRANSACTION READ ONLY;"})
    with pytest.raises(MigrationFailed, match=r"1\.sql: the run cannot be recorded: ") as caught:
        await up(db, tmp_path)
    assert "leave out what the migration sets" in (caught.value.hint or "")
    assert await recorded(db) == ("failed", "undone undone")


async def test_a_timeout_that_the_file_sets_names_the_file(database, db, tmp_path):
    write(tmp_path, **{"1": f"{OUTSIDE}SET statement_timeout = '1ms';\nSELECT 1;"})
    with pytest.raises(MigrationFailed, match=r"1\.sql: the run cannot be recorded: canceling"):
        await up(db, tmp_path)
    assert (await states(db, tmp_path)) == {"1": "failed"}


async def test_what_fails_at_the_commit_of_a_group_names_the_file(database, db, tmp_path):
    deferred = "ALTER TABLE t ADD CONSTRAINT once UNIQUE (a) DEFERRABLE INITIALLY DEFERRED"
    database.psql(deferred)
    twice = "BEGIN;\nINSERT INTO t VALUES ('kept');\nCOMMIT;"
    write(tmp_path, **{"1": OUTSIDE + twice})
    with pytest.raises(MigrationFailed, match=r"1\.sql: at COMMIT: duplicate key"):
        await up(db, tmp_path, preflight=False)
    assert (await states(db, tmp_path)) == {"1": "failed"}


SECRET = "hunter2"
BLOCKS = {
    "column": "EXECUTE 'SELECT ' || x",
    "table": "EXECUTE 'SELECT FROM ' || x",
    "exists": "EXECUTE 'CREATE TABLE ' || x || ' (); CREATE TABLE ' || x || ' ()'",
    "loop": "FOR r IN EXECUTE 'SELECT ' || x LOOP END LOOP",
    "cursor": "OPEN c FOR EXECUTE 'SELECT ' || x",
}


@pytest.mark.parametrize("case", BLOCKS)
async def test_what_a_block_makes_of_values_is_not_kept(database, db, tmp_path, case):
    database.psql(f"UPDATE t SET a = '{SECRET}'")
    block = (
        "DO $$ DECLARE x text; r record; c refcursor; BEGIN SELECT min(a) INTO x FROM t; "
        f"{BLOCKS[case]}; END $$;"
    )
    write(tmp_path, **{"1": block})
    with pytest.raises(ZanithError) as caught:
        await up(db, tmp_path)
    assert SECRET in caught.value.message
    kept = database.psql("SELECT error::text FROM zanith._zanith_migrations").strip()
    assert kept
    assert SECRET not in kept
    assert SECRET not in database.psql("SELECT error::text FROM zanith._zanith_migration_steps")
    assert SECRET not in database.psql("SELECT l::text FROM zanith._zanith_audit_log AS l")


def _sqitch(directory: Path, *names: str) -> None:
    entries = [f"{name} 2020-01-0{n}T00:00:00Z a <b@c>\n" for n, name in enumerate(names, 1)]
    (directory / "sqitch.plan").write_text("%project=x\n\n" + "".join(entries))
    (directory / "deploy").mkdir()
    for name in names:
        (directory / "deploy" / f"{name}.sql").write_text(f"SELECT 1 -- {name}")


async def test_an_id_is_taken_before_what_begins_with_it(db, tmp_path):
    _sqitch(tmp_path, "users-index", "billing", "users", "users_more")
    report = await up(db, tmp_path, to="users")
    assert [one.id for one in report.ran] == ["users-index", "billing", "users"]


async def test_a_beginning_of_more_than_one_is_refused(db, tmp_path):
    _sqitch(tmp_path, "users-index", "users-more", "billing")
    with pytest.raises(WrongUsage, match="users is the beginning of 2 migrations: users-index"):
        await up(db, tmp_path, to="users")
    with pytest.raises(NotFound):
        await up(db, tmp_path, to="use")
    assert [one.id for one in (await up(db, tmp_path, to="billing")).ran][-1] == "billing"


async def test_a_comment_above_the_file_steers_its_down_part_too(database, db, tmp_path):
    text = (
        f"{OUTSIDE}\nCREATE INDEX CONCURRENTLY i ON t (a);\n"
        "-- zanith: down\nDROP INDEX CONCURRENTLY i;\n"
    )
    write(tmp_path, **{"1": text})
    await up(db, tmp_path)
    layout, migrations = read_migrations(tmp_path)
    await migrate_down(db, layout, migrations, DBA, DownRequest())
    assert database.psql("SELECT to_regclass('i') IS NULL").strip() == "t"
    assert await states(db, tmp_path) == {"1": "pending"}
