"""ANALYZE after a restore: as the owner of the table and recorded, or refused with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from app.recovery.core.actor import Actor
from app.recovery.core.errors import Locked, NotPermitted, Refused
from app.recovery.db.database import Database
from app.recovery.jobs import audit
from app.recovery.jobs.audit import ActivityFilter
from app.recovery.plan.model import Choices
from app.recovery.restore.analyze import analyze
from app.recovery.restore.restore import restore
from tests.integration.screens import STAFF, VIEWER, artifacts, hidden, open_studio, words
from tests.online import execute, fetchval
from tests.studios import wait_for_job

pytestmark = pytest.mark.newest

__all__ = ["artifacts", "open_studio"]

DBA = Actor("dba", None, "staff")
SAMPLED = (
    "SELECT count(*) FROM pg_stats WHERE schemaname = 'public' AND tablename = $1 AND attname = $2"
)


@pytest.fixture
async def db(database):
    opened = await Database.open(
        database.url, lock_timeout=timedelta(milliseconds=200), lock_retries=0
    )
    yield opened
    await opened.close()


STILL = "WITH (autovacuum_enabled = off)"  # so that nothing else analyzes it
FILL = "INSERT INTO t SELECT n, n % 3 FROM generate_series(1, 90) n"
# What is dropped, with which choices it comes back, and the table and column with statistics then.
SHAPES = {
    "column": (
        f"CREATE TABLE t (id int PRIMARY KEY, c int) {STILL}; {FILL}",
        "archive_column('t', 'c')",
        Choices(),
        ("t", "c"),
    ),
    "column under another name": (
        f"CREATE TABLE t (id int PRIMARY KEY, c int) {STILL}; {FILL}",
        "archive_column('t', 'c')",
        Choices(as_name="d"),
        ("t", "d"),
    ),
    "table under another name": (
        f"CREATE TABLE t (id int, c int) {STILL}; {FILL}",
        "archive_table('t')",
        Choices(as_name="T.\"2\nß"),
        ("T.\"2\nß", "c"),
    ),
    "partitions": (
        "CREATE TABLE t (id int, c int) PARTITION BY RANGE (id);"
        f" CREATE TABLE p1 PARTITION OF t FOR VALUES FROM (0) TO (50) {STILL};"
        f" CREATE TABLE p2 PARTITION OF t FOR VALUES FROM (50) TO (99) {STILL};"
        f" {FILL}",
        "archive_table('t')",
        Choices(),
        ("p2", "c"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
async def test_the_table_that_came_back_gets_statistics(db, shape):
    made, call, choices, sampled = SHAPES[shape]
    await execute(db, made)
    artifact = await fetchval(db, f"SELECT zanith.{call}")
    await restore(db, artifact, choices, DBA)
    await execute(db, "DELETE FROM pg_statistic WHERE starelid >= 16384")
    assert await fetchval(db, SAMPLED, *sampled) == 0
    table = await analyze(db, artifact, DBA)
    assert await fetchval(db, SAMPLED, *sampled) == 1
    (entry,) = await audit.list_activity(db, ActivityFilter(action="analyze"))
    assert (entry.outcome, entry.artifact_id, entry.detail["table"]) == ("done", artifact, table)


async def test_code_of_the_owner_runs_as_the_owner_or_not_at_all(database, db, create_role):
    """An index whose function says whom it runs as, in a table of its owner and of a superuser."""
    owner, other = create_role("owner"), create_role("other")
    database.psql(f"GRANT CREATE ON SCHEMA public TO {owner}, {other}")
    database.psql(f"""SET ROLE {owner};
        CREATE TABLE public.t (id int PRIMARY KEY, c int, d int);
        INSERT INTO public.t SELECT n, n % 3, n FROM generate_series(1, 90) n;
        CREATE FUNCTION public.said(v int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
            IF current_user <> '{owner}' THEN RAISE EXCEPTION 'ran as %', current_user; END IF;
            RAISE LOG 'said as %', current_user; RETURN v; END $$;
        CREATE INDEX ON public.t (said(d));""")
    artifact = await fetchval(db, "SELECT zanith.archive_column('public.t', 'c')")
    await restore(db, artifact, Choices(), DBA)
    await analyze(db, artifact, DBA)
    assert await fetchval(db, SAMPLED, "t", "c") == 1
    # a superuser owns it now: its index calls code of a role that is none
    database.psql("ALTER TABLE public.t OWNER TO postgres")
    with pytest.raises(Refused) as refused:
        await analyze(db, artifact, DBA)
    assert "would run as another" in (refused.value.detail or "")
    entries = await audit.list_activity(db, ActivityFilter(action="analyze"))
    assert [entry.outcome for entry in entries] == ["refused", "done"]


async def test_what_cannot_be_analyzed_says_why(database, db):
    await execute(db, "CREATE TABLE t (id int PRIMARY KEY, c int); INSERT INTO t VALUES (1, 1)")
    artifact = await fetchval(db, "SELECT zanith.archive_column('t', 'c')")
    with pytest.raises(Refused, match="cannot be analyzed") as refused:
        await analyze(db, artifact, DBA)
    assert refused.value.detail == "it is not restored"
    await restore(db, artifact, Choices(), DBA)
    with pytest.raises(NotPermitted):
        await analyze(db, artifact, Actor("vic", None, "viewer"))
    other = await database.connect()
    await other.execute("BEGIN; LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE")
    with pytest.raises(Locked):
        await analyze(db, artifact, DBA)
    await other.close()
    for now, said in (
        ("ALTER TABLE t RENAME TO gone", "no table has the name public.t now"),
        ("CREATE VIEW t AS SELECT 1 AS id", "public.t is not a table"),
    ):
        await execute(db, now)
        with pytest.raises(Refused) as refused:
            await analyze(db, artifact, DBA)
        assert refused.value.detail == said
    assert await fetchval(db, SAMPLED, "gone", "c") == 0


@pytest.fixture
def restored(database, artifacts, open_studio) -> Iterator[tuple[str, str]]:
    """A column that was restored: its artifact, and the job."""
    column = artifacts["column"]
    with open_studio.client(STAFF) as staff:
        job = staff.post(f"/api/artifacts/{column}/restore", json={"confirm": "code"}).json()["job"]
        assert wait_for_job(staff, job["id"])["state"] == "done"
    return column, job["id"]


def test_job_report_and_artifact_have_a_button_that_does_it(database, restored, open_studio):
    column, job = restored
    pages = (f"/studio/jobs/{job}", f"/studio/jobs/{job}/report", f"/studio/artifacts/{column}")
    path = f"/studio/artifacts/{column}/analyze"
    sampled = SAMPLED.replace("$1", "'orders'").replace("$2", "'code'")
    with open_studio.client(STAFF) as staff, open_studio.client(VIEWER) as viewer:
        for page in pages:
            shown = viewer.get(page).text
            assert "disabled>Analyze now</button>" in shown, page
            assert path not in shown, page
            assert "Needs staff" in words(shown), page
        alone = staff.get(f"{pages[1]}?download=yes").text
        assert "ANALYZE" in alone
        assert "<form" not in alone
        assert "form_token" not in alone
        for page in pages:
            database.psql("DELETE FROM pg_statistic WHERE starelid = 'public.orders'::regclass")
            form = hidden(staff.get(page).text, path)
            assert form["back"] == page
            answer = staff.post(path, data=form)
            assert (answer.status_code, answer.headers["location"]) == (303, page)
            assert database.psql(sampled) == "1"
            shown = words(staff.get(page).text)
            assert "analyzed just now" in shown, page
            assert "Analyze again" in shown, page
        database.psql("ALTER TABLE public.orders RENAME TO orders_2")
        refused = staff.post(path, data=form, headers={"HX-Request": "true"})
        assert refused.status_code == 409
        assert "No table has the name public.orders now" in words(refused.text)
