"""What a cascade takes along that has rows or values of its own is an artifact of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass

import asyncpg
import pytest

from app.recovery.artifacts.listing import ArtifactFilter, list_artifacts
from app.recovery.capture.capture import capture
from app.recovery.capture.planning import plan_capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Refused
from app.recovery.db.database import Database
from app.recovery.inspection.inspect import inspect
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.purge.purge import purge, review_purge
from app.recovery.restore.restore import restore

DBA = Actor("dba")


@dataclass(frozen=True)
class Shape:
    """A schema, the table that is dropped with CASCADE, and what becomes an artifact beside it."""

    sql: str
    companions: str
    table: str = "parent"


PARENT = """CREATE TABLE parent (id serial PRIMARY KEY, note text DEFAULT '-' CHECK (note <> ''));
INSERT INTO parent VALUES (0, 'zero'); CREATE INDEX by_note ON parent (note);
"""
SHAPES = {
    "a child with a column of its own": Shape(
        PARENT
        + """CREATE TABLE child (own int NOT NULL DEFAULT 3) INHERITS (parent);
        INSERT INTO child VALUES (1, 'one', 7); CREATE UNIQUE INDEX ON child (own);
        COMMENT ON COLUMN child.own IS 'its own'; CREATE VIEW both_of_them AS
            SELECT p.note, c.own FROM parent p JOIN child c USING (id);
        CREATE VIEW of_parent AS SELECT note FROM parent;""",
        "child",
    ),
    "grandchildren, with columns and without": Shape(
        PARENT
        + """CREATE TABLE child (own int) INHERITS (parent);
        CREATE TABLE plain () INHERITS (child); CREATE TABLE more (x text) INHERITS (child);
        CREATE TABLE alike () INHERITS (parent);
        INSERT INTO plain VALUES (1, 'one', 7); INSERT INTO more VALUES (2, 'two', 8, 'x');
        INSERT INTO alike VALUES (3, 'three');""",
        "more child",
    ),
    "several children, one of two parents": Shape(
        PARENT
        + """CREATE TABLE other (x int, id int); CREATE TABLE one (own int) INHERITS (parent);
        CREATE TABLE two () INHERITS (other, parent); CREATE TABLE three (y int) INHERITS (parent);
        INSERT INTO two VALUES (5, 6, 'both'); CREATE TABLE beneath () INHERITS (two);""",
        "one two three",
    ),
    "a diamond": Shape(
        PARENT
        + """CREATE TABLE one (a int) INHERITS (parent); CREATE TABLE two (b int) INHERITS (parent);
        CREATE TABLE last () INHERITS (one, two); INSERT INTO last VALUES (1, 'one', 2, 3);""",
        "last one two",
    ),
    "a column that the child declares too": Shape(
        """CREATE TABLE parent (id int, note text);
        CREATE TABLE child (note text, own int) INHERITS (parent);
        ALTER TABLE child ALTER note SET DEFAULT 'child'; INSERT INTO child VALUES (1, 'a', 2);""",
        "child",
    ),
    "keys between parent and child": Shape(
        PARENT
        + """CREATE TABLE child (own int REFERENCES parent, PRIMARY KEY (id)) INHERITS (parent);
        CREATE TABLE stays (c int REFERENCES child, p int REFERENCES parent);
        INSERT INTO child VALUES (1, 'one', 0); INSERT INTO stays VALUES (1, 0);
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER t BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION f();
        ALTER TABLE child ENABLE ROW LEVEL SECURITY; CREATE POLICY y ON child USING (own > 0);
        CREATE RULE r AS ON INSERT TO stays DO ALSO SELECT own FROM child;""",
        "child",
    ),
    "a column of its row type, and an array": Shape(
        """CREATE TABLE parent (a int, b text); CREATE TABLE odd (id int, whole parent,
            list parent[] NOT NULL DEFAULT '{}');
        INSERT INTO odd VALUES (1, ROW(7, 'x'), ARRAY[ROW(8, 'y')::parent]);
        CREATE VIEW v AS SELECT (whole).a FROM odd; CREATE INDEX ON odd (whole);
        CREATE FUNCTION f(parent) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1.a';
        CREATE INDEX by_f ON odd (f(whole));""",
        "odd.whole odd.list",
    ),
    "columns of the row types of its children": Shape(
        PARENT
        + """CREATE TABLE alike () INHERITS (parent);
        CREATE TABLE child (own int) INHERITS (parent);
        CREATE TABLE odd (id int PRIMARY KEY, a alike, c child, p parent[]);
        INSERT INTO odd VALUES (1, ROW(1, 'a'), ROW(2, 'b', 3), ARRAY[ROW(3, 'c')::parent]);""",
        "odd.a odd.c odd.p child",
    ),
    "a row type in a family and in a partitioned table": Shape(
        """CREATE TABLE parent (a int); CREATE TABLE top (id int, k parent);
        CREATE TABLE bottom (x int) INHERITS (top); INSERT INTO bottom VALUES (1, ROW(2), 3);
        CREATE TABLE parts (id int, k parent) PARTITION BY LIST (id);
        CREATE TABLE part PARTITION OF parts DEFAULT; INSERT INTO parts VALUES (1, ROW(9));""",
        "top.k parts.k",
    ),
    "a child with a column of the row type of its parent": Shape(
        """CREATE TABLE parent (a int); CREATE TABLE child (p parent) INHERITS (parent);
        INSERT INTO child VALUES (1, ROW(2));""",
        "child",
    ),
    "a column of the row type of a view that goes too": Shape(
        """CREATE TABLE parent (a int, b text); CREATE VIEW seen AS SELECT a, b FROM parent;
        CREATE TABLE odd (id int PRIMARY KEY, n int, s seen);
        INSERT INTO odd VALUES (1, 2, ROW(7, 'x'));""",
        "odd.s",
    ),
    "a partitioned table whose row type is used": Shape(
        """CREATE TABLE parent (a int, b text) PARTITION BY LIST (a);
        CREATE TABLE p1 PARTITION OF parent FOR VALUES IN (1); INSERT INTO parent VALUES (1, 'x');
        CREATE TABLE odd (id int, whole parent, part p1);
        INSERT INTO odd VALUES (1, ROW(1, 'x'), ROW(1, 'y'));""",
        "odd.whole odd.part",
    ),
    "names that need quoting": Shape(
        """CREATE SCHEMA "S p"; CREATE TABLE "S p"."Pa rent" (id int);
        CREATE TABLE "Ch""ild" ("Ow n" int) INHERITS ("S p"."Pa rent");
        CREATE TABLE odd ("Wh ole" "S p"."Pa rent"); INSERT INTO "Ch""ild" VALUES (1, 2);""",
        'odd."Wh ole" "Ch""ild"',
        '"S p"."Pa rent"',
    ),
}
WORDS = re.compile(r'(?:"(?:[^"]|"")*"|[^ "])+')
VISIBLE = """SELECT c.oid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
    a.attinhcount, a.attislocal FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace::regnamespace::text IN ('public', '"S p"')
  AND c.relkind IN ('r', 'p', 'v', 'i', 'S') AND a.attnum > 0 AND NOT a.attisdropped
  AND NOT starts_with(c.relname, '_zanith') AND NOT starts_with(a.attname, '_zanith')
