"""Archived values outlive their type: they are kept as text, and come back when it is there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.planning import plan_capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Refused
from app.recovery.db.database import Database
from app.recovery.inspection.doctor import doctor
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.restore import restore
from app.recovery.rows.export import ExportRequest, export_to_file
from app.recovery.rows.seal import verify
from tests.oracle.judges import restore_by_psql

DBA = Actor("dba")
TYPES = """
SET ROLE {owner}; SET search_path = s;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s "so", {{x}}');
CREATE DOMAIN small AS int CHECK (VALUE < 100);
CREATE DOMAIN mooded AS mood NOT NULL CHECK (VALUE <> 'sad');
CREATE TYPE pair AS (p mood, "Q q" timestamptz, r numeric);
CREATE DOMAIN pairs AS pair;
CREATE TYPE span AS RANGE (subtype = timestamptz, multirange_type_name = spans);
"""
# a column's type, and the value of row i
FORMS = {
    "mood": "(enum_range(NULL::mood))[1 + i % 3]",
    "small": "i",
    "small DEFAULT 7": "NULLIF(i, 2)",
    "mooded DEFAULT 'ok'": "(enum_range(NULL::mood))[2 + i % 2]",
    "pair": "CASE i WHEN 1 THEN NULL WHEN 2 THEN ROW(NULL, NULL, NULL)::pair"
    " ELSE ROW('ok', '2026-01-02 03:04:05+06', 1.50)::pair END",
    "pairs": "ROW('sad', 'infinity', i)::pair",
    "span": "span('2026-01-02 03:04:05+06', NULL)",
    "spans": "spans(span('2026-01-02', '2026-01-03'))",
    "mood[]": "CASE WHEN i > 1 THEN ('[0:1][2:2]={{sad},{NULL}}')::mood[] END",
    "small[]": "ARRAY[i, NULL]::small[]",
    "pair[]": """ARRAY[ROW('it''s "so", {x}', now(), i)::pair]""",
    "t_of_rows": "ROW(i, 'x,y')::t_of_rows",
}
BASE = ("small", "small DEFAULT 7")
LOOK = """
SELECT string_agg(id || ' ' || CASE num_nulls(c) WHEN 0 THEN format('%s', c) ELSE '-' END, ', '
    ORDER BY id) FROM s.{t};
