"""Refusals: by SQLSTATE, in words, with what to do instead; and afterwards nothing has changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import asyncpg
import pytest

from tests.acceptance.shapes.columns import VALUES
from tests.acceptance.shapes.constraints import CONSTRAINTS, INDEXES
from tests.acceptance.shapes.dependents import BESIDE, EXPRESSIONS, VIEWS
from tests.acceptance.shapes.partitions import PARTITIONS
from tests.acceptance.shapes.tables import TABLES
from tests.conftest import Database
from tests.oracle.judges import (
    Trial,
    capture_call,
    dump_entries,
    grant_capture,
    open_session,
    quote,
)

COLUMN, TABLE = ("soft_drop_column", "archive_column"), ("soft_drop_table", "archive_table")
EVERY = (*COLUMN, *TABLE)

WORLD = """
CREATE TABLE t (id int PRIMARY KEY, c text, g int GENERATED ALWAYS AS (id * 2) STORED,
    i int GENERATED ALWAYS AS IDENTITY,
                r int NOT NULL, CONSTRAINT ru UNIQUE (r));
ALTER TABLE t REPLICA IDENTITY USING INDEX ru;
INSERT INTO t (id, c, r) VALUES (1, 'a', 1);
CREATE TABLE keyless (a int, b int UNIQUE, c text);
CREATE TABLE deferred_key (a int NOT NULL UNIQUE DEFERRABLE, c text);
CREATE TABLE partial_key (a int NOT NULL, c text);
CREATE UNIQUE INDEX ON partial_key (a) WHERE a > 0;
CREATE TABLE expression_key (a int NOT NULL, c text);
CREATE UNIQUE INDEX ON expression_key ((a + 1));
CREATE TABLE its_only_key (a int PRIMARY KEY, c text);
CREATE TABLE including (a int, b int, c text, PRIMARY KEY (a, b) INCLUDE (c));
CREATE TABLE its_own_key (a text NOT NULL UNIQUE, c int NOT NULL UNIQUE);
CREATE TABLE parted (a int, b int, c text) PARTITION BY RANGE (a, (b + 1));
CREATE TABLE part PARTITION OF parted DEFAULT;
CREATE TABLE parent (a int, c text); CREATE TABLE child () INHERITS (parent);
CREATE TABLE merged (a int, c text); CREATE TABLE merging (c text) INHERITS (merged);
CREATE TYPE form AS (id int, c text); CREATE TABLE typed OF form (PRIMARY KEY (id));
CREATE TABLE "Far" (x int, "Has Space" int PRIMARY KEY, c text);
CREATE VIEW v AS SELECT 1 AS c; CREATE MATERIALIZED VIEW m AS SELECT 1 AS c; CREATE SEQUENCE s;
CREATE TYPE ty AS (c int);
CREATE INDEX ti ON t (id);
CREATE FOREIGN DATA WRAPPER w; CREATE SERVER sv FOREIGN DATA WRAPPER w;
CREATE FOREIGN TABLE f (c int) SERVER sv;
CREATE TABLE mixed (a int) PARTITION BY LIST (a);
CREATE FOREIGN TABLE mixed_f PARTITION OF mixed DEFAULT SERVER sv;
CREATE TABLE ext (id int PRIMARY KEY, c text); ALTER EXTENSION plpgsql ADD TABLE ext;
CREATE TABLE pub (id int PRIMARY KEY, c text); CREATE PUBLICATION "Pub 1" FOR TABLE pub;
CREATE SCHEMA pubs;
CREATE TABLE pubs.t (id int PRIMARY KEY, c text);
CREATE PUBLICATION pub_schema FOR TABLES IN SCHEMA pubs;
CREATE TABLE looked (id int PRIMARY KEY, c text); CREATE VIEW looker AS SELECT c FROM looked;
SELECT format('CREATE TABLE full_up (id int PRIMARY KEY, c int, %s)',
    string_agg('c' || n || ' int', ', ')) FROM generate_series(1, 1598) n \\gexec
