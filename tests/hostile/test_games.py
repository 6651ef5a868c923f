"""A table of attack × operation: what a hostile owner changes before, between and while an operator works.

Never does code of his run as another, whatever is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.errors import ZanithError
from app.recovery.db.database import Database
from app.recovery.inspection.inspect import preview_rows
from app.recovery.plan.model import Choices
from app.recovery.purge.erase import erase
from app.recovery.restore.rehearsal import rehearse
from app.recovery.restore.restore import restore
from app.recovery.rows.export import ExportRequest, announce, stream_export
from app.recovery.rows.seal import verify
from tests.hostile import games
from tests.hostile.journeys import DBA, Journey, opened
from tests.hostile.trap import Trap, describe
from tests.hostile.world import fill

pytestmark = pytest.mark.newest  # ZANITH_TEST_VERSIONS=15 asks an older one

STRATEGIES = ("archive_column", "soft_drop_column", "archive_table")


@pytest.fixture
def arena(superusers_ground, cast):
    """A database with a table of the owner's, `arena.target`, that has no hook yet."""
    superusers_ground.psql(f"CREATE SCHEMA arena AUTHORIZATION {cast.owner}")
    superusers_ground.psql(fill(games.TABLE, live=games.LIVE.full), user=cast.owner)
    return superusers_ground


def request(strategy: str) -> CaptureRequest:
    column = None if strategy.endswith("table") else "c"
    return CaptureRequest(strategy, games.LIVE.full, column, on_dependents="cascade")


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("attack", games.AFTER)
async def test_swapped_after_the_capture(arena, cast, record_property, attack, strategy):
    async with opened(arena.url) as db:
        artifact = await capture(db, request(strategy), DBA)
        script = fill(games.AFTER[attack], **games.words(artifact))
        await games.attack(arena, cast.owner, script)
        journey = Journey(db, Trap(arena, cast.owner), games.LIVE)
        await games.work_on(journey, artifact)
    record_property("hostile operations", len(journey.steps))
    record_property("hostile escapes", len(journey.escapes))
    assert not journey.escapes, f"\n{journey.report()}"


async def test_a_sweep_seals_what_was_swapped(arena, cast):
    """The capture was the owner's own, as by a migration: nobody has sealed it, and a studio's sweep will."""
    arena.psql("SELECT zanith.archive_column('arena.target', 'c')", user=cast.owner)
    id_, name = arena.psql(
        "SELECT id, physical_table FROM zanith._zanith_migration_artifacts"
    ).split("|")
    names = {
        "schema": "_zanith_shadow",
        "parked": f'_zanith_shadow."{name}"',
        "column": "c",
        "id": id_,
    }
    script = fill(games.AFTER["view in place of what is parked"], **names)
    await games.attack(arena, cast.owner, script)
    async with opened(arena.url) as db:
        journey = Journey(db, Trap(arena, cast.owner), games.LIVE)
        await journey.everywhere()
    assert not journey.escapes, f"\n{journey.report()}"


# ------------------------------------------------------------------------------------------- between

LOCK = "ALTER TABLE {parked} RENAME TO gone"
SWAP = """
CREATE VIEW {parked} AS SELECT id, harm.tap('game', 1) AS c, 1 AS d FROM {schema}.gone;
COMMENT ON VIEW {parked} IS 'zanith artifact {id}'"""


async def games_erase(db, artifact):
    return await erase(db, artifact.id, {"id": "1"}, DBA, rows=1, confirm=artifact.object_name)


async def export_to_nobody(db, artifact):
    job = await announce(db, ExportRequest(artifact.id, "csv"), DBA)
    return [chunk async for chunk in stream_export(db, job.id)]


WHILE: dict[str, Callable[..., Any]] = {
    "verify": lambda db, a: verify(db, a.id, DBA),
    "rows": lambda db, a: preview_rows(db, a.id, DBA),
    "rehearse": lambda db, a: rehearse(db, a.id, Choices(), DBA),
    "restore": lambda db, a: restore(db, a.id, Choices(), DBA),
    "export": export_to_nobody,
    "erase": games_erase,
}


@pytest.mark.parametrize("strategy", ["archive_column", "archive_table"])
@pytest.mark.parametrize("operation", WHILE)
async def test_swapped_while_an_operation_waits(arena, cast, operation, strategy):
    db = await Database.open(
        arena.url, lock_timeout=timedelta(seconds=8), lock_retries=1, max_size=4
    )
    try:
        artifact = await capture(db, request(strategy), DBA)
        names = games.words(artifact)
        trap = Trap(arena, cast.owner)
        journey = Journey(db, trap, games.LIVE)
        await games.swapped_while(
            arena, db, cast.owner, fill(LOCK, **names), fill(SWAP, **names),
            lambda: journey.do(operation, lambda: WHILE[operation](db, artifact)),
        )  # fmt: skip
    finally:
        await db.close()
    assert not journey.escapes, f"\n{journey.report()}"


