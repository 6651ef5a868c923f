"""What the database computes is what it was; else the restore is refused."""

from __future__ import annotations

import re

import pytest

from app.recovery.core.errors import Refused
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.rehearsal import rehearse
from app.recovery.restore.restore import restore
from tests.clusters import CommandFailed
from tests.integration.search_paths import (
    DBA,
    GENERATED,
    PARTIAL,
    db,
    drop,
    make,
    owner,
    vips,
)
from tests.oracle.judges import restore_by_psql

pytestmark = pytest.mark.each_version

__all__ = ["db", "owner"]
VIEW = f"{PARTIAL} CREATE MATERIALIZED VIEW m AS SELECT id, k FROM ux WHERE is_vip(tier);"
COLUMNS = "SELECT string_agg(attname, ' ') FROM pg_attribute WHERE attrelid = 'app.{}'::regclass"
EXTEND = "ALTER EXTENSION plpgsql ADD FUNCTION app.is_vip(text)"


async def refused(route, database, db, artifact, directory):
    """Return what the restore says when it refuses."""
    if route == "psql":
        with pytest.raises(CommandFailed) as failed:
            restore_by_psql(database, artifact, directory)
        return str(failed.value)
    with pytest.raises(Refused) as failed:
        await restore(db, artifact, Choices(), DBA)
    error = failed.value
    return f"{error.message} {error.detail} {error.hint}"


async def test_a_generated_column_without_a_key_that_would_differ(database, db, owner):
    """All values are compared, as long as no row was written since."""
    make(database, owner, f"{GENERATED} ALTER TABLE p DROP CONSTRAINT p_pkey;")
    artifact = drop(database, "archive_column('app.p', 'g')", "public")
    with pytest.raises(Refused) as failed:
        await restore(db, artifact, Choices(), DBA)
    assert "gives other values than the archived ones (50 rows differ)" in failed.value.message
    database.psql("UPDATE app.p SET id = id")
    assert not (await restore(db, artifact, Choices(), DBA)).fidelity["missing"]


@pytest.mark.parametrize("route", ["engine", "psql"])
async def test_a_generated_column_that_would_differ(database, db, owner, route, tmp_path):
    make(database, owner, GENERATED)
    artifact = drop(database, "archive_column('app.p', 'g')", "public")
    before = database.psql(COLUMNS.format("p"))
    said = await refused(route, database, db, artifact, tmp_path)
    assert "the expression of g gives other values than the archived ones (50 rows differ)" in said
    assert "safe_norm" in said
    assert "the search path pg_catalog, public, pg_temp" in said
    assert "with the key 1; 2; 3" in said
    assert "--search-path" in said
    assert not re.search(r"\b[nN]\d+\b", said.partition("ERROR:")[2] or said)
    assert database.psql(COLUMNS.format("p")) == before
    with pytest.raises(Refused):
        await rehearse(db, artifact, None, DBA)


@pytest.mark.parametrize("route", ["engine", "psql"])
async def test_a_function_that_was_replaced(database, db, owner, route, tmp_path):
    make(database, owner, GENERATED)
    artifact = drop(database, "archive_column('app.p', 'g')")
    new = "LANGUAGE sql IMMUTABLE AS $$ SELECT CASE WHEN t = 'N7' THEN 'x' ELSE lower(t) END $$"
    database.psql(
        f"SET ROLE {owner}; CREATE OR REPLACE FUNCTION app.norm(t text) RETURNS text {new}"
    )
    said = await refused(route, database, db, artifact, tmp_path)
    assert "(1 row differs)" in said
    assert "with the key 7" in said


@pytest.mark.parametrize("route", ["engine", "psql"])
async def test_rows_that_changed_since_say_nothing(database, db, owner, route, tmp_path):
    make(database, owner, GENERATED)
    artifact = drop(database, "archive_column('app.p', 'g')")
    database.psql("UPDATE app.p SET name = 'Other' WHERE id < 20; DELETE FROM app.p WHERE id = 30")
    database.psql("INSERT INTO app.p VALUES (100, 'New')")
    if route == "psql":
        restore_by_psql(database, artifact, tmp_path)
    else:
        await restore(db, artifact, Choices(), DBA)
    assert database.psql("SELECT count(*) FROM app.p WHERE g = lower(name)") == "50"


