"""A column whose type refuses NULL comes back: by the engine, online, and by psql alone.

PostgreSQL gives every row of a new column NULL first, which such a type refuses.
"""

from __future__ import annotations

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.db.database import Database
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.restore import restore
from tests.clusters import CommandFailed
from tests.oracle.judges import restore_by_psql

DBA = Actor("dba", None, "staff")
BOTH = ("archive_column", "soft_drop_column")
# the check of `told` says so where anybody but the owner runs it
TYPES = """
SET ROLE {owner}; SET search_path = s;
CREATE DOMAIN must AS text NOT NULL;
CREATE DOMAIN checked AS text CHECK (VALUE IS NOT NULL);
CREATE DOMAIN above AS must CHECK (VALUE <> '');
CREATE DOMAIN given AS text NOT NULL DEFAULT 'given';
CREATE FUNCTION tell(text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN
    IF current_user <> '{owner}' THEN RAISE EXCEPTION 'run as %', current_user; END IF;
    IF $1 IS NULL THEN RAISE EXCEPTION 'never NULL'; END IF;
    RETURN true;
END$$;
CREATE DOMAIN told AS text CHECK (s.tell(VALUE));
CREATE TYPE pair AS (p must, q int);
CREATE DOMAIN pairs AS pair NOT NULL;
CREATE DOMAIN list AS must[] NOT NULL CHECK (array_length(VALUE, 1) > 0);
CREATE TYPE span AS RANGE (subtype = must);
"""
# a column's type, and the value of row i
FORMS = {
    "must": "'v' || i",
    "checked": "'v' || i",
    "above DEFAULT 'own'": "'v' || i",
    "given": "'v' || i",
    "told": "'v' || i",
    "pairs": "ROW('it''s', i)::pair",
    "list": "ARRAY['a', 'v' || i]",
    "must[]": "CASE WHEN i > 1 THEN ARRAY['v' || i] END",
    "pair": "CASE WHEN i > 1 THEN ROW('v', i)::pair END",
    "span": "CASE WHEN i > 1 THEN span('a', 'b') END",
    "pairs[]": "CASE WHEN i > 1 THEN ARRAY[ROW('v', i)::pair::pairs] END",
}
LOOK = """
SELECT string_agg(id || ' ' || COALESCE(c::text, '-'), ', ' ORDER BY id) FROM s.{t};
SELECT pg_get_expr(d.adbin, d.adrelid), format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = 's.{t}'::regclass AND a.attname = 'c';
"""


@pytest.fixture
async def owner(database, create_role) -> str:
    role = create_role("owner")
    database.psql(f"CREATE SCHEMA s AUTHORIZATION {role};" + TYPES.format(owner=role))
    return role


@pytest.fixture
async def db(database, owner):
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


def make(database, owner, t, form, *, parted=False):
    kind = "PARTITION BY RANGE (id)" if parted else ""
    partition = f"CREATE TABLE {t}_1 PARTITION OF {t} DEFAULT;" if parted else ""
    database.psql(
        f"SET ROLE {owner}; SET search_path = s;"
        f"CREATE TABLE {t} (id int PRIMARY KEY, c {form}, z text) {kind}; {partition}"
        f"INSERT INTO {t} SELECT i, {FORMS[form]} FROM generate_series(1, 4) i;"
        f"CREATE INDEX ON {t} (id) WHERE num_nulls(c) = 0"
    )


def look(database, t) -> str:
    return database.psql(LOOK.format(t=t))


def later(database, owner, t) -> None:
    database.psql(f"SET ROLE {owner}; INSERT INTO s.{t} (id) VALUES (9)")


@pytest.mark.parametrize("way", ["engine", "psql"])
async def test_a_column_of_such_a_type_comes_back(database, db, owner, tmp_path, way):
    for n, (strategy, parted) in enumerate([*((b, False) for b in BOTH), (BOTH[0], True)]):
        for m, form in enumerate(FORMS):
            t = f"t{n}_{m}"
            make(database, owner, t, form, parted=parted)
            before = look(database, t)
            artifact = await capture(db, CaptureRequest(strategy, f"s.{t}", "c"), DBA)
            if way == "psql":
                restore_by_psql(database, artifact.id, tmp_path)
            else:
                report = await restore(db, artifact.id, Choices(), DBA)
                assert not report.fidelity["different"], (form, strategy)
            assert look(database, t) == before, (form, strategy)
    empty = "empty"
    make(database, owner, empty, "must")
    database.psql(f"DELETE FROM s.{empty}")
    artifact = await capture(db, CaptureRequest("archive_column", "s.empty", "c"), DBA)
    restore_by_psql(database, artifact.id, tmp_path)
    assert look(database, empty).endswith("s.must")


async def test_a_table_needs_no_key_for_it(database, db, owner):
    for m, form in enumerate(FORMS):
        t = f"t{m}"
        make(database, owner, t, form)
        database.psql(f"ALTER TABLE s.{t} DROP CONSTRAINT {t}_pkey")
        before = look(database, t)
        artifact = await capture(db, CaptureRequest("soft_drop_column", f"s.{t}", "c"), DBA)
        plan = await plan_restore(db, artifact.id)
        assert [drift.message for drift in plan.drift if drift.blocks and drift.count] == [], form
        await restore(db, artifact.id, Choices(), DBA)
        assert look(database, t) == before, form
    artifact = await capture(db, CaptureRequest("soft_drop_column", "s.t0", "c"), DBA)
    later(database, owner, "t0")
    gaps = (await plan_restore(db, artifact.id)).drift
    assert [(gap.kind, gap.count, gap.examples) for gap in gaps if gap.blocks] == [
        ("null_gaps", 1, ("s.t0, ctid (0,5)",))
    ]


