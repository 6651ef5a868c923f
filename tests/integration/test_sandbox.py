"""The sandbox: a statement runs as an owner, cannot leave the role, and leaves nothing behind."""

from __future__ import annotations

import asyncpg
import pytest

GROUND = """
CREATE SCHEMA box AUTHORIZATION {owner};
SET ROLE {owner};
CREATE TABLE box.t (id int PRIMARY KEY, c text);
INSERT INTO box.t VALUES (1, 'a'), (2, 'b');
CREATE FUNCTION box.who() RETURNS text LANGUAGE plpgsql AS $f$ BEGIN
    BEGIN PERFORM set_config('role', 'none', false); EXCEPTION WHEN OTHERS THEN NULL; END;
    RETURN current_user; END $f$;
CREATE FUNCTION box.set() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN
    PERFORM set_config('search_path', 'box', false), set_config('lock_timeout', '77s', false),
            set_config('standard_conforming_strings', 'off', false); END $f$;
CREATE FUNCTION box.work_mem() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN
    PERFORM set_config('work_mem', '5MB', false); END $f$;
CREATE FUNCTION box.temporary() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN
    CREATE TEMPORARY TABLE t (id int); END $f$;
CREATE FUNCTION box.cursor() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN
    EXECUTE 'DECLARE held CURSOR WITH HOLD FOR SELECT box.who()'; END $f$;
CREATE TABLE box.queue (n int);
CREATE FUNCTION box.again() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
    IF NEW.n < 9 THEN
        SET CONSTRAINTS ALL DEFERRED; INSERT INTO box.queue VALUES (NEW.n + 1);
    END IF;
    RETURN NULL; END $f$;
CREATE CONSTRAINT TRIGGER again AFTER INSERT ON box.queue DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION box.again();
CREATE FUNCTION box.defer(n int) RETURNS void LANGUAGE sql AS 'INSERT INTO box.queue VALUES (n)';
RESET ROLE;
"""


@pytest.fixture
async def box(connection: asyncpg.Connection, create_role):
    owner = create_role("owner")
    await connection.execute(GROUND.format(owner=owner))
    async with connection.transaction():
        await connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")

        async def run(statement: str, wants: str = "rows", *, ours: bool = True, **more):
            return await connection.fetchval(
                "SELECT zanith._run_as($1, $2, $3, ours => $4, arguments => $5::text[])::text",
                *(owner, statement, wants, ours, more.get("arguments")),
            )

        yield run, connection, owner


async def test_it_runs_as_the_owner_who_cannot_leave(box):
    run, _, owner = box
    assert await run("SELECT box.who()", "values") == f'["{owner}"]'


async def test_rows_are_counted_and_values_returned(box):
    run, *_ = box
    assert await run("UPDATE box.t SET c = c") == "2"
    assert await run("SELECT c FROM box.t ORDER BY id", "values") == '["a", "b"]'


async def test_arguments_are_no_part_of_the_text(box):
    run, *_ = box
    found = await run(
        "SELECT c FROM box.t WHERE c = ($1::text[])[2]", "values", arguments=["x", "b"]
    )
    assert found == '["b"]'


async def test_settings_are_put_back(box):
    run, connection, _ = box
    await run("SELECT box.set()")
    for name, value in {
        "search_path": "pg_catalog, pg_temp",
        "lock_timeout": "0",
        "standard_conforming_strings": "on",
    }.items():
        assert await connection.fetchval("SELECT current_setting($1)", name) == value


async def test_cursors_and_temporary_objects_are_taken_away(box):
    run, connection, _ = box
    await run("SELECT box.cursor()")
    await run("SELECT box.temporary()")
    assert await connection.fetchval("SELECT count(*) FROM pg_cursors WHERE name = 'held'") == 0
    assert await connection.fetchval("SELECT to_regclass('pg_temp.t') IS NULL")


@pytest.mark.parametrize(
    ("call", "why"),
    [
        ("box.cursor()", "left a cursor open"),
        ("box.temporary()", "created temporary objects"),
        ("box.work_mem()", "changed settings of this session: work_mem"),
    ],
)
async def test_in_a_transaction_of_somebody_else_nothing_may_be_left(box, call, why):
    run, *_ = box
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match=why):
        await run(f"SELECT {call}", ours=False)


async def test_deferred_triggers_run_inside_or_are_refused(box, server):
    run, connection, _ = box
    await run("SELECT box.defer(9)")
    assert await connection.fetchval("SELECT count(*) FROM box.queue") == 1
    if server.version >= 18:  # which runs them as the role that queued them
        await run("SELECT box.defer(0)")
        return
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="leaves deferred triggers"):
        await run("SELECT box.defer(0)")


async def test_what_was_left_in_wait_is_not_called(box):
    run, connection, _ = box
    await connection.execute(
        "CREATE FUNCTION pg_temp._zanith_run(text, text, text, boolean, text[]) RETURNS jsonb"
        " LANGUAGE sql AS $$ SELECT '\"caught\"'::jsonb $$"
    )
    with pytest.raises(asyncpg.DuplicateFunctionError):
        await run("SELECT 1")
