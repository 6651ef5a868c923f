"""Tables and archives that are given to another role: before a capture, while they are parked, before a lock."""

from __future__ import annotations

from contextlib import suppress

import pytest

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.errors import Refused, ZanithError
from app.recovery.inspection.inspect import inspect
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.rehearsal import rehearse
from app.recovery.restore.restore import restore
from app.recovery.rows.seal import seal, verify
from tests.clusters import CommandFailed
from tests.hostile.scene import DBA, ROWS
from tests.oracle.judges import restore_by_psql


async def seal_it(db, made: str) -> None:
    await seal(db, made, DBA)


async def verify_it(db, made: str) -> None:
    await verify(db, made, DBA)


async def restore_it(db, made: str) -> None:
    await restore(db, made, Choices(), DBA)


@pytest.mark.parametrize(
    "strategy", ["archive_column", "soft_drop_column", "archive_table", "soft_drop_table"]
)
async def test_a_superusers_table_that_was_given_away(scene, strategy, tmp_path):
    column = ", 'c'" if strategy.endswith("column") else ""
    scene.by(
        None, f"CREATE TABLE harm.t (id int PRIMARY KEY, c int, d int); INSERT INTO harm.t {ROWS}"
    )
    made = scene.artifact(None, f"{strategy}('harm.t'{column})")
    where = "SELECT c.oid::regclass FROM pg_class c WHERE relname ~ '^(t|_zanith_dropped_t_[0-9a-z]+)$' AND relkind = 'r'"
    table = scene.by(None, where)
    scene.by(None, f"ALTER TABLE {table} OWNER TO {scene.mallory}")
    # nobody but Zanith makes an index in its schema
    adds = f"ALTER TABLE {table} ADD CHECK (harm.note('given away'))"
    if strategy != "archive_table":
        adds += f"; CREATE INDEX ON {table} (d) WHERE harm.note('given away')"
    scene.by(None, f"SET ROLE {scene.mallory}; {adds}")
    scene.trap.read()
    with pytest.raises(CommandFailed, match="would run as postgres"):
        restore_by_psql(scene.place, made, tmp_path)
    async with scene.opened() as db:
        for operation in (inspect, seal_it, verify_it, restore_it):
            try:
                await operation(db, made)
            except ZanithError:
                continue
    scene.quiet()


@pytest.mark.parametrize(
    "strategy", ["archive_column", "soft_drop_column", "archive_table", "soft_drop_table"]
)
async def test_a_table_that_is_given_away_before_the_lock(scene, strategy):
    column = ", 'c'" if strategy.endswith("column") else ""
    scene.by(
        None, f"CREATE TABLE harm.t (id int PRIMARY KEY, c int, d int); INSERT INTO harm.t {ROWS}"
    )
    made = scene.artifact(None, f"{strategy}('harm.t'{column})")
    where = "SELECT c.oid::regclass FROM pg_class c WHERE relname ~ '^(t|_zanith_dropped_t_[0-9a-z]+)$' AND relkind = 'r'"
    table = scene.by(None, where)
    given: list[str] = []

    async def give_away(told: dict) -> None:
        if told.get("done") == 0 and told.get("step") and not given:
            given.append(told["step"])
            scene.by(None, f"ALTER TABLE {table} OWNER TO {scene.mallory};"
                           f"SET ROLE {scene.mallory}; ALTER TABLE {table} ADD CONSTRAINT given_away CHECK (harm.note('given away'))")  # fmt: skip

    async with scene.opened() as db:
        # the checks before the rehearsal of an archive hold its table already
        for run in (restore,) if strategy == "archive_column" else (rehearse, restore):
            with pytest.raises(ZanithError, match="another owner"):
                await run(db, made, Choices(unverified=True), DBA, on_progress=give_away)
            assert given
            given.clear()
            scene.by(None, f"ALTER TABLE {table} OWNER TO CURRENT_USER;"
                           f"ALTER TABLE {table} DROP CONSTRAINT given_away")  # fmt: skip
    scene.trap.read()
    scene.quiet()


async def test_a_former_owner_says_nothing_of_an_artifact(scene):
    scene.by(
        scene.mallory,
        f"CREATE TABLE harm.t (id int PRIMARY KEY, c int, d int); INSERT INTO harm.t {ROWS}",
    )
    made = scene.artifact(scene.mallory, "archive_column('harm.t', 'c')")
    scene.by(
        None,
        f"ALTER TABLE harm.t OWNER TO {scene.alice}; GRANT USAGE ON SCHEMA harm TO {scene.alice}",
    )
    for call in (
        f"record_seal('{made}', 5, repeat('0', 64), zanith.canonical_query('{made}'), zanith.canonical_settings())",
        f"mark_restored('{made}')",
    ):
        with pytest.raises(CommandFailed, match="must be owner"):
            scene.by(scene.mallory, f"SELECT zanith.{call}")
    async with scene.opened() as db:
        found = await get_artifact(db, made)
        assert (found.status, found.checksum) == ("recoverable", None)
    scene.by(scene.alice, f"SELECT zanith.mark_restored('{made}')")