GRANT ALL ON t TO :reader;
"""

# (strategies, table, column, SQLSTATE, words of the message, words of the hint)
CASES = [
    (COLUMN, "parted", "a", "42P16", "part of the partition key", "whole table"),
    (COLUMN, "parted", "b", "42P16", "part of the partition key", "whole table"),
    (COLUMN, "child", "c", "42P16", "inherited from public.parent", "public.parent.c"),
    (COLUMN, "part", "c", "42P16", "inherited from public.parted", "public.parted.c"),
    (("archive_column",), "parent", "c", "0A000", "inheritance children", "soft_drop_column"),
    (TABLE, "parent", None, "2BP01", "because other objects depend on it", "'cascade'"),
    (("soft_drop_column",), "merged", "c", "0A000", "merging has a column", "NO INHERIT"),
    (COLUMN, "typed", "c", "42809", "typed table", "whole table"),
    (("soft_drop_column",), "t", "g", "0A000", "generated column", "archive_column"),
    (("archive_column",), "its_only_key", "a", "55000", "no other primary key", "soft_drop_column"),
    (("archive_column",), "including", "c", "55000", "no other primary key", "soft_drop_column"),
    (COLUMN, "t", "nope", "42703", "column public.t.nope does not exist", "id, c, g, i, r"),
    (
        COLUMN,
        '"Far"',
        "has space",
        "42703",
        'public."Far"."has space" does not exist',
        '"Has Space"',
    ),
    (COLUMN, "t", "ctid", "0A000", "system column", "of your own"),
    (("archive_column",), "keyless", "c", "55000", "no primary key", "soft_drop_column"),
    (("archive_column",), "deferred_key", "c", "55000", "no primary key", "immediate"),
    (("archive_column",), "partial_key", "c", "55000", "no primary key", "non-partial"),
    (("archive_column",), "expression_key", "c", "55000", "no primary key", "unique index"),
    (("archive_column",), "full_up", "c", "54011", "1600 columns", "soft_drop_column"),
    (EVERY, "pg_catalog.pg_class", "relname", "0A000", "system table", "your own"),
    (EVERY, "information_schema.sql_features", "feature_id", "0A000", "system table", "your own"),
    (EVERY, "pg_temp.tmp", "c", "0A000", "temporary table", "DROP TABLE"),
    (EVERY, "f", "c", "0A000", "foreign table", "DROP FOREIGN TABLE"),
    (TABLE, "mixed", None, "0A000", "public.mixed_f", "DETACH PARTITION"),
    (EVERY, "ext", "c", "0A000", "extension plpgsql", "DROP EXTENSION"),
    (EVERY, "v", "c", "0A000", "public.v is a view", "DROP VIEW"),
    (EVERY, "m", "c", "0A000", "public.m is a view", "DROP VIEW"),
    (EVERY, "s", "last_value", "42809", "not a table", "table"),
    (EVERY, "ty", "c", "42809", "not a table", "table"),
    (EVERY, "ti", "id", "42809", "not a table", "table"),
    (EVERY, "zanith._zanith_migration_artifacts", "reason", "0A000", "belongs to Zanith", "purge"),
    (EVERY, "pub", "c", "2BP01", "is published", "published_ok"),
    (EVERY, "pubs.t", "c", "2BP01", "is published", "published_ok"),
    (EVERY, "looked", "c", "2BP01", "because other objects depend on it", "cascade"),
]


@pytest.fixture
def world(database: Database, roles: dict[str, str]) -> Database:
    database.psql("".join(f"\\set {name} {role}\n" for name, role in roles.items()) + WORLD)
    return database


def state(database: Database) -> tuple[dict[str, list[str]], str]:
    """Return all that a capture could have changed."""
    count = (
        "SELECT (SELECT count(*) FROM zanith._zanith_migration_artifacts), "
        "(SELECT count(*) FROM zanith._zanith_audit_log)"
    )
    parked = (
        "SELECT count(*) FROM pg_class WHERE relnamespace = '_zanith_shadow'::regnamespace OR "
        "relname LIKE '%zanith_dropped%'"
    )
    return dump_entries(database), database.psql(f"{count}; {parked}")


def refused(run: Callable[[str], object], sql: str) -> asyncpg.PostgresError:
    with pytest.raises(asyncpg.PostgresError) as caught:
        run(sql)
    return caught.value


@pytest.mark.smoke
def test_what_cannot_be_captured_is_refused_by_name(world: Database) -> None:
    """The capture and its plan say the same, and leave everything as it was."""
    before = state(world)
    wrong = []
    with open_session(world) as run:
        run("CREATE TEMPORARY TABLE tmp (id int PRIMARY KEY, c text)")
        for strategies, table, column, sqlstate, message, hint in CASES:
            for strategy in strategies:
                name = column if strategy in COLUMN else None
                arguments = f"'{strategy}', '{table}'" + (f", '{name}'" if name else "")
                for sql in (
                    capture_call(strategy, table, name),
                    f"SELECT zanith.plan_capture({arguments})",
                ):
                    try:
                        run(sql)
                    except asyncpg.PostgresError as error:
                        said = (error.sqlstate, message in str(error), hint in (error.hint or ""))
                        if said != (sqlstate, True, True):
                            wrong.append(f"{sql}: {error.sqlstate} {error} {error.hint}")
                    else:
                        wrong.append(f"{sql}: not refused")
    assert not wrong, "\n".join(wrong)
    assert state(world) == before


def test_wrong_arguments_are_refused(world: Database) -> None:
    """A slip in the call is an error of its own, never half a capture."""
    before = state(world)
    with open_session(world) as run:
        for sql, sqlstate in [
            ("SELECT zanith.archive_table('nowhere')", "42P01"),
            ("SELECT zanith.archive_table(NULL)", "22004"),
            ("SELECT zanith.archive_table(4294967295::oid)", "42P01"),
            ("SELECT zanith.archive_column('t', NULL)", "42703"),
            ("SELECT zanith.archive_column('t', 'c', on_dependents => 'maybe')", "22023"),
            ("SELECT zanith.archive_column('t', 'c', on_dependents => NULL)", "22004"),
            ("SELECT zanith.archive_column('t', 'c', published_ok => NULL)", "22004"),
            ("SELECT zanith.archive_column('t', 'c', notify => NULL)", "22004"),
            ("SELECT zanith.archive_column('t', 'c', expires_in => '-1 day')", "22023"),
            ("SELECT zanith.rebuild_table('t', keep_rows => NULL)", "22004"),
            ("SELECT zanith.plan_capture('drop', 't')", "22023"),
            ("SELECT zanith.plan_restore('000000000000')", "P0002"),
        ]:
            assert refused(run, sql).sqlstate == sqlstate, sql
    assert state(world) == before


def test_what_is_parked_is_not_captured_again(world: Database) -> None:
    """Neither the parked object itself, nor the table that it lies in under its name."""
    with open_session(world) as run:
        for call in (
            "archive_column('t', 'c')",
            "soft_drop_table('keyless')",
            "archive_table('its_own_key')",
        ):
            run(f"SELECT zanith.{call}")
        run("SELECT zanith.soft_drop_column('looked', 'c', on_dependents => 'cascade')")
        parked = (
            "SELECT format('%I.%I', physical_schema, "
            "physical_table) FROM zanith._zanith_migration_artifacts WHERE source_table = "
        )
        for table in ("t", "keyless", "its_own_key"):
            for strategy in TABLE:
                error = refused(run, capture_call(strategy, run(f"{parked}'{table}'")))
                assert (error.sqlstate, "belongs to Zanith" in str(error)) == ("0A000", True)
        name = run(
            "SELECT physical_column FROM zanith._zanith_migration_artifacts WHERE source_table = "
            "'looked'"
        )
        for strategy in COLUMN:
            assert refused(run, capture_call(strategy, "looked", name)).sqlstate == "0A000"


@pytest.mark.parametrize("strategy", EVERY)
def test_only_the_owner_captures(world: Database, roles: dict[str, str], strategy: str) -> None:
    """A role that may merely use a table is refused; nobody at all gets at the functions ungranted."""
    before = state(world)
    column = "c" if strategy in COLUMN else None
    with open_session(world, roles["other"]) as run:
        assert refused(run, capture_call(strategy, "pg_class", column)).sqlstate == "42501"
    grant_capture(world, roles["reader"])
    with open_session(world, roles["reader"]) as run:
        error = refused(run, capture_call(strategy, "t", column))
        assert (error.sqlstate, error.message) == ("42501", "must be owner of table public.t")
        assert "postgres" in (error.hint or "")
    assert state(world)[1] == before[1]


def test_nobody_writes_rows_without_a_capture(world: Database, roles: dict[str, str]) -> None:
    """The functions that record are no way round the capture, for one who may capture."""
    grant_capture(world, roles["owner"])
    world.psql(
        f"CREATE TABLE mine (id int PRIMARY KEY, c text); "
        f"ALTER TABLE mine OWNER TO {roles['owner']};"
        f"GRANT CREATE ON SCHEMA public TO {roles['owner']}"
    )
    with open_session(world, roles["owner"]) as run:
        for sql in (
            "INSERT INTO zanith._zanith_migration_artifacts (id) VALUES ('000000000000')",
            "UPDATE zanith._zanith_migration_artifacts SET recovery_sql = 'x'",
            "DELETE FROM zanith._zanith_migration_artifacts",
            "DELETE FROM zanith._zanith_audit_log",
            "SELECT zanith._finish_capture('000000000000', 0, true, NULL)",
        ):
            assert refused(run, sql).sqlstate in {"42501", "55000", "P0002"}, sql
        artifact = run("SELECT zanith.archive_table('mine')")
        error = refused(run, f"SELECT zanith._finish_capture('{artifact}', 0, true, NULL)")
        assert error.sqlstate in {"42501", "55000"}


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_captures_want_read_committed(world: Database, level: str) -> None:
    """What is committed between the snapshot and the lock would be missing: rows, and checks, views, indexes."""
    before = state(world)
    calls = [
        *(capture_call(strategy, "t", "c" if strategy in COLUMN else None) for strategy in EVERY),
        "SELECT zanith.rebuild_table('t', keep_rows => true)",
    ]
    with open_session(world) as run:
        for call in calls:
            run(f"BEGIN ISOLATION LEVEL {level}")
            error = refused(run, call)
            assert (error.sqlstate, "read committed" in f"{error} {error.hint}".lower()) == (
                "55000",
                True,
            )
            run("ROLLBACK")
    assert state(world) == before


# What stores rows of the table r beside it: their values of a column go with the column.
ROWS_ELSEWHERE = {
    "its type": "CREATE TABLE w (x r)",
    "an array": "CREATE TABLE w (x r[])",
    "a domain": "CREATE DOMAIN d AS r; CREATE TABLE w (x d)",
    "a composite type": "CREATE TYPE c AS (y r[], z int); CREATE TABLE w (x c)",
    "all of these": "CREATE DOMAIN d AS r; CREATE TYPE c AS (y d[], z int); CREATE TABLE w (x c[])",
    "a table of rows of a table": "CREATE TABLE rows_of_r (y r); CREATE TABLE w (x rows_of_r)",
    "the type of a partition": "CREATE TABLE r1 PARTITION OF r FOR VALUES FROM (0) TO (9);"
    " CREATE TABLE w (x r1)",
    "a materialized view": "CREATE MATERIALIZED VIEW w AS SELECT r AS x FROM r",
}


@pytest.mark.parametrize("where", ROWS_ELSEWHERE)
def test_values_that_a_drop_deletes_in_rows_of_other_tables(world: Database, where: str) -> None:
    parted = "PARTITION BY RANGE (id)" if "partition" in where else ""
    world.psql(f"CREATE TABLE r (id int PRIMARY KEY, c text) {parted}; {ROWS_ELSEWHERE[where]}")
    with open_session(world) as run:
        error = refused(run, "SELECT zanith.archive_column('r', 'c', on_dependents => 'cascade')")
        assert error.sqlstate == "0A000"
        assert "stores rows of public.r, with their values of c" in str(error)
        if where != "a materialized view":  # it goes, or stays with all of its rows
            run("SELECT zanith.soft_drop_column('r', 'c')")


@pytest.mark.parametrize("strategy", EVERY)
async def test_a_lock_not_had_in_time_ends_the_capture(world: Database, strategy: str) -> None:
    """It waits no longer than twice zanith.lock_timeout, and says which error it is."""
    call = capture_call(strategy, "t", "c" if strategy in COLUMN else None)
    async with world.connect() as reader, world.connect() as other:
        await other.execute("SET zanith.lock_timeout = '1s'")
        async with reader.transaction():
            await reader.fetch("SELECT * FROM t")
            started = time.monotonic()
            with pytest.raises(asyncpg.LockNotAvailableError):
                await other.execute(call)
            assert 1.0 <= time.monotonic() - started < 2.0
        assert await other.fetchval("SHOW lock_timeout") == "0"
        assert await other.fetchval("SELECT count(*) FROM zanith._zanith_migration_artifacts") == 0
        await asyncio.wait_for(other.execute(call), 5)


# --------------------------------------------------------------- dependents, as DROP names them

HANGING = {**VALUES, **CONSTRAINTS, **INDEXES, **VIEWS, **BESIDE, **EXPRESSIONS}
STANDING = {
    **TABLES,
    **PARTITIONS,
    **{
        k: v
        for k, v in {**VIEWS, **BESIDE, **CONSTRAINTS, **EXPRESSIONS}.items()
        if k not in TABLES
    },
}


@pytest.mark.parametrize("strategy", EVERY)
def test_what_a_cascade_cannot_make_again_is_refused_by_name(
    database: Database, roles: dict[str, str], strategy: str
) -> None:
    """An expression of another table, or of a function, is recorded nowhere."""
    Trial.build(database, EXPRESSIONS, roles)
    wrong = []
    with open_session(database) as run:
        for name in EXPRESSIONS:
            if name == "generated_of_row" and strategy in COLUMN:
                continue  # it comes back with the column
            column = "c" if strategy in COLUMN else None
            options = "on_dependents => 'cascade'"
            try:
                run(capture_call(strategy, f"{quote(name)}.t", column, options))
                wrong.append(f"{name}: captured")
            except asyncpg.PostgresError as error:
                if error.sqlstate != "0A000" or "cannot cascade to everything" not in str(error):
                    wrong.append(f"{name}: {error.sqlstate} {error}")
    assert not wrong, "\n".join(wrong)


def test_partitions_with_a_constraint_trigger_from_another_table_are_refused(
    database: Database,
) -> None:
    """DETACH PARTITION leaves such a trigger behind, and ATTACH PARTITION fails to make it again."""
    database.psql(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TABLE other (x int); CREATE TABLE top (a int, b int) PARTITION BY LIST (a);"
        "CREATE TABLE middle PARTITION OF top DEFAULT PARTITION BY LIST (a);"
        "CREATE TABLE leaf PARTITION OF middle DEFAULT;"
        'CREATE CONSTRAINT TRIGGER "t g" AFTER INSERT ON top FROM other'
        " FOR EACH ROW EXECUTE FUNCTION note()"
    )
    before = state(database)
    with open_session(database) as run:
        run("BEGIN")
        run("ALTER TABLE middle DETACH PARTITION leaf")
        with pytest.raises(asyncpg.PostgresError, match="already exists"):  # PostgreSQL's own limit
            run("ALTER TABLE middle ATTACH PARTITION leaf DEFAULT")
        run("ROLLBACK")
        for strategy in TABLE:
            for table in ("middle", "leaf"):
                error = refused(run, capture_call(strategy, table, None))
                assert error.sqlstate == "0A000"
                assert 'DROP TRIGGER "t g" ON public.top' in (error.hint or "")
        assert state(database) == before
        run('DROP TRIGGER "t g" ON top')  # the way out of the hint
        run(capture_call("soft_drop_table", "leaf", None))


@pytest.mark.newest
def test_exclusion_constraints_of_partitioned_tables_are_refused(database: Database) -> None:
    """PostgreSQL gives an attached partition a second one, and takes none up for the parent's."""
    if database.server.version < 17:
        pytest.skip("partitioned tables take exclusion constraints from 17 on")
    database.psql(
        "CREATE TABLE top (a int, b int, c text, plain text) PARTITION BY LIST (a);"
        "CREATE TABLE middle PARTITION OF top DEFAULT PARTITION BY LIST (a);"
        "CREATE TABLE leaf PARTITION OF middle DEFAULT;"
        "ALTER TABLE top ADD CONSTRAINT k EXCLUDE USING btree (a WITH =, b WITH =, c WITH =);"
        "ALTER TABLE leaf ADD CONSTRAINT own EXCLUDE USING btree (plain WITH =)"
    )
    before = state(database)
    with open_session(database) as run:
        for strategy, table, column in (
            *((name, "top", "b") for name in COLUMN),
            *((name, table, None) for name in TABLE for table in ("middle", "leaf")),
        ):
            parent = {"leaf": "middle"}.get(table, "top")
            error = refused(run, capture_call(strategy, table, column))
            assert error.sqlstate == "0A000"
            assert f"of the partitioned table public.{parent}" in str(error)
            assert f"ALTER TABLE public.{parent} DROP CONSTRAINT" in (error.hint or "")
        assert state(database) == before
        for strategy, table, column in (
            *((name, "top", "plain") for name in ("soft_drop_column",)),
            *((name, "top", None) for name in TABLE[:1]),
        ):
            run(capture_call(strategy, table, column))


