"""What the guard refuses, what passes it, and Zanith's own work, under a rule without a way out."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import asyncpg
import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.db.database import Database as Engine
from app.recovery.guard.rules import Mode, Rule
from app.recovery.guard.trial import try_statements
from app.recovery.plan.model import Choices
from app.recovery.purge.purge import purge
from app.recovery.restore.restore import restore
from tests.clusters import CommandFailed, processor_time
from tests.conftest import Database
from tests.guard.twin import DBA, guard_truncate, turn_guard_on
from tests.oracle.judges import restore_by_psql

ROLE = f"guard_owner_{os.getpid()}"  # roles are the cluster's
WORLD = f"""
CREATE SCHEMA s; CREATE TABLE s.t (a int); INSERT INTO s.t VALUES (1);
CREATE TYPE mood AS ENUM ('a'); CREATE DOMAIN positive AS int;
CREATE TYPE pair AS (x int, y int);
CREATE TABLE t (id int PRIMARY KEY, c mood, d positive, e text COLLATE "C", f int);
CREATE TABLE typed OF pair; INSERT INTO typed VALUES (1, 2);
CREATE TABLE parent (a int, b int); CREATE TABLE child (c int) INHERITS (parent);
CREATE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2';
ALTER TABLE t ADD g int GENERATED ALWAYS AS (twice(f)) STORED;
INSERT INTO t VALUES (1, 'a', 1, 'x', 1);
CREATE ROLE {ROLE}; CREATE TABLE owned (a int); ALTER TABLE owned OWNER TO {ROLE};
CREATE COLLATION nice (provider = libc, locale = 'C');
CREATE TABLE collated (a text COLLATE nice);
CREATE MATERIALIZED VIEW m AS SELECT 1 AS one; CREATE VIEW v AS SELECT 1 AS one;
CREATE SEQUENCE q; CREATE INDEX i ON s.t (a);
"""
REFUSED = [
    "ALTER TYPE pair DROP ATTRIBUTE y CASCADE",
    f"DROP OWNED BY {ROLE}",
    "ALTER TABLE ONLY parent DROP COLUMN b",
    "DROP SCHEMA _zanith_shadow CASCADE",
]
PASSES = [
    "DROP VIEW v",
    "DROP MATERIALIZED VIEW m",
    "REFRESH MATERIALIZED VIEW m",
    "DROP SEQUENCE q",
    "DROP INDEX s.i",
    "DROP INDEX CONCURRENTLY s.i",
    "REINDEX TABLE CONCURRENTLY s.t",
    "CLUSTER t USING t_pkey",
    "VACUUM FULL t",
    "ALTER TABLE s.t ALTER COLUMN a TYPE bigint",
    "ALTER TABLE t DROP CONSTRAINT t_pkey",
    "ALTER TABLE t ALTER COLUMN g DROP EXPRESSION",
    "ALTER TABLE parent RENAME COLUMN b TO bb",
    "CREATE TEMP TABLE x AS SELECT 1 AS a; ALTER TABLE x DROP a; DROP TABLE x",
    "DROP TABLE IF EXISTS none_such",
    "TRUNCATE s.t",
]


@pytest.fixture
def strict(guarded):
    """A database in which nothing passes by the setting zanith.guard."""
    turn_guard_on(guarded, Rule(Mode.CAPTURE, may_turn_off=False))
    yield guarded
    guarded.psql("DROP EVENT TRIGGER zanith_guard_dropped")
    guarded.psql(f"SELECT 1 FROM pg_roles WHERE rolname = '{ROLE}'") and guarded.psql(
        f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}"
    )


def test_what_cannot_be_captured_yet_is_refused_and_changes_nothing(strict):
    strict.psql(WORLD + "CREATE TABLE x (a int); DROP TABLE x")
    before = strict.pg_dump()
    for statement in REFUSED:
        with pytest.raises(CommandFailed) as failed:
            strict.psql(statement)
        assert "ERROR:  guard: " in str(failed.value), statement
        assert re.search("Use: |Drop the column without ONLY|Capture the whole", str(failed.value))
    assert without_tokens(strict.pg_dump()) == without_tokens(before)


def without_tokens(dump: str) -> list[str]:
    """Return the lines of a dump but for those that no rollback takes back."""
    return [line for line in dump.splitlines() if not re.search(r"restrict|setval", line)]


def test_what_deletes_no_table_and_no_column_passes(strict):
    strict.psql(WORLD)
    for number, statement in enumerate(PASSES):
        if "CONCURRENTLY" in statement or "VACUUM" in statement or number < 0:
            strict.psql(statement)
        else:
            strict.psql(f"BEGIN; {statement}; ROLLBACK".replace("; ", ";\n"))
    assert strict.psql("SELECT count(*) FROM zanith._zanith_migration_artifacts") == "0"


def test_a_script_of_an_extension_drops_its_own_tables_and_no_others(strict):
    """What a script does belongs to the extension: an empty table of ours would as well."""
    strict.psql("CREATE TABLE t (a int)")
    made = strict.psql("SELECT setting FROM pg_config WHERE name = 'SHAREDIR'")
    assert made
    folder = Path(made) / "extension"
    control = folder / "zanith_guard_test.control"
    try:
        control.write_text("default_version = '1'\n")
        (folder / "zanith_guard_test--1.sql").write_text(
            "CREATE TABLE one (a int); CREATE TABLE two (a int, b int); DROP TABLE one;"
        )
        (folder / "zanith_guard_test--1--2.sql").write_text(
            "ALTER TABLE two DROP COLUMN b; DROP TABLE two;"
        )
        (folder / "zanith_guard_test--2--3.sql").write_text("DROP TABLE t;")
        (folder / "zanith_guard_test--1--4.sql").write_text("DROP FUNCTION three();")
        (folder / "zanith_guard_test--1--5.sql").write_text("ALTER TABLE other DROP COLUMN c;")
        strict.psql("CREATE EXTENSION zanith_guard_test")
        # a script that drops no table lets none go afterwards
        with pytest.raises(CommandFailed, match="guard: DROP EXTENSION would delete"):
            strict.psql(
                "CREATE FUNCTION three() RETURNS int LANGUAGE sql AS 'SELECT 3'; ALTER EXTENSION"
                " zanith_guard_test ADD FUNCTION three(); BEGIN; ALTER EXTENSION zanith_guard_test"
                " UPDATE TO '4'; DROP EXTENSION zanith_guard_test; COMMIT"
            )
        # a function can run it: an archive would belong to the extension
        strict.psql(
            "CREATE TABLE other (id int PRIMARY KEY, c int); CREATE FUNCTION upgrade() RETURNS void"
            " LANGUAGE plpgsql AS $$BEGIN ALTER EXTENSION zanith_guard_test UPDATE TO '5'; END$$;"
            "CREATE FUNCTION call() RETURNS void LANGUAGE sql AS 'SELECT upgrade()'"
        )
        for call in ("SELECT upgrade()", "SELECT call()", "DO $$BEGIN PERFORM upgrade(); END$$"):
            with pytest.raises(CommandFailed, match="script of an extension"):
                strict.psql(call)
        strict.psql("ALTER EXTENSION zanith_guard_test UPDATE TO '2'")
        with pytest.raises(CommandFailed, match="script of an extension"):
            strict.psql("ALTER EXTENSION zanith_guard_test UPDATE TO '3'")
        # a member by a command of the owner's is none for a script
        strict.psql("ALTER EXTENSION zanith_guard_test ADD TABLE t")
        for way in ("ALTER EXTENSION zanith_guard_test DROP TABLE t", "SELECT 1"):
            with pytest.raises(CommandFailed, match=r"guard: DROP \w+ would delete"):
                strict.psql(
                    "BEGIN; SELECT zanith._guard_accept_members(); SELECT 'extension';"
                    f" SET zanith.guard_busy = on; {way};"
                    f"DROP {'TABLE t' if 'DROP' in way else 'EXTENSION zanith_guard_test'}; COMMIT"
                )
    finally:
        for file in folder.glob("zanith_guard_test*"):
            file.unlink()


async def test_zaniths_own_work_passes(strict, tmp_path):
    strict.psql(
        "CREATE TABLE t (id int PRIMARY KEY, a text, b text);"
        "INSERT INTO t SELECT g, 'a' || g, 'b' FROM generate_series(1, 500) g;"
        "CREATE TABLE up (x int); CREATE TABLE down (y int) INHERITS (up);"
        "INSERT INTO down VALUES (1, 2)"
    )
    before = strict.schema()
    engine = await Engine.open(strict.url)
    try:
        for online in (False, True):
            request = CaptureRequest("archive_column", "public.t", "b", online=online)
            artifact = await capture(engine, request, DBA)
            await restore(engine, artifact.id, Choices(online=online), DBA)
            await purge(engine, artifact.id, DBA, confirm="b")
        for strategy in ("soft_drop_column", "archive_column"):
            artifact = await capture(engine, CaptureRequest(strategy, "public.t", "b"), DBA)
            restore_by_psql(strict, artifact.id, tmp_path)
        for strategy in ("soft_drop_table", "archive_table"):
            artifact = await capture(engine, CaptureRequest(strategy, "public.down", None), DBA)
            restore_by_psql(strict, artifact.id, tmp_path)
            artifact = await capture(engine, CaptureRequest(strategy, "public.down", None), DBA)
            await restore(engine, artifact.id, Choices(), DBA)
        strict.psql("DROP TABLE down")
        gone = strict.psql(
            "SELECT max(id) FROM zanith._zanith_migration_artifacts"
            " WHERE status = 'recoverable' AND source_table = 'down'"
        )
        await purge(engine, gone, DBA, confirm="down")
    finally:
        await engine.close()
    assert strict.psql("SELECT count(*) FROM t WHERE b = 'b'") == "500"
    assert (
        strict.psql("SELECT count(*) FROM zanith._zanith_audit_log WHERE detail ? 'deleted'") == "0"
    )
    assert "CREATE TABLE public.down" in before


@pytest.mark.newest
@pytest.mark.parametrize("first", ["-- drop nothing", "-- nothing"])
def test_a_string_of_four_times_the_statements_takes_four_times_the_time(guarded, first):
    """A schema file in one string: neither its comments nor its length count for each statement."""
    guarded.psql("CREATE TABLE t (a int)")

    def seconds(statements: int) -> float:
        text = first + "".join(
            f"\n--\n-- Name: {n}{'; Owner: -' * 20}\n--\nALTER TABLE t ALTER a SET DEFAULT {n};"
            for n in range(statements)
        )
        with asyncio.Runner() as runner:
            connection = runner.run(asyncpg.connect(guarded.url))
            runner.run(connection.execute(text))  # and all is warm
            before = processor_time(connection.get_server_pid())
            for _ in range(5):
                runner.run(connection.execute(text))
            taken = processor_time(connection.get_server_pid()) - before
            runner.run(connection.close())
        return taken

    small = seconds(300)
    assert small > 0.05  # the clock ticks each 0.01 s
    assert seconds(1_200) / small < 9  # quadratic: 16


async def test_a_trial_says_what_would_happen_and_changes_nothing(database):
    database.psql(
        WORLD.replace(f"CREATE ROLE {ROLE};", "").replace(f"ALTER TABLE owned OWNER TO {ROLE};", "")
    )
    before = without_tokens(database.pg_dump())
    engine = await Engine.open(database.url)
    text = "BEGIN; ALTER TABLE t DROP f CASCADE; DROP TABLE t; DROP SCHEMA s CASCADE; SELECT 1/0"
    try:
        found = await try_statements(engine, text)
    finally:
        await engine.close()
    assert [verdict.outcome for verdict in found] == [
        "skipped", "captured", "captured", "captured", "failed"]  # fmt: skip
    assert [entry["object"] for entry in found[1].captured] == ["public.t.f"]
    assert [entry["object"] for entry in found[3].captured] == ["s.t"]
    assert without_tokens(database.pg_dump()) == before


@pytest.mark.newest
@pytest.mark.parametrize("ends", ["COMMIT", "ROLLBACK"])
def test_what_a_prepared_transaction_drops_is_kept_when_it_commits(guarded: Database, ends: str):
    """PREPARE TRANSACTION fails after NOTIFY, which tells the studio."""
    guarded.psql(
        "CREATE TABLE cut (id int PRIMARY KEY, code text, price numeric(8, 2));"
        "CREATE TABLE gone (a int); CREATE TABLE emptied (a int);"
        "INSERT INTO cut VALUES (1, 'a', 1.25); INSERT INTO emptied VALUES (1)"
    )
    guard_truncate(guarded, "emptied")
    statements = {
        "ALTER TABLE cut DROP COLUMN code": "archive_column",
        "ALTER TABLE cut ALTER price TYPE int": "archive_values",
        "DROP TABLE gone": "archive_table",
        "TRUNCATE emptied": "archive_rows",
    }
    for number, statement in enumerate(statements):
        name = f"'{guarded.name} {number}'"
        guarded.psql(f"BEGIN; {statement}; PREPARE TRANSACTION {name}")
        guarded.psql(f"{ends} PREPARED {name}")
    found = guarded.psql(
        "SELECT artifact_type FROM zanith._zanith_migration_artifacts ORDER BY capture_order"
    )
    assert found.split() == (list(statements.values()) if ends == "COMMIT" else [])
