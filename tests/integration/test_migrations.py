"""Everything that a migration dropped, restored together: by the engine, the API and the pages."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import quote

import httpx
import pytest

from app.recovery.artifacts.migrations import find_all, list_migrations
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Cancelled, Locked, NotConfirmed, Refused, ZanithError
from app.recovery.db.database import Database
from app.recovery.jobs import audit, queueing
from app.recovery.jobs import model as jobs
from app.recovery.jobs.audit import ActivityFilter
from app.recovery.jobs.kinds import Kind
from app.recovery.plan.model import Choices
from app.recovery.purge.purge import purge
from app.recovery.restore.migration import (
    digest_of_all,
    find_recoverable,
    plan_migration,
    require_migration,
    restore_migration,
)
from app.recovery.worker import hand_over, perform
from app.routes.rendering import migration_link
from tests.online import execute, fetchval
from tests.studios import Running, form_token, run_studio, wait_for_job

pytestmark = pytest.mark.newest

DBA = Actor("dba", "10.0.0.9", "staff")
HOSTILE = (
    "plain",
    "a/b/../c//d/",
    "/leading",
    "with space  and\nline\tbreaks",
    "quotes ' \" ` <b>&amp;</b>",
    "🚀 émoji \u202eright to left",
    "?query=1&plan=yes#fragment",
    "100%25 %2F %00",
    "..",
    ".",
    "small/restore",
    "restore",
    " ",
    "\\back\\slash",
)

# A deploy: the table needs the type of nothing, the column needs the key that was dropped first.
SHOP = """
CREATE TABLE shop (id int PRIMARY KEY, k int NOT NULL UNIQUE, note text);
INSERT INTO shop SELECT n, n * 10, 'n' || n FROM generate_series(1, 5) AS n;
CREATE TABLE old (id int PRIMARY KEY); INSERT INTO old VALUES (1), (2);
CREATE TABLE last (id int PRIMARY KEY, code text);
"""
DROPS = """
SELECT zanith.archive_column('shop', 'note', migration_id => $m$d$m$);
SELECT zanith.archive_column('shop', 'id', migration_id => $m$d$m$);
SELECT zanith.soft_drop_column('last', 'code', migration_id => $m$d$m$);
SELECT zanith.archive_table('old', migration_id => $m$d$m$);
"""


@pytest.fixture
async def db(database):
    opened = await Database.open(
        database.url, lock_timeout=timedelta(milliseconds=200), lock_retries=0
    )
    yield opened
    await opened.close()


@pytest.fixture
async def deploy(db) -> None:
    await execute(db, SHOP + DROPS)


async def names(db: Database, migration_id: str = "d") -> list[str]:
    return [artifact.object_name for artifact in await find_recoverable(db, migration_id)]


async def last_job(db: Database) -> jobs.Job:
    return (await jobs.list_jobs(db, kinds=[Kind.RESTORE_MIGRATION]))[0]


async def entries(db: Database, action: str) -> list[tuple[str, str]]:
    found = await audit.list_activity(db, ActivityFilter(action=action))
    return [(entry.object or "", entry.outcome) for entry in reversed(found)]


async def test_one_job_restores_all_and_each_object_has_its_entry(database, db, deploy):
    plans = await plan_migration(db, "d")
    order = ["public.old", "public.last.code", "public.shop.id"]
    assert [a.object_name for a, _ in plans] == [*order, "public.shop.note"]
    assert [bool(plan.waits_for) for _, plan in plans] == [False, False, False, True]
    told = []
    reports = await restore_migration(
        db, "d", None, DBA, expected_digest=digest_of_all(plans), on_progress=told.append
    )
    assert [r.artifact.object_name for r in reports] == [*order, "public.shop.note"]
    assert database.psql("SELECT id, k, note FROM shop ORDER BY id LIMIT 1") == "1|10|n1"
    job = await last_job(db)
    assert (job.state, job.object, job.artifact_id) == ("done", "d", None)
    assert [r["outcome"] for r in job.result["results"]] == ["restored"] * 4
    assert len(job.result["reports"]) == 4
    assert job.progress["done"] == job.progress["total"] == 4
    assert [name for name, _ in await entries(db, "restore")] == [*order, "public.shop.note"]
    assert await entries(db, "restore_migration") == [("d", "done")]
    assert await jobs.list_jobs(db, kinds=["restore"]) == []
    assert await restore_migration(db, "d", None, DBA) == []


async def test_it_stops_at_the_first_that_fails_and_goes_on_from_there(database, db, deploy):
    await execute(db, "ALTER TABLE last ADD code int")
    with pytest.raises(Refused) as error:
        await restore_migration(db, "d", None, DBA)
    stuck = (await find_recoverable(db, "d"))[0]
    assert error.value.stopped_at == stuck.id
    job = await last_job(db)
    assert (job.state, job.artifact_id) == ("refused", None)
    outcomes = [r["outcome"] for r in job.result["results"]]
    assert outcomes == ["restored", "refused", "waiting", "waiting"]
    assert len(job.result["reports"]) == 1
    assert database.psql("SELECT count(*) FROM old") == "2"
    assert await entries(db, "restore") == [
        ("public.old", "done"), ("public.last.code", "refused")
    ]  # fmt: skip
    await execute(db, "ALTER TABLE last DROP code")
    reports = await restore_migration(db, "d", None, DBA)
    assert [r.artifact.object_name for r in reports] == [
        "public.last.code", "public.shop.id", "public.shop.note"
    ]  # fmt: skip
    assert await names(db) == []


async def test_other_plans_than_those_confirmed_change_nothing(db, deploy):
    digest = digest_of_all(await plan_migration(db, "d"))
    await execute(db, "ALTER TABLE shop ADD CHECK (k > 0)")
    shown = digest_of_all(await plan_migration(db, "d"))
    wrong = "0" * 64
    assert digest == shown  # a check of another column is no part of any plan
    with pytest.raises(Refused, match="not the one that was confirmed"):
        await restore_migration(db, "d", None, DBA, expected_digest=wrong)
    assert len(await names(db)) == 4
    assert (await last_job(db)).state == "refused"


async def test_an_object_under_way_is_kept_from_others_and_others_keep_it(database, db, deploy):
    """The job's artifact is the object that it restores now."""
    last = (await find_recoverable(db, "d"))[1]
    reached, go = asyncio.Event(), asyncio.Event()

    async def rest(told: object) -> None:
        job = await last_job(db)
        if job.artifact_id == last.id:
            reached.set()
            await go.wait()

    task = asyncio.create_task(restore_migration(db, "d", None, DBA, on_progress=rest))
    await asyncio.wait_for(reached.wait(), 30)
    with pytest.raises(Locked, match="a restore of it is under way"):
        await queueing.start(db, Kind.RESTORE, last.id, {}, DBA)
    with pytest.raises(Locked, match="is under way"):
        await purge(db, last.id, DBA, confirm=None, confirmed=True)
    with pytest.raises(Locked, match="a restore of it is under way"):  # the same migration
        await restore_migration(db, "d", None, DBA)
    go.set()
    assert len(await task) == 4
    assert len(await jobs.list_jobs(db, kinds=[Kind.RESTORE_MIGRATION])) == 1

    other = await queueing.start(db, Kind.ERASE, last.id, {}, DBA)  # and the other way round
    await execute(
        db,
        "UPDATE zanith._zanith_migration_artifacts SET status = 'recoverable', restored_at = NULL"
        f" WHERE id = '{last.id}'",
    )
    with pytest.raises(Locked, match="a erase of it is under way"):
        await restore_migration(db, "d", None, DBA)
    await queueing.abandon(db, other.id)