SEQUENCE = """
CREATE TABLE arena.counted (id int PRIMARY KEY, c serial, d int);
INSERT INTO arena.counted (id) VALUES (1), (2);
"""
SWAP_SEQUENCE = """
CREATE VIEW arena.counted_c_seq AS SELECT harm.tap('game', 1)::bigint AS last_value, true AS is_called"""


@pytest.mark.parametrize("strategy", ["archive_column", "soft_drop_column"])
async def test_a_sequence_is_swapped_while_a_capture_waits(arena, cast, strategy):
    arena.psql(SEQUENCE, user=cast.owner)
    trap = Trap(arena, cast.owner)
    async with opened(arena.url) as db:
        journey = Journey(db, trap, games.LIVE)
        wanted = CaptureRequest(strategy, "arena.counted", "c", on_dependents="cascade")
        await games.swapped_while(
            arena, db, cast.owner, "ALTER SEQUENCE arena.counted_c_seq RENAME TO gone", SWAP_SEQUENCE,
            lambda: journey.do("capture", lambda: capture(db, wanted, DBA)),
        )  # fmt: skip
    assert not journey.escapes, f"\n{journey.report()}"


# -------------------------------------------------------------------------------- what is left in a session

MISCHIEF = """
CREATE OR REPLACE FUNCTION harm.mischief(hook text) RETURNS void LANGUAGE plpgsql AS $f$
DECLARE
    done text;
BEGIN
    FOREACH done IN ARRAY ARRAY[{statements}] LOOP
        BEGIN EXECUTE done; EXCEPTION WHEN OTHERS THEN NULL; END;
    END LOOP;
END $f$;
"""
LEFT = {
    "search_path": "SELECT set_config('search_path', 'evil, pg_catalog', false)",
    "standard_conforming_strings": "SELECT set_config('standard_conforming_strings', 'off', false)",
    "transform_null_equals": "SELECT set_config('transform_null_equals', 'on', false)",
    "quote_all_identifiers": "SELECT set_config('quote_all_identifiers', 'on', false)",
    "zanith.actor": "SELECT set_config('zanith.actor', 'somebody else', false)",
    "temporary relations": 'CREATE TEMP TABLE pg_class (oid oid, relname name, relnamespace oid, relkind "char")',
    "temporary functions": "CREATE FUNCTION pg_temp._zanith_run(text, boolean) RETURNS jsonb LANGUAGE plpgsql"
    " AS $g$ BEGIN PERFORM harm.tell($h$left in pg_temp$h$); RETURN NULL; END $g$",
    # cursors: tests/integration/test_sandbox.py
    "prepared statement": "PREPARE left_behind AS SELECT harm.note($h$prepared statement$h$)",
    "notification": "NOTIFY zanith, $h${}$h$",
    "advisory lock": "SELECT pg_advisory_lock(1)",
    "role": "SELECT set_config('role', 'none', false)",
}
# In a schema that comes before pg_catalog: the operators and functions that statements of ours use.
EVIL = """
GRANT USAGE ON SCHEMA evil TO PUBLIC;
DO $do$
DECLARE o record; f record;
BEGIN
    FOR o IN SELECT p.oprname AS name, p.oprleft::regtype AS l, p.oprright::regtype AS r, p.oprresult::regtype AS res
             FROM pg_operator p
             WHERE p.oprnamespace = 'pg_catalog'::regnamespace AND p.oprname IN ('=', '<>', '||', '~')
               AND p.oprleft = ANY ('{text,int4,int8,oid,name,bool,jsonb,"char"}'::regtype[])
               AND p.oprright = ANY ('{text,int4,int8,oid,name,bool,jsonb,"char"}'::regtype[]) LOOP
        EXECUTE format('CREATE FUNCTION evil.%I(a %s, b %s) RETURNS %s LANGUAGE plpgsql IMMUTABLE AS %L',
            'op_' || md5(o::text), o.l, o.r, o.res,
            format('BEGIN PERFORM harm.tell(''shadowed operator %s''); RETURN a OPERATOR(pg_catalog.%s) b; END', o.name, o.name));
        EXECUTE format('CREATE OPERATOR evil.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = evil.%I)', o.name, o.l, o.r, 'op_' || md5(o::text));
    END LOOP;
    FOR f IN SELECT p.proname AS name, pg_get_function_identity_arguments(p.oid) AS args, pg_get_function_result(p.oid) AS res,
                    (SELECT string_agg('$' || n, ', ') FROM generate_series(1, p.pronargs) n) AS params
             FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND NOT p.proretset
               AND p.provariadic = 0 AND p.pronargs > 0
               AND p.proname IN ('lower', 'length', 'left', 'quote_ident', 'to_jsonb', 'set_config', 'current_setting', 'starts_with',
                                 'pg_has_role', 'has_table_privilege', 'clock_timestamp', 'encode', 'replace', 'host')
               AND NOT 'internal'::regtype = ANY (p.proargtypes) LOOP
        EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql IMMUTABLE AS %L', f.name, f.args, f.res,
            format('BEGIN PERFORM harm.tell(''shadowed function %s''); RETURN pg_catalog.%I(%s); END', f.name, f.name, f.params));
    END LOOP;
END $do$;
"""


