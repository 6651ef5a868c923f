"""Archived values beside the live ones: each strategy, each kind of type, and who may see what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest

from app.recovery.core.actor import Actor
from app.recovery.core.errors import NotPermitted, Refused, WrongUsage
from app.recovery.db.database import Database
from app.recovery.inspection.definitions import read_definitions
from app.recovery.jobs.audit import ActivityFilter, list_activity
from app.recovery.plan.model import Choices
from app.recovery.restore.restore import restore
from app.recovery.rows.compare import CLASSES, count_differences, sample_differences
from tests.hard_names import NAMES, VALUES
from tests.oracle.judges import literal, quote
from tests.studios import run_studio

DBA = Actor("dba", None, "staff")
BLIND = Actor("vic", None, "viewer", sees_rows=False)


@dataclass(frozen=True)
class Kind:
    """A type with a value, the same value written otherwise, and another value."""

    type: str
    one: str
    again: str
    other: str
    how: str = "equality"
    made: str = ""
    since: int = 15


KINDS = {
    "integer": Kind("integer", "1", "1", "2"),
    "text": Kind("text", "'a'", "'a'", "'A'"),
    "char": Kind("char(5)", "'a'", "'a  '", "'b'"),
    "numeric": Kind("numeric", "1.0", "1.00", "1.01"),
    "nan": Kind("double precision", "'NaN'", "'NaN'", "0"),
    "zero": Kind("double precision", "'-0'", "0", "1"),
    "json": Kind("json", """'{"a": 1}'""", """'{"a": 1}'""", """'{"a":1}'""", "text"),
    "jsonb": Kind("jsonb", """'{"a": 1, "b": 2}'""", """'{"b":2,"a":1}'""", "'null'"),
    "jsons": Kind("json[]", """'{"1"}'""", """'{1}'""", """'{"1","2"}'""", "text"),
    "point": Kind("point", "'(1,2)'", "'(1.0,2)'", "'(2,1)'", "text"),
    "box": Kind("box", "'(1,1),(0,0)'", "'(0,0),(1,1)'", "'(3,1),(2,0)'", "text"),  # of one area
    "array": Kind("text[]", "'{a,NULL}'", "'{\"a\",NULL}'", "'{a}'"),
    "range": Kind("int4range", "'[1,3)'", "'[1,2]'", "'[1,3]'"),
    "moment": Kind("timestamptz", "'2020-01-01 00:00+00'", "'2020-01-01 01:00+01'", "'now'"),
    "enum": Kind(
        "mood", "'ok'", "'ok'", "'sad'", "text", "CREATE TYPE mood AS ENUM ('sad', 'ok');"
    ),
    "domain": Kind(
        "money_of_ours", "1.0", "1.00", "2", made="CREATE DOMAIN money_of_ours AS numeric(8, 2);"
    ),
    "composite": Kind(
        "pair", "'(1,a)'", "'(1,\"a\")'", "'(1,b)'", "text", "CREATE TYPE pair AS (a int, b text);"
    ),
}
STRATEGIES = ("archive_column", "soft_drop_column", "archive_values", "archive_table",
              "soft_drop_table", "archive_rows", "rebuild_table")  # fmt: skip
TABLE = "CREATE TABLE {schema}.t (id integer PRIMARY KEY, c {type}, d integer DEFAULT 0)"
# Rows 1 and 2 stay the same, 3, 4 and 8 change, 5 is only archived, 6 only live.
ROWS = """INSERT INTO {schema}.t (id, c)
VALUES (1, {one}), (2, NULL), (3, {one}), (4, NULL), (5, {one}), (8, {one})"""
NOW = """(1, {again}), (2, NULL), (3, {other}), (4, {one}), (6, {one}), (8, NULL)"""


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


def make(database, strategy: str, kind: Kind, schema: str) -> str:
    """Make a table, capture it or its column, and let what has the name now differ."""
    words = {
        "schema": schema, "type": kind.type, "one": kind.one, "again": kind.again,
        "other": kind.other,
    }  # fmt: skip
    path = f"SET search_path = {schema}, public;"
    database.psql(f"CREATE SCHEMA {schema}; {path} {kind.made}")
    database.psql(path + TABLE.format(**words) + ";" + ROWS.format(**words))
    column = "column" in strategy or "values" in strategy
    more = ", keep_rows => true" if strategy == "rebuild_table" else ""
    what = f"'{schema}.t'" + (", 'c'" if column else "") + more
    made = database.psql(path + f"SELECT zanith.{strategy}({what})").splitlines()[-1]
    now = NOW.format(**words)
    if strategy in {"archive_column", "soft_drop_column"}:
        database.psql(f"{path} ALTER TABLE t ADD COLUMN c {kind.type}")
    elif strategy in {"archive_table", "soft_drop_table"}:
        database.psql(path + TABLE.format(**words))
    database.psql(f"""{path}
        INSERT INTO t (id, c) VALUES {now} ON CONFLICT (id) DO UPDATE SET c = excluded.c;
        DELETE FROM t WHERE id = 5""")
    return made


@pytest.mark.each_version
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_values_are_compared_by_their_type(database, db, strategy):
    """What is equal by its type is the same however it is written; NULL is a value like others."""
    for name, kind in KINDS.items():
        made = make(database, strategy, kind, f"{name}_s")
        found = await count_differences(db, made, DBA)
        assert found.reason is None, (name, found)
        assert found.not_counted is None, (name, found)
        counts = [getattr(found.counts, kind) for kind in CLASSES]
        # a row that was inserted since has no value in a parked column, and one that went is gone
        assert counts == ([4, 0, 0, 2] if strategy == "soft_drop_column" else [3, 1, 1, 2]), name
        [column] = [c for c in found.columns if c.name == "c"]
        assert column.how == kind.how, name
        assert not column.type_changed
        assert column.changed == counts[0]
        for expected, number in zip(counts, CLASSES, strict=True):
            sample = await sample_differences(db, made, DBA, number)
            assert len(sample.rows) == expected, (name, number)
        changed = await sample_differences(db, made, DBA, "changed", column="c", limit=1)
        assert changed.more
        assert changed.rows[0].key == ("3",)
        cell = changed.rows[0].cells[[c.name for c in changed.columns].index("c")]
        assert cell.differs
        assert cell.then is not None
        assert cell.then != cell.now


async def test_hostile_names_and_values(database, db):
    """Names are identifiers and values are data, whatever is in them."""
    for label, name in NAMES.items():
        table = f"public.{quote(name)}"
        values = ", ".join(
            f"({literal(str(n) + name)}, {literal(v)})" for n, v in enumerate(VALUES)
        )
        database.psql(
            f"CREATE TABLE {table} ({quote(name)} text PRIMARY KEY, {quote('c' + name[:20])} text);"
            f"INSERT INTO {table} VALUES {values}"
        )
        made = database.psql(f"SELECT zanith.archive_rows({literal(table)})")
        database.psql(f"UPDATE {table} SET {quote('c' + name[:20])} = 'x'")
        found = await count_differences(db, made, DBA)
        assert found.counts is not None, (label, found)
        assert found.counts.changed == len(VALUES), label
        assert found.key == (name,)
        sample = await sample_differences(db, made, DBA)
        assert {row.key[0] for row in sample.rows} == {str(n) + name for n in range(len(VALUES))}
        assert {row.cells[0].then for row in sample.rows} == {value[:2000] for value in VALUES}
        with pytest.raises(WrongUsage, match="is not compared"):
            await sample_differences(db, made, DBA, column=name)


async def test_partitions_a_type_that_changed_and_columns_of_one_side(database, db):
    database.psql("""
        CREATE TABLE p (id int, at date, c int, gone text, PRIMARY KEY (id, at))
        PARTITION BY RANGE (at);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
        CREATE TABLE p2 PARTITION OF p DEFAULT;
        INSERT INTO p SELECT n, date '2020-12-01' + n, n, 'x' FROM generate_series(1, 60) n""")
    made = database.psql("SELECT zanith.archive_table('p')")
    database.psql("""
        CREATE TABLE p (id int, at date, c numeric(9, 1), fresh text, PRIMARY KEY (id, at));
        INSERT INTO p SELECT n, date '2020-12-01' + n, n FROM generate_series(11, 70) n""")
    found = await count_differences(db, made, DBA)
    assert (found.archived, found.live) == (60, 60)
    assert (found.only_recorded, found.only_now) == (("gone",), ("fresh",))
    [column] = found.columns
    assert (column.how, column.type_changed, column.recorded, column.now) == (
        *("text", True), *("integer", "numeric(9,1)"),
    )  # fmt: skip
    # 11 and 11.0 are other texts
    assert [getattr(found.counts, kind) for kind in CLASSES] == [50, 10, 10, 0]
    rows = (await sample_differences(db, made, DBA, "only_live", limit=3, offset=1)).rows
    assert [row.key for row in rows] == [
        ("62", "2021-02-01"),
        ("63", "2021-02-02"),
        ("64", "2021-02-03"),
    ]


async def test_without_a_common_key_there_are_numbers_only(database, db):
    database.psql("CREATE TABLE k (id int, c int); INSERT INTO k VALUES (1, 1), (1, 1)")
    made = database.psql("SELECT zanith.archive_rows('k')")
    found = await count_differences(db, made, DBA)
    assert "no key" in found.reason
    assert (found.archived, found.live, found.counts) == (2, 2, None)
    with pytest.raises(Refused, match="no key"):
        await sample_differences(db, made, DBA)
    database.psql("CREATE TABLE u (id int PRIMARY KEY, c int); INSERT INTO u VALUES (1, 1)")
    made = database.psql("SELECT zanith.archive_rows('u')")
    database.psql("ALTER TABLE u DROP CONSTRAINT u_pkey; INSERT INTO u VALUES (1, 2)")
    found = await count_differences(db, made, DBA)
    assert "no unique key over id now" in found.reason
    assert (found.archived, found.live, found.counts) == (1, 2, None)


GONE = {
    "column": ("SELECT zanith.archive_column('t', 'c')", "", "has no column c now"),
    "table": ("SELECT zanith.archive_table('t')", "", "no table has the name"),
    "view": ("SELECT zanith.archive_table('t')", "CREATE VIEW t AS SELECT 1 AS id", "not a table"),
    "definition": ("SELECT zanith.rebuild_table('t')", "", "nothing is parked"),
}


@pytest.mark.parametrize("case", GONE)
async def test_what_cannot_be_compared_says_why(database, db, case):
    capture, then, reason = GONE[case]
    database.psql("CREATE TABLE t (id int PRIMARY KEY, c int)")
    made = database.psql(capture)
    database.psql(then)
    found = await count_differences(db, made, DBA)
    assert reason in found.reason
    assert (found.counts, found.archived, found.live) == (None, None, None)


async def test_what_is_live_again_has_nothing_beside_it(database, db):
    database.psql("CREATE TABLE t (id int PRIMARY KEY)")
    made = database.psql("SELECT zanith.archive_table('t')")
    await restore(db, made, Choices(), DBA)
    found = await count_differences(db, made, DBA)
    assert found.reason == "it is live again, and no second copy of its rows is parked"


@pytest.mark.parametrize("what", ["index", "policy"])
async def test_code_of_an_owner_runs_as_the_owner_or_not_at_all(database, db, create_role, what):
    """A live table whose owner wrote code: it is read as the owner, and a policy hides no row."""
    owner = create_role("owner")
    database.psql(f"""
        CREATE TABLE h (id int PRIMARY KEY, c int); ALTER TABLE h OWNER TO {owner};
        INSERT INTO h SELECT n, n FROM generate_series(1, 9) n""")
    made = database.psql("SELECT zanith.archive_rows('h')")
    database.psql(f"GRANT CREATE ON SCHEMA public TO {owner}; UPDATE h SET c = 0 WHERE id > 7")
    database.psql({
        "index": f"""SET ROLE {owner};
            CREATE TABLE public.seen (who text); CREATE FUNCTION public.told(int) RETURNS int
            IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
            IF current_user <> '{owner}' THEN RAISE 'ran as %', current_user; END IF;
            RETURN $1; END $$;
            CREATE INDEX ON h (public.told(c)); CREATE INDEX ON h (c) WHERE public.told(1) = 1""",
        "policy": f"""SET ROLE {owner}; CREATE POLICY few ON h USING (id < 3);
            ALTER TABLE h ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY""",
    }[what])  # fmt: skip
    found = await count_differences(db, made, DBA)
    if what == "index":
        assert [getattr(found.counts, kind) for kind in CLASSES] == [2, 0, 0, 7]
        assert len((await sample_differences(db, made, DBA)).rows) == 2
    else:
        assert found.counts is None
        assert "row-level security" in found.not_counted


async def test_who_may_not_see_rows_gets_numbers_only(database, db):
    made = make(database, "archive_rows", KINDS["text"], "vic")
    found = await count_differences(db, made, BLIND)
    assert found.counts.changed == 3
    with pytest.raises(NotPermitted, match="look at rows"):
        await sample_differences(db, made, BLIND)
    await sample_differences(db, made, DBA, "same", limit=1)
    views = await list_activity(db, ActivityFilter(artifact_id=made, limit=10))
    assert [
        (v.actor, v.outcome, v.detail.get("compared")) for v in views if v.action == "view"
    ] == [
        ("dba", "done", "same"),
        ("vic", "refused", None),
    ]


async def test_a_count_that_takes_too_long_is_not_counted(database):
    """It is never 0, and rows by the key still come."""
    made = make(database, "archive_rows", KINDS["integer"], "slow")
    opened = await Database.open(database.url, read_timeout=timedelta(seconds=0.4))
    database.psql("""CREATE FUNCTION slow.wait(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(5); RETURN $1; END $$;
        ALTER TABLE slow.t ADD COLUMN g int; CREATE INDEX ON slow.t (id) WHERE slow.wait(1) = 2""")
    try:
        found = await count_differences(opened, made, DBA)
    finally:
        await opened.close()
    assert found.counts is None
    assert found.not_counted == "time limit"
    assert found.to_json()["changed"] is None


def test_pages_and_the_api_say_the_same(database):
    made = make(database, "rebuild_table", KINDS["text"], "pages")
    database.psql("ALTER TABLE pages.t ADD COLUMN fresh int, DROP COLUMN d")
    settings = {
        "auth_token": "ana:the-token-of-staff",
        "read_only_auth_token": "vic:the-token-of-viewer",
    }
    with run_studio(database.tcp_url, **settings, viewer_export=False) as studio:
        with studio.client("the-token-of-staff") as staff:
            page = staff.get(f"/studio/artifacts/{made}/diff").text
            assert "counting…" in page
            assert "<del>" in page
            assert "<ins>" in page
            for headers in ({}, {"HX-Request": "true"}):
                counts = staff.get(f"/studio/artifacts/{made}/diff/counts", headers=headers).text
                assert "Only archived" in counts
                rows = staff.get(f"/studio/artifacts/{made}/diff/rows", headers=headers).text
                assert "Archived" in rows
                assert ("<html" in rows) != bool(headers)
            answer = staff.get(f"/api/artifacts/{made}/diff?show=changed&column=c&limit=1").json()
            assert answer["values"]["changed"] == 3
            assert answer["values"]["only_now"] == ["fresh"]
            assert answer["definition"]["differ"]
            assert answer["sample"]["rows"][0]["key"] == {"id": "3"}
            assert answer["sample"]["more"]
            definition = staff.get(f"/studio/artifacts/{made}/definition.json")
            assert definition.json()["strategy"] == "rebuild_table"
            assert "attachment" in definition.headers["content-disposition"]
        with studio.client("the-token-of-viewer") as viewer:
            assert "shows viewers no rows" in viewer.get(f"/studio/artifacts/{made}/diff").text
            counts = viewer.get(f"/studio/artifacts/{made}/diff/counts").text
            assert "Only archived" in counts
            assert "/diff/rows" not in counts
            assert viewer.get(f"/studio/artifacts/{made}/diff/rows").status_code == 403
            assert viewer.get(f"/api/artifacts/{made}/diff").json()["values"]["changed"] == 3
            assert viewer.get(f"/api/artifacts/{made}/diff?show=same").status_code == 403


async def test_the_definition_beside_the_one_of_today(database, db):
    """What was dropped and is there again, under another definition; what a drop did not take."""
    database.psql(
        "CREATE TABLE o (id int PRIMARY KEY, c int NOT NULL); CREATE VIEW v AS SELECT id FROM o"
    )
    made = database.psql("SELECT zanith.archive_column('o', 'c')")
    _, found = await read_definitions(db, made)
    assert found.now is None
    assert not found.differ
    database.psql(
        "ALTER TABLE o ADD COLUMN c bigint; CREATE INDEX i ON o (c);"
        "CREATE VIEW w AS SELECT c FROM o"
    )
    _, found = await read_definitions(db, made)
    assert found.then == "ALTER TABLE public.o ADD COLUMN c integer NOT NULL;"
    assert found.now.splitlines() == [
        "ALTER TABLE public.o ADD COLUMN c bigint;",
        "CREATE INDEX i ON public.o USING btree (c);",
    ]
    assert found.differ
