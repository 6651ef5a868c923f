"""What has no rows is an artifact too: a plain drop keeps its definition, and it comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from app.recovery.db.database import Database as Engine
from app.recovery.guard.rules import Mode, Rule
from app.recovery.plan.model import Choices, Plan
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.restore import restore
from tests.acceptance.command import Result, zanith
from tests.conftest import Database
from tests.guard.definitions import build, names
from tests.guard.twin import DBA, turn_guard_on, without_ours
from tests.oracle.judges import grant_capture, restore_by_psql, see

ARTIFACTS = (
    "SELECT id FROM zanith._zanith_migration_artifacts WHERE status = 'recoverable'"
    " ORDER BY capture_order DESC"
)
KEPT = (
    "SELECT kept_kind || ' ' || kept_name FROM zanith._zanith_migration_artifacts"
    " ORDER BY capture_order"
)


async def restore_all(database: Database, artifacts: list[str]) -> None:
    engine = await Engine.open(database.url)
    try:
        for artifact in artifacts:
            report = await restore(engine, artifact, Choices(), DBA)
            assert report.fidelity is not None
            assert report.fidelity["missing"] == []
            assert report.fidelity["different"] == []
    finally:
        await engine.close()


@pytest.mark.parametrize("with_psql", [False, True])
def test_what_is_dropped_by_itself_comes_back_as_it_was(
    guarded: Database, roles: dict[str, str], tmp_path: Path, with_psql: bool
) -> None:
    chosen = build(guarded, roles)
    before = see(guarded, moved=True)
    for schema, case in chosen.items():
        drops = names(case.drops, roles, schema)
        guarded.psql(f"SET search_path = {schema}; {drops}")
    found = guarded.psql(KEPT.replace("ORDER", "WHERE kept_kind IS NOT NULL ORDER")).splitlines()
    expected = [names(line, roles, name) for name, case in chosen.items() for line in case.kept]
    assert set(found) ^ set(expected) == set()
    assert len(found) == len(expected)
    artifacts = guarded.psql(ARTIFACTS).split()
    if with_psql:
        for artifact in artifacts:
            restore_by_psql(guarded, artifact, tmp_path)
    else:
        asyncio.run(restore_all(guarded, artifacts))
    after = see(guarded, moved=True)
    assert without_ours(after) == without_ours(before)
    assert guarded.psql("SELECT count(*) FROM zanith._zanith_guard_definitions") == "0"


# ---------------------------------------------------------------------------------- transactions

TWO = (
    "CREATE TABLE t (id int PRIMARY KEY, a text DEFAULT 'x'); INSERT INTO t VALUES (1, 'a');"
    " CREATE VIEW v AS SELECT id FROM t; CREATE INDEX i ON t (a); CREATE SEQUENCE q;"
)


def kept(database: Database) -> list[str]:
    return database.psql(KEPT.replace("ORDER", "WHERE kept_kind IS NOT NULL ORDER")).splitlines()


def plan(database: Database, artifact: str, choices: Choices | None = None) -> Plan:
    async def ask() -> Plan:
        engine = await Engine.open(database.url)
        try:
            return await plan_restore(engine, artifact, choices or Choices())
        finally:
            await engine.close()

    return asyncio.run(ask())


def captures(database: Database) -> list[str]:
    """Return what the audit log says was captured."""
    return database.psql(
        "SELECT object FROM zanith._zanith_audit_log WHERE action = 'capture' ORDER BY id"
    ).splitlines()


SAME = {  # what a transaction does, and what is kept of it
    "made_again": ("DROP VIEW IF EXISTS v; CREATE VIEW v AS SELECT id FROM t", []),
    "made_otherwise": ("DROP VIEW v; CREATE VIEW v AS SELECT a FROM t", ["view public.v"]),
    "granted": (
        "DROP VIEW v; CREATE VIEW v AS SELECT id FROM t; GRANT SELECT ON v TO PUBLIC",
        ["view public.v"],
    ),
    "index_again": ("DROP INDEX i; CREATE INDEX i ON t (a)", []),
    "default_again": ("ALTER TABLE t ALTER a DROP DEFAULT, ALTER a SET DEFAULT 'x'", []),
    "default_other": (
        "ALTER TABLE t ALTER a DROP DEFAULT; ALTER TABLE t ALTER a SET DEFAULT 'y'",
        ["column default public.t.a"],
    ),
    "undone": ("SAVEPOINT a; DROP VIEW v; ROLLBACK TO a", []),
    "rolled_back": ("DROP VIEW v; ROLLBACK; BEGIN", []),
    "with_column": ("DROP INDEX i; ALTER TABLE t DROP a", []),
    "with_table": ("DROP VIEW v; DROP INDEX i; DROP TABLE t", ["view public.v"]),
    "with_key": (
        "CREATE VIEW w AS SELECT id, a FROM t GROUP BY id;"
        " ALTER TABLE t DROP CONSTRAINT t_pkey CASCADE; DROP TABLE t CASCADE",
        ["constraint t_pkey on public.t"],  # which has the view w
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_a_transaction_keeps_what_is_gone_in_the_end(guarded: Database, name: str) -> None:
    guarded.psql(TWO)
    statements, expected = SAME[name]
    before = see(guarded, moved=True)
    guarded.psql(f"BEGIN; {statements}; COMMIT")
    assert kept(guarded) == expected
    assert guarded.psql("SELECT count(*) FROM zanith._zanith_guard_definitions") == "0"
    logged = [line.split(" ", 2 if line.startswith("column") else 1)[-1] for line in expected]
    assert [line for line in captures(guarded) if not name.startswith("with")] == logged[:1] * (
        not name.startswith("with")
    )
    if name in {"with_column", "with_table"}:
        asyncio.run(restore_all(guarded, guarded.psql(ARTIFACTS).split()))
        assert without_ours(see(guarded, moved=True)) == without_ours(before)
    if name == "with_key":
        asyncio.run(restore_all(guarded, guarded.psql(ARTIFACTS).split()))
        assert guarded.psql("SELECT a FROM w") == "a"


def test_a_statement_that_was_taken_for_another_leaves_no_artifact(guarded: Database) -> None:
    guarded.psql(TWO)
    dropped = (
        "SELECT jsonb_build_array(jsonb_build_object('class', 'pg_class', 'oid', 'v'::regclass::int"
        ", 'attnum', 0, 'type', 'view', 'named', true, 'normal', false, 'temporary', false))"
    )
    guarded.psql(f"BEGIN; SELECT zanith._guard_keep(({dropped}), 'DROP VIEW v', 'public'); COMMIT")
    assert kept(guarded) == []
    assert captures(guarded) == []


def test_who_may_not_capture_drops_as_without_the_guard(
    guarded: Database, create_role: Callable[..., str]
) -> None:
    role = create_role("maker")
    guarded.psql(f"CREATE SCHEMA s AUTHORIZATION {role}")
    text = (
        "SET search_path = s; CREATE VIEW v AS SELECT 1 AS x; CREATE SEQUENCE q; DROP VIEW v;"
        " DROP SEQUENCE q; CREATE TABLE t (a int DEFAULT 1); ALTER TABLE t ALTER a DROP DEFAULT"
    )
    guarded.psql(f"SET ROLE {role}; {text}")
    assert kept(guarded) == []
    # and calls the function by hand in vain
    recorded = guarded.psql(
        f"SET ROLE {role}; CREATE VIEW s.own AS SELECT 1 AS x;"
        " SELECT zanith._guard_record_definitions(jsonb_build_array(jsonb_build_object('class',"
        " 'pg_class', 'oid', 's.own'::regclass::oid, 'attnum', 0, 'type', 'view', 'named', true,"
        " 'temporary', false)), '{}', 'm', 'r', 'public', zanith._prove_caller()); DROP VIEW s.own"
    )
    assert recorded == "[]"
    assert kept(guarded) == []
    grant_capture(guarded, role)
    guarded.psql(f"SET ROLE {role}; DROP TABLE s.t; {text}")
    assert kept(guarded) == ["view s.v", "sequence s.q", "column default s.t.a"]
    roles = guarded.psql("SELECT DISTINCT created_by_role FROM zanith._zanith_migration_artifacts")
    assert roles == role


@pytest.mark.newest
def test_only_the_mode_capture_keeps_definitions(guarded: Database) -> None:
    guarded.psql(TWO)
    for mode in ("off", "refuse"):
        guarded.psql(f"BEGIN; SET LOCAL zanith.guard = {mode}; DROP VIEW v; COMMIT")
        guarded.psql("CREATE VIEW v AS SELECT id FROM t")
    turn_guard_on(guarded, Rule(Mode.WARN, schema="public"))
    guarded.psql("DROP VIEW v")
    assert kept(guarded) == []


@pytest.mark.newest
def test_a_failure_to_record_stops_no_statement(guarded: Database) -> None:
    guarded.psql(TWO)
    guarded.psql("ALTER FUNCTION zanith._define_kept RENAME TO _broken")
    said = guarded.psql("DROP VIEW v")
    assert said == ""
    assert guarded.psql("SELECT to_regclass('v')") == ""
    guarded.psql("ALTER FUNCTION zanith._kept_objects RENAME TO _broken_too")
    guarded.psql("DROP SEQUENCE q; DROP INDEX i")
    assert kept(guarded) == []
    assert guarded.psql("SELECT to_regclass('q'), to_regclass('i')") == "|"


@pytest.mark.newest
def test_what_has_no_definition_to_keep_passes(guarded: Database) -> None:
    guarded.psql(
        "CREATE TEMP VIEW v AS SELECT 1 AS x; DROP VIEW v; CREATE TABLE t (a int); CREATE INDEX i"
        " ON t (a); CREATE FUNCTION f(int, int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT"
        " true'; CREATE OPERATOR @@@@ (FUNCTION = f, LEFTARG = int, RIGHTARG = int)"
    )
    guarded.psql("DROP INDEX CONCURRENTLY i")
    guarded.psql("CREATE TABLE o (a int CONSTRAINT n NOT NULL)")
    guarded.psql("ALTER TABLE o DROP CONSTRAINT n")
    assert kept(guarded) == []
    guarded.psql("DROP FUNCTION f CASCADE")
    assert kept(guarded) == ["function public.f(integer, integer)"]
    [artifact] = guarded.psql(ARTIFACTS).split()
    assert [loss.message for loss in plan(guarded, artifact).losses] == [
        "operator public.@@@@(integer,integer) was dropped with it, and is not restored:"
        " Zanith does not describe it"
    ]


@pytest.mark.newest
def test_a_grant_by_another_role_is_a_loss(
    guarded: Database, create_role: Callable[..., str]
) -> None:
    giver = create_role("giver")
    guarded.psql(
        "CREATE VIEW v AS SELECT 1 AS x; CREATE SEQUENCE q; CREATE TYPE e AS ENUM ('a'); CREATE"
        f" FUNCTION f() RETURNS int RETURN 1; GRANT SELECT ON v TO {giver} WITH GRANT OPTION;"
        f" GRANT USAGE ON SEQUENCE q TO {giver} WITH GRANT OPTION; GRANT USAGE ON TYPE e TO {giver}"
        f" WITH GRANT OPTION; GRANT EXECUTE ON FUNCTION f TO {giver} WITH GRANT OPTION; SET ROLE"
        f" {giver}; GRANT SELECT ON v TO PUBLIC; GRANT USAGE ON SEQUENCE q TO PUBLIC; GRANT USAGE"
        " ON TYPE e TO PUBLIC; GRANT EXECUTE ON FUNCTION f TO PUBLIC"
    )
    guarded.psql("DROP VIEW v; DROP SEQUENCE q; DROP TYPE e; DROP FUNCTION f")
    for artifact in guarded.psql(ARTIFACTS).split():
        assert [loss.code for loss in plan(guarded, artifact).losses] == ["grantor"]


# ------------------------------------------------------------------------------------ interfaces


@pytest.mark.newest
def test_the_commands_take_it_as_any_artifact(guarded: Database) -> None:
    guarded.psql(TWO + "ALTER TABLE t ADD CONSTRAINT c CHECK (id > 0)")
    guarded.psql("DROP VIEW v; DROP INDEX i; ALTER TABLE t DROP CONSTRAINT c; DROP SEQUENCE q")

    def run(*words: str) -> Result:
        return zanith(*words, url=guarded.url)

    found = run("list", "--type", "keep_definition", "--json").json["artifacts"]
    assert [(item["kept_kind"], item["kept_name"], item["row_count"]) for item in found] == [
        ("sequence", "public.q", None),
        ("constraint", "c on public.t", None),
        ("index", "public.i", None),
        ("view", "public.v", None),
    ]
    assert "constraint c on public.t" in run("list").out
    assert len(run("list", "--table", "public.t", "--json").json["artifacts"]) == 2
    # by the name of the object, and of what is on a table as a column
    for name, title in (("v", "public.v"), ("public.i", "public.i"), ("t.c", "c on public.t")):
        shown = run("recover", "inspect", name, "--json").json
        assert shown["kept_name"] == title
        assert "CREATE" in shown["recovery_sql"] or "ADD CONSTRAINT" in shown["recovery_sql"]
    assert "its definition is kept" in run("recover", "inspect", "v").out
    for verb in ("export", "seal", "verify"):
        assert "of public.v only the definition was kept" in run("recover", verb, "v").err
    said = run("recover", "restore", "t.c", "--as", "other", "--yes").err
    assert "constraint c on public.t comes back by its own name only" in said
    assert run("recover", "restore-table", "v", "--yes").code != 0  # it is no table
    assert "restored public.v" in run("recover", "restore", "v", "--yes").out
    assert "restored already" in run("recover", "restore", "v", "--yes").out
    assert "purged public.i" in run("recover", "purge", "i", "--yes").out
    assert "i on" not in run("list").out
    trial = run("guard", "test", "DROP VIEW v").out
    assert "view public.v (keep_definition)" in trial
    assert "sequence public.q" in run("status").out
    assert run("recover", "doctor").code == 0


@pytest.mark.newest
def test_a_table_or_column_goes_before_a_definition_of_its_name(guarded: Database) -> None:
    guarded.psql("CREATE TABLE x (id int PRIMARY KEY, c text DEFAULT 'a')")
    guarded.psql("ALTER TABLE x DROP c; ALTER TABLE x ADD c text DEFAULT 'b'")
    guarded.psql("ALTER TABLE x ALTER c DROP DEFAULT; DROP TABLE x; CREATE VIEW x AS SELECT 1 AS y")
    guarded.psql("DROP VIEW x")
    for name, kind in (("x", "archive_table"), ("x.c", "archive_column")):
        found = zanith("recover", "inspect", name, "--json", url=guarded.url).json
        assert found["artifact_type"] == kind
