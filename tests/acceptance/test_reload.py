"""A database with artifacts, dumped and loaded into another server or a newer major version.

Every artifact comes back there, by the engine and by its recipe alone; seals verify, and nothing is
told as damaged that is not: after a reload every oid is another.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.db import installer
from app.recovery.db.database import Database as Opened
from app.recovery.inspection.doctor import doctor
from app.recovery.plan.model import Choices
from app.recovery.restore.restore import restore
from app.recovery.rows.seal import verify
from tests import clusters
from tests.clusters import Server, run
from tests.conftest import Database, install_zanith, serial, versions_to_test

pytestmark = pytest.mark.each_version

DBA = Actor("dba")
ROLES = ("reload_owner", "reload_reader")
SHOP = """
CREATE SCHEMA shop; CREATE SCHEMA "Odd ""Schema"; SET search_path = shop;
GRANT USAGE, CREATE ON SCHEMA shop TO reload_owner;
CREATE DOMAIN email AS text CONSTRAINT has_at CHECK (VALUE ~ '@');
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (a int, b text);
CREATE TABLE customers (
    id bigint GENERATED ALWAYS AS IDENTITY (START 100) PRIMARY KEY, mail email NOT NULL UNIQUE,
    mood mood DEFAULT 'ok', pair pair, note varchar(40) COLLATE "C", code serial,
    amount numeric(12, 3) NOT NULL DEFAULT 0 CONSTRAINT positive CHECK (amount >= 0 AND amount <> 7));
COMMENT ON COLUMN customers.note IS 'it''s theirs';
CREATE INDEX by_note ON customers (lower(note)) WHERE note IS NOT NULL;
CREATE INDEX by_mood ON customers (mood) INCLUDE (amount);
INSERT INTO customers (mail, mood, pair, note, amount)
SELECT n || '@x', 'happy'::mood, ROW(n, 'b')::pair, 'n' || n, n / 3.0 + 8 FROM generate_series(1, 50) n;
CREATE VIEW moods AS SELECT id, mood, amount FROM customers WHERE amount > 1 AND mood IN ('ok', 'happy');
GRANT SELECT ON moods TO reload_reader;
CREATE TABLE orders (
    id int PRIMARY KEY, customer bigint REFERENCES customers ON DELETE CASCADE, total numeric NOT NULL,
    taxed numeric GENERATED ALWAYS AS (total * 1.2) STORED, at timestamptz DEFAULT now(),
    legacy text NOT NULL DEFAULT 'none', during tstzrange, tags text[],
    CONSTRAINT dated CHECK (at > '2000-01-01' OR legacy IS NOT NULL));