@pytest.mark.parametrize("thing", LEFT)
async def test_what_code_leaves_in_the_session_serves_nobody(superusers_ground, cast, thing):
    """Code that runs as its owner leaves something behind; the statements of ours that follow never meet it."""
    from tests.hostile.tables import TABLES

    ground = superusers_ground
    statement = "$m$" + LEFT[thing] + "$m$"
    ground.psql(f"CREATE SCHEMA evil AUTHORIZATION {cast.owner}")
    ground.psql(EVIL + fill(MISCHIEF, statements=statement), user=cast.owner)
    table = next(table for table in TABLES if table.name == "valued")
    async with opened(ground.url) as db:
        trap = Trap(ground, cast.owner)
        journey = Journey(db, trap, table.within("harm1"))
        request = CaptureRequest("archive_column", "harm1.valued", "c", on_dependents="cascade")
        try:
            artifact = await capture(db, request, DBA)
        except ZanithError:  # refused for what it left, or failed by it: nothing was changed
            assert ground.psql("SELECT count(*) FROM zanith._zanith_migration_artifacts") == "0"
            assert (
                ground.psql(
                    "SELECT count(*) FROM pg_attribute WHERE attrelid = 'harm1.valued'::regclass AND attname = 'c'"
                )
                == "1"
            )
        else:
            await journey.restore(artifact, close=True)
        await journey.everywhere()
    ours = [seen for seen in journey.escapes if "shadowed" in seen.hook or "left" in seen.hook
            or seen.hook == "prepared statement"]  # fmt: skip
    assert not ours, describe(ours)
    assert not journey.escapes, f"\n{journey.report()}"


# -------------------------------------------------------------------------------------- better matches

# A better match than pg_catalog's for arguments of other types: found where public is on the path.
FLOOD = """
CREATE FUNCTION public.flooded() RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT harm.note(''better match in public'')';
DO $do$
DECLARE l text; r text; o text; f text;
BEGIN
    FOREACH l IN ARRAY ARRAY['text', 'name', 'varchar', '"char"', 'oid', 'regclass', 'int2', 'int4', 'int8', 'text[]', 'name[]'] LOOP
        FOREACH r IN ARRAY ARRAY['text', 'name', 'varchar', '"char"', 'oid', 'regclass', 'int2', 'int4', 'int8', 'text[]', 'name[]'] LOOP
            FOREACH o IN ARRAY ARRAY['=', '<>', '||'] LOOP
                CONTINUE WHEN EXISTS (SELECT FROM pg_operator WHERE oprname = o AND oprleft = l::regtype AND oprright = r::regtype);
                EXECUTE format('CREATE FUNCTION public.%I(%s, %s) RETURNS %s LANGUAGE plpgsql IMMUTABLE AS %L',
                    'op_' || md5(l || r || o), l, r, CASE o WHEN '||' THEN 'text' ELSE 'boolean' END,
                    'BEGIN PERFORM public.flooded(); RETURN ' || CASE o WHEN '||' THEN 'NULL' ELSE 'true' END || '; END');
                EXECUTE format('CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = public.%I)', o, l, r, 'op_' || md5(l || r || o));
            END LOOP;
        END LOOP;
        FOREACH f IN ARRAY ARRAY['lower', 'upper', 'quote_ident', 'length', 'pg_relation_size', 'pg_total_relation_size', 'obj_description'] LOOP
            CONTINUE WHEN EXISTS (SELECT FROM pg_proc WHERE proname = f AND proargtypes::oid[] = ARRAY[l::regtype::oid]);
            EXECUTE format('CREATE FUNCTION public.%I(%s) RETURNS text LANGUAGE plpgsql IMMUTABLE AS %L', f, l, 'BEGIN PERFORM public.flooded(); RETURN NULL; END');
        END LOOP;
    END LOOP;
END $do$;
"""


async def test_better_matches_in_public_are_not_found(superusers_ground, cast):
    from tests.hostile.journeys import archived_column
    from tests.hostile.test_journeys import PLAIN

    superusers_ground.psql(FLOOD, user=cast.owner)
    trap = Trap(superusers_ground, cast.owner)
    async with opened(superusers_ground.url) as db:
        journey = Journey(db, trap, PLAIN)
        await archived_column(journey)
    assert not journey.escapes, f"\n{journey.report()}"
    assert not [step for step in journey.steps if step.refused]