ORDER BY c.relname, a.attname"""
OTHERS = "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


def dump(database) -> str:
    return database.pg_dump("--exclude-schema=zanith", "--exclude-schema=_zanith*", "--inserts")


async def captured(database, db, strategy, shape):
    request = CaptureRequest(strategy, shape.table, on_dependents="cascade", published_ok=True)
    plan = await plan_capture(db, request)
    artifact = await capture(db, request, DBA, expected_digest=plan.digest)
    return plan, artifact, (await inspect(db, artifact.id)).companions


def short(name: str) -> str:
    return name.removeprefix("public.")


@pytest.mark.parametrize("strategy", ["soft_drop_table", "archive_table"])
@pytest.mark.parametrize("name", SHAPES)
async def test_each_is_gone_as_after_drop_and_comes_back(
    database, twin_database, db, name, strategy
):
    """The engine's capture and restores: the plan, the live system after it, and both dumps."""
    shape = SHAPES[name]
    for one in (database, twin_database):
        one.psql(shape.sql)
    before = dump(database)
    plan, artifact, companions = await captured(database, db, strategy, shape)
    twin_database.psql(f"DROP TABLE {shape.table} CASCADE")
    assert database.psql(VISIBLE) == twin_database.psql(VISIBLE)
    assert database.psql(OTHERS) == twin_database.psql(OTHERS)

    wanted = WORDS.findall(shape.companions)
    assert [short(item["object"]) for item in plan.companions] == wanted
    assert [short(item.object) for item in reversed(companions)] == wanted
    for companion in companions:
        found = await inspect(db, companion.id)
        assert found.artifact.cascade_of == artifact.id
        assert found.artifact.sealed_at or companion.artifact_type == "soft_drop_column"
        assert found.place["state"] == "ok"
        assert found.artifact.health == "ok"

    report = await restore(db, artifact.id, Choices(), DBA)
    assert report.companions == companions
    for companion in companions:
        report = await restore(db, companion.id, Choices(), DBA)
        assert report.companions == ()
    assert dump(database) == before
    assert not any(item.losses for item in [await plan_restore(db, artifact.id)])