async def test_cancelled_in_the_middle_it_says_what_stays_restored(db, deploy):
    async def cancel(told: object) -> None:
        job = await last_job(db)
        if job.progress.get("done") == 1 and job.cancel_requested_by is None:
            await jobs.cancel(db, job.id, DBA)
            await asyncio.sleep(30)

    with pytest.raises(Cancelled):
        await restore_migration(db, "d", None, DBA, on_progress=cancel)
    job = await last_job(db)
    assert (job.state, job.artifact_id) == ("cancelled", None)
    outcomes = [r["outcome"] for r in job.result["results"]]
    assert outcomes == ["restored", "waiting", "waiting", "waiting"]
    assert len(await names(db)) == 3
    assert (await entries(db, "restore_migration"))[-1] == ("d", "cancelled")
    await restore_migration(db, "d", None, DBA)
    assert await names(db) == []


async def test_a_worker_runs_it(db, deploy):
    params = {"choices": {}, "digest": digest_of_all(await plan_migration(db, "d"))}
    job = await hand_over(db, Kind.RESTORE_MIGRATION, None, params, DBA, object="d")
    with pytest.raises(Locked, match="a restore of it is under way"):
        await hand_over(db, Kind.RESTORE_MIGRATION, None, params, DBA, object="d")
    await perform(db, job)
    assert (await last_job(db)).state == "done"
    assert await names(db) == []


async def test_choices_are_for_all_objects(database, db, deploy):
    await execute(db, "ALTER TABLE shop ADD extra text DEFAULT 'd' NOT NULL")
    await execute(
        db,
        "SELECT zanith.archive_column('shop', 'extra', migration_id => 'e');"
        "INSERT INTO shop (k) VALUES (60)",
    )
    with pytest.raises(ZanithError):
        await restore_migration(db, "e", None, DBA)
    await restore_migration(db, "e", Choices(fill_default=True), DBA)
    assert database.psql("SELECT count(*) FROM shop WHERE extra = 'd'") == "6"


