"""Rows are read and copied under the owner's search path too: seals, exports, archives."""

from __future__ import annotations

import json

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.inspection.inspect import preview_rows
from app.recovery.plan.model import Choices
from app.recovery.purge.erase import erase
from app.recovery.restore.restore import restore
from app.recovery.rows.export import ExportRequest, export_to_file
from app.recovery.rows.seal import seal, verify
from tests.integration.search_paths import DBA, NORM, PATH, bring_back, db, drop, make, owner

pytestmark = pytest.mark.each_version

__all__ = ["db", "owner"]


# PostgreSQL evaluates an expression of an index whenever it plans a query on the table, and puts
# the body of a function in SQL in its place. (17 and later make no index over such a function.)
READ = f"""{NORM}
CREATE FUNCTION inlined(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'select lower(t)';
CREATE TABLE kept (id int PRIMARY KEY, name text, note text);
CREATE INDEX kept_name ON kept (inlined(name));
CREATE OR REPLACE FUNCTION inlined(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'select norm(t)';
INSERT INTO kept SELECT n, 'N' || n, 'x' || n FROM generate_series(1, 2000) n;
"""


@pytest.mark.parametrize("route", ["engine", "psql"])
@pytest.mark.parametrize("strategy", ["soft_drop_table", "archive_table"])
async def test_a_moved_table_is_read_under_the_path(database, db, owner, strategy, route, tmp_path):
    make(database, owner, READ)
    artifact = drop(database, f"{strategy}('app.kept')")
    sealed = await seal(db, artifact, DBA)
    assert sealed.row_count == 2000
    assert (await verify(db, artifact, DBA, jobs_at_once=2)).matches
    preview = await preview_rows(db, artifact, DBA, limit=2)
    assert preview.rows[1][1].text == "N2"
    for form in ("csv", "jsonl", "spreadsheet"):
        await export_to_file(db, ExportRequest(artifact, form), tmp_path / f"rows.{form}", DBA)
    lines = (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()
    assert json.loads(lines[1]) == {"id": 2, "name": "N2", "note": "x2"}
    await erase(db, artifact, {"id": "2"}, DBA, rows=1, confirm="app.kept")
    await bring_back(route, database, db, artifact, tmp_path)
    asked = f"SET search_path = {PATH}; SELECT count(*), max(id) FROM kept"
    assert database.psql(asked) == "1999|2000"


async def test_a_column_is_archived_and_filled_beside_traffic_under_the_path(database, db, owner):
    make(database, owner, READ)
    database.psql(f"ALTER DATABASE {database.name} SET search_path = {PATH}")
    request = CaptureRequest("archive_column", "app.kept", "note", online=True)
    artifact = await capture(db, request, DBA)
    assert artifact.row_count == 2000
    assert (await preview_rows(db, artifact.id, DBA, limit=2)).rows[1][1].text == "x2"
    await restore(db, artifact.id, Choices(online=True), DBA)
    asked = f"SET search_path = {PATH}; SELECT count(*) FROM kept WHERE note = 'x' || id"
    assert database.psql(asked) == "2000"


async def test_rows_of_a_dropped_column_are_read_under_the_path(database, db, owner, tmp_path):
    make(database, owner, READ)
    artifact = drop(database, "soft_drop_column('app.kept', 'note')")
    assert (await preview_rows(db, artifact, DBA, limit=2)).rows[1][1].text == "x2"
    file = tmp_path / "rows.csv"
    await export_to_file(db, ExportRequest(artifact, "csv"), file, DBA)
    assert len(file.read_text("utf-8").splitlines()) == 2001


async def test_nothing_in_the_path_stands_for_what_reads(database, db, owner):
    make(database, owner, READ)
    database.psql("""
        CREATE FUNCTION app.num_nulls(text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
        CREATE FUNCTION app.format(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
        """)  # fmt: skip
    artifact = drop(database, "archive_table('app.kept')")
    sealed = await seal(db, artifact, DBA)
    preview = await preview_rows(db, artifact, DBA, limit=2)
    assert preview.rows[1][1].text == "N2"
    database.psql("DROP FUNCTION app.num_nulls(text), app.format(text, text)")
    verified = await verify(db, artifact, DBA)
    assert verified.matches
    assert sealed.checksum