@pytest.mark.parametrize("strategy", ["soft_drop_table", "archive_table"])
async def test_a_table_that_was_given_to_another_runs_nothing_as_anyone_else(scene, strategy):
    """Its new owner is a choice; steps run as that role, and a plan without the choice stops."""
    scene.by(scene.alice, f"""
        CREATE TABLE alice.p (c int PRIMARY KEY); INSERT INTO alice.p SELECT generate_series(1, 5);
        CREATE TABLE alice.t (id int PRIMARY KEY, c int CONSTRAINT theirs REFERENCES alice.p, d int);
        INSERT INTO alice.t {ROWS}; CREATE VIEW alice.v AS TABLE alice.t""")  # fmt: skip
    made = scene.artifact(scene.alice, f"{strategy}('alice.t', on_dependents => 'cascade')")
    table = scene.by(None, "SELECT c.oid::regclass FROM pg_class c WHERE relname ~ '^_zanith_dropped_t_[0-9a-z]+$' AND relkind = 'r'")  # fmt: skip
    scene.by(None, f"""
        GRANT ALL ON SCHEMA alice TO {scene.mallory}; GRANT REFERENCES, SELECT ON alice.p TO {scene.mallory};
        ALTER TABLE {table} OWNER TO {scene.mallory};
        SET ROLE {scene.mallory}; ALTER TABLE {table} ADD CHECK (harm.note('given away'))""")  # fmt: skip
    if strategy == "soft_drop_table":
        scene.by(scene.mallory, f"CREATE INDEX ON {table} (d) WHERE harm.note('given away')")
    scene.trap.read()
    async with scene.opened() as db:
        plan = await plan_restore(db, made)
        assert [found.code for found in plan.conflicts] == ["owner_changed"]
        with pytest.raises(ZanithError, match="was given to another role"):
            await restore(db, made, Choices(unverified=True), DBA)
        plan = await plan_restore(db, made, Choices(current_owner=True))
        assert {step.role for step in plan.steps} <= {None, scene.mallory}
        with suppress(ZanithError):  # refused is as good
            await restore(db, made, Choices(current_owner=True), DBA)
    scene.trap.read()
    scene.quiet()


@pytest.mark.parametrize("renamed", [False, True])
@pytest.mark.parametrize("strategy", ["soft_drop_table", "archive_column"])
async def test_a_function_that_ran_as_its_owner_never_gets_another(scene, strategy, renamed):
    """The table went to a superuser: what depended on it did not, not even where its owner's name is gone."""
    scene.by(scene.mallory, f"""
        CREATE TABLE harm.t (id int PRIMARY KEY, c int, d int); INSERT INTO harm.t {ROWS};
        CREATE VIEW harm.v AS SELECT c FROM harm.t;
        CREATE FUNCTION harm.definer() RETURNS boolean LANGUAGE sql SECURITY DEFINER
            BEGIN ATOMIC SELECT harm.note('definer') AND EXISTS (SELECT c FROM harm.t); END""")  # fmt: skip
    column = "c" if strategy == "archive_column" else None
    of_table = Choices(current_owner=column is None)
    scene.trap.read()
    async with scene.opened() as db:
        request = CaptureRequest(strategy, "harm.t", column, on_dependents="cascade")
        made = await capture(db, request, DBA)
        given = f"harm._zanith_dropped_t_{made.id}" if column is None else "harm.t"
        scene.by(None, f"ALTER TABLE {given} OWNER TO CURRENT_USER")
        if renamed:
            scene.by(None, f"ALTER ROLE {scene.mallory} RENAME TO {scene.mallory}_2")
        try:
            plan = await plan_restore(db, made.id, of_table)
            assert {found.code for found in plan.conflicts} == (
                {"role_missing"} if renamed else set()
            )
            with suppress(ZanithError):
                await restore(db, made.id, of_table, DBA)
        finally:
            if renamed:
                scene.by(None, f"ALTER ROLE {scene.mallory}_2 RENAME TO {scene.mallory}")
    owners = """SELECT DISTINCT pg_get_userbyid(x.owner) FROM (SELECT proowner FROM pg_proc WHERE proname = 'definer'
                UNION ALL SELECT relowner FROM pg_class WHERE oid = to_regclass('harm.v')) x(owner)"""  # fmt: skip
    assert scene.by(None, owners) == ("" if renamed else scene.mallory)
    with suppress(CommandFailed):
        scene.by(scene.mallory, "SELECT harm.definer()")
    scene.quiet()


