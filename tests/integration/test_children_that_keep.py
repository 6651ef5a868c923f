"""DROP COLUMN leaves a column in inheritance children that declare it too; so does an archive."""

from __future__ import annotations

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.planning import plan_capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Refused
from app.recovery.db.database import Database
from app.recovery.inspection.inspect import inspect
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.restore import restore
from tests.oracle.judges import any_order, by_schema, dump_entries, read_rows

DBA = Actor("dba")
PARENT = "CREATE TABLE parent (id int PRIMARY KEY, c text, d int);"
ROWS = "INSERT INTO parent VALUES (1, 'p1'), (2, NULL), (3, 'p3');"
SHAPES = {
    "a child that declares it": PARENT
    + ROWS
    + """CREATE TABLE child (c text, own int) INHERITS (parent);
    INSERT INTO child VALUES (1, 'c1', 4, 5), (9, 'c9', 6, 7);""",
    "several, and their children": PARENT
    + ROWS
    + """CREATE TABLE one (c text) INHERITS (parent); CREATE TABLE two (c text) INHERITS (parent);
    CREATE TABLE beneath () INHERITS (one); CREATE TABLE declares (c text) INHERITS (two);
    INSERT INTO beneath VALUES (1, 'b'); INSERT INTO declares VALUES (2, 'd');""",
    "from another parent": PARENT
    + ROWS
    + """CREATE TABLE other (c text, x int); CREATE TABLE heir () INHERITS (parent, other);
    INSERT INTO heir VALUES (1, 'b1', 2, 3);""",
    "a table that was attached": PARENT
    + ROWS
    + """CREATE TABLE child (id int NOT NULL, d int, c text); INSERT INTO child VALUES (7, 1, 'c7');
    ALTER TABLE child INHERIT parent;""",
    "defaults, indexes, grants and comments of each": PARENT.replace("c text", "c text DEFAULT 'p'")
    + ROWS
    + """CREATE TABLE child (c text DEFAULT 'kid') INHERITS (parent); CREATE INDEX pi ON parent (c);
    INSERT INTO child VALUES (4, 'k'); CREATE UNIQUE INDEX ci ON child (c);
    COMMENT ON COLUMN child.c IS 'of the child'; COMMENT ON COLUMN parent.c IS 'of the parent';
    ALTER TABLE child ALTER c SET STATISTICS 77; GRANT SELECT (c) ON child TO PUBLIC;
    ALTER TABLE ONLY parent ALTER c SET STATISTICS 55; ALTER TABLE ONLY parent ALTER c SET STORAGE
    EXTERNAL; GRANT UPDATE (c) ON parent TO PUBLIC; CREATE STATISTICS s ON c, d FROM parent;
    ALTER TABLE ONLY parent ADD CONSTRAINT u UNIQUE (c, d);
    ALTER TABLE ONLY parent ADD CONSTRAINT o CHECK (c > '') NO INHERIT;
    CREATE TABLE refers (c text, d int, FOREIGN KEY (c, d) REFERENCES parent (c, d));""",
    "checks and NOT NULL": """CREATE TABLE parent (id int PRIMARY KEY,
        c text NOT NULL CHECK (c <> ''), CONSTRAINT pair CHECK (c <> id::text));
    INSERT INTO parent VALUES (1, 'one'); CREATE TABLE child (c text NOT NULL) INHERITS (parent);
    CREATE TABLE plain (c text CHECK (c <> 'x')) INHERITS (parent);
    INSERT INTO child VALUES (2, 'two'); INSERT INTO plain VALUES (3, 'three');""",
    "views on each": PARENT
    + ROWS
    + """CREATE TABLE child (c text) INHERITS (parent); CREATE VIEW of_child AS SELECT c FROM child;
    CREATE VIEW of_parent AS SELECT c FROM parent; CREATE VIEW of_both AS SELECT p.c, k.c AS k
        FROM parent p, child k;
    CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER t BEFORE UPDATE OF c ON child FOR EACH ROW EXECUTE FUNCTION f();
    CREATE TRIGGER t BEFORE UPDATE OF c ON parent FOR EACH ROW EXECUTE FUNCTION f();
    CREATE POLICY y ON child USING (c <> ''); CREATE POLICY y ON parent USING (c <> '');""",
    "row security for the owner": PARENT
    + ROWS
    + """CREATE TABLE child (c text) INHERITS (parent); INSERT INTO child VALUES (1, 'c');
    ALTER TABLE parent ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;""",
    # before 18 the column of the child stays as it is
    "NOT NULL added to the parent": PARENT.replace("c text", "x text")
    + """CREATE TABLE child (c text) INHERITS (parent); CREATE TABLE beneath () INHERITS (child);
    INSERT INTO parent VALUES (1, 'p1'); ALTER TABLE parent ADD c text DEFAULT 'new' NOT NULL;""",
    "a serial and an array": """CREATE TABLE parent (id int PRIMARY KEY, c serial, a int[]);
    INSERT INTO parent (id) VALUES (1), (2); CREATE TABLE child (c int) INHERITS (parent);
    INSERT INTO child VALUES (5, 6);""",
}
# A NOT NULL of 18 is a constraint, as a check is.
INHERITED_TWICE = {
    False: ("checks and NOT NULL",),
    True: ("checks and NOT NULL", "NOT NULL added to the parent", "a serial and an array"),
}
CATALOG = """SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
    a.attislocal, a.attinhcount, (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d
                    WHERE d.adrelid = c.oid AND d.adnum = a.attnum)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1, 2;
SELECT k.conrelid::regclass, k.conname, k.contype, k.conislocal, k.coninhcount, k.convalidated,
    pg_get_constraintdef(k.oid) FROM pg_constraint k
WHERE k.connamespace = 'public'::regnamespace ORDER BY 1, 2"""


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


