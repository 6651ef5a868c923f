"""PostgreSQL's own functions that run code which no dependency names, and expressions that no statement of ours seems to touch.

"It calls nothing outside of pg_catalog" is no proof: some built-in functions execute a text, read a value of a type that they are told by
number, cast to JSON, or look up the partition key of a table that they are told by number. See zanith._acting_condition.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.errors import ZanithError
from app.recovery.inspection.inspect import inspect
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.rehearsal import rehearse
from app.recovery.restore.restore import restore
from app.recovery.rows.export import ExportRequest, export_to_file
from app.recovery.rows.seal import seal, verify
from tests.clusters import CommandFailed
from tests.hostile.hooks import acting
from tests.hostile.scene import DBA, ROWS, Scene
from tests.oracle.judges import restore_by_psql

TYPES = """
CREATE DOMAIN harm.dom AS int CHECK (harm.tap('read as told', VALUE) > 0);
CREATE TYPE harm.lit AS (x harm.dom);
CREATE TYPE harm.kind AS ENUM ('a');
CREATE FUNCTION harm.as_json(harm.kind) RETURNS json LANGUAGE plpgsql IMMUTABLE AS
    $f$ BEGIN PERFORM harm.tell('cast to json'); RETURN '"j"'::json; END $f$;
CREATE CAST (harm.kind AS json) WITH FUNCTION harm.as_json(harm.kind);
CREATE TABLE harm.hashed (k int) PARTITION BY HASH ((k + harm.tap('key of another table', 1)));
CREATE TABLE harm.hashed_0 PARTITION OF harm.hashed FOR VALUES WITH (MODULUS 1, REMAINDER 0);
"""
# Conditions that call nothing but built-in functions, with the version that has them.
CONDITIONS = {
    "executes a text": (15, acting("check")),
    "reads a type by number": (15, "record_in('(1)', {lit}::oid, -1) IS NOT NULL"),
    "reads a type by name": (16, "pg_input_is_valid('(1)', 'harm.lit')"),
    "casts to JSON": (15, "to_json('a'::harm.kind) IS NOT NULL"),
    "makes JSON": (16, "JSON_ARRAY('a'::harm.kind) IS NOT NULL"),
    "prints a key": (15, "pg_get_partition_constraintdef({hashed_0}) IS NOT NULL"),
    "asks for a key": (15, "satisfies_hash_partition({hashed}, 4, 0, 1) IS NOT NULL"),
}


def condition(scene: Scene, name: str) -> str:
    """Make the types, and return a condition that is true and runs Mallory's code."""
    version, text = CONDITIONS[name]
    if scene.place.server.version < version:
        pytest.skip(f"PostgreSQL {version} has it")
    scene.by(scene.mallory, TYPES)
    oids = {
        name: scene.by(None, f"SELECT 'harm.{name}'::{kind}::oid")
        for name, kind in (("lit", "regtype"), ("hashed", "regclass"), ("hashed_0", "regclass"))
    }
    return f"({text.format(**oids)})"


