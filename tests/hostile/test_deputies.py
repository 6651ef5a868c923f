"""Functions of ours that run with rights of their own serve nobody but the owner of an artifact.

The attacker was granted capture, and calls every function of the schema zanith with another owner's artifact: by
himself, and from a function in an index of his while a superuser analyses, vacuums or reindexes his table. There the
session's role is the superuser's, and current_user is his.
"""

from __future__ import annotations

import asyncpg
import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.purge.purge import purge
from tests.hostile.journeys import DBA, opened
from tests.hostile.trap import Trap, describe
from tests.hostile.world import fill

pytestmark = pytest.mark.newest  # ZANITH_TEST_VERSIONS=15 asks an older one

VICTIM = """
CREATE SCHEMA alice AUTHORIZATION {victim};
SET ROLE {victim};
CREATE TABLE alice.sealed (id int PRIMARY KEY, c serial, d int);
CREATE TABLE alice.unsealed (id int PRIMARY KEY, c int, d int);
CREATE TABLE alice.parked (id int PRIMARY KEY, c int, d int);
CREATE TABLE alice.live (id int PRIMARY KEY, c int, d int);
INSERT INTO alice.sealed SELECT n, n, n FROM generate_series(1, 5) n;
INSERT INTO alice.unsealed SELECT n, n, n FROM generate_series(1, 5) n;
INSERT INTO alice.parked SELECT n, n, n FROM generate_series(1, 5) n;
INSERT INTO alice.live SELECT n, n, n FROM generate_series(1, 5) n;
SELECT zanith.archive_column('alice.unsealed', 'c');
"""
# All that must stay as it is: the artifacts' rows, the parked objects, the live tables, what depends on a definer.
STATE = """
SELECT md5(string_agg(t.line, E'\\n' ORDER BY t.line)) FROM (
    SELECT a::text AS line FROM zanith._zanith_migration_artifacts a
    UNION ALL SELECT l::text FROM zanith._zanith_audit_log l
    UNION ALL SELECT j::text FROM zanith._zanith_jobs j
    UNION ALL SELECT c.oid::regclass || c.relowner::text || COALESCE(c.relacl::text, '') FROM pg_class c
        WHERE c.relnamespace IN ('alice'::regnamespace, '_zanith_shadow'::regnamespace, 'zanith'::regnamespace)
    UNION ALL SELECT p.oid::regprocedure || p.proowner::text || md5(p.prosrc) FROM pg_proc p WHERE p.pronamespace = 'zanith'::regnamespace
    {rows}
) t
"""
ROWS = """
SELECT string_agg(format('UNION ALL SELECT %L || %s FROM %s t', c.oid::regclass,
    CASE c.relkind WHEN 'S' THEN 'last_value' ELSE 't::text' END, c.oid::regclass), ' ') FROM pg_class c
WHERE c.relkind IN ('r', 'S') AND c.relnamespace IN ('alice'::regnamespace, '_zanith_shadow'::regnamespace)
"""
# Every function, with plausible arguments: {id} of the artifact, else something of the type.
CALLS = """
SELECT p.oid::regprocedure::text AS name, format('SELECT %s(%s)', p.oid::regproc, (
    SELECT string_agg(CASE
        WHEN p.proname = '_record_capture' AND p.proargnames[a.n] = 'id' THEN quote_literal('feedfacefeed')
        WHEN p.proargnames[a.n] IN ('artifact_id', 'id') AND a.type = 'text'::regtype THEN quote_literal({id})
        WHEN p.proargnames[a.n] = 'relation' THEN quote_literal({relation}) || '::regclass'
        WHEN p.proargnames[a.n] = 'strategy' THEN quote_literal('archive_column')
        WHEN p.proargnames[a.n] = 'column_name' THEN quote_literal('c')
        WHEN p.proargnames[a.n] = 'on_dependents' THEN quote_literal('refuse')
        WHEN p.proargnames[a.n] = 'positions' THEN '''[]'''
        WHEN p.proargnames[a.n] = 'query' THEN format('zanith.canonical_query(%L)', {id})
        WHEN p.proargnames[a.n] = 'settings' THEN 'zanith.canonical_settings()'
        WHEN p.proargnames[a.n] = 'checksum' THEN quote_literal(repeat('0', 64))
        WHEN a.type = 'zanith._zanith_migration_artifacts'::regtype
            THEN format('(SELECT a FROM zanith._zanith_migration_artifacts a WHERE a.id = %L)', {id})
        WHEN a.type IN ('int8'::regtype, 'int4'::regtype) THEN '5'
        WHEN a.type = 'boolean'::regtype THEN 'true'
        WHEN a.type = 'jsonb'::regtype THEN '''{}'''
        WHEN a.type = 'interval'::regtype THEN '''1 day'''
        WHEN a.type = 'text'::regtype THEN '''x'''
        ELSE 'NULL' END || '::' || a.type::regtype::text, ', ' ORDER BY a.n)
    FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY a(type, n))) AS call
FROM pg_proc p WHERE p.pronamespace = 'zanith'::regnamespace AND p.prokind = 'f' AND p.prorettype <> 'trigger'::regtype
ORDER BY 1
"""
# A function that does as it is told by a table, in an index of the attacker's table.
DEPUTY = """
CREATE TABLE harm.orders (n serial, call text);
CREATE FUNCTION harm.obey() RETURNS void LANGUAGE plpgsql AS $f$
DECLARE found record;
BEGIN
    FOR found IN SELECT * FROM harm.orders LOOP
        BEGIN EXECUTE found.call; EXCEPTION WHEN OTHERS THEN NULL; END;
    END LOOP;
END $f$;
CREATE FUNCTION harm.deputy(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $f$
BEGIN
    IF session_user <> '{owner}' THEN PERFORM harm.tell('deputy'); PERFORM harm.obey(); END IF;
    RETURN $1;
END $f$;
CREATE TABLE harm.bait (id int);
CREATE INDEX ON harm.bait (harm.deputy(id));
INSERT INTO harm.bait VALUES (1), (2);
"""