@pytest.mark.parametrize("name", SHAPES)
async def test_the_plan_has_the_steps_of_all(database, db, name):
    """What you see is what runs: each artifact renders the steps that the plan had of it."""
    shape = SHAPES[name]
    database.psql(shape.sql)
    plan, artifact, companions = await captured(database, db, "soft_drop_table", shape)
    ran = []
    for number in [*(item.id for item in reversed(companions)), artifact.id]:
        rendered = database.psql(
            "SELECT string_agg(s.item ->> 'sql', E'\\x01' ORDER BY s.ord) FROM"
            f" zanith._artifact('{number}') a, zanith._each(zanith._render_capture(a.definition)) s"
        )
        ran += rendered.replace(number, "0" * 12).split("\x01")
    assert [step.sql for step in plan.steps[1:]] == ran


@pytest.mark.parametrize("name", SHAPES)
async def test_the_scripts_bring_all_back_in_the_order_that_they_say(database, db, name):
    shape = SHAPES[name]
    database.psql(shape.sql)
    before = dump(database)
    _, artifact, companions = await captured(database, db, "archive_table", shape)
    scripts = {
        number: (await inspect(db, number)).recovery_sql or ""
        for number in [artifact.id, *(item.id for item in companions)]
    }
    said = re.findall(r"^--   (\w{12})  ", scripts[artifact.id], re.MULTILINE)
    assert said == [item.id for item in companions]
    for number in said:
        assert "run the script of that artifact first" in scripts[number]
    for number in [artifact.id, *said]:
        database.psql(scripts[number])
    assert dump(database) == before
    left = await list_artifacts(db, ArtifactFilter(status="recoverable"))
    assert left.items == []


async def test_a_child_waits_for_its_parent_and_says_so(database, db):
    """A table that came back without its parent would not be what it was."""
    shape = SHAPES["several children, one of two parents"]
    database.psql(shape.sql)
    _, artifact, companions = await captured(database, db, "soft_drop_table", shape)
    for companion in companions:
        plan = await plan_restore(db, companion.id)
        assert [item.code for item in plan.conflicts] == ["table_gone"]
        assert plan.conflicts[0].waits_for == (artifact.id,)
        with pytest.raises(Refused, match=r"its parent public\.parent does not exist any more"):
            await restore(db, companion.id, Choices(), DBA)
    await restore(db, artifact.id, Choices(), DBA)
    await restore(db, companions[-1].id, Choices(), DBA)


