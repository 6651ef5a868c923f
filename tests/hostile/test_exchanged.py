"""What an owner exchanges between two steps: in another session, or by code of his own that a step runs.

A step that reads no row can still evaluate: REPLICA IDENTITY USING INDEX folds the predicate of the index, and ADD PRIMARY KEY and SET NOT
NULL fold every check of the table.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import asyncpg
import pytest

from app.recovery.core.errors import ZanithError
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.rehearsal import rehearse
from app.recovery.restore.restore import restore
from tests.clusters import CommandFailed
from tests.hostile.scene import DBA, ROWS
from tests.oracle.judges import restore_by_psql

KEYS = {
    "constraint": "CREATE TABLE harm.t (id int PRIMARY KEY, c int NOT NULL CONSTRAINT once UNIQUE, d int);",
    "index": "CREATE TABLE harm.t (id int PRIMARY KEY, c int NOT NULL, d int); CREATE UNIQUE INDEX once ON harm.t (c);",
}
EXCHANGED = {
    "predicate": "(c) WHERE harm.note('exchanged')",
    "expression": "((c + harm.tap('exchanged', 1)))",
}
MARKS = {
    "Set the replica identity": "REPLICA IDENTITY USING INDEX",
    "Mark the index for CLUSTER": "CLUSTER ON",
}


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("by", EXCHANGED)
@pytest.mark.parametrize("strategy", ["archive_column", "soft_drop_column"])
async def test_an_index_that_is_exchanged_before_it_is_marked(scene, strategy, by, key, mark):
    scene.by(scene.mallory, f"{KEYS[key]} INSERT INTO harm.t {ROWS}; ALTER TABLE harm.t {MARKS[mark]} once")  # fmt: skip
    made = scene.artifact(scene.mallory, f"{strategy}('harm.t', 'c')")
    scene.trap.read()
    exchanged: list[str] = []

    async def exchange(told: dict) -> None:
        if told.get("step") == mark and not exchanged:
            scene.by(scene.mallory, f"""
                SET lock_timeout = '5s'; ALTER TABLE harm.t DROP CONSTRAINT IF EXISTS once; DROP INDEX IF EXISTS harm.once;
                CREATE UNIQUE INDEX once ON harm.t {EXCHANGED[by]}""")  # fmt: skip
            exchanged.append(mark)
            scene.trap.read()

    async with scene.opened() as db:
        try:
            await restore(db, made, Choices(online=True), DBA, on_progress=exchange)
        except ZanithError:  # PostgreSQL refuses such an index after it evaluated it
            assert "IDENTITY" in MARKS[mark]
    assert exchanged
    scene.quiet()


@pytest.mark.parametrize("strategy", ["archive_column", "soft_drop_column"])
async def test_the_sequence_that_numbers_rows_is_exchanged_by_the_backfill(scene, strategy):
    """The owner of a schema may drop what somebody made there, and does so in a check that the backfill evaluates."""
    scene.by(scene.mallory, """
        CREATE TABLE harm.t (id int PRIMARY KEY, d int CHECK (harm.tap(CASE id WHEN 101 THEN 'last' ELSE 'other' END, d) > 0), c bigint GENERATED ALWAYS AS IDENTITY);
        INSERT INTO harm.t (id, d) SELECT n, n FROM generate_series(1, 5) n""")  # fmt: skip
    made = scene.artifact(None, f"{strategy}('harm.t', 'c')")
    numbers = f"harm._zanith_numbers_{made}"
    scene.by(scene.mallory, f"""
        INSERT INTO harm.t (id, d) VALUES (100, 1), (101, 1);
        CREATE OR REPLACE FUNCTION harm.mischief(hook text) RETURNS void LANGUAGE plpgsql AS $f$ BEGIN
            IF hook = 'last' AND to_regclass('{numbers}') IS NOT NULL THEN
                DROP SEQUENCE {numbers};
                CREATE VIEW {numbers} AS SELECT harm.tap('numbers', 7)::bigint AS last_value, true AS is_called;
            END IF;
        END $f$""")  # fmt: skip
    scene.trap.read()
    async with scene.opened() as db:
        with pytest.raises(ZanithError, match="_zanith_numbers"):
            await restore(db, made, Choices(fill_default=True), DBA)
    scene.quiet()


@pytest.mark.each_version
@pytest.mark.parametrize("of", ["table", "child", "script", "never"])
async def test_a_primary_key_with_a_column_that_takes_null_by_now(scene, of, tmp_path):
    scene.by(scene.mallory, f"CREATE TABLE harm.t (id int, c int, d int, CONSTRAINT pk PRIMARY KEY (id, c)); INSERT INTO harm.t {ROWS}")  # fmt: skip
    if of == "child":
        if scene.place.server.version >= 18:
            pytest.skip("a child of a table with a primary key keeps NOT NULL there")
        scene.by(scene.mallory, "CREATE TABLE harm.child () INHERITS (harm.t)")
    made = scene.artifact(None, "soft_drop_column('harm.t', 'c')")
    table = "harm.child" if of == "child" else "harm.t"
    if of != "never":
        scene.by(scene.mallory, f"ALTER TABLE {table} ALTER id DROP NOT NULL")
    scene.by(scene.mallory, f"ALTER TABLE {table} ADD CHECK (id > 0 OR harm.note('check'))")
    scene.trap.read()
    if of == "script":
        with pytest.raises(CommandFailed, match=r"harm\.t\.id now takes NULL"):
            restore_by_psql(scene.place, made, tmp_path)
    else:
        async with scene.opened() as db:
            plan = await plan_restore(db, made)
            if of != "never":
                assert [found.code for found in plan.conflicts] == ["key_takes_null"]
                assert f"ALTER TABLE {table} ALTER COLUMN id SET NOT NULL" in str(
                    plan.conflicts[0].hint
                )
                for run in (rehearse, restore):
                    with pytest.raises(ZanithError, match="now takes NULL"):
                        await run(db, made, Choices(), DBA)
                scene.quiet()
                scene.by(scene.mallory, f"ALTER TABLE {table} ALTER COLUMN id SET NOT NULL")
            await restore(db, made, Choices(), DBA)
        assert scene.by(None, "SELECT conname FROM pg_constraint WHERE contype = 'p' AND conrelid = 'harm.t'::regclass") == "pk"  # fmt: skip
    scene.quiet()


async def test_not_null_of_a_partition_after_code_ran_in_its_attachment(scene):
    """Code of the attachment queues a deferred trigger, which takes NOT NULL away again and adds a check."""
    scene.by(scene.mallory, """
        CREATE TABLE harm.t (id int NOT NULL, d int) PARTITION BY RANGE (id);
        CREATE TABLE harm.t1 (id int NOT NULL, d int); ALTER TABLE harm.t ATTACH PARTITION harm.t1 FOR VALUES FROM (0) TO (10);
        ALTER TABLE harm.t1 ALTER id SET NOT NULL;
        CREATE TABLE harm.queue (v int);
        CREATE FUNCTION harm.act() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
            ALTER TABLE harm.t ALTER id DROP NOT NULL;
            ALTER TABLE harm.t1 ALTER id DROP NOT NULL;
            ALTER TABLE harm.t1 ADD CHECK (id > 0 OR harm.note('check'));
            RETURN NULL;
        END $f$;
        CREATE CONSTRAINT TRIGGER later AFTER INSERT ON harm.queue DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION harm.act();
        CREATE INDEX ON harm.t1 (d) WHERE harm.note('of the partition') OR d > 0""")  # fmt: skip
    made = scene.artifact(None, "soft_drop_table('harm.t1')")
    scene.by(scene.mallory, """
        CREATE OR REPLACE FUNCTION harm.mischief(hook text) RETURNS void LANGUAGE plpgsql AS $f$ BEGIN
            IF hook <> 'check' AND EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('harm.t1') AND relispartition) AND NOT EXISTS (SELECT FROM harm.queue) THEN
                INSERT INTO harm.queue VALUES (1);
            END IF;
        END $f$; CREATE INDEX ON harm.t ((d + harm.tap('above', 1)))""")  # fmt: skip
    scene.trap.read()
    async with scene.opened() as db:
        await restore(db, made, Choices(), DBA)
    scene.quiet()
    assert scene.by(None, "SELECT count(*) FROM harm.queue") == "1"


@pytest.mark.parametrize("way", ["engine", "psql"])
async def test_the_index_of_a_replica_identity_is_exchanged_by_the_backfill(scene, way, tmp_path):
    """In a tree of several owners the restoring role sets back what the backfill needed otherwise."""
    scene.by(scene.mallory, """
        CREATE TABLE harm.t (id int PRIMARY KEY, d int NOT NULL, c int, e int) PARTITION BY RANGE (id);
        CREATE TABLE harm.part PARTITION OF harm.t FOR VALUES FROM (0) TO (100); CREATE UNIQUE INDEX ident ON harm.part (d);
        ALTER TABLE harm.part REPLICA IDENTITY USING INDEX ident;
        INSERT INTO harm.t SELECT n, n, n, n FROM generate_series(1, 5) n;
        CREATE TABLE harm.queue (v int);
        CREATE FUNCTION harm.act() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
            DROP INDEX harm.ident; CREATE UNIQUE INDEX ident ON harm.part (d) WHERE harm.note('exchanged'); RETURN NULL;
        END $f$;
        CREATE CONSTRAINT TRIGGER later AFTER INSERT ON harm.queue DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION harm.act()""")  # fmt: skip
    scene.by(None, f"""
        CREATE TABLE harm.other PARTITION OF harm.t FOR VALUES FROM (100) TO (200); ALTER TABLE harm.other OWNER TO {scene.alice};
        CREATE PUBLICATION of_part FOR TABLE ONLY harm.part WHERE (e > 0)""")  # fmt: skip
    made = scene.artifact(None, "archive_column('harm.t', 'c', published_ok => true)")
    scene.by(scene.mallory, """
        ALTER TABLE harm.part ADD CHECK (harm.tap('check', d) > 0);
        CREATE OR REPLACE FUNCTION harm.mischief(hook text) RETURNS void LANGUAGE plpgsql AS $f$ BEGIN
            IF hook = 'check' AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'harm.part'::regclass AND attname = 'c') AND NOT EXISTS (SELECT FROM harm.queue) THEN
                INSERT INTO harm.queue VALUES (1);
            END IF;
        END $f$""")  # fmt: skip
    scene.trap.read()
    if way == "psql":
        with pytest.raises(CommandFailed, match="exchanged the index of a replica identity"):
            restore_by_psql(scene.place, made, tmp_path)
    else:
        async with scene.opened() as db:
            with suppress(ZanithError):
                await restore(db, made, Choices(), DBA)
    assert "check" in {seen.hook for seen in scene.trap.read() if not seen.escaped(scene.mallory)}
    scene.quiet()


WAITS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
# What bears the names of what is captured, in a schema that bears its name.
ANOTHER = (
    "ALTER SCHEMA lure RENAME TO gone",
    "CREATE SCHEMA lure",
    "CREATE TABLE lure.t (id int, c int, d int) PARTITION BY RANGE ((id + harm.tap('key of another', 1)))",
    "CREATE TABLE lure.t1 PARTITION OF lure.t DEFAULT",
    "CREATE INDEX t_pkey ON lure.t (id)",
    "CREATE VIEW lure.v AS SELECT 1 AS c",
    "COMMIT",
)


@pytest.mark.parametrize("first", ["VIEW lure.v", "TABLE lure.t"])
@pytest.mark.parametrize("strategy", ["soft_drop_table", "archive_table", "soft_drop_column", "archive_column"])  # fmt: skip
async def test_a_schema_that_is_exchanged_while_a_capture_waits(scene, strategy, first):
    """The capture waits for its lock of the table, or later for one of a view."""
    scene.by(None, f"""
        GRANT CREATE ON DATABASE {scene.place.name} TO {scene.mallory};
        CREATE SCHEMA lure AUTHORIZATION {scene.mallory}; GRANT USAGE ON SCHEMA lure TO PUBLIC""")  # fmt: skip
    scene.by(scene.mallory, f"""
        CREATE TABLE lure.t (id int PRIMARY KEY, c int, d int); INSERT INTO lure.t {ROWS}; CREATE VIEW lure.v AS SELECT c FROM lure.t""")  # fmt: skip
    column = ", 'c'" if strategy.endswith("column") else ""
    async with (
        scene.place.connect(user=scene.mallory) as mallory,
        scene.place.connect() as watcher,
        scene.place.connect() as superuser,
    ):
        await mallory.execute(f"BEGIN; COMMENT ON {first} IS 'held'; SET LOCAL lock_timeout = '500ms'")  # fmt: skip
        await superuser.execute("SET zanith.lock_timeout = '20s'")
        capturing = asyncio.ensure_future(superuser.execute(f"SELECT zanith.{strategy}('lure.t'{column}, on_dependents => 'cascade')"))  # fmt: skip
        while not await watcher.fetchval(WAITS):
            assert not capturing.done()
            await asyncio.sleep(0.01)
        if first.startswith("VIEW"):
            with pytest.raises(asyncpg.LockNotAvailableError):
                await mallory.execute(ANOTHER[0])
            await mallory.execute("ROLLBACK")
            await capturing
        else:
            for statement in ANOTHER:
                await mallory.execute(statement)
            with pytest.raises(asyncpg.PostgresError, match="was changed while it was captured"):
                await capturing
    scene.quiet()


@pytest.mark.parametrize("part", ["foreign key", "trigger"])
@pytest.mark.parametrize("way", ["engine", "psql"])
async def test_a_table_that_a_deferred_trigger_exchanges(scene, way, part, tmp_path):
    """Under the lock, in the transaction of the restore, after the backfill: the next steps would alter another table."""
    scene.by(scene.mallory, f"""
        CREATE TABLE harm.ref (id int PRIMARY KEY); INSERT INTO harm.ref SELECT generate_series(1, 5);
        CREATE TABLE harm.t (id int PRIMARY KEY, c int, d int); INSERT INTO harm.t {ROWS};
        CREATE FUNCTION harm.fires() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TABLE harm.queue (v int);
        CREATE FUNCTION harm.act() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
            ALTER TABLE harm.t RENAME TO gone; ALTER TABLE harm.other RENAME TO t; RETURN NULL;
        END $f$;
        CREATE CONSTRAINT TRIGGER later AFTER INSERT ON harm.queue DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION harm.act()""")  # fmt: skip
    scene.by(scene.mallory, {
        "foreign key": "ALTER TABLE harm.t ADD CONSTRAINT fk FOREIGN KEY (c) REFERENCES harm.ref",
        "trigger": "CREATE TRIGGER tr AFTER UPDATE OF c ON harm.t FOR EACH ROW EXECUTE FUNCTION harm.fires()",
    }[part])  # fmt: skip
    made = scene.artifact(None, "archive_column('harm.t', 'c', on_dependents => 'cascade')")
    scene.by(scene.mallory, """
        CREATE TABLE harm.other (id int, d int, c int) PARTITION BY RANGE ((id + harm.tap('key of another', 1)));
        CREATE TABLE harm.other_1 PARTITION OF harm.other DEFAULT;
        ALTER TABLE harm.t ADD CHECK (harm.tap('check', d) > 0);
        CREATE OR REPLACE FUNCTION harm.mischief(hook text) RETURNS void LANGUAGE plpgsql AS $f$ BEGIN
            IF hook = 'check' AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'harm.t'::regclass AND attname = 'c') AND NOT EXISTS (SELECT FROM harm.queue) THEN
                SET CONSTRAINTS ALL DEFERRED; INSERT INTO harm.queue VALUES (1);
            END IF;
        END $f$""")  # fmt: skip
    scene.trap.read()
    if way == "psql":
        with pytest.raises(CommandFailed, match="exchanged a table that is locked"):
            restore_by_psql(scene.place, made, tmp_path)
    else:
        async with scene.opened() as db:
            with pytest.raises(ZanithError, match="exchanged a table that is locked"):
                await restore(db, made, Choices(), DBA)
    scene.quiet()
