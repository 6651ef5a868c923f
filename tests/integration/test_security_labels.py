"""Security labels: what is renamed or moved keeps them; what would lose one is refused by name."""

from __future__ import annotations

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Refused
from app.recovery.db.database import Database
from app.recovery.plan.model import Choices
from app.recovery.restore.restore import restore

DBA = Actor("dba")
# A provider of labels is a module of the server. No such module is here, so the catalog is written.
MADE = """
CREATE TABLE t (id int PRIMARY KEY, c text, plain text, n int GENERATED ALWAYS AS IDENTITY);
INSERT INTO t VALUES (1, 'one', 'p'), (2, 'two', 'q');
CREATE VIEW shown AS SELECT plain FROM t;
SET allow_system_table_mods = on;
INSERT INTO pg_seclabel (objoid, classoid, objsubid, provider, label)
SELECT o::regclass, 'pg_class'::regclass, n, 'mac', 'secret ' || o || n
FROM (VALUES ('t', 0), ('t', 2), ('shown', 0), ('t_n_seq', 0)) x(o, n);
"""


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


def labels(database) -> set[str]:
    dumped = database.pg_dump().splitlines()
    return {line for line in dumped if line.startswith("SECURITY LABEL") and "_zanith" not in line}


@pytest.mark.parametrize(
    ("strategy", "column"),
    [("soft_drop_table", None), ("archive_table", None), ("soft_drop_column", "c")],
)
async def test_what_is_parked_keeps_its_labels(database, db, strategy, column):
    """The labels of a table and of a column go with it, and come back with it."""
    database.psql(MADE)
    before, dumped = labels(database), database.pg_dump("--schema-only")
    assert len(before) == 4
    choice = "refuse" if column else "keep"
    request = CaptureRequest(strategy, "t", column, on_dependents=choice)
    artifact = (await capture(db, request, DBA)).id
    assert labels(database) < before
    await restore(db, artifact, Choices(), DBA)
    assert labels(database) == before
    assert database.pg_dump("--schema-only") == dumped


async def test_an_archive_of_another_column_leaves_the_labels(database, db):
    """Labels of other columns are no reason to refuse."""
    database.psql(MADE + "DROP VIEW shown")
    before = labels(database)
    artifact = (await capture(db, CaptureRequest("archive_column", "t", "plain"), DBA)).id
    await restore(db, artifact, Choices(), DBA)
    assert labels(database) == before


@pytest.mark.parametrize(
    ("strategy", "column", "choice", "named"),
    [
        ("archive_column", "c", "refuse", "column c of table"),
        ("archive_column", "n", "refuse", "sequence"),
        ("soft_drop_column", "n", "refuse", "sequence"),
        ("soft_drop_column", "plain", "cascade", "view public.shown"),
        ("archive_table", None, "cascade", "view public.shown"),
        ("rebuild_table", None, "keep", "public.t"),
    ],
)
async def test_what_would_lose_a_label_is_refused(database, db, strategy, column, choice, named):
    """The refusal names the object that has the label, and nothing is changed."""
    database.psql(MADE)
    dumped = database.pg_dump("--schema-only")
    with pytest.raises(Refused, match="security labels") as refusal:
        await capture(db, CaptureRequest(strategy, "t", column, on_dependents=choice), DBA)
    assert named in f"{refusal.value} {refusal.value.detail}"
    assert "SECURITY LABEL" in (refusal.value.hint or "")
    assert database.pg_dump("--schema-only") == dumped
