"""A renamed label of an enum is found wherever a value holds it: in archived text and in a seal."""

from __future__ import annotations

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.db.database import Database
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.restore import restore
from app.recovery.rows.seal import verify
from tests.clusters import CommandFailed
from tests.oracle.judges import restore_by_psql

DBA = Actor("dba")
TYPES = """
CREATE SCHEMA s; SET search_path = s;
CREATE TYPE mood AS ENUM (
    'sad', 'ok', 'it''s "so", {x}', '', 'NULL', 'a b', '[0:1]={', 'empty', 'b\\c', '(');
CREATE TYPE other AS ENUM ('ok', 'sad');
CREATE DOMAIN md AS mood; CREATE DOMAIN mds AS mood[];
CREATE TYPE pair AS (p mood, "Q q" timestamptz, r text, s mood[], o other);
CREATE DOMAIN pairs AS pair;
CREATE TYPE mr AS RANGE (subtype = mood, multirange_type_name = mrs);
CREATE TYPE pr AS RANGE (subtype = pair, multirange_type_name = prs);
CREATE TYPE deep AS (a pair[], b mr, c mrs, d md[], e mds[], f text);
CREATE TABLE row_of (z int, a mood, b text); ALTER TABLE row_of DROP COLUMN z;
"""
PAIR = "ROW(m, '2026-01-02', m || ',ok', ARRAY[n, NULL, m], 'ok')::pair"
# a column's type, and a value made of the labels m and n
FORMS = {
    "mood": "m",
    "md": "m",
    "mood[]": "CASE WHEN m > n THEN ARRAY[m, NULL, n] ELSE ('{}')::mood[] END",
    "md[]": "ARRAY[m, n]::md[]",
    "mds": "ARRAY[ARRAY[m], ARRAY[n]]",
    "mds[]": """('{"{ok,NULL,sad}",NULL,"{}"}')::mds[]""",
    "pair": f"CASE WHEN m > n THEN {PAIR} ELSE ROW(NULL, NULL, '', NULL, 'sad')::pair END",
    "pairs": PAIR,
    "pair[]": f"ARRAY[{PAIR}, NULL, {PAIR}]",
    "mr": "CASE WHEN m > n THEN mr(n, m) WHEN m < n THEN mr(m, NULL) ELSE mr(m, m) END",
    "mrs": "CASE WHEN m >= n THEN mrs(mr(n, m, '[]'), mr(NULL, 'sad')) ELSE mrs() END",
    "pr": f"pr({PAIR}, NULL)",
    "prs": f"prs(pr(NULL, ROW('sad', NULL, NULL, NULL, NULL)::pair), pr({PAIR}, NULL))",
    "deep": f"ROW(ARRAY[{PAIR}, NULL], mr(m, NULL), mrs(mr(m, m, '[]')), ARRAY[n]::md[],"
    " NULL, 'ok')::deep",
    "row_of": "ROW(m, 'ok')::row_of",
}
MADE = """
SET search_path = s, pg_catalog;
CREATE TABLE {t} (id int{key}, c {form}, z text);
INSERT INTO {t} SELECT row_number() OVER (), CASE WHEN m <> 'b\\c' THEN {value} END, n
FROM unnest(enum_range(NULL::mood)) m, unnest(enum_range(NULL::mood)) n
WHERE m IN ('sad', 'NULL', n);
CREATE TABLE was_{t} (id int, c {form}); INSERT INTO was_{t} SELECT id, c FROM {t};
"""
# some in a circle, so that each stands for another; some to a name that is quoted, others from one
RENAMED = """
SET search_path = s;
ALTER TYPE mood RENAME VALUE 'sad' TO 'x'; ALTER TYPE mood RENAME VALUE 'ok' TO 'sad';
ALTER TYPE mood RENAME VALUE 'x' TO 'ok'; ALTER TYPE mood RENAME VALUE 'NULL' TO 'none';
ALTER TYPE mood RENAME VALUE 'empty' TO 'nUlL'; ALTER TYPE mood RENAME VALUE '' TO 'empty';
ALTER TYPE mood RENAME VALUE 'a b' TO ''; ALTER TYPE mood RENAME VALUE '(' TO '"[,\\y';
ALTER TYPE mood RENAME VALUE 'b\\c' TO E'new\\nline';
ALTER TYPE mood ADD VALUE 'new' BEFORE 'empty';
"""
WRONG = """
SELECT count(*) FROM s.{t} t FULL JOIN s.was_{t} w USING (id)
WHERE format('%s', t.c) <> format('%s', w.c) OR num_nulls(t.c) <> num_nulls(w.c)
"""
KEYS = {"key": " PRIMARY KEY", "none": ""}