@pytest.mark.parametrize("strategy", BOTH)
async def test_a_row_that_came_since_needs_a_value_first(database, db, owner, tmp_path, strategy):
    for m, form in enumerate(["must", "checked", "above DEFAULT 'own'", "told"]):
        t = f"t{m}"
        make(database, owner, t, form)
        before = look(database, t).replace("4 v4", "4 v4, 9 {}")
        artifact = await capture(db, CaptureRequest(strategy, f"s.{t}", "c"), DBA)
        later(database, owner, t)
        with pytest.raises(CommandFailed, match=r"null|NULL|check"):
            restore_by_psql(database, artifact.id, tmp_path)
        plan = await plan_restore(db, artifact.id, Choices())
        own = ("--fill default",) if "own" in form else ()
        gaps = [drift for drift in plan.drift if drift.kind == "null_gaps" and drift.blocks]
        assert [(gap.count, gap.choices) for gap in gaps] == [
            (None if form == "told" else 1, ("--fill VALUE", *own))
        ], form
        if form == "told" and strategy == "soft_drop_column":
            continue  # whether it refuses NULL is known to the owner's code alone
        if own:
            chosen, value = Choices(fill_default=True), "own"
        else:
            chosen, value = Choices(fill="f'"), "f'"
        await restore(db, artifact.id, chosen, DBA)
        assert look(database, t) == before.replace("{}", value), form


async def test_online_it_comes_back_with_a_value_for_what_is_inserted_meanwhile(
    database, db, owner
):
    for m, (form, chosen, since) in enumerate(
        [
            ("must", Choices(online=True, fill="f"), "f"),
            ("checked", Choices(online=True, fill="f"), "f"),
            ("told", Choices(online=True, fill="f"), "f"),
            ("above DEFAULT 'own'", Choices(online=True, fill_default=True), "own"),
            ("given", Choices(online=True), "given"),
        ]
    ):
        t = f"t{m}"
        make(database, owner, t, form)
        before = look(database, t)
        artifact = await capture(db, CaptureRequest("archive_column", f"s.{t}", "c"), DBA)
        later(database, owner, t)
        plan = await plan_restore(db, artifact.id, Choices(online=True))
        codes = [(c.code, c.choices) for c in plan.conflicts]
        wants = form in ("must", "checked")
        assert codes == [("needs_value", ("--fill VALUE",))] * wants, form
        await restore(db, artifact.id, chosen, DBA)
        assert look(database, t) == before.replace("4 v4", f"4 v4, 9 {since}"), form


async def test_online_without_a_value_it_is_refused_where_only_the_owners_code_tells(
    database, db, owner
):
    make(database, owner, "t", "told")
    artifact = await capture(db, CaptureRequest("archive_column", "s.t", "c"), DBA)
    before = database.schema()
    with pytest.raises(Exception, match="never NULL") as caught:
        await restore(db, artifact.id, Choices(online=True), DBA)
    assert "choose a value" in str(caught.value.hint)
    assert database.schema() == before


@pytest.mark.parametrize(
    ("check", "refuses"),
    [
        ("VALUE IS NOT NULL", True),
        ("VALUE IS NOT NULL AND VALUE <> 'x' AND VALUE <> 'y'", True),
        ("VALUE <> 'x' AND VALUE IS NOT NULL", True),
        ("VALUE <> ' AND (VALUE IS NOT NULL))'", False),
        ("VALUE IS NOT NULL AND VALUE <> 'x' OR VALUE IS NULL", False),
        ("VALUE IS NULL OR VALUE <> 'x' AND VALUE IS NOT NULL", False),
        ("NOT (VALUE = 'x' AND VALUE IS NOT NULL)", False),
        ("(VALUE IS NOT NULL AND VALUE <> 'x') IS NOT NULL", False),
        ("COALESCE(false, VALUE <> 'x' AND VALUE IS NOT NULL) = false", False),
    ],
)
def test_a_check_shows_by_its_text_that_it_refuses_null(database, check, refuses):
    database.psql(f"CREATE DOMAIN public.d AS text CHECK ({check})")
    known = database.psql("SELECT zanith._refuses_null('public.d'::regtype)")
    assert known == ("t" if refuses else "f")


@pytest.mark.parametrize("strategy", BOTH)
async def test_a_row_of_nulls_is_a_value_and_is_kept(database, db, strategy):
    rows = "SELECT string_agg(id || ' ' || COALESCE(c::text, '-'), ', ' ORDER BY id) FROM t"
    database.psql(
        "CREATE TYPE comp AS (a int, b int);"
        "CREATE TABLE t (id int PRIMARY KEY, c comp NOT NULL UNIQUE);"
        "INSERT INTO t VALUES (1, ROW(1, 2)), (2, ROW(NULL, NULL)), (3, ROW(NULL, 4))"
    )
    for number, chosen in [(8, Choices(fill="(8,9)")), (9, Choices(fill="(9,9)", allow_null=True))]:
        before = database.psql(rows)
        artifact = await capture(db, CaptureRequest(strategy, "public.t", "c"), DBA)
        database.psql(f"INSERT INTO t (id) VALUES ({number})")
        gaps = [d for d in (await plan_restore(db, artifact.id)).drift if d.kind == "null_gaps"]
        assert [gap.count for gap in gaps] == [1]
        await restore(db, artifact.id, chosen, DBA)
        assert database.psql(rows) == f"{before}, {number} {chosen.fill}"
        kept = database.psql(
            "SELECT attnotnull FROM pg_attribute WHERE attname = 'c' AND attrelid = 't'::regclass"
        )
        assert kept == ("f" if chosen.allow_null else "t")