def dependents_of(error: asyncpg.PostgresError) -> set[str]:
    """Return who depends, out of a DETAIL that says `… depends on …` line by line."""
    return {line.partition(" depends on ")[0] for line in (error.detail or "").splitlines()}


def list_differences(
    database: Database, twin: Database, strategy: str, shapes: dict, roles: dict[str, str]
) -> list[str]:
    """Return where a capture that refuses dependents does otherwise than a plain DROP."""
    chosen = {
        name: replace(shape, options="published_ok => true")
        for name, shape in shapes.items()
        if shape.takes(strategy, database.server.version)
    }
    Trial.build(database, chosen, roles)
    Trial.build(twin, chosen, roles)
    wrong = []
    with open_session(database) as here, open_session(twin) as there:
        there("SET search_path = pg_catalog")
        for name, shape in chosen.items():
            relation = f"{quote(name)}.{quote(shape.table)}"
            drop = (
                f"ALTER TABLE {relation} DROP COLUMN {quote(shape.column or '')}"
                if strategy in COLUMN
                else f"DROP TABLE {relation}"
            )
            column = shape.column if strategy in COLUMN else None
            outcomes = []
            for run, sql in (
                (there, drop),
                (here, capture_call(strategy, relation, column, shape.options)),
            ):
                try:
                    run(sql)
                    outcomes.append("done")
                except asyncpg.PostgresError as error:
                    outcomes.append(f"{error.sqlstate} {sorted(dependents_of(error))}")
            if outcomes[0] != outcomes[1]:
                wrong.append(f"{name}: DROP {outcomes[0]}; capture {outcomes[1]}")
    return wrong


@pytest.mark.parametrize("strategy", ["archive_column", "archive_table"])
def test_what_is_archived_has_the_dependents_that_drop_names(
    strategy: str, database: Database, twin_database: Database, roles: dict[str, str]
) -> None:
    """Refused where DROP refuses, naming the same; done where DROP does it."""
    shapes = HANGING if strategy in COLUMN else STANDING
    wrong = list_differences(database, twin_database, strategy, shapes, roles)
    assert not wrong, "\n".join(wrong)


@pytest.mark.newest
@pytest.mark.parametrize("strategy", ["soft_drop_column", "soft_drop_table"])
def test_what_is_renamed_has_the_dependents_that_drop_names(
    strategy: str, database: Database, twin_database: Database, roles: dict[str, str]
) -> None:
    """A rename could do without asking; it asks where DROP would."""
    shapes = HANGING if strategy in COLUMN else STANDING
    wrong = list_differences(database, twin_database, strategy, shapes, roles)
    assert not wrong, "\n".join(wrong)