CHANGES = {
    "DROP TABLE other": ("table_gone", "its parent public.other does not exist any more"),
    "ALTER TABLE other ADD late int": ("parent_gained_column", "its parent public.other gained: l"),
    "ALTER TABLE other ALTER x TYPE bigint": ("parent_changed", "public.other is bigint now"),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_parent_that_changed_meanwhile_is_a_conflict(database, db, change):
    """PostgreSQL would refuse INHERIT in the middle of the restore."""
    shape = SHAPES["several children, one of two parents"]
    database.psql(shape.sql)
    _, artifact, companions = await captured(database, db, "soft_drop_table", shape)
    await restore(db, artifact.id, Choices(), DBA)
    database.psql(change)
    two = next(item.id for item in companions if item.object == "public.two")
    (conflict,) = (await plan_restore(db, two)).conflicts
    code, words = CHANGES[change]
    assert conflict.code == code
    assert words in conflict.message
    with pytest.raises(Refused):
        await restore(db, two, Choices(), DBA)


async def test_what_another_is_parked_with_is_not_purged_first(database, db):
    """A purge of the table names the columns that keep its type; a child is purged at any time."""
    shape = SHAPES["columns of the row types of its children"]
    database.psql(shape.sql)
    _, artifact, companions = await captured(database, db, "soft_drop_table", shape)
    ids = {item.object: item.id for item in companions}
    on = {artifact.id: ("odd.a", "odd.p", "child"), ids["public.child"]: ("odd.c",)}
    for number, names in on.items():
        review = await review_purge(db, number)
        (conflict,) = review.plan.conflicts
        assert conflict.code == "dependents"
        assert "First restore or purge the artifacts that depend on it" in (conflict.hint or "")
        assert set(conflict.artifacts) == {ids[f"public.{name}"] for name in names}
    with pytest.raises(Refused, match="other objects depend on the parked object"):
        await purge(db, artifact.id, DBA, confirm=artifact.object_name)
    for companion in reversed(companions):
        await purge(db, companion.id, DBA, confirm=companion.object)
    assert (await inspect(db, artifact.id)).companions == ()
    await purge(db, artifact.id, DBA, confirm=artifact.object_name)
    visible = database.psql(
        "SELECT count(*) FROM pg_class WHERE starts_with(relname, '_zanith_dr')"
    )
    assert int(visible) == 0


async def test_a_purged_table_leaves_its_child_with_a_way_out(database, db):
    database.psql("""CREATE TABLE parent (id int); CREATE TABLE child (own int) INHERITS (parent);
        INSERT INTO child VALUES (1, 2)""")
    shape = Shape("", "child")
    _, artifact, (child,) = await captured(database, db, "soft_drop_table", shape)
    await purge(db, artifact.id, DBA, confirm=artifact.object_name)
    assert (await inspect(db, child.id)).artifact.cascade_of == artifact.id
    (conflict,) = (await plan_restore(db, child.id)).conflicts
    assert "Create a table of that name" in (conflict.hint or "")
    database.psql("CREATE TABLE parent (id int)")
    await restore(db, child.id, Choices(), DBA)
    assert database.psql("SELECT id, own FROM child").strip() == "1|2"
    assert database.psql("SELECT id FROM parent").strip() == "1"


REFUSED = {
    "a foreign table": (
        """CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
        CREATE FOREIGN TABLE child (own int) INHERITS (parent) SERVER s""",
        "the child public.child is a foreign table",
        "NO INHERIT",
    ),
    "a type of its row type": (
        "CREATE TYPE pair AS (one parent, two int); CREATE TABLE odd (p pair)",
        "cannot cascade to everything that depends on table public.parent",
        "on_dependents => 'keep'",
    ),
    "a column in the key of a partitioned table": (
        "CREATE TABLE odd (id int, k parent) PARTITION BY LIST (k)",
        "part of the partition key",
        "Capture the whole table",
    ),
    "a column of the type of a view, without a key": (
        "CREATE VIEW v AS SELECT id FROM parent; CREATE TABLE odd (v v)",
        "has no primary key or unique index",
        "key",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_come_along_is_refused_by_name_and_nothing_is_changed(database, db, name):
    sql, words, way_out = REFUSED[name]
    database.psql("CREATE TABLE parent (id int PRIMARY KEY)")
    database.psql(sql)
    before = dump(database)
    request = CaptureRequest("soft_drop_table", "parent", on_dependents="cascade")
    for attempt in (plan_capture(db, request), capture(db, request, DBA)):
        with pytest.raises(Refused, match=words) as refusal:
            await attempt
        assert way_out in (refusal.value.hint or "")
    assert dump(database) == before
    assert (await list_artifacts(db)).items == []


@pytest.mark.parametrize("made", ["CREATE TABLE child (own int) INHERITS (parent)", "odd"])
async def test_what_belongs_to_another_role_is_refused(database, create_role, made):
    """A capture takes what its caller owns, and nothing else."""
    owner, other = create_role("owner"), create_role("other")
    database.psql("CREATE TABLE parent (id int)")
    database.psql(made if made != "odd" else "CREATE TABLE odd (p parent)")
    database.psql(
        f"ALTER TABLE parent OWNER TO {owner}; GRANT CREATE ON SCHEMA public TO {owner};"
        f"ALTER TABLE {'odd' if made == 'odd' else 'child'} OWNER TO {other}"
    )
    from tests.conftest import allow_capture

    allow_capture(database.url, owner)
    async with database.connect(owner) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="must be owner of"):
            await connection.execute(
                "SELECT zanith.soft_drop_table('parent', on_dependents => 'cascade')"
            )


async def test_nobody_adds_to_what_somebody_else_captured(database, db, create_role):
    """Who may capture could call what a capture calls; an artifact is of one capture."""
    mallory = create_role("mallory")
    from tests.conftest import allow_capture

    allow_capture(database.url, mallory)
    database.psql("CREATE TABLE parent (id int)")
    _, artifact, _ = await captured(database, db, "soft_drop_table", Shape("", ""))
    database.psql(f"CREATE TABLE bait (id int); ALTER TABLE bait OWNER TO {mallory}")
    database.psql(f"GRANT CREATE ON SCHEMA public TO {mallory}")
    async with database.connect(mallory) as connection:
        with pytest.raises(asyncpg.PostgresError, match=r"already captured|permission denied"):
            await connection.execute(
                "SELECT zanith._capture('soft_drop_table', 'bait', NULL, NULL, NULL, NULL,"
                f" 'cascade', false, false, false, 'public', '{artifact.id}')"
            )
    assert (await inspect(db, artifact.id)).companions == ()