async def test_an_index_that_postgresql_builds_without_the_path(database, db, server):
    make(database, "postgres", PARTIAL)
    database.psql(EXTEND)
    artifact = drop(database, "archive_column('app.ux', 'k')")
    losses = [
        loss for loss in (await plan_restore(db, artifact)).losses if loss.code == "search_path"
    ]
    if server.version < 17:
        assert losses == []
        await restore(db, artifact, Choices(), DBA)
        assert vips(database) == 500
        return
    assert "belongs to an extension" in losses[0].message
    said = await refused("engine", database, db, artifact, None)
    assert "the index ux_vip gives other rows than a query without it (500 rows differ)" in said
    assert "is_vip" in said
    assert "with the key 2; 4; 6" in said
    database.psql("ALTER FUNCTION app.is_vip(text) SET search_path = app, public")
    await restore(db, artifact, Choices(), DBA)
    assert vips(database) == 500


async def test_a_materialized_view_that_postgresql_fills_without_the_path(database, db, server):
    view = VIEW.replace("CREATE INDEX ux_vip ON ux (k) WHERE is_vip(tier);", "")
    make(database, "postgres", view)
    database.psql(EXTEND)
    call = "soft_drop_column('app.ux', 'k', on_dependents => 'cascade')"
    artifact = drop(database, call)
    if server.version >= 17:
        said = await refused("engine", database, db, artifact, None)
        assert "the materialized view app.m differs from the result of its query" in said
        database.psql("ALTER FUNCTION app.is_vip(text) SET search_path = app, public")
    await restore(db, artifact, Choices(), DBA)
    assert database.psql("SELECT count(*) FROM app.m") == "500"


@pytest.mark.parametrize("route", ["engine", "psql"])
async def test_an_index_is_asked(database, db, owner, route, tmp_path):
    """A function that gives another result to the index than to a query, whatever the path."""
    make(database, owner, """
        CREATE FUNCTION fickle(t int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
            $$ BEGIN RETURN current_setting('enable_indexscan') = 'off'; END $$;
        CREATE TABLE f (id int PRIMARY KEY, k int, j int);
        INSERT INTO f SELECT n, n, n FROM generate_series(1, 100) n;
        CREATE INDEX f_k ON f (k) WHERE fickle(j);""")  # fmt: skip
    artifact = drop(database, "soft_drop_column('app.f', 'k')")
    said = await refused(route, database, db, artifact, tmp_path)
    assert "finds 0 rows by the index, and 100 without it" in said
    assert database.psql("SELECT count(*) FROM pg_class WHERE relname = 'f_k'") == "0"


async def test_a_view_that_differs_each_time_says_nothing(database, db, owner):
    make(database, owner, """
        CREATE FUNCTION chance() RETURNS float LANGUAGE plpgsql AS 'BEGIN RETURN random(); END';
        CREATE TABLE c (id int PRIMARY KEY, k int);
        INSERT INTO c SELECT n, n FROM generate_series(1, 20) n;
        CREATE MATERIALIZED VIEW m AS SELECT k, chance() AS r FROM c;""")  # fmt: skip
    call = "soft_drop_column('app.c', 'k', on_dependents => 'cascade')"
    artifact = drop(database, call)
    await restore(db, artifact, Choices(), DBA)
    assert database.psql("SELECT count(*) FROM app.m") == "20"


async def test_what_calls_postgresql_alone_is_not_compared(database, db):
    database.psql("""CREATE TABLE t (id int PRIMARY KEY, c text, g text
        GENERATED ALWAYS AS (lower(c)) STORED); CREATE INDEX ON t (lower(g)) WHERE g > 'a'""")
    artifact = drop(database, "archive_column('public.t', 'g')")
    assert not [s for s in (await plan_restore(db, artifact)).steps if "Compare" in s.purpose]


async def test_an_expression_that_would_read_differently(database, db, owner):
    make(database, owner, """
        CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
        CREATE TABLE a (id int PRIMARY KEY, tags text[],
            g int GENERATED ALWAYS AS (twice(array_length(tags, 1))) STORED);
        INSERT INTO a SELECT n, ARRAY['x', 'y'] FROM generate_series(1, 10) n;""")  # fmt: skip
    artifact = drop(database, "archive_column('app.a', 'g')")
    body = "LANGUAGE sql IMMUTABLE AS 'SELECT pg_catalog.array_length($1, $2)'"
    database.psql(f"CREATE FUNCTION app.array_length(text[], int) RETURNS int {body}")
    with pytest.raises(
        Refused, match=r"would call the function app.array_length\(text\[\],integer\)"
    ):
        await restore(db, artifact, Choices(), DBA)
    with pytest.raises(Refused, match="would call"):
        await rehearse(db, artifact, None, DBA)
    assert "g" not in database.psql(COLUMNS.format("a")).split()
    database.psql("DROP FUNCTION app.array_length(text[], int)")
    await restore(db, artifact, Choices(), DBA)
    assert database.psql("SELECT count(*) FROM app.a WHERE g = 4") == "10"