def test_the_typed_id_may_have_spaces_for_line_breaks():
    for typed, name in (("a b", "a\nb"), (" a/b ", "a/b"), (" ", " "), ("x", "x")):
        require_migration(typed, name)
    for typed, name in (("", " "), (None, "x"), ("A", "a"), ("a", "a/b")):
        with pytest.raises(NotConfirmed):
            require_migration(typed, name)


async def test_the_list_counts_what_became_of_each(database, db, deploy):
    await execute(
        db,
        "SELECT zanith.soft_drop_column('shop', 'k', migration_id => '100%_a',"
        " on_dependents => 'cascade'); CREATE TABLE t (i int); CREATE TABLE u (i int);"
        "SELECT zanith.archive_table('t', migration_id => '100%_a');"
        "SELECT zanith.archive_table('u')",
    )
    t = await fetchval(
        db, "SELECT id FROM zanith._zanith_migration_artifacts WHERE source_table = 't'"
    )
    await purge(db, t, DBA, confirm=None, confirmed=True)
    page = await list_migrations(db)
    assert [(m.migration_id, m.parked, m.purged) for m in page.items] == [
        ("100%_a", 1, 1), ("d", 4, 0)
    ]  # fmt: skip
    assert (page.total, page.without_id, page.next) == (2, 1, None)
    first = await list_migrations(db, limit=1)
    assert [m.migration_id for m in first.items] == ["100%_a"]
    rest = await list_migrations(db, after=first.next, limit=1)
    assert ([m.migration_id for m in rest.items], rest.next) == (["d"], None)
    assert [m.migration_id for m in (await list_migrations(db, "%_")).items] == ["100%_a"]
    _, gone = await find_all(db, "100%_a")
    assert [g.tombstone.artifact_id for g in gone] == [t]


# ------------------------------------------------------------------------------- pages and API


@pytest.fixture
def studio(database) -> Iterator[Running]:
    for number, name in enumerate(HOSTILE):
        database.psql(f"CREATE TABLE t{number} (i int)")
        said = name.replace("'", "''")
        database.psql(f"SELECT zanith.soft_drop_table('t{number}', migration_id => '{said}')")
    with run_studio(database.tcp_url) as running:
        yield running


def test_ids_hold_any_character(database, studio):
    with studio.client() as client:
        client.headers["Origin"] = studio.url
        listed = client.get("/api/migrations").json()["migrations"]
        assert {item["migration_id"] for item in listed} == set(HOSTILE)
        page = client.get("/studio/migrations").text
        for number, name in enumerate(HOSTILE):
            link = migration_link(name)
            assert f'href="{html.escape(link)}"' in page, name
            shown = client.get(link)
            assert shown.status_code == 200, name
            assert f"public.t{number}<" in shown.text, name
            planned = client.get(migration_link(name, {"plan": "yes"})).text
            assert "All of it can be restored" in planned, name
            token = form_token(planned)
            digest = planned.split('name="digest" value="')[1].split('"')[0]
            sent = {"form_token": token, "digest": digest, "confirm": name}
            wrong = client.post(link, data={**sent, "confirm": "another"})
            assert wrong.status_code == 409, name
            assert "Not confirmed" in wrong.text
            where = {"id": name} if name in {".", ".."} else {}
            path = "/api/migrations/" + ("" if where else quote(name, safe=""))
            found = client.get(path, params=where).json()
            assert (found["migration_id"], found["digest"]) == (name, digest)
            if number % 2:
                answer = client.post(link, data=sent)
                assert answer.status_code == 303, (name, answer.text)
                job = answer.headers["location"].rpartition("/")[2]
            else:
                said = {"confirm": name, "digest": digest}
                answer = client.post(f"{path}/restore", json=said, params=where)
                assert answer.status_code == 202, (name, answer.text)
                job = answer.json()["job"]["id"]
            assert wait_for_job(client, job)["state"] == "done", name
            seen = client.get(f"/studio/jobs/{job}").text
            assert f'href="{html.escape(link)}"' in seen, name
        assert client.get("/api/migrations/nothing").status_code == 404
        assert client.get("/studio/migrations/nothing").status_code == 404
    assert database.psql("SELECT count(*) FROM pg_tables WHERE tablename ~ '^t[0-9]+$'") == str(
        len(HOSTILE)
    )


def test_of_two_who_click_at_once_one_runs(database, studio):
    database.psql(SHOP + DROPS)

    async def both() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=studio.url, timeout=30) as client:
            path, said = "/api/migrations/d/restore", {"confirm": "d"}
            return await asyncio.gather(*(client.post(path, json=said) for _ in range(2)))

    answers = asyncio.run(both())
    ran = [answer for answer in answers if answer.status_code == 202]
    assert sorted(answer.status_code for answer in answers) in ([202, 423], [202, 409])
    with studio.client() as client:
        assert wait_for_job(client, ran[0].json()["job"]["id"])["state"] == "done"
        dry = client.post("/api/migrations/d/restore", json={"dry_run": True})
        assert dry.json()["plans"] == []