COMMENT ON TABLE orders IS 'all of them';
GRANT SELECT (id, legacy) ON orders TO reload_reader;
GRANT SELECT, INSERT ON orders TO reload_reader WITH GRANT OPTION;
INSERT INTO orders (id, customer, total, legacy, at, tags)
SELECT n, 99 + n, n * 2.5, 'old' || n, '2026-01-01', ARRAY['x', NULL] FROM generate_series(1, 50) n;
CREATE TABLE items (id int PRIMARY KEY, order_id int REFERENCES orders DEFERRABLE INITIALLY DEFERRED);
INSERT INTO items SELECT n, n FROM generate_series(1, 50) n;
CREATE STATISTICS order_stats ON customer, total FROM orders;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON orders TO reload_reader USING (customer = 1);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE OF total ON orders FOR EACH ROW WHEN (NEW.total > 0) EXECUTE FUNCTION touch();
CREATE RULE quiet AS ON DELETE TO orders WHERE OLD.total < 0 DO INSTEAD NOTHING;
CREATE TABLE events (id int NOT NULL, at date NOT NULL, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE events_rest PARTITION OF events DEFAULT;
CREATE INDEX events_by_v ON events (v);
INSERT INTO events SELECT n, '2026-01-20'::date + n, 'v' || n FROM generate_series(1, 50) n;
CREATE TABLE "Odd ""Schema"."Ünï tab.le" (id serial PRIMARY KEY, "a ""b" text, c text DEFAULT E'\\\\');
INSERT INTO "Odd ""Schema"."Ünï tab.le" ("a ""b") VALUES ('x'), (NULL), ('');
CREATE TABLE heap (a int, b text); INSERT INTO heap VALUES (1, 'x'), (1, 'x'), (2, NULL);
CREATE TABLE built (id int PRIMARY KEY, v text); INSERT INTO built SELECT n, 'x' FROM generate_series(1, 9) n;
ALTER TABLE heap OWNER TO reload_owner;
CREATE PUBLICATION news FOR TABLE heap;
"""
CAPTURES = (
    ("soft_drop_column", "shop.customers", "note"),
    ("soft_drop_column", "shop.customers", "mail"),
    ("archive_column", "shop.customers", "amount"),
    ("archive_column", "shop.customers", "code"),
    ("archive_column", "shop.customers", "pair"),
    ("soft_drop_column", "shop.orders", "legacy"),
    ("archive_table", "shop.orders", None),
    ("soft_drop_table", "shop.events", None),
    ("archive_column", '"Odd ""Schema"."Ünï tab.le"', 'a "b'),
    ("archive_table", '"Odd ""Schema"."Ünï tab.le"', None),
    ("soft_drop_table", "shop.heap", None),
    ("rebuild_table", "shop.built", None),
)
OURS = ("zanith", "_zanith_shadow")


@dataclass(frozen=True)
class Source:
    """The database with its artifacts, and its schema and rows before any capture.

    A schema's dump is compared only within a version: another prints it in other words.
    """

    database: Database
    artifacts: tuple[str, ...]
    before: list[str]
    rows: dict[str, str]


ROWS = """
SELECT format('SELECT %L, md5(string_agg(r::text, chr(10) ORDER BY r::text COLLATE "C")) FROM '
              '(SELECT jsonb_build_object(%s) AS r FROM ONLY %I.%I) q;', c.oid::regclass,
              string_agg(quote_literal(a.attname) || ', ' || quote_ident(a.attname), ', ' ORDER BY a.attname),
              n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind = 'r' AND n.nspname IN ('shop', 'Odd "Schema')
GROUP BY c.oid, n.nspname, c.relname
UNION ALL
SELECT format('SELECT %L, last_value, is_called FROM %s;', c.oid::regclass, c.oid::regclass)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND n.nspname IN ('shop', 'Odd "Schema')
"""


def rows_of(database: Database) -> dict[str, str]:
    """Return a digest of each table's rows by column name, and where each sequence stands."""
    lines = database.psql("SET row_security = off;" + database.psql(ROWS)).splitlines()
    return dict(line.split("|", 1) for line in lines)


def lines_of(database: Database) -> list[str]:
    """Return the schema as pg_dump prints it, by the line: a re-added column stands last."""
    text = database.pg_dump("--schema-only", *(f"--exclude-schema={name}" for name in OURS))
    return sorted(
        line.rstrip(",") for line in text.splitlines() if line and not line.startswith("--")
    )


# A minor release keeps a version in the options of every column (15.20: pg_attver). Its programs, and
# the newest minor releases of later versions, leave it out of a dump; an older minor of a later
# version writes it, for every table of a database, and refuses it when the dump is loaded. Composite
# types are dumped without options, and their values cannot be read without the version.
WITHOUT_VERSIONS_OF_COLUMNS = """
SET allow_system_table_mods = on;
UPDATE pg_attribute SET attoptions = (
    SELECT array_agg(option) FROM unnest(attoptions) option WHERE NOT starts_with(option, 'pg_'))
FROM pg_class c
WHERE c.oid = attrelid AND c.oid >= 16384 AND c.relkind <> 'c' AND attoptions IS NOT NULL;
"""


# earlier versions of Zanith recorded what the server wrote
AS_EARLIER_VERSIONS_RECORDED = """
UPDATE zanith._zanith_migration_artifacts
SET definition = replace(definition::text, '"options": null', '"options": ["pg_attver=7"]')::jsonb;
"""


def make_source(server: Server, reader: Server) -> Source:
    """Make the database, in the form in which the programs of the reader can dump it."""
    name = f"reload_{serial_name()}"
    server.create_database(name)
    database = Database(server, name)
    install_zanith(database.url)
    make_roles(server)
    database.psql("GRANT USAGE, CREATE ON SCHEMA _zanith_shadow TO reload_owner;" + SHOP)
    before, rows = lines_of(database), rows_of(database)
    artifacts = asyncio.run(capture_all(database))
    database.psql(AS_EARLIER_VERSIONS_RECORDED)
    if reader.version != server.version:
        database.psql(WITHOUT_VERSIONS_OF_COLUMNS)
    return Source(database, artifacts, before, rows)


def serial_name() -> str:
    return f"{os.getpid()}_{next(serial)}"


def make_roles(server: Server) -> None:
    """Make the roles, which belong to the cluster: another worker may be making them just now."""
    for role in ROLES:
        server.psql(
            "postgres",
            f"DO $$BEGIN CREATE ROLE {role}; "
            "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END$$",
        )


async def capture_all(database: Database) -> tuple[str, ...]:
    db = await Opened.open(database.url)
    try:
        return tuple(
            [
                (
                    await capture(
                        db,
                        CaptureRequest(
                            strategy,
                            table,
                            column,
                            on_dependents="cascade",
                            published_ok=True,
                            keep_rows=strategy == "rebuild_table",
                        ),
                        DBA,
                    )
                ).id
                for strategy, table, column in CAPTURES
            ]
        )
    finally:
        await db.close()


@pytest.fixture(scope="module")
def newest(run_directory) -> Server:
    return clusters.obtain_server(run_directory, versions_to_test()[0])


@pytest.fixture(scope="module")
def source(run_directory, newest) -> Iterator[Source]:
    """The database with artifacts, on the oldest version of the run."""
    server = clusters.obtain_server(run_directory, versions_to_test()[-1])
    made = make_source(server, newest)
    yield made
    server.psql("postgres", f"DROP DATABASE {made.database.name} WITH (FORCE)")


@pytest.fixture
def target(newest: Server, source: Source) -> Iterator[Database]:
    """An empty database on the newest version, where oids are others."""
    make_roles(newest)
    name = f"reload_{serial_name()}"
    newest.create_database(name)
    yield Database(newest, name)
    newest.psql("postgres", f"DROP DATABASE {name} WITH (FORCE)")


def load(way: str, source: Source, target: Database, directory: Path) -> None:
    """Dump with the newer pg_dump and load: "plain", "custom", or "schemas" by name."""
    file = directory / "dump"
    programs = target.server.bin_dir
    chosen = ("-n", "shop", "-n", '"Odd ""Schema"', "-n", "zanith", "-n", "_zanith_shadow")
    more = {"plain": (), "custom": ("-Fc",), "schemas": chosen}[way]
    run([programs / "pg_dump", *more, "-f", file, "-d", source.database.url])
    if way == "custom":
        run([programs / "pg_restore", "--exit-on-error", "-d", target.url, file])
    else:
        target.psql(file=file)
    if way == "schemas":  # a publication is in no schema, so that such a dump has none
        target.psql("CREATE PUBLICATION news")


async def check_all(target: Database, source: Source) -> None:
    """Doctor finds nothing, seals verify with the same checksum, an upgrade has nothing to do."""
    db = await Opened.open(target.url)
    try:
        async with db.acquire() as connection:
            assert await installer.install(connection) == []
        assert [(f.code, f.message) for f in (await doctor(db)).findings] == []
        for artifact in source.artifacts:
            found = await get_artifact(db, artifact)
            assert found.health == "ok"
            if found.checksum:
                assert (await verify(db, artifact, DBA)).matches, found.object_name
        target.psql("CREATE TABLE shop.fresh (id int PRIMARY KEY)")
        fresh = await capture(db, CaptureRequest("archive_table", "shop.fresh"), DBA)
        await restore(db, fresh.id, Choices(), DBA)
        target.psql("DROP TABLE shop.fresh")
    finally:
        await db.close()


async def restore_by_engine(target: Database, artifact: str) -> None:
    db = await Opened.open(target.url)
    try:
        await restore(db, artifact, Choices(), DBA)
    finally:
        await db.close()


def restore_by_psql(target: Database, artifact: str, directory: Path) -> None:
    file = directory / f"{artifact}.sql"
    recipe = f"SELECT recovery_sql FROM zanith._zanith_migration_artifacts WHERE id = '{artifact}'"
    file.write_text(target.psql(recipe), "utf-8")
    target.psql(file=file)


def unfaithful(target: Database, artifact: str, source: Source) -> list[str]:
    """What compare() says came back otherwise, but for what the newer version tells otherwise."""
    report = json.loads(target.psql(f"SELECT zanith.compare('{artifact}')"))
    newer = target.server.version > source.database.server.version
    return [
        json.dumps(entry)
        for entry in report["different"] + report["missing"]
        if not (newer and told_otherwise(entry))
    ]


def told_otherwise(entry: dict) -> bool:
    """Whether only the words differ.

    18 names a NOT NULL, 17 has an owner's MAINTAIN, 16 leaves a view's prefixes out.
    """
    if entry["what"].endswith(" grants"):
        now = json.dumps(entry["now"]).replace('"MAINTAIN", ', "")
        return now == json.dumps(entry["recorded"])
    keys = entry["recorded"].keys() | entry.get("now", {}).keys()
    if entry["what"] == "column not_null":
        return entry["recorded"] == {}
    if entry["what"].startswith("column "):
        return keys == {"not_null"} and entry["recorded"]["not_null"] == {}
    return entry["what"].startswith("view ") and keys == {"definition"}


def restore_all(target: Database, source: Source, ways: list[str], directory: Path) -> None:
    """Restore all, newest first, in each of the ways in turn; nothing may differ then."""
    faults = []
    artifacts = reversed(source.artifacts[:-1])  # the last is a rebuild: forensic
    for artifact, by in zip(artifacts, itertools.cycle(ways), strict=False):
        if by == "engine":
            asyncio.run(restore_by_engine(target, artifact))
        else:
            restore_by_psql(target, artifact, directory)
        faults += unfaithful(target, artifact, source)
    assert "\n".join(faults) == ""
    assert rows_of(target) == source.rows


WAYS = [("plain", "engine"), ("plain", "psql"), ("custom", "engine"), ("schemas", "psql")]


@pytest.mark.parametrize(("way", "by"), WAYS, ids=["-".join(way) for way in WAYS])
def test_everything_comes_back_after_dump_and_reload(source, target, way, by, tmp_path):
    load(way, source, target, tmp_path)
    asyncio.run(check_all(target, source))
    restore_all(target, source, [by], tmp_path)
    if target.server.version == source.database.server.version and way != "schemas":
        assert lines_of(target) == source.before


def test_everything_comes_back_after_pg_upgrade(run_directory, tmp_path):
    """The files of a cluster taken over by the newest version: oids stay, the catalog is another."""
    oldest, newest = versions_to_test()[-1], versions_to_test()[0]
    found = clusters.find_versions()
    old = Server(oldest, found[oldest], run_directory / f"old-{serial_name()}")
    plain = ("--no-data-checksums",) if newest >= 18 > oldest else ()  # 18 has them unless asked
    new = Server(newest, found[newest], run_directory / f"new-{serial_name()}", initdb=plain)
    try:
        old.create()
        new.create()
        source = make_source(old, new)
        new.upgrade(old)
        target = Database(new, source.database.name)
        asyncio.run(check_all(target, source))
        restore_all(target, source, ["psql", "engine"], tmp_path)
        named = "SELECT conname FROM pg_constraint WHERE conname LIKE '\\_zanith%' AND contype = 'n' AND conrelid::regclass::text !~ '_zanith'"
        assert target.psql(named) == ""
    finally:
        for server in (old, new):
            server.remove()


# before 18 a NOT NULL has no name; 18 makes one of the table's, when a dump is loaded
NOT_NULLS = """
CREATE SCHEMA s; SET search_path = s;
CREATE TABLE plain (id int PRIMARY KEY, a text NOT NULL, "B b" int NOT NULL);
CREATE TABLE parent (id int NOT NULL, v text NOT NULL);
CREATE TABLE child (own int NOT NULL) INHERITS (parent);
CREATE TABLE above (id int NOT NULL); CREATE TABLE beneath () INHERITS (above);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE tree (id int NOT NULL, at date NOT NULL, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE tree_2 (at date NOT NULL, id int NOT NULL, v text NOT NULL);
ALTER TABLE tree ATTACH PARTITION tree_2 DEFAULT;
CREATE TABLE tree_3 PARTITION OF tree FOR VALUES FROM ('2027-01-01') TO ('2028-01-01') PARTITION BY LIST (id);
CREATE TABLE tree_4 PARTITION OF tree_3 DEFAULT;
CREATE INDEX ON tree (v); CREATE TRIGGER noted AFTER INSERT ON tree FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE tree_1 DISABLE TRIGGER noted; ALTER TABLE tree_4 ENABLE ALWAYS TRIGGER noted;
INSERT INTO tree SELECT n, '2026-01-20'::date + n * 20, 'v' FROM generate_series(1, 30) n;
CREATE TABLE twins (id int NOT NULL, v int NOT NULL) PARTITION BY LIST (id);
CREATE TABLE twins_1 PARTITION OF twins DEFAULT;
CREATE TABLE a_very_long_name_of_a_table_that_is_at_the_limit_of_what_fitsü (a_column_with_a_rather_long_näme int NOT NULL);
ALTER TABLE plain ADD CONSTRAINT plain_a_not_null1 CHECK (id > 0);
"""
NAMED = """
SELECT k.conrelid::regclass, k.conname, k.conislocal, k.coninhcount FROM pg_constraint k
WHERE k.contype = 'n' AND k.connamespace = 's'::regnamespace
ORDER BY k.conrelid::regclass::text COLLATE "C", k.conname;
SELECT g.tgrelid::regclass, g.tgname, g.tgenabled FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
WHERE c.relnamespace = 's'::regnamespace ORDER BY g.tgrelid::regclass::text COLLATE "C", g.tgname;
SELECT i.inhparent::regclass, i.inhrelid::regclass FROM pg_inherits i
ORDER BY i.inhrelid::regclass::text COLLATE "C", 1;
SELECT tableoid::regclass, * FROM s.tree ORDER BY id
"""
PARKED = (
    ("archive_table", "plain"),
    ("archive_table", "child"),
    ("soft_drop_table", "above"),
    ("archive_table", "tree"),
    ("archive_table", "twins_1"),
    ("archive_table", "a_very_long_name_of_a_table_that_is_at_the_limit_of_what_fitsü"),
)


@pytest.mark.parametrize("by", ["engine", "psql"])
def test_not_null_constraints_have_the_names_of_tables_that_were_never_parked(
    run_directory, newest, tmp_path, by
):
    oldest = clusters.obtain_server(run_directory, versions_to_test()[-1])
    names = [f"named_{serial_name()}" for _ in range(2)]
    try:
        for name in names:
            oldest.create_database(name)
            install_zanith(oldest.url(name))
            oldest.psql(name, NOT_NULLS)
        calls = [
            f"SELECT zanith.{way}('s.{table}', on_dependents => 'cascade')" for way, table in PARKED
        ]
        artifacts = [oldest.psql(names[1], call) for call in calls]
        for name in names:
            if newest.version != oldest.version:
                oldest.psql(name, WITHOUT_VERSIONS_OF_COLUMNS)
            newest.create_database(f"{name}_new")
            file = tmp_path / name
            run([newest.bin_dir / "pg_dump", "-f", file, "-d", oldest.url(name)])
            newest.psql(f"{name}_new", file=file)
        target = Database(newest, f"{names[1]}_new")
        for artifact in reversed(artifacts):
            if by == "engine":
                asyncio.run(restore_by_engine(target, artifact))
            else:
                restore_by_psql(target, artifact, tmp_path)
        assert target.psql(NAMED) == newest.psql(f"{names[0]}_new", NAMED)
        assert "noted|D" in target.psql(NAMED)
    finally:
        for name in names:
            oldest.psql("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            newest.psql("postgres", f"DROP DATABASE IF EXISTS {name}_new WITH (FORCE)")


@pytest.mark.newest
@pytest.mark.parametrize("way", ["engine", "psql"])
@pytest.mark.parametrize("strategy", ["archive_table", "soft_drop_table"])
async def test_not_null_of_a_partition_itself_stays_its_own(database, tmp_path, strategy, way):
    """ATTACH PARTITION makes a constraint that both have the parent's alone."""
    if database.server.version < 18:
        pytest.skip("NOT NULL is a constraint since 18")
    database.psql("""
        CREATE TABLE t (id int NOT NULL, c int NOT NULL, d int NOT NULL) PARTITION BY LIST (id);
        CREATE TABLE p PARTITION OF t DEFAULT PARTITION BY LIST (c); CREATE TABLE q PARTITION OF p DEFAULT;
        ALTER TABLE p ALTER c SET NOT NULL; INSERT INTO t VALUES (1, 2, 3)""")
    local = "SELECT conrelid::regclass, conname, conislocal, coninhcount FROM pg_constraint WHERE contype = 'n' ORDER BY 1, 2"
    before = database.psql(local)
    assert "p|t_c_not_null|t|1" in before
    artifact = database.psql(f"SELECT zanith.{strategy}('p')")
    if way == "engine":
        await restore_by_engine(database, artifact)
    else:
        restore_by_psql(database, artifact, tmp_path)
    assert database.psql(local) == before
