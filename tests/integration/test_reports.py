"""The report of a restore: what is in it, its digest in the audit log, and who sees values."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import timedelta

import pytest

from app.recovery.core.actor import Actor
from app.recovery.core.errors import Refused
from app.recovery.db.database import Database
from app.recovery.jobs import audit
from app.recovery.jobs import model as jobs
from app.recovery.jobs.audit import ActivityFilter
from app.recovery.plan.model import Choices
from app.recovery.restore.document import check, document_of
from app.recovery.restore.migration import restore_migration
from app.recovery.restore.rehearsal import rehearse, rehearse_migration
from app.recovery.restore.restore import restore
from app.recovery.rows.seal import seal
from tests.online import execute, fetchval
from tests.studios import run_studio

pytestmark = pytest.mark.newest

DBA = Actor("dba", "10.0.0.9", "staff")
ITEMS = """
CREATE TABLE items (id int PRIMARY KEY, code text NOT NULL CHECK (code <> ''), note text);
INSERT INTO items SELECT n, 'c' || n, 'n' || n FROM generate_series(1, 9) AS n;
"""


@pytest.fixture
async def db(database):
    opened = await Database.open(
        database.url, lock_timeout=timedelta(milliseconds=200), lock_retries=0
    )
    await execute(opened, ITEMS)
    yield opened
    await opened.close()


async def park(db: Database, call: str) -> str:
    return await fetchval(db, f"SELECT zanith.{call}")


async def newest(db: Database) -> jobs.Job:
    return (await jobs.list_jobs(db, limit=1))[0]


async def test_a_report_says_what_was_done_and_the_log_has_its_digest(db):
    found = await park(db, "archive_column('items', 'code', reason => 'why', migration_id => 'm')")
    await seal(db, found, DBA)
    await execute(db, "INSERT INTO items (id) VALUES (10); DELETE FROM items WHERE id = 1")
    report = await restore(db, found, Choices(fill="none"), DBA)
    assert report.lock is not None
    assert (report.lock.mode, report.lock.tables) == ("ACCESS EXCLUSIVE", ("public.items",))
    assert 0 < report.lock.seconds < 60
    job = await newest(db)
    document = document_of(job)
    (said,) = document["reports"]
    assert (document["actor"], document["job_id"]) == ("dba", job.id)
    assert (said["artifact"]["reason"], said["artifact"]["migration_id"]) == ("why", "m")
    assert said["verified"] is True
    assert said["row_counts"] == {"filled": 8, "given": 1, "given_what": "value", "left": 1}
    assert any("UPDATE" in step["sql"] for step in said["steps"])
    (checked,) = await check(db, job)
    assert checked.matches
    entry = (await audit.list_activity(db, ActivityFilter(action="restore")))[0]
    assert (entry.id, entry.detail["report"]) == (checked.entry, checked.computed)
    assert entry.detail["follow_up"]  # NOT NULL and the check were validated after the commit

    await execute(
        db,
        "UPDATE zanith._zanith_jobs SET result = jsonb_set(result, '{row_counts,given}', '0')"
        f" WHERE id = '{job.id}'",
    )
    (checked,) = await check(db, await jobs.get(db, job.id))
    assert not checked.matches
    assert checked.recorded != checked.computed


async def test_every_kind_of_report_matches_the_log(db):
    note = await park(db, "soft_drop_column('items', 'note', migration_id => 'm')")
    table = await park(db, "archive_table('items', migration_id => 'm')")
    await rehearse(db, table, None, DBA)
    assert all(each.matches for each in await check(db, await newest(db)))
    await rehearse_migration(db, "m", None, DBA)
    assert all(each.matches for each in await check(db, await newest(db)))
    await execute(db, "CREATE TABLE items ()")
    with pytest.raises(Refused):
        await restore_migration(db, "m", None, DBA)
    with pytest.raises(Refused, match="has no report"):
        document_of(await newest(db))
    await execute(db, "DROP TABLE items")
    await restore(db, table, None, DBA)
    job = await newest(db)
    assert all(each.matches for each in await check(db, job))
    assert document_of(job)["reports"][0]["lock"] is None  # nobody could use the table

    await execute(db, "CREATE TABLE other (a int); SELECT zanith.archive_table('other', 'm')")
    await execute(db, "CREATE TABLE other (a text)")
    with pytest.raises(Refused):
        await restore_migration(db, "m", None, DBA)
    await execute(db, "DROP TABLE other")
    await restore_migration(db, "m", None, DBA)
    job = await newest(db)
    (whole,) = await check(db, job)
    assert whole.matches
    assert [r["artifact"]["id"] for r in document_of(job)["reports"]][-1] == note

    again = await park(db, "soft_drop_column('items', 'note', migration_id => 'n')")
    last = await park(db, "soft_drop_column('items', 'code', migration_id => 'n')")
    await execute(db, "ALTER TABLE items ADD note int")
    with pytest.raises(Refused):
        await restore_migration(db, "n", None, DBA)
    stopped = await newest(db)
    (part,) = await check(db, stopped)  # of what came back before it stopped
    assert (part.object, part.matches) == ("public.items.code", True)
    assert document_of(stopped)["reports"][0]["artifact"]["id"] == last
    assert again in {item["artifact_id"] for item in stopped.result["results"]}


async def test_the_page_the_file_and_the_api_show_it_and_hide_values(database, db):
    found = await park(db, "archive_column('items', 'note', reason => '<b>why</b>')")
    await execute(db, "INSERT INTO items (id, code) VALUES (10, 'x')")
    await restore(db, found, Choices(fill="se'cret"), DBA)
    job = (await newest(db)).id
    tokens = {
        "auth_token": "ana:the-token-of-staff",
        "read_only_auth_token": "v:the-viewer-token",
    }
    with run_studio(database.tcp_url, **tokens, viewer_export=False) as studio:
        staff, viewer = (studio.client(t) for t in ("the-token-of-staff", "the-viewer-token"))
        with staff, viewer:
            api = staff.get(f"/api/jobs/{job}/report").json()
            assert api["matches"] is True
            text = json.dumps(
                api["report"], sort_keys=True, separators=(",", ":"), ensure_ascii=False
            )
            assert hashlib.sha256(text.encode()).hexdigest() == api["digest"]
            assert api["report"]["choices"]["fill"] == "se'cret"
            assert api["report"]["reports"][0]["lock"]["mode"] == "ACCESS EXCLUSIVE"
            page = staff.get(f"/studio/jobs/{job}/report").text
            assert "Longest lock" in page
            assert api["digest"] in page
            assert "&lt;b&gt;why&lt;/b&gt;" in page
            assert "ANALYZE public.items;" in page
            file = staff.get(f"/studio/jobs/{job}/report?download=yes")
            assert file.headers["content-disposition"].endswith(f"restore-report-{job}.html")
            assert "<link" not in file.text
            assert "<script" not in file.text
            sent = staff.get(f"/api/jobs/{job}/report?download=yes").headers
            assert sent["content-disposition"].endswith(f"restore-report-{job}.json")
            for path in ("/api/jobs/{}/report", "/studio/jobs/{}/report"):
                seen = viewer.get(path.format(job))
                assert seen.status_code == 200
                assert not re.search(r"se(''|&#39;&#39;|'|&#39;)cret", seen.text), path
                assert api["digest"] in seen.text
            assert staff.get("/api/jobs/nothing/report").status_code == 404