@pytest.fixture
async def db(database):
    database.psql(TYPES)
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


@pytest.mark.parametrize("way", ["engine", "psql", "online"])
async def test_text_in_an_archive_is_read_under_the_labels_of_now(database, db, tmp_path, way):
    made = {}
    for n, (form, value) in enumerate(FORMS.items()):
        t = f"t{n}"
        database.psql(MADE.format(t=t, form=form, value=value, key=KEYS["key"]))
        request = CaptureRequest("archive_column", f"s.{t}", "c", online=way == "online")
        made[form] = t, await capture(db, request, DBA)
    database.psql(RENAMED)
    for form, (t, artifact) in made.items():
        assert (await verify(db, artifact.id, DBA)).matches, form
        if way == "psql":
            restore_by_psql(database, artifact.id, tmp_path)
        else:
            plan = await plan_restore(db, artifact.id)
            assert not plan.blocked, (form, plan.conflicts, plan.drift)
            await restore(db, artifact.id, Choices(online=way == "online"), DBA)
        assert database.psql(WRONG.format(t=t)) == "0", form


@pytest.mark.parametrize("strategy", ["archive_table", "soft_drop_table"])
@pytest.mark.parametrize("key", KEYS)
async def test_the_seal_of_a_table_has_the_labels_of_its_capture(
    database, db, tmp_path, strategy, key
):
    """Also where the rows of a table without a key are sorted by their text."""
    made = {}
    for n, (form, value) in enumerate(FORMS.items()):
        t = f"t{n}"
        database.psql(MADE.format(t=t, form=form, value=value, key=KEYS[key]))
        made[form] = t, await capture(db, CaptureRequest(strategy, f"s.{t}"), DBA)
    database.psql(RENAMED)
    for form, (t, artifact) in made.items():
        assert (await verify(db, artifact.id, DBA)).matches, form
        if form in ("mood", "md", "pair[]", "mrs"):
            restore_by_psql(database, artifact.id, tmp_path)
        else:
            await restore(db, artifact.id, Choices(), DBA)
        assert database.psql(WRONG.format(t=t)) == "0", form


async def test_another_value_of_a_table_without_a_key_is_still_told(database, db, tmp_path):
    database.psql(MADE.format(t="t", form="pair[]", value=FORMS["pair[]"], key=""))
    artifact = await capture(db, CaptureRequest("archive_table", "s.t"), DBA)
    database.psql(RENAMED)
    table = f"_zanith_shadow.{artifact.physical_name}"
    database.psql(
        f"ALTER TABLE {table} DISABLE TRIGGER ALL;UPDATE {table} SET c[1].p = 'none' WHERE id = 1"
    )
    assert not (await verify(db, artifact.id, DBA)).matches
    with pytest.raises(CommandFailed, match="sha256sum"):
        restore_by_psql(database, artifact.id, tmp_path)


async def test_an_enum_of_the_same_name_is_another(database, db):
    """Text is read as it is written where the type was made again: its labels have other oids."""
    database.psql(
        MADE.format(t="t", form="other[]", value="ARRAY['ok', 'sad']::other[]", key=KEYS["key"])
    )
    artifact = await capture(db, CaptureRequest("archive_column", "s.t", "c"), DBA)
    database.psql(
        "ALTER TYPE s.other RENAME VALUE 'sad' TO 'x'; ALTER TYPE s.other RENAME TO old;"
        "CREATE TYPE s.other AS ENUM ('ok', 'sad')"
    )
    await restore(db, artifact.id, Choices(), DBA)
    assert database.psql("SELECT DISTINCT c FROM s.t WHERE num_nulls(c) = 0") == "{ok,sad}"