# The planner evaluates what is immutable, wherever it stands.
PLACES = {
    "index": "CREATE INDEX ON harm.t (id) WHERE {c} OR id > 0; CREATE INDEX ON harm.t (c) WHERE {c} OR c > 0",
    "check": "ALTER TABLE harm.t ADD CHECK ({c} OR d > 0)",
    "statistics": "CREATE STATISTICS harm.st ON (CASE WHEN {c} THEN d END), id FROM harm.t",
    "generated": "ALTER TABLE harm.t ADD g int GENERATED ALWAYS AS (CASE WHEN {c} THEN d END) STORED",
    "partition key": "DROP TABLE harm.t; CREATE TABLE harm.t (id int, c int, d int) PARTITION BY LIST ((CASE WHEN {c} THEN id END));"
    "CREATE TABLE harm.t1 PARTITION OF harm.t DEFAULT",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("strategy", ["archive_column", "soft_drop_column", "archive_table", "rebuild_table"])  # fmt: skip
async def test_an_immutable_function_that_asks_for_a_key(scene, strategy, place, tmp_path):
    c = condition(scene, "asks for a key")
    scene.by(scene.mallory, f"""
        CREATE TABLE harm.t (id int PRIMARY KEY, c int, d int); {PLACES[place].format(c=c)};
        INSERT INTO harm.t (id, c, d) {ROWS}""")  # fmt: skip
    scene.trap.read()
    wanted = CaptureRequest(
        *(strategy, "harm.t", "c" if strategy.endswith("column") else None),
        keep_rows=strategy == "rebuild_table",
    )
    made = None
    async with scene.opened() as db:
        with suppress(ZanithError):  # refused is as good
            made = (await capture(db, wanted, DBA)).id
    scene.quiet()
    if made is None:
        return
    for work in (
        lambda db: inspect(db, made),
        lambda db: seal(db, made, DBA),
        lambda db: verify(db, made, DBA),
        lambda db: export_to_file(db, ExportRequest(made), tmp_path / "t.csv", DBA),
        lambda db: plan_restore(db, made),
        lambda db: rehearse(db, made, Choices(), DBA),
    ):
        async with scene.opened() as db:  # a session looks up a key once
            with suppress(ZanithError):
                await work(db)
        scene.quiet()
    if strategy != "rebuild_table":
        with suppress(CommandFailed):
            restore_by_psql(scene.place, made, tmp_path)
    scene.quiet()


@pytest.mark.each_version
@pytest.mark.parametrize("name", CONDITIONS)
@pytest.mark.parametrize("way", ["engine", "psql"])
@pytest.mark.parametrize("root_of", ["superuser", "alice"])
async def test_a_check_of_a_partition_of_another_owner(scene, root_of, way, name, tmp_path):
    """The restore writes each row as the owner of the table, or as the operator."""
    c = condition(scene, name)
    scene.by(scene.alice if root_of == "alice" else None, """
        CREATE TABLE alice.t (id int PRIMARY KEY, d int, c int) PARTITION BY RANGE (id);
        CREATE TABLE alice.t1 PARTITION OF alice.t FOR VALUES FROM (0) TO (10);
        INSERT INTO alice.t VALUES (1, 1, 1)""")  # fmt: skip
    scene.by(None, f"ALTER TABLE alice.t1 OWNER TO {scene.mallory}")
    made = scene.artifact(None, "archive_column('alice.t', 'c')")
    scene.by(scene.mallory, f"ALTER TABLE alice.t1 ADD CHECK ({c} OR d > 0)")
    scene.trap.read()
    if way == "psql":
        with pytest.raises(CommandFailed, match="belongs to another role"):
            restore_by_psql(scene.place, made, tmp_path)
    else:
        async with scene.opened() as db:
            plan = await plan_restore(db, made)
            assert plan.conflicts[0].code == "several_owners"
            with pytest.raises(ZanithError, match="several owners"):
                await restore(db, made, Choices(), DBA)
    scene.quiet()


@pytest.mark.each_version
@pytest.mark.parametrize("part", ["a check of the column", "another check", "the default"])
@pytest.mark.parametrize("name", CONDITIONS)
async def test_what_a_former_owner_wrote(scene, name, part):
    c = condition(scene, name)
    scene.by(scene.mallory, "CREATE TABLE harm.t (id int PRIMARY KEY, d int, c int);" + {
        "a check of the column": f"ALTER TABLE harm.t ADD CHECK (c > 0 AND {c})",
        "another check": f"ALTER TABLE harm.t ADD CHECK (d > 0 AND {c})",
        "the default": f"ALTER TABLE harm.t ALTER c SET DEFAULT CASE WHEN {c} THEN 1 END",
    }[part] + f"; INSERT INTO harm.t (id, d, c) {ROWS}")  # fmt: skip
    made = scene.artifact(None, "archive_column('harm.t', 'c')")
    scene.by(None, "ALTER TABLE harm.t OWNER TO CURRENT_USER")
    scene.trap.read()
    async with scene.opened() as db:
        plan = await plan_restore(db, made, Choices(fill_default=part == "the default"))
        assert {found.code for found in plan.conflicts} == {"code_of_another"}
        for run in (rehearse, restore):
            with pytest.raises(ZanithError, match="would run as"):
                await run(db, made, Choices(fill_default=part == "the default"), DBA)
    scene.quiet()


@pytest.mark.parametrize("code_of", ["the root", "a partition"])
@pytest.mark.parametrize("column", ["c int NOT NULL", "c int GENERATED BY DEFAULT AS IDENTITY"])
@pytest.mark.parametrize("way", ["engine", "psql"])
async def test_not_null_of_a_tree_of_several_owners(scene, way, column, code_of, tmp_path):
    """SET NOT NULL evaluates every check of each table, and nobody but the operator may give the command."""
    roles = (scene.mallory, scene.alice)
    root, beneath = roles if code_of == "the root" else roles[::-1]
    schema = "harm" if code_of == "the root" else "alice"
    scene.by(root, f"""
        CREATE TABLE {schema}.t (id int PRIMARY KEY, d int, {column}) PARTITION BY RANGE (id);
        CREATE TABLE {schema}.t1 PARTITION OF {schema}.t FOR VALUES FROM (0) TO (10);
        INSERT INTO {schema}.t VALUES (1, 1, 1)""")  # fmt: skip
    if code_of == "the root":
        scene.by(root, "ALTER TABLE harm.t ADD CHECK (harm.note('check of the root'))")
    scene.by(None, f"ALTER TABLE {schema}.t1 OWNER TO {beneath}")
    made = scene.artifact(None, f"soft_drop_column('{schema}.t', 'c')")

    async def add_check(told: dict) -> None:
        if code_of == "a partition" and told.get("step", "").startswith(("Lock", "Validate", "Set NOT NULL")):  # fmt: skip
            with suppress(CommandFailed):
                scene.by(scene.mallory, "SET lock_timeout = 100; ALTER TABLE alice.t1 ADD CONSTRAINT x CHECK (harm.note('check'))")  # fmt: skip
            scene.trap.read()

    scene.trap.read()
    if way == "psql":
        await add_check({"step": "Lock"})
        with suppress(CommandFailed):
            restore_by_psql(scene.place, made, tmp_path)
    else:
        async with scene.opened() as db:
            with suppress(ZanithError):
                await restore(db, made, Choices(), DBA, on_progress=add_check)
    scene.quiet()


@pytest.mark.parametrize("code", [False, True])
async def test_not_null_of_a_tree_of_several_owners_without_code(scene, code):
    """It comes back where no table calls code; else the loss says what is left to do."""
    scene.by(scene.alice, """
        CREATE TABLE alice.t (id int PRIMARY KEY, d int, c int NOT NULL) PARTITION BY RANGE (id);
        CREATE TABLE alice.t1 PARTITION OF alice.t FOR VALUES FROM (0) TO (10);
        INSERT INTO alice.t VALUES (1, 1, 1)""")  # fmt: skip
    scene.by(None, f"ALTER TABLE alice.t1 OWNER TO {scene.mallory}")
    made = scene.artifact(None, "archive_column('alice.t', 'c')")

    async def add_check(told: dict) -> None:
        if code and told.get("step", "").startswith("Validate"):
            scene.by(scene.mallory, "ALTER TABLE alice.t1 ADD CHECK (harm.note('check'))")
            scene.trap.read()

    async with scene.opened() as db:
        report = await restore(db, made, Choices(), DBA, on_progress=add_check)
    scene.quiet()
    assert ("not_validated" in [loss.code for loss in report.losses]) is code
    if not code:
        assert scene.by(None, "SELECT attnotnull FROM pg_attribute WHERE attrelid = 'alice.t1'::regclass AND attname = 'c'") == "t"  # fmt: skip


async def test_no_online_form_for_a_tree_of_several_owners(scene):
    """Between two batches an owner could add code that the next one runs."""
    scene.by(scene.alice, """
        CREATE TABLE alice.t (id int PRIMARY KEY, d int, c int) PARTITION BY RANGE (id);
        CREATE TABLE alice.t1 PARTITION OF alice.t FOR VALUES FROM (0) TO (10);
        INSERT INTO alice.t VALUES (1, 1, 1)""")  # fmt: skip
    scene.by(None, f"ALTER TABLE alice.t1 OWNER TO {scene.mallory}")
    for strategy in ("archive_column", "soft_drop_column"):
        made = scene.artifact(None, f"{strategy}('alice.t', 'c')")
        async with scene.opened() as db:
            plan = await plan_restore(db, made, Choices(online=True))
            assert [found.code for found in plan.conflicts] == ["not_online"]
            await restore(db, made, Choices(), DBA)


RANGES = f"""
CREATE FUNCTION harm.difference(a float8, b float8) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS
    $f$ BEGIN PERFORM harm.tell('subtype_diff'); RETURN a - b; END $f$;
CREATE TYPE harm.span AS RANGE (subtype = float8, subtype_diff = harm.difference, multirange_type_name = harm.spans);
CREATE DOMAIN harm.named AS harm.span;
CREATE TABLE harm.t (id int, k harm.span, m harm.spans, n harm.named, c int, PRIMARY KEY (id, k, m, n));
INSERT INTO harm.t SELECT x.n, s.r, harm.spans(s.r), s.r, x.n FROM ({ROWS}) x(n, o, p), LATERAL (SELECT harm.span(x.n, x.n + 1)) s(r);
"""


@pytest.mark.parametrize("made_by", ["this version", "an earlier one"])
@pytest.mark.parametrize("strategy", ["archive_column", "rebuild_table"])
async def test_analyze_of_an_archive_with_ranges(scene, strategy, made_by):
    """Autovacuum analyzes an archive as Zanith's own role, and calls the subtype_diff of each range."""
    scene.by(scene.mallory, RANGES)
    column = "c" if strategy == "archive_column" else None
    async with scene.opened() as db:
        await capture(db, CaptureRequest(strategy, "harm.t", column, keep_rows=True), DBA)
    if made_by == "an earlier one":
        scene.by(None, """
            SELECT format('ALTER TABLE %s ALTER %I SET STATISTICS -1', attrelid::regclass, attname) FROM pg_attribute
            WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = '_zanith_shadow'::regnamespace AND relkind = 'r') AND attname IN ('k', 'm', 'n') \\gexec
            SELECT zanith._renew_scripts()""")  # fmt: skip
    scene.trap.read()
    scene.by(None, "ANALYZE")
    scene.quiet()


def test_a_new_function_counts_until_somebody_looked_at_it(database):
    """The rule of builtins.sql calls nothing harmless that is not in harmless_builtins.txt, with its number of overloads."""
    words = (Path(__file__).parent / "harmless_builtins.txt").read_text().split()
    looked_at = {
        name: int(number or 1) for name, _, number in (word.partition("*") for word in words)
    }
    query = database.psql("SELECT 'SELECT p.proname, count(*) FROM pg_proc p WHERE p.oid < 16384 AND p.pronamespace = ''pg_catalog''::regnamespace AND NOT (' || zanith._acting_condition() || ') GROUP BY 1'")  # fmt: skip
    found = dict(line.split("|") for line in database.psql(query).splitlines())
    assert len(found) > 1700
    new = [name for name, number in found.items() if int(number) > looked_at.get(name, 0)]
    assert not new, "read what these do, then list them, or change the rule"


@pytest.mark.parametrize("argument", ["text", "text[]", "oid", "regclass", "anyelement", "jsonb", "cstring", "name"])  # fmt: skip
def test_what_takes_a_text_or_a_number_of_an_object_is_not_harmless(database, argument):
    database.psql(f"SET allow_system_table_mods = on; CREATE FUNCTION pg_catalog.brand_new({argument}) RETURNS boolean LANGUAGE internal IMMUTABLE AS 'boolin'")  # fmt: skip
    assert database.psql("SELECT zanith._find_acting_call('brand_new(x)')").startswith("brand_new(")
    assert database.psql("SELECT zanith._find_acting_call('lower(x)')") == ""


@pytest.mark.parametrize("owner", ["a former one", "a superuser"])
async def test_a_row_that_is_filled_from_json(scene, owner, tmp_path):
    """jsonb_populate_record reads values of the types of the row that it gets; no dependency of the check names them."""
    scene.by(scene.mallory, TYPES)
    scene.by(scene.mallory if owner == "a former one" else None, """
        CREATE TABLE harm.t (id int PRIMARY KEY, e harm.lit, c int, d int CHECK (jsonb_populate_record(e, '{"x": 1}') IS NOT NULL));
        INSERT INTO harm.t VALUES (1, NULL, 1, 1)""")  # fmt: skip
    made = scene.artifact(None, "soft_drop_column('harm.t', 'c')")
    if owner == "a former one":
        scene.by(None, "ALTER TABLE harm.t OWNER TO CURRENT_USER")
    scene.trap.read()
    async with scene.opened() as db:
        plan = await plan_restore(db, made)
        assert {found.code for found in plan.conflicts} == {"code_of_another"}
        with pytest.raises(ZanithError, match="would run as"):
            await restore(db, made, Choices(), DBA)
    scene.quiet()
