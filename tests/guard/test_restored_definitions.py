"""A kept definition comes back, or the plan says what stops it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from app.recovery.core.errors import ZanithError
from app.recovery.db.database import Database as Engine
from app.recovery.plan.model import Choices
from app.recovery.restore.migration import digest_of_all, plan_migration, restore_migration
from app.recovery.restore.restore import restore
from tests.acceptance.command import done, zanith
from tests.conftest import Database
from tests.guard.test_definitions import ARTIFACTS, TWO, plan
from tests.guard.twin import DBA, turn_guard_off, turn_guard_on, without_ours
from tests.oracle.judges import see

CONFLICTS = {  # what is made, dropped, and done then; and the conflict
    "view_taken": (TWO, "DROP VIEW v", "CREATE VIEW v AS SELECT 2 AS x", "name_taken"),
    "index_taken": (TWO, "DROP INDEX i", "CREATE TABLE i (x int)", "name_taken"),
    "sequence_taken": (TWO, "DROP SEQUENCE q", "CREATE VIEW q AS SELECT 1 AS x", "name_taken"),
    "default_taken": (
        *(TWO, "ALTER TABLE t ALTER a DROP DEFAULT", "ALTER TABLE t ALTER a SET DEFAULT 'z'"),
        "name_taken",
    ),
    "constraint_taken": (
        TWO + "ALTER TABLE t ADD CONSTRAINT c CHECK (id > 0)",
        "ALTER TABLE t DROP CONSTRAINT c",
        "ALTER TABLE t ADD CONSTRAINT c CHECK (id > 5) NOT VALID",
        "name_taken",
    ),
    "type_taken": (
        *("CREATE TYPE e AS ENUM ('a')", "DROP TYPE e", "CREATE DOMAIN e AS int"),
        "name_taken",
    ),
    "function_taken": (
        "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DROP FUNCTION f",
        "CREATE FUNCTION f(x int) RETURNS text LANGUAGE sql AS 'SELECT 1'",
        "function_exists",
    ),
    "table_gone": (TWO, "DROP INDEX i", "DROP TABLE t CASCADE", "table_gone"),
    "table_of_view_gone": (TWO, "DROP VIEW v", "DROP TABLE t", "column_gone"),
    "column_gone": (TWO, "DROP INDEX i", "ALTER TABLE t RENAME a TO b", "column_renamed"),
    "column_of_view_gone": (TWO, "DROP VIEW v", "ALTER TABLE t DROP id CASCADE", "column_gone"),
    "columns_swapped": (
        TWO + "ALTER TABLE t ADD b text",
        "DROP INDEX i",
        "ALTER TABLE t RENAME a TO c; ALTER TABLE t RENAME b TO a",
        "column_renamed",
    ),
    "default_of_another": (
        TWO + "ALTER TABLE t ADD b text",
        "ALTER TABLE t ALTER a DROP DEFAULT",
        "ALTER TABLE t RENAME a TO c; ALTER TABLE t RENAME b TO a",
        "dependency_renamed",
    ),
    "table_replaced": (
        TWO,
        "DROP INDEX i",
        "ALTER TABLE t RENAME TO o; CREATE TABLE t (a text)",
        "table_replaced",
    ),
    "table_of_view_replaced": (
        TWO,
        "DROP VIEW v",
        "ALTER TABLE t RENAME TO o; CREATE TABLE t (id int)",
        "dependency_renamed",
    ),
    "function_gone": (
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE VIEW v AS SELECT f();",
        "DROP VIEW v",
        "DROP FUNCTION f",
        "dependency_gone",
    ),
    "type_gone": (
        "CREATE TYPE e AS ENUM ('a'); CREATE FUNCTION f(e) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DROP FUNCTION f",
        "DROP TYPE e",
        "dependency_gone",
    ),
    "role_gone": (
        "CREATE ROLE kept_gone; CREATE VIEW v AS SELECT 1 AS x; ALTER VIEW v OWNER TO kept_gone",
        "DROP VIEW v",
        "DROP ROLE kept_gone",
        "role_missing",
    ),
    "schema_away": (
        "CREATE SCHEMA z; CREATE SEQUENCE z.q",
        "DROP SEQUENCE z.q",
        "ALTER SCHEMA z RENAME TO y",
        "schema_gone",
    ),
    "identity_null": (
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY)",
        "ALTER TABLE t ALTER id DROP IDENTITY",
        "ALTER TABLE t ALTER id DROP NOT NULL",
        "null_in_key",
    ),
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_what_stops_a_restore_is_a_conflict(guarded: Database, name: str) -> None:
    made, drop, then, code = CONFLICTS[name]
    guarded.psql(made)
    guarded.psql(drop)
    [artifact] = guarded.psql(ARTIFACTS).split()
    guarded.psql(f"SET zanith.guard = off; {then}" if "gone" not in name else then)
    found = plan(guarded, artifact)
    assert code in [conflict.code for conflict in found.conflicts]
    for conflict in found.conflicts:
        waits = [x for x in guarded.psql(ARTIFACTS).split() if x != artifact]
        if name in {"function_gone", "type_gone", "table_gone"}:
            assert list(conflict.waits_for) == waits
        assert conflict.hint


@pytest.mark.newest
def test_rows_that_break_a_constraint_stop_it(guarded: Database) -> None:
    guarded.psql(
        "CREATE TABLE t (id int PRIMARY KEY, b int CONSTRAINT c CHECK (b > 0) CONSTRAINT u UNIQUE);"
        " CREATE TABLE o (t_id int CONSTRAINT fk REFERENCES t)"
    )
    guarded.psql(
        "ALTER TABLE t DROP CONSTRAINT c; ALTER TABLE t DROP CONSTRAINT u;"
        " ALTER TABLE o DROP CONSTRAINT fk; INSERT INTO t VALUES (1, -1), (2, -1);"
        " INSERT INTO o VALUES (7)"
    )
    for artifact, kind in zip(
        guarded.psql(ARTIFACTS).split(),
        ("foreign_key_orphans", "duplicates", "check_violations"),
        strict=True,
    ):
        found = plan(guarded, artifact)
        assert [(d.kind, d.blocks) for d in found.drift if d.count] == [(kind, True)]
        if kind != "duplicates":
            assert not plan(guarded, artifact, Choices(not_valid=True)).blocked


@pytest.mark.parametrize(
    ("made", "drop", "there"),
    [
        (TWO, "DROP VIEW v", "SELECT id FROM other"),
        (TWO, "DROP INDEX i", "SELECT indkey FROM pg_index WHERE indexrelid = 'other'::regclass"),
        (TWO, "DROP SEQUENCE q", "SELECT nextval('other')"),
        (
            "CREATE MATERIALIZED VIEW m AS SELECT 1 AS x; CREATE INDEX mi ON m (x)",
            "DROP MATERIALIZED VIEW m",
            "SELECT x FROM other",
        ),
    ],
)
def test_it_comes_back_by_another_name(guarded: Database, made: str, drop: str, there: str) -> None:
    guarded.psql(made)
    guarded.psql(drop)
    [artifact] = guarded.psql(ARTIFACTS).split()

    async def back() -> None:
        engine = await Engine.open(guarded.url)
        try:
            report = await restore(engine, artifact, Choices(as_name="other"), DBA)
            assert report.fidelity is not None
            assert report.fidelity["missing"] == []
            assert len(report.fidelity["different"]) == 1  # the name
            again = await restore(engine, artifact, Choices(), DBA)
            assert again.already_restored
        finally:
            await engine.close()

    asyncio.run(back())
    assert guarded.psql(there) in {"1", "2"}


def test_a_trigger_comes_back_without_partitions_that_are_gone(guarded: Database) -> None:
    guarded.psql(
        "CREATE TABLE t (a int) PARTITION BY LIST (a); CREATE TABLE t1 PARTITION OF t FOR VALUES IN"
        " (1); CREATE TABLE t2 PARTITION OF t FOR VALUES IN (2); CREATE TABLE t3 PARTITION OF t FOR"
        " VALUES IN (3); CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN"
        " NEW; END'; CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION touch();"
        " ALTER TABLE t1 DISABLE TRIGGER g; ALTER TABLE t2 DISABLE TRIGGER g; ALTER TABLE t3"
        " DISABLE TRIGGER g"
    )
    guarded.psql("DROP TRIGGER g ON t")
    [artifact] = guarded.psql(ARTIFACTS).split()
    guarded.psql("SET zanith.guard = off; DROP TABLE t1; ALTER TABLE t DETACH PARTITION t2")

    async def back() -> None:
        engine = await Engine.open(guarded.url)
        try:
            await restore(engine, artifact, Choices(), DBA)
        finally:
            await engine.close()

    asyncio.run(back())
    states = "SELECT tgrelid::regclass, tgenabled FROM pg_trigger WHERE tgname = 'g' ORDER BY 1"
    assert guarded.psql(states).splitlines() == ["t|O", "t3|D"]


@pytest.mark.newest
def test_functions_in_a_circle_are_kept_as_text(guarded: Database) -> None:
    guarded.psql(
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION g() RETURNS"
        " int RETURN f(); CREATE OR REPLACE FUNCTION f() RETURNS int RETURN g()"
    )
    guarded.psql("DROP FUNCTION f CASCADE")
    [artifact] = guarded.psql(ARTIFACTS).split()

    async def back() -> None:
        engine = await Engine.open(guarded.url)
        try:
            with pytest.raises(ZanithError, match="does not exist"):
                await restore(engine, artifact, Choices(), DBA)
        finally:
            await engine.close()

    asyncio.run(back())
    script = guarded.psql(
        f"SELECT recovery_sql FROM zanith._zanith_migration_artifacts WHERE id = '{artifact}'"
    )
    assert "RETURN public.f()" in script
    assert "RETURN public.g()" in script


@pytest.mark.newest
def test_a_migration_comes_back_in_the_reverse_order(guarded: Database) -> None:
    guarded.psql(
        "CREATE TYPE e AS ENUM ('a'); CREATE FUNCTION f(e) RETURNS int IMMUTABLE LANGUAGE sql AS"
        " 'SELECT 1'; CREATE TABLE t (id int PRIMARY KEY, c e, b int); CREATE INDEX i ON t (b);"
        " CREATE VIEW v AS SELECT f(c) AS x, b FROM t; INSERT INTO t VALUES (1, 'a', 1);"
    )
    before = see(guarded, moved=True)
    guarded.psql(
        "BEGIN; DROP VIEW v; DROP FUNCTION f; DROP INDEX i; DROP TABLE t; DROP TYPE e; COMMIT"
    )

    async def back() -> None:
        engine = await Engine.open(guarded.url)
        try:
            [migration] = guarded.psql(
                "SELECT DISTINCT migration_id FROM zanith._zanith_migration_artifacts"
            ).splitlines()
            plans = await plan_migration(engine, migration)
            assert not [found for _, found in plans if found.blocked]
            shown = digest_of_all(plans)
            reports = await restore_migration(engine, migration, None, DBA, expected_digest=shown)
            assert [report.artifact.title for report in reports] == [
                "public.t",
                "function public.f(public.e)",
                "view public.v",
            ]
        finally:
            await engine.close()

    asyncio.run(back())
    assert without_ours(see(guarded, moved=True)) == without_ours(before)


def test_the_owner_restores_it(guarded: Database, create_role: Callable[..., str]) -> None:
    """As a role that is no superuser, with `recovery_sql` too."""
    role = create_role("keeper")
    turn_guard_off(guarded)
    turn_guard_on(guarded, public=True)
    guarded.psql(f"CREATE SCHEMA s AUTHORIZATION {role}")
    guarded.psql(
        f"SET ROLE {role}; SET search_path = s; CREATE TABLE t (id int PRIMARY KEY, a text);"
        " CREATE FUNCTION f(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1';"
        " CREATE INDEX i ON t (f(a)); CREATE VIEW v AS SELECT f(a) AS x FROM t;"
        " ALTER TABLE t ADD CONSTRAINT c CHECK (f(a) <> '')"
    )
    before = see(guarded, moved=True)
    guarded.psql(
        f"SET ROLE {role}; SET search_path = s; DROP VIEW v; DROP INDEX i;"
        " ALTER TABLE t DROP CONSTRAINT c; DROP FUNCTION f"
    )
    for artifact in guarded.psql(ARTIFACTS).split():
        script = guarded.psql(
            f"SELECT recovery_sql FROM zanith._zanith_migration_artifacts WHERE id = '{artifact}'"
        )
        guarded.psql(f"SET SESSION AUTHORIZATION {role};\n{script}")
    assert without_ours(see(guarded, moved=True)) == without_ours(before)
    states = guarded.psql("SELECT DISTINCT status FROM zanith._zanith_migration_artifacts")
    assert states == "restored"


@pytest.mark.newest
def test_no_plan_offers_to_leave_out_the_object_itself(guarded, create_role):
    """Then nothing would come back."""
    owner = create_role("owner")
    guarded.psql(
        f"CREATE DOMAIN euros AS numeric CHECK (VALUE > 0); ALTER DOMAIN euros OWNER TO {owner};"
        "CREATE TABLE orders (total euros); CREATE VIEW totals AS SELECT total FROM orders;"
        "CREATE VIEW more AS SELECT total FROM totals; DROP VIEW totals CASCADE"
    )
    said = zanith("recover", "restore", "totals", "--yes", url=guarded.url)
    assert said.code == 4
    assert "view public.totals uses the type public.euros" in said.err
    assert "--without 'view public.totals'" not in said.err
    guarded.psql("ALTER DOMAIN euros OWNER TO CURRENT_USER")
    done("recover", "restore", "totals", "--yes", url=guarded.url)
    assert guarded.psql("SELECT count(*) FROM more") == "0"