@pytest.mark.parametrize("kind", ["domain", "generated", "check"])
async def test_a_partition_that_was_given_away_while_a_column_was_parked(scene, kind):
    """Nobody but the operator could change both tables, and the code would run as the operator."""
    column = {
        "domain": "c harm.dom",
        "generated": "c int GENERATED ALWAYS AS (harm.tap('generated', id)) STORED",
        "check": "c int CHECK (c > 0)",
    }[kind]
    scene.by(scene.mallory, "CREATE DOMAIN harm.dom AS int")
    scene.by(scene.alice, f"""
        CREATE TABLE alice.t (id int PRIMARY KEY, {column}) PARTITION BY RANGE (id);
        CREATE TABLE alice.t1 PARTITION OF alice.t FOR VALUES FROM (0) TO (10);
        CREATE TABLE alice.t2 PARTITION OF alice.t FOR VALUES FROM (10) TO (20);
        INSERT INTO alice.t (id) VALUES (1), (11)""")  # fmt: skip
    made = scene.artifact(scene.alice, "archive_column('alice.t', 'c')")
    scene.by(None, f"ALTER TABLE alice.t2 OWNER TO {scene.mallory}")
    scene.by(
        scene.mallory, "ALTER DOMAIN harm.dom ADD CHECK (harm.tap('domain', VALUE) > 0) NOT VALID"
    )
    scene.trap.read()
    async with scene.opened() as db:
        plan = await plan_restore(db, made)
        assert [found.code for found in plan.conflicts] == ["several_owners"]
        for run in (rehearse, restore):
            with pytest.raises(ZanithError, match="belong to other roles"):
                await run(db, made, Choices(), DBA)
    scene.quiet()


def test_an_archive_of_an_earlier_version_belongs_to_the_owner(scene, tmp_path):
    scene.by(
        scene.mallory,
        f"CREATE TABLE harm.t (id int PRIMARY KEY, c int, d int); INSERT INTO harm.t {ROWS}",
    )
    made = scene.artifact(scene.mallory, "archive_column('harm.t', 'c')")
    archive = scene.by(
        None,
        f"SELECT format('_zanith_shadow.%I', physical_table) FROM zanith._zanith_migration_artifacts WHERE id = '{made}'",
    )
    scene.by(None, f"""
        ALTER TABLE {archive} OWNER TO {scene.mallory};
        SET ROLE {scene.mallory}; ALTER TABLE {archive} ADD CHECK (harm.note('archive')); RESET ROLE;
        SELECT zanith._renew_scripts()""")  # fmt: skip
    scene.trap.read()
    restore_by_psql(scene.place, made, tmp_path)
    scene.quiet()
    assert scene.by(None, "SELECT count(*) FROM harm.t WHERE c = id") == "5"


@pytest.mark.each_version
async def test_a_partition_that_was_given_away_in_a_table_from_before_18(scene):
    """There NOT NULL constraints get their names again by DETACH and ATTACH, which reads checks."""
    if scene.place.server.version < 18:
        pytest.skip("NOT NULL has a name since 18")
    scene.by(None, """
        CREATE TABLE alice.t (id int NOT NULL, c int NOT NULL) PARTITION BY RANGE (id);
        CREATE TABLE alice.t1 PARTITION OF alice.t FOR VALUES FROM (0) TO (10);
        CREATE TABLE alice.t2 PARTITION OF alice.t FOR VALUES FROM (10) TO (20)""")  # fmt: skip
    made = scene.artifact(None, "soft_drop_table('alice.t')")
    root = scene.by(
        None,
        "SELECT oid::regclass FROM pg_class WHERE relkind = 'p' AND relname ~ '^_zanith_dropped_'",
    )
    beneath = (
        f"SELECT max(inhrelid)::regclass FROM pg_inherits WHERE inhparent = '{root}'::regclass"
    )
    member = scene.by(None, beneath)
    # as a dump of 17 leaves it
    scene.by(None, f"""
        ALTER TABLE {root} RENAME CONSTRAINT t_c_not_null TO _zanith_dropped_t_c_not_null;
        UPDATE zanith._zanith_migration_artifacts SET definition = definition || '{{"server_version": 170000}}' WHERE id = '{made}';
        SELECT zanith._renew_scripts();
        GRANT USAGE, CREATE ON SCHEMA alice TO {scene.mallory};
        ALTER TABLE {member} OWNER TO {scene.mallory}""")  # fmt: skip
    scene.by(
        scene.mallory,
        f"ALTER TABLE {member} ADD CONSTRAINT attached CHECK (harm.tap('attached', 1) = 1)",
    )
    scene.trap.read()
    choices = Choices(current_owner=True, unverified=True)
    async with scene.opened() as db:
        with pytest.raises(Refused, match="would run as"):
            await restore(db, made, choices, DBA)
        scene.quiet()
        scene.by(scene.mallory, f"ALTER TABLE {member} DROP CONSTRAINT attached")
        await restore(db, made, choices, DBA)
    scene.quiet()