def seen(database) -> list[str]:
    entries = any_order(dump_entries(database).get("public", []))
    return [*entries, *by_schema(read_rows(database)).get("public", [])]


async def archived(db):
    request = CaptureRequest("archive_column", "parent", "c", on_dependents="cascade")
    plan = await plan_capture(db, request)
    return await capture(db, request, DBA, expected_digest=plan.digest)


@pytest.mark.each_version
@pytest.mark.parametrize("way", ["engine", "psql"])
@pytest.mark.parametrize("name", SHAPES)
async def test_the_children_keep_it_and_the_parent_gets_it_back(
    database, twin_database, db, name, way
):
    """The catalog is as after DROP, and schema and rows are as before after the restore."""
    for one in (database, twin_database):
        one.psql(SHAPES[name])
    before, catalog = seen(database), database.psql(CATALOG)
    artifact = await archived(db)
    twin_database.psql("ALTER TABLE parent DROP COLUMN c CASCADE")
    assert database.psql(CATALOG) == twin_database.psql(CATALOG)
    losses = [x for x in (await plan_restore(db, artifact.id)).losses if x.code == "inheritance"]
    if way == "psql":
        database.psql((await inspect(db, artifact.id)).recovery_sql or "")
    else:
        report = await restore(db, artifact.id, Choices(), DBA)
        assert report.fidelity is not None
        # a statistics object lists its columns by their place, and the column stands last now
        other = [x for x in report.fidelity["different"] if x["what"] != "statistics s"]
        assert not other, report.fidelity
        assert not report.fidelity["missing"], report.fidelity
    assert seen(database) == before
    if not losses:
        assert sorted(database.psql(CATALOG).splitlines()) == sorted(catalog.splitlines())
    assert bool(losses) == (name in INHERITED_TWICE[database.server.version >= 18])


REFUSED = {
    "some keep it, some lose it": (
        PARENT
        + "CREATE TABLE keeps (c text) INHERITS (parent); CREATE TABLE loses () INHERITS (parent)",
        "archive_column",
        "has inheritance children",
        "NO INHERIT",
    ),
    "a rename would take the child's": (
        PARENT + "CREATE TABLE keeps (c text) INHERITS (parent)",
        "soft_drop_column",
        "has a column c of its own, or from another parent",
        "Use archive_column",
    ),
    "a domain": (
        "CREATE DOMAIN dom AS text; CREATE TABLE parent (id int PRIMARY KEY, c dom);"
        "CREATE TABLE keeps (c dom) INHERITS (parent)",
        "archive_column",
        "is a domain",
        "NO INHERIT",
    ),
    "a column that is generated from it": (
        "CREATE TABLE parent (id int PRIMARY KEY, c int, g int GENERATED ALWAYS AS (c + 1) STORED);"
        "CREATE TABLE keeps (c int) INHERITS (parent)",
        "archive_column",
        "a column is generated from public.parent.c",
        "NO INHERIT",
    ),
    "a child of another owner": (
        PARENT + "CREATE TABLE keeps (c text) INHERITS (parent);"
        "ALTER TABLE keeps OWNER TO pg_database_owner",
        "archive_column",
        "keeps has the column too, and belongs to another role",
        "OWNER TO",
    ),
    "no key": (
        "CREATE TABLE parent (id int, c text); CREATE TABLE keeps (c text) INHERITS (parent)",
        "archive_column",
        "has no primary key",
        "add one first",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_not_taken_is_refused_with_the_way_that_works(database, db, name):
    sql, strategy, words, way_out = REFUSED[name]
    database.psql(sql)
    before = database.pg_dump("--schema=public")
    with pytest.raises(Refused, match=words) as refusal:
        await capture(db, CaptureRequest(strategy, "parent", "c", on_dependents="cascade"), DBA)
    assert way_out in (refusal.value.hint or "")
    assert database.pg_dump("--schema=public") == before


CONFLICTS = {
    "the child's type": ("ALTER TABLE child ALTER c TYPE varchar(9)", Choices(), "child_changed"),
    "its owner": (
        "ALTER TABLE child OWNER TO pg_database_owner",
        Choices(),
        "several_owners",
    ),
    "another name": ("ALTER TABLE child ADD x int", Choices(as_name="e"), "children_have_it"),
    "online": ("ALTER TABLE child ADD x int", Choices(online=True), "not_online"),
}


@pytest.mark.parametrize("name", CONFLICTS)
async def test_what_would_not_merge_is_a_conflict(database, db, name):
    sql, choices, code = CONFLICTS[name]
    database.psql(SHAPES["a child that declares it"])
    artifact = await archived(db)
    database.psql(sql)
    plan = await plan_restore(db, artifact.id, choices)
    assert code in [conflict.code for conflict in plan.conflicts]
    with pytest.raises(Refused):
        await restore(db, artifact.id, choices, DBA)


async def test_a_child_that_came_or_went_meanwhile(database, db):
    """A new child gets the column from its parent; one that left is left alone."""
    database.psql(SHAPES["several, and their children"])
    artifact = await archived(db)
    database.psql("ALTER TABLE two NO INHERIT parent; CREATE TABLE late () INHERITS (parent)")
    await restore(db, artifact.id, Choices(), DBA)
    found = "SELECT attislocal, attinhcount FROM pg_attribute WHERE attname = 'c' AND attrelid ="
    assert database.psql(f"{found} 'late'::regclass").strip() == "f|1"
    assert database.psql(f"{found} 'two'::regclass").strip() == "t|0"
    assert database.psql("SELECT c FROM ONLY parent ORDER BY id").split() == ["p1", "p3"]