SELECT pg_get_expr(d.adbin, d.adrelid), format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = 's.{t}'::regclass AND a.attname = 'c';
"""
DROPPED = """
DROP TYPE s.mood CASCADE; DROP TYPE s.small CASCADE; DROP TYPE IF EXISTS s.pair CASCADE;
DROP TYPE IF EXISTS s.span CASCADE; DROP TABLE s.t_of_rows CASCADE;
DROP DOMAIN IF EXISTS s.mooded; DROP DOMAIN IF EXISTS s.pairs
"""
CASTS = """
CREATE FUNCTION s.wrong(s.mood) RETURNS text LANGUAGE sql AS $$ SELECT 'wrong' $$;
CREATE FUNCTION s.wrong(text) RETURNS s.mood LANGUAGE sql AS $$ SELECT enum_first(NULL::s.mood) $$;
CREATE CAST (s.mood AS text) WITH FUNCTION s.wrong(s.mood) AS ASSIGNMENT;
CREATE CAST (text AS s.mood) WITH FUNCTION s.wrong(text) AS ASSIGNMENT;
"""
ROWS = "SET ROLE {owner}; CREATE TABLE s.t_of_rows (a int, b text);"


@pytest.fixture
async def owner(database, create_role) -> str:
    return made_by(database, create_role("owner"))


def made_by(database, role) -> str:
    database.psql(f"CREATE SCHEMA s AUTHORIZATION {role}")
    database.psql(ROWS.format(owner=role) + TYPES.format(owner=role))
    return role


@pytest.fixture
async def db(database, owner):
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


def make(database, owner, t, form):
    database.psql(
        f"SET ROLE {owner}; SET search_path = s, pg_catalog;"
        f"CREATE TABLE {t} (id int PRIMARY KEY, c {form}, z text);"
        f"INSERT INTO {t} SELECT i, {FORMS[form]} FROM generate_series(1, 5) i;"
        f"CREATE INDEX ON {t} (id) WHERE num_nulls(c) = 0"
    )


def look(database, t) -> str:
    return database.psql(LOOK.format(t=t))


@pytest.mark.parametrize("way", ["engine", "psql", "online"])
async def test_values_come_back_after_their_type_was_dropped(database, db, owner, tmp_path, way):
    made, before = {}, {}
    for n, form in enumerate(FORMS):
        t = f"t{n}"
        make(database, owner, t, form)
        before[t] = look(database, t)
        request = CaptureRequest("archive_column", f"s.{t}", "c", online=way == "online")
        if form not in BASE:
            assert "kept as text" in " ".join((await plan_capture(db, request)).warnings)
        made[t] = await capture(db, request, DBA)
        assert made[t].row_count == 5 or "mooded" in form
    database.psql(DROPPED)
    for t, artifact in made.items():
        plan = await plan_restore(db, artifact.id)
        missing = [c for c in plan.conflicts if c.code == "type_missing"]
        assert missing, t
        assert "CREATE" in (missing[0].hint or ""), t
        assert (await verify(db, artifact.id, DBA)).matches, t
        file = Path(tmp_path / f"{t}.csv")
        await export_to_file(db, ExportRequest(artifact.id), file, DBA)
        assert hashlib.sha256(file.read_bytes()).hexdigest() == artifact.checksum
    assert (await doctor(db)).findings == ()
    database.psql(ROWS.format(owner=owner) + TYPES.format(owner=owner))
    for t, artifact in made.items():
        if way == "psql":
            restore_by_psql(database, artifact.id, tmp_path)
        else:
            report = await restore(db, artifact.id, Choices(online=way == "online"), DBA)
            assert not report.fidelity["different"], t
        assert look(database, t) == before[t], t


@pytest.mark.parametrize("way", ["engine", "psql", "online"])
async def test_no_value_comes_from_a_cast(database, db, owner, tmp_path, way):
    make(database, owner, "t", "mood")
    before = look(database, "t")
    database.psql(f"SET ROLE {owner}; {CASTS}")
    request = CaptureRequest("archive_column", "s.t", "c", online=way == "online")
    artifact = await capture(db, request, DBA)
    if way == "psql":
        restore_by_psql(database, artifact.id, tmp_path)
    else:
        await restore(db, artifact.id, Choices(online=way == "online"), DBA)
    assert look(database, "t") == before


async def test_labels_that_were_renamed_are_found(database, db, owner, tmp_path):
    """In a circle, so that each label stands for another one now; by every way back."""
    ways = ("engine", "psql", "online")
    made = {}
    for n, (form, way) in enumerate((f, w) for f in ("mood", "mooded") for w in ways):
        t = f"t{n}"
        make(database, owner, t, form if form == "mood" else "mooded DEFAULT 'ok'")
        made[t, way] = await capture(
            db, CaptureRequest("archive_column", f"s.{t}", "c", online=way == "online"), DBA
        )
        database.psql(
            f"CREATE TABLE s.was_{t} AS SELECT id, n FROM generate_series(1, 5) id, "
            f"LATERAL (SELECT {'1 + id % 3' if form == 'mood' else '2 + id % 2'}) x(n)"
        )
    database.psql("""
        ALTER TYPE s.mood RENAME VALUE 'ok' TO 'fine'; ALTER TYPE s.mood RENAME VALUE 'sad' TO 'ok';
        ALTER TYPE s.mood ADD VALUE 'new' BEFORE 'ok'""")
    for (t, way), artifact in made.items():
        assert (await verify(db, artifact.id, DBA)).matches, t
        if way == "psql":
            restore_by_psql(database, artifact.id, tmp_path)
        else:
            await restore(db, artifact.id, Choices(online=way == "online"), DBA)
        wrong = database.psql(
            f"SELECT count(*) FROM s.{t} JOIN s.was_{t} USING (id)"
            " WHERE c::s.mood IS DISTINCT FROM (enum_range(NULL::s.mood))[n + 1]"
        )
        assert wrong == "0", (t, way)


async def test_a_type_that_does_not_read_them_any_more_is_told(database, db, owner):
    server_reads = int(database.psql("SHOW server_version_num")) >= 160000
    made = {}
    for t, form in (("e", "mood"), ("p", "pair")):
        make(database, owner, t, form)
        made[t] = await capture(db, CaptureRequest("archive_column", f"s.{t}", "c"), DBA)
    database.psql(f"""
        DROP TYPE s.mood CASCADE; SET ROLE {owner}; CREATE TYPE s.mood AS ENUM ('ok', 'sad', 'new');
        DROP TYPE s.pair CASCADE; CREATE TYPE s.pair AS (p s.mood, q int)""")
    for t in ("e", *("p" * server_reads)):
        plan = await plan_restore(db, made[t].id)
        found = [item for item in plan.drift if item.kind == "unfit_values"]
        assert [item.count for item in found] == [2 if t == "e" else 4], t
        assert plan.blocked, t
        assert found[0].choices == ("--as-text",)
        with pytest.raises(Refused):
            await restore(db, made[t].id, Choices(), DBA)
    report = await restore(db, made["e"].id, Choices(as_text=True), DBA)
    assert "c comes back as text, not with its type" in [loss.message for loss in report.losses]
    assert database.psql("SELECT c FROM s.e ORDER BY id").splitlines()[0] == "ok"


@pytest.mark.parametrize("online", [False, True])
async def test_a_column_comes_back_as_text(database, db, owner, online):
    """Its default and what names the type stay away, and are named as losses."""
    database.psql(f"""
        SET ROLE {owner}; SET search_path = s;
        CREATE TABLE parent (id int, c mood NOT NULL DEFAULT 'ok' CHECK (c <> 'sad'), z text,
            CONSTRAINT long CHECK (c::text <> 'long'), PRIMARY KEY (id)) PARTITION BY RANGE (id);
        CREATE TABLE child PARTITION OF parent DEFAULT;
        INSERT INTO parent SELECT i FROM generate_series(1, 3) i;
        CREATE INDEX by_c ON parent (c)""")
    request = CaptureRequest("archive_column", "s.parent", "c")
    artifact = await capture(db, request, DBA)
    database.psql("DROP TYPE s.mood CASCADE")
    plan = await plan_restore(db, artifact.id)
    assert "--as-text" in {choice.flag for choice in plan.choices}
    missing = {c.code: c for c in plan.conflicts}["type_missing"]
    assert missing.choices == ("--as-text",)
    report = await restore(db, artifact.id, Choices(as_text=True, online=online), DBA)
    said = {loss.message for loss in report.losses}
    assert {
        "left out by choice: default of c",
        "left out by choice: constraint parent_c_check",
    } <= said
    assert database.psql("SELECT pg_typeof(c), c, id FROM s.parent ORDER BY id").splitlines() == [
        f"text|ok|{i}" for i in (1, 2, 3)
    ]
    kept = database.psql("SELECT count(*) FROM pg_class WHERE relname = 'by_c'")
    assert kept == "1"
    database.psql("INSERT INTO s.parent VALUES (4, 'z', 'sad')")


@pytest.mark.each_version
async def test_an_extension_may_go(database, db, owner):
    found = "SELECT count(*) FROM pg_available_extensions WHERE name = 'citext'"
    if database.psql(found) == "0":
        pytest.skip("citext does not come with this PostgreSQL")
    database.psql(
        "CREATE EXTENSION citext SCHEMA s; CREATE TABLE s.t (id int PRIMARY KEY, c s.citext);"
        "INSERT INTO s.t VALUES (1, 'A'), (2, NULL), (3, '')"
    )
    artifact = await capture(db, CaptureRequest("archive_column", "s.t", "c"), DBA)
    database.psql("DROP EXTENSION citext")  # nothing of it is in the way
    plan = await plan_restore(db, artifact.id)
    assert "CREATE EXTENSION citext" in str(plan.conflicts[0].hint)
    assert (await verify(db, artifact.id, DBA)).matches
    database.psql("CREATE EXTENSION citext SCHEMA s")
    report = await restore(db, artifact.id, Choices(), DBA)
    assert not report.fidelity["different"]
    assert database.psql(
        "SET search_path = s, pg_catalog;"
        "SELECT id, c IS NULL FROM t WHERE c = 'a' OR c IS NULL OR c = ''"
    ) == ("1|f\n2|t\n3|f")


async def test_a_type_under_another_name_is_found(database, db, owner):
    for t, form in (("t1", "mood"), ("t2", "small"), ("t3", "mood[]")):
        make(database, owner, t, form)
    made = {
        t: await capture(db, CaptureRequest("archive_column", f"s.{t}", "c"), DBA)
        for t in ("t1", "t2", "t3")
    }
    database.psql("ALTER TYPE s.mood RENAME TO temper; ALTER DOMAIN s.small RENAME TO tiny")
    for t, name in (("t1", "s.temper"), ("t2", "s.tiny"), ("t3", "s.temper[]")):
        report = await restore(db, made[t].id, Choices(), DBA)
        losses = [loss.message for loss in report.losses if loss.code == "type"]
        assert losses == [f"c comes back with the type {name}, the present name of its type"]


@pytest.mark.recorded("older", "earlier versions kept the type")
async def test_archives_of_before_come_back(database, db, owner, tmp_path):
    """They have the column with its type."""
    function = "zanith._describe_kept(oid, smallint)"
    now = database.psql(f"SELECT pg_get_functiondef('{function}'::regprocedure)")
    database.psql(
        "CREATE OR REPLACE FUNCTION zanith._describe_kept(relation oid, attribute smallint)"
        " RETURNS jsonb LANGUAGE sql STABLE AS 'SELECT NULL::jsonb'"
    )
    made, before = {}, {}
    forms = ("mood", "small", "mooded DEFAULT 'ok'", "pair", "mood[]")
    for n, (form, way) in enumerate((f, w) for f in forms for w in ("engine", "psql", "online")):
        t = f"t{n}"
        make(database, owner, t, form)
        before[t] = look(database, t)
        made[t, way] = await capture(db, CaptureRequest("archive_column", f"s.{t}", "c"), DBA)
    database.psql(now)
    database.psql(
        "UPDATE zanith._zanith_migration_artifacts SET definition = "
        "definition #- '{kept}' #- '{parked,text}' #- '{parked,type}'"
    )
    for (t, way), artifact in made.items():
        assert (await verify(db, artifact.id, DBA)).matches, t
        if way == "psql":
            restore_by_psql(database, artifact.id, tmp_path)
        else:
            report = await restore(db, artifact.id, Choices(online=way == "online"), DBA)
            assert not report.fidelity["different"], t
        assert look(database, t) == before[t], (t, way)
