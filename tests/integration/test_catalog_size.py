"""A capture and a restore do the same work in a database with many tables as in one with few."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.recovery.artifacts.listing import list_artifacts
from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.db.database import Database as Engine
from app.recovery.inspection.inspect import inspect
from app.recovery.plan.model import Choices
from app.recovery.purge.purge import purge
from app.recovery.restore.restore import restore
from app.recovery.rows.export import ExportRequest, export_to_file
from app.recovery.rows.seal import verify
from tests import clusters
from tests.clusters import Server
from tests.conftest import Database, create_database, install_zanith
from tests.guard.twin import turn_guard_on

DBA = Actor("dba")
TABLES = """
CREATE FUNCTION long_enough(text) RETURNS boolean IMMUTABLE RETURN length($1) > 0;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
GRANT CREATE ON SCHEMA public TO {owner};
ALTER FUNCTION long_enough OWNER TO {owner}; ALTER FUNCTION touch OWNER TO {owner};
CREATE TABLE ref (id int PRIMARY KEY); INSERT INTO ref VALUES (1);
CREATE TABLE cut (id int PRIMARY KEY, ref_id int REFERENCES ref, code text CHECK (code <> ''));
CREATE INDEX ON cut (code); CREATE VIEW codes AS SELECT id, code FROM cut;
INSERT INTO cut VALUES (1, 1, 'a');
CREATE TABLE slow (id int PRIMARY KEY, code text); INSERT INTO slow VALUES (1, 'a');
CREATE TABLE hidden (id int PRIMARY KEY, ref_id int REFERENCES ref, code text);
CREATE TABLE kept (id int PRIMARY KEY, ref_id int REFERENCES ref, code text DEFAULT 'x');
CREATE TABLE child (kept_id int REFERENCES kept);
CREATE TABLE aside (LIKE kept INCLUDING ALL);
CREATE TABLE tree (id int PRIMARY KEY, code text) PARTITION BY RANGE (id);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES FROM (1) TO (9);
CREATE TABLE owned (
    id int PRIMARY KEY, ref_id int REFERENCES ref, code text CHECK (long_enough(code)),
    twice text GENERATED ALWAYS AS (code || code) STORED);
CREATE INDEX ON owned (id) WHERE long_enough(code);
CREATE TRIGGER touch BEFORE UPDATE ON owned FOR EACH ROW EXECUTE FUNCTION touch();
INSERT INTO owned VALUES (1, 1, 'a');
CREATE TABLE sub (owned_id int REFERENCES owned, code text);
ALTER TABLE owned OWNER TO {owner};
GRANT REFERENCES ON ref TO {owner}; ALTER TABLE tree_1 OWNER TO {owner};
CREATE TABLE again (id int PRIMARY KEY);
CREATE TABLE plain (id int PRIMARY KEY, code text);
CREATE SCHEMA more; CREATE TABLE more.t (id int PRIMARY KEY);
"""
ONE_MORE = """
CREATE TABLE more.t{n} (id int PRIMARY KEY, t_id int REFERENCES more.t, code text UNIQUE);
CREATE INDEX ON more.t{n} (code); CREATE VIEW more.v{n} AS SELECT id, code FROM more.t{n};
"""
CAPTURES = (
    CaptureRequest("archive_column", "cut", "code", on_dependents="cascade"),
    CaptureRequest("archive_column", "slow", "code", online=True),
    CaptureRequest("soft_drop_column", "hidden", "ref_id"),
    CaptureRequest("archive_column", "owned", "code", on_dependents="cascade"),
    CaptureRequest("archive_table", "owned", on_dependents="cascade"),
    CaptureRequest("archive_table", "kept", on_dependents="cascade"),
    CaptureRequest("soft_drop_table", "aside"),
    CaptureRequest("archive_table", "tree"),
)
MORE = ("rebuild_table('again', keep_rows => true)", "archive_rows('sub')")
CALLS = (
    "SELECT funcname, sum(calls) FROM pg_stat_user_functions WHERE schemaname = 'zanith' GROUP BY 1"
)
SCANS = "SELECT seq_scan FROM pg_stat_sys_tables WHERE relname = 'pg_depend'"


async def _work(database: Database, directory: Path) -> None:
    engine = await Engine.open(database.url)
    try:
        made = [(await capture(engine, request, DBA)).id for request in CAPTURES]
        await verify(engine, made[0], DBA)
        await export_to_file(engine, ExportRequest(made[0], "csv"), directory / "rows.csv", DBA)
        for artifact in reversed(made):
            assert (await inspect(engine, artifact)).plan
            online = artifact == made[1]
            await restore(engine, artifact, Choices(online=online), DBA)
        for call in MORE:
            artifact = database.psql(f"SELECT zanith.{call}").splitlines()[-1].strip()
            await purge(engine, artifact, DBA, confirm=None, confirmed=True)
        await list_artifacts(engine)
    finally:
        await engine.close()
    database.psql("ALTER TABLE plain DROP COLUMN code")


def _settled(database: Database) -> Counter[str]:
    """Return the calls of each function, when no session that ended adds to them any more."""
    deadline = time.monotonic() + 30
    before: Counter[str] | None = None
    while True:
        rows = (line.rsplit("|", 1) for line in database.psql(CALLS).splitlines())
        found = Counter({name: int(calls) for name, calls in rows})
        if found == before:
            return found
        assert time.monotonic() < deadline
        before = found
        time.sleep(1)


def _count(
    database: Database, owner: str, directory: Path, more: int, analyzed: bool
) -> tuple[Counter[str], int]:
    """Return the calls of each function, and how often all of pg_depend was read."""
    directory.mkdir()
    database.psql(TABLES.format(owner=owner) + "".join(ONE_MORE.format(n=n) for n in range(more)))
    if analyzed:
        database.psql("VACUUM ANALYZE")
    turn_guard_on(database)
    database.psql(f"ALTER DATABASE {database.name} SET track_functions = 'all'")
    read = int(database.psql(SCANS))
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _work(database, directory)).result()
    return _settled(database), int(database.psql(SCANS)) - read


@pytest.mark.newest
@pytest.mark.parametrize("analyzed", [False, True])
def test_no_function_is_called_for_each_table_of_the_catalog(
    database: Database,
    server: Server,
    run_directory: Path,
    tmp_path: Path,
    create_role: Callable[..., str],
    analyzed: bool,
) -> None:
    owner = create_role("owner")
    few, few_read = _count(database, owner, tmp_path / "few", 1, analyzed)
    assert few["plan_restore"] >= 5
    assert few.total() > 5_000
    template = clusters.obtain_template(run_directory, server, install_zanith)
    for many in create_database(server, template):
        more, more_read = _count(many, owner, tmp_path / "many", 100, analyzed)
        grown = {
            name: (few[name], calls) for name, calls in more.items() if calls > few[name] * 1.2 + 30
        }
        assert not grown
        # PostgreSQL may analyze the catalog in between, and choose another plan
        assert max(few_read, more_read) <= 5
