"""`zanith coverage` and its page say what a real DROP and a real capture then do."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest

from app.recovery.db.database import Database as Engine
from app.recovery.db.grants import grant_capture
from app.recovery.inspection.coverage import Coverage, measure_coverage
from tests.acceptance.command import done, zanith
from tests.conftest import Database, oracle_seed
from tests.studios import form_token, run_studio, sign_in, wait_until

# Something of each kind: what PostgreSQL refuses, what a capture takes, and what it does not.
WORLD = """
CREATE TABLE parent (id int PRIMARY KEY, g int GENERATED ALWAYS AS (id * 2) STORED, note text);
CREATE TABLE child (own int) INHERITS (parent);
CREATE TABLE parted (id int, at date, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE part PARTITION OF parted DEFAULT;
CREATE TABLE points (x int REFERENCES parent, y int, z serial);
CREATE TABLE keyless (a int, b int GENERATED ALWAYS AS (a + 1) STORED);
CREATE TYPE form AS (id int, c text); CREATE TABLE typed OF form;
CREATE VIEW seen AS SELECT id, note FROM parent;
CREATE VIEW grouped AS SELECT note FROM parent GROUP BY id;
CREATE FUNCTION ages(keyless) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE oldest(keyless) (SFUNC = first, STYPE = keyless);
CREATE TABLE odd (id int PRIMARY KEY, whole keyless);
CREATE TABLE merged (id int PRIMARY KEY, c text, d int, e int);
CREATE TABLE merging (c text, d int) INHERITS (merged);
CREATE TABLE plain (c text) INHERITS (merged);
CREATE TYPE pair AS (point points, n int);
CREATE TABLE ext (id int PRIMARY KEY, c text); ALTER EXTENSION plpgsql ADD TABLE ext;
CREATE TABLE loud (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, c text NOT NULL UNIQUE);
CREATE PUBLICATION told FOR TABLE loud (id, c);
ALTER TABLE loud REPLICA IDENTITY USING INDEX loud_c_key;
CREATE TABLE "Odd, Name" ("a.b" int PRIMARY KEY, "c""d" text);
"""
FIRST = "CREATE FUNCTION first(keyless, keyless) RETURNS keyless LANGUAGE sql AS 'SELECT $1';"
VERDICTS = """
SELECT t.name, j.column_name, j.cascade, j.verdict, j.strategy, j.reason
FROM zanith.droppable_tables() t, zanith.judge_drops(t.relation) j
"""
SAMPLE = 120
STAFF, LOOK = "the-token-of-staff", "the-token-of-viewer"


@pytest.fixture
def world(database: Database) -> Database:
    database.psql(WORLD.replace("CREATE AGGREGATE", FIRST + "CREATE AGGREGATE"))
    return database


def drop_of(row: asyncpg.Record) -> str:
    cascade = " CASCADE" if row["cascade"] else ""
    if row["column_name"] is None:
        return f"DROP TABLE {row['name']}{cascade}"
    column = row["column_name"].replace('"', '""')
    return f'ALTER TABLE {row["name"]} DROP COLUMN "{column}"{cascade}'


def capture_of(row: asyncpg.Record) -> tuple[str, list[str]]:
    column = [row["column_name"]] if row["column_name"] is not None else []
    places = ", ".join(f"${n + 1}" for n in range(1 + len(column)))
    dependents = "cascade" if row["cascade"] else "refuse"
    # the name as text, which PostgreSQL then reads as that of a table
    places = places.replace("$1", "$1::text::regclass")
    call = f"SELECT zanith.{{}}({places}, on_dependents => '{dependents}', published_ok => true)"
    return call, [row["name"], *column]


async def ends(connection: asyncpg.Connection, sql: str, *values: str) -> str:
    """Run a statement and roll it back; return how it ended."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(sql) if not values else await connection.fetchval(sql, *values)
    except asyncpg.PostgresError as error:
        return f"{error.sqlstate} {error}"
    finally:
        await transaction.rollback()
    return "done"


async def test_what_coverage_says_is_what_happens(world: Database) -> None:
    """A drop of each verdict is tried, and so is the capture; both are rolled back."""
    wrong = []
    async with world.connect() as connection:
        rows = await connection.fetch(VERDICTS)
        order = random.Random(oracle_seed())
        for row in order.sample(rows, min(SAMPLE, len(rows))):
            dropped = await ends(connection, drop_of(row))
            if (dropped == "done") != (row["verdict"] != "refused"):
                wrong.append((drop_of(row), row["verdict"], row["reason"], dropped))
            call, values = capture_of(row)
            kind = "table" if row["column_name"] is None else "column"
            tried = (
                [row["strategy"]] if row["strategy"] else [f"soft_drop_{kind}", f"archive_{kind}"]
            )
            captured = [await ends(connection, call.format(way), *values) for way in tried]
            if ("done" in captured) != (row["verdict"] == "covered"):
                wrong.append((call, values, row["verdict"], row["reason"], captured))
        verdicts = {row["verdict"] for row in rows}
    assert not wrong, "\n".join(map(str, wrong))
    assert verdicts == {"covered", "not_covered", "refused"}


async def test_a_role_is_told_what_it_may_not_judge(world: Database, create_role) -> None:
    """Tables of others are not judged, and are no part of the share; nothing is written."""
    role = create_role("migrator")
    world.psql(
        f'CREATE TABLE mine (id int PRIMARY KEY, c text); ALTER TABLE mine OWNER TO "{role}"'
    )
    async with world.connect() as connection:
        await grant_capture(connection, role)
    before = world.pg_dump()
    engine = await Engine.open(world.url_of(role))
    steps: list[dict] = []
    try:
        found = await measure_coverage(engine, steps.append)
    finally:
        await engine.close()
    # no CREATE on the schema: neither a rename, nor the index of the key once more
    assert (found.all.covered, found.all.not_covered) == (2, 4)
    assert found.all.not_judged > 40
    assert steps[-1]["done"] == steps[-1]["total"]
    assert found.all.carried_out + found.all.refused + found.all.not_judged == steps[-1]["total"]
    assert world.pg_dump() == before


BUSY = """
CREATE TABLE busy (id int PRIMARY KEY, a text);
CREATE VIEW shown AS SELECT a FROM busy;
CREATE TABLE calm (id int PRIMARY KEY, a text);
"""
STOP = """
SELECT {}(pid) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()
"""


@asynccontextmanager
async def locked_view(world: Database):
    """Hold a lock for which the definition of a view waits."""
    async with world.connect() as holder, holder.transaction():
        await holder.execute("LOCK TABLE shown IN ACCESS EXCLUSIVE MODE")
        yield


async def measured(world: Database, lock_timeout: timedelta) -> Coverage:
    engine = await Engine.open(world.url, lock_timeout=lock_timeout)
    try:
        return await measure_coverage(engine)
    finally:
        await engine.close()


async def test_a_lock_that_was_not_had_is_no_gap(database: Database) -> None:
    """What could not be read at the moment is counted as not judged, with the error."""
    database.psql(BUSY)
    async with locked_view(database):
        found = await measured(database, timedelta(milliseconds=100))
    whole = await measured(database, timedelta(seconds=2))
    # the table and its column, each with CASCADE: those that take the view along
    assert (found.all.not_covered, found.all.not_judged, found.all.covered) == (0, 2, 8)
    (why,) = found.not_judged
    assert why.reason == "canceling statement due to lock timeout (55P03)"
    assert {drop.words for drop in why.examples} == {
        "public.busy CASCADE",
        "public.busy.a CASCADE",
    }
    assert (whole.all.not_covered, whole.all.not_judged, whole.all.covered) == (0, 0, 10)


@pytest.mark.newest
@pytest.mark.parametrize(
    ("stops", "says"),
    [("pg_cancel_backend", "user request"), ("pg_terminate_backend", "connection to the server")],
)
async def test_a_measurement_that_is_stopped_at_one_table_judges_the_others(
    database: Database, stops: str, says: str
) -> None:
    """A lost connection or a cancelled statement costs the drops of that table, not the rest."""
    database.psql(BUSY)

    async def keep_stopping() -> None:
        async with database.connect() as other:
            while True:
                await other.execute(STOP.format(stops))
                await asyncio.sleep(0.05)

    stopping = asyncio.create_task(keep_stopping())
    try:
        async with locked_view(database):
            found = await measured(database, timedelta(seconds=60))
    finally:
        stopping.cancel()
    assert (found.all.not_covered, found.all.not_judged, found.all.covered) == (0, 6, 6)
    (why,) = found.not_judged
    assert (why.count, why.examples[0].object) == (6, "public.busy")
    assert says in why.reason
    assert found.to_json()["not_judged"][0]["count"] == 6


@pytest.mark.newest
def test_the_command_prints_the_share_and_why_not_the_rest(world: Database) -> None:
    """The exit status can hold a database to a share."""
    shown = done("coverage", url=world.url).out
    assert "of the drops that PostgreSQL would carry out are recoverable" in shown
    assert "it has a dependent object that a cascade cannot record" in shown
    document = done("coverage", "--json", url=world.url).json
    drops = document["drops"]
    assert drops["share"] == drops["covered"] / drops["carried_out"]
    assert sum(gap["count"] for gap in document["gaps"]) == drops["not_covered"] > 0
    assert {"reason", "count", "examples"} <= document["gaps"][0].keys()
    assert zanith("coverage", "--fail-under", "100", url=world.url).code == 4
    assert zanith("coverage", "--fail-under", "10", url=world.url).code == 0


@pytest.mark.newest
def test_an_empty_database_has_no_share(database: Database) -> None:
    """Nothing that was not counted is shown as good."""
    document = json.loads(json.dumps(Coverage().to_json()))
    assert document["drops"]["share"] is None
    assert "not counted" in done("coverage", url=database.url).out
    assert zanith("coverage", "--fail-under", "1", url=database.url).code == 4


@pytest.mark.newest
def test_the_page_measures_when_asked(world: Database) -> None:
    """A reader who looks meanwhile sees how far it is, then the same figures as the command's."""
    with run_studio(world.url, auth_token=f"a:{STAFF}", read_only_auth_token=f"v:{LOOK}") as studio:
        for token, first in ((LOOK, True), (STAFF, False)):
            with sign_in(studio, token) as client:
                html = client.get("/studio/coverage").text
                assert ("Not measured yet" in html) == first
                if first:
                    client.post("/studio/coverage", data={"form_token": form_token(html)})
                    wait_until(lambda: "Measure again" in client.get("/studio/coverage").text)
                html = client.get("/studio/coverage").text
    document = done("coverage", "--json", url=world.url).json
    assert "are recoverable" in html
    for part in ("columns", "tables"):
        assert f">{document[part]['covered']}</td>" in html
        assert f">{document[part]['not_covered']}</td>" in html
    assert "it has a dependent object that a cascade cannot record" in html


@pytest.mark.newest
async def test_the_page_says_what_was_not_judged(database: Database) -> None:
    """It has a list of its own, with the error, beside that of what is not covered."""
    database.psql(BUSY)
    async with locked_view(database):
        with (
            run_studio(database.url, auth_token=f"a:{STAFF}") as studio,
            sign_in(studio, STAFF) as client,
        ):
            token = form_token(client.get("/studio/coverage").text)
            client.post("/studio/coverage", data={"form_token": token})
            wait_until(lambda: "Measure again" in client.get("/studio/coverage").text)
            html = client.get("/studio/coverage").text
    unjudged = html.partition('id="unjudged-title"')[2]
    assert "canceling statement due to lock timeout (55P03)" in unjudged
    assert "public.busy.a CASCADE" in unjudged
    assert 'id="gaps-title"' not in html