@pytest.fixture
async def victim(superusers_ground, cast):
    """The victim's artifacts: a sealed archive, one without a seal, a parked column."""
    superusers_ground.psql(fill(VICTIM, victim=cast.victim))
    superusers_ground.psql(fill(DEPUTY, owner=cast.owner), user=cast.owner)
    async with opened(superusers_ground.url) as db:
        sealed = await capture(db, CaptureRequest("archive_column", "alice.sealed", "c"), DBA)
        parked = await capture(db, CaptureRequest("soft_drop_column", "alice.parked", "c"), DBA)
    unsealed = superusers_ground.psql(
        "SELECT id FROM zanith._zanith_migration_artifacts WHERE source_table = 'unsealed'"
    )
    return {"sealed": sealed.id, "unsealed": unsealed, "parked": parked.id}


async def state(connection) -> str:
    """Return a hash of all that must stay as it is."""
    rows = await connection.fetchval(ROWS)
    found: str = await connection.fetchval(fill(STATE, rows=rows or ""))
    return found


async def calls(connection, artifact_id: str) -> list[tuple[str, str]]:
    literals = {"id": f"'{artifact_id}'", "relation": "'alice.live'"}
    rows = await connection.fetch(fill(CALLS, **literals))
    return [(row["name"], row["call"]) for row in rows]


async def test_whoever_calls_changes_nothing_of_anothers(superusers_ground, cast, victim):
    changed = []
    async with (
        superusers_ground.connect() as watcher,
        superusers_ground.connect(user=cast.owner) as mallory,
    ):
        before = await state(watcher)
        for which, artifact_id in victim.items():
            known = await calls(watcher, artifact_id)
            assert len(known) > 100
            for name, call in known:
                await mallory.execute("BEGIN")
                try:
                    await mallory.execute(call)
                    wrote = await mallory.fetchval(
                        "SELECT pg_current_xact_id_if_assigned() IS NOT NULL"
                    )
                except asyncpg.PostgresError:
                    wrote = False
                await mallory.execute("COMMIT" if wrote else "ROLLBACK")
                if wrote and (after := await state(watcher)) != before:
                    changed.append(f"{name} of {which}")
                    before = after
        assert await state(watcher) == before
    assert not changed, changed


MAINTENANCE = ("ANALYZE harm.bait", "VACUUM (ANALYZE) harm.bait", "REINDEX TABLE harm.bait")


@pytest.mark.parametrize("command", MAINTENANCE)
async def test_a_superusers_upkeep_is_no_proof_of_the_caller(
    superusers_ground, cast, victim, command
):
    trap = Trap(superusers_ground, cast.owner)
    changed = []
    async with (
        superusers_ground.connect() as watcher,
        superusers_ground.connect() as superuser,
        superusers_ground.connect(user=cast.owner) as mallory,
    ):
        before = await state(watcher)
        for which, artifact_id in victim.items():
            # one at a time, so that each is named
            known = [
                call
                for call in await calls(watcher, artifact_id)
                if await definer(watcher, call[0])
            ]
            assert known
            for name, call in known:
                await mallory.execute("TRUNCATE harm.orders")
                await mallory.execute("INSERT INTO harm.orders (call) VALUES ($1)", call)
                await superuser.execute(command)
                if (after := await state(watcher)) != before:
                    changed.append(f"{name} of {which}")
                    before = after
    seen = trap.read()
    assert "deputy" in {one.hook for one in seen}, "the deputy was never asked"
    assert not [one for one in seen if one.escaped(cast.owner)], describe(seen)
    assert not changed, changed


async def definer(connection, name: str) -> bool:
    """Whether a function runs with rights of its own."""
    found: bool = await connection.fetchval(
        "SELECT prosecdef FROM pg_proc WHERE oid = $1::text::regprocedure", name
    )
    return found


async def test_a_role_that_captures_cannot_create_in_the_shadow(superusers_ground, cast):
    """Or it makes there what Zanith would take for its own."""
    async with superusers_ground.connect(user=cast.owner) as mallory:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await mallory.execute("CREATE TABLE _zanith_shadow.mine (id int)")


async def test_nobody_takes_the_id_of_a_purged_artifact(superusers_ground, cast):
    """Its history would be taken for that of another object."""
    record = """SELECT zanith._record_capture('archive_column', 'harm.again'::regclass, 'c', $1, 'refuse',
        false, NULL, '1 day', NULL, '{}', NULL, zanith._prove_caller(), $2)"""
    made = "CREATE TABLE harm.again (id int PRIMARY KEY, c int, d int)"
    superusers_ground.psql(made, user=cast.owner)
    async with opened(superusers_ground.url) as db:
        purged = await capture(db, CaptureRequest("archive_column", "harm.again", "d"), DBA)
        await purge(db, purged.id, DBA, confirm="d")
    async with superusers_ground.connect(user=cast.owner) as mallory:
        for ids in ((purged.id, None), ("feedfacefeed", purged.id)):
            with pytest.raises(asyncpg.InvalidParameterValueError, match="already captured"):
                await mallory.execute(record, *ids)
        # any other id is taken
        async with mallory.transaction():
            await mallory.execute(record, "feedfacefeed", None)
