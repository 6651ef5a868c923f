"""Purge and cleanup: nothing goes silently, and a tombstone stays."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from app.recovery.artifacts.listing import list_artifacts
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Locked, NotFound, NotPermitted, Refused, WrongUsage
from app.recovery.db.database import Database
from app.recovery.jobs import model as jobs
from app.recovery.jobs.audit import ActivityFilter, list_activity
from app.recovery.purge.cleanup import cleanup, find_digests, plan_cleanup
from app.recovery.purge.hold import hold, release
from app.recovery.purge.purge import purge, review_purge
from app.recovery.restore.restore import restore
from app.recovery.rows import export
from tests.sessions import client_of

DBA = Actor("dba", "10.0.0.9", "staff")
VIEWER = Actor("eve", None, "viewer")


@pytest.fixture
async def db(database_of_either):
    opened = await Database.open(
        database_of_either.url, lock_timeout=timedelta(milliseconds=200), lock_retries=1
    )
    async with client_of(opened) as connection:
        await connection.execute(
            'CREATE TABLE "Odd Name" (id int PRIMARY KEY, "Old" text);'
            "INSERT INTO \"Odd Name\" SELECT n, 'v' || n FROM generate_series(1, 100) n;"
            "CREATE TABLE a (id int); CREATE TABLE b (id int); CREATE TABLE c (id int);"
        )
    yield opened
    await opened.close()


@pytest.fixture
async def archived(db):
    return await capture(db, CaptureRequest("archive_column", '"Odd Name"', "Old"), DBA)


async def parked(db):
    async with client_of(db) as connection:
        return await connection.fetchval(
            "SELECT count(*) FROM pg_class WHERE relkind = 'r'"
            " AND relnamespace = '_zanith_shadow'::regnamespace"
        )


async def test_the_list_and_the_review_show_one_size(db):
    async with client_of(db) as connection:
        await connection.execute(
            "CREATE TABLE parent (id int PRIMARY KEY, t text);"
            " CREATE TABLE child () INHERITS (parent);"
            " INSERT INTO child SELECT n, repeat('x', 500) FROM generate_series(1, 2000) n"
        )
    parent = await capture(
        db, CaptureRequest("archive_table", "parent", on_dependents="cascade"), DBA
    )
    review = await review_purge(db, parent.id)
    assert review.size_bytes > 1_000_000
    assert (await get_artifact(db, parent.id)).size_bytes == review.size_bytes


@pytest.mark.smoke
async def test_review_then_purge_then_tombstone(db, archived):
    job = await export.announce(db, export.ExportRequest(archived.id), DBA)
    async for _ in export.stream_export(db, job.id):
        pass
    review = await review_purge(db, archived.id)
    assert review.checksum_recorded == archived.checksum
    assert review.last_export["equals_seal"] is True
    assert review.size_bytes > 0
    assert not review.blocked
    assert review.to_json()["plan"]["steps"]
    for typed in (None, "", "Odd Name", "public.orders"):
        with pytest.raises(Refused, match="not confirmed"):
            await purge(db, archived.id, DBA, confirm=typed)
    assert await parked(db) == 1
    stone = await purge(db, archived.id, DBA, confirm="Old", reason="done with it")
    assert await parked(db) == 0
    with pytest.raises(NotFound):
        await get_artifact(db, archived.id)
    entry = (await list_activity(db, ActivityFilter(action="purge", outcome="done")))[0]
    assert entry.detail == stone.to_json()
    assert entry.detail["reason"] == "done with it"
    assert entry.detail["row"]["checksum"] == archived.checksum
    assert entry.detail["row"]["definition"]
    assert entry.detail["last_export"]["checksum"] == archived.checksum
    refused = await list_activity(db, ActivityFilter(action="purge", outcome="refused"))
    assert len(refused) == 4
    assert (await jobs.list_jobs(db, kinds=["purge"]))[0].state == "done"


@pytest.mark.parametrize("typed", ['public."Odd Name"."Old"', '"Old"', " Old "])
async def test_the_name_may_be_typed_so(db, archived, typed):
    await purge(db, archived.id, DBA, confirm=typed)


@pytest.mark.smoke
async def test_hold_keeps_it(db, archived):
    held = await hold(db, archived.id, DBA, "court order")
    assert (held.held, held.held_reason) == (True, "court order")
    assert (await hold(db, archived.id, DBA)).held_reason == "court order"
    assert (await review_purge(db, archived.id)).blocked
    with pytest.raises(Refused, match="held by dba"):
        await purge(db, archived.id, DBA, confirm="Old")
    assert not (await release(db, archived.id, DBA)).held
    assert not (await release(db, archived.id, DBA)).held
    await purge(db, archived.id, DBA, confirm=None, confirmed=True)
    actions = [entry.action for entry in await list_activity(db)]
    assert actions.count("release") == 1


async def test_dependents_keep_it(db, archived):
    async with client_of(db) as connection:
        await connection.execute(
            f'CREATE VIEW public.v AS SELECT * FROM _zanith_shadow."{archived.physical_name}"'
        )
    review = await review_purge(db, archived.id)
    assert review.dependents
    with pytest.raises(Refused, match="depend"):
        await purge(db, archived.id, DBA, confirm="Old")
    assert await parked(db) == 1


async def test_purging_what_is_restored_keeps_the_restored(db, archived):
    await restore(db, archived.id, None, DBA)
    await purge(db, archived.id, DBA, confirm="Old")
    assert await parked(db) == 0
    table = await capture(db, CaptureRequest("archive_table", "a"), DBA)
    await restore(db, table.id, None, DBA)
    await purge(db, table.id, DBA, confirm="a")
    async with client_of(db) as connection:
        assert await connection.fetchval('SELECT count("Old") FROM "Odd Name"') == 100
        assert await connection.fetchval("SELECT to_regclass('a')::text") == "a"


async def test_what_is_gone_already_leaves_its_tombstone(db, archived):
    async with client_of(db) as connection:
        await connection.execute(f'DROP TABLE _zanith_shadow."{archived.physical_name}"')
    stone = await purge(db, archived.id, DBA, confirm="Old")
    assert stone.already_gone


async def test_a_reader_of_the_archive_is_named(db, archived):
    async with client_of(db) as holder, holder.transaction():
        await holder.execute(f'SELECT * FROM _zanith_shadow."{archived.physical_name}"')
        with pytest.raises(Locked) as error:
            await purge(db, archived.id, DBA, confirm="Old")
        assert f"pid {holder.get_server_pid()}" in error.value.detail
    assert (await get_artifact(db, archived.id)).health == "ok"


async def test_a_viewer_destroys_nothing(db, archived):
    with pytest.raises(NotPermitted):
        await purge(db, archived.id, VIEWER, confirm="Old")
    with pytest.raises(NotPermitted):
        await cleanup(db, timedelta(0), False, VIEWER, before_expiry=True)
    for change in (hold, release):
        with pytest.raises(NotPermitted):
            await change(db, archived.id, VIEWER)
    assert await parked(db) == 1


async def test_cleanup_goes_on_past_what_stays(db, archived):
    with pytest.raises(WrongUsage):
        await plan_cleanup(db)
    never = await capture(db, CaptureRequest("archive_table", "a", expires_in=None), DBA)
    busy = await capture(db, CaptureRequest("archive_table", "b"), DBA)
    needed = await capture(db, CaptureRequest("soft_drop_table", "c"), DBA)
    await hold(db, archived.id, DBA, "wait")
    async with client_of(db) as connection:
        await connection.execute("CREATE TABLE d (id int)")
        await connection.execute(f'CREATE VIEW v AS SELECT * FROM public."{needed.physical_name}"')
    free = await capture(db, CaptureRequest("soft_drop_table", "d"), DBA)
    assert await plan_cleanup(db, timedelta(days=1)) == []
    assert await plan_cleanup(db, expired=True) == []
    planned = {a.id: why for a, why in await plan_cleanup(db, timedelta(0), before_expiry=True)}
    assert "on hold" in planned[archived.id]
    assert "by name" in planned[never.id]
    assert planned[free.id] is None
    seen = []
    async with client_of(db) as holder, holder.transaction():
        await holder.execute(f'SELECT * FROM _zanith_shadow."{busy.physical_name}"')
        results = await cleanup(
            db, timedelta(0), False, DBA, on_progress=seen.append, before_expiry=True
        )
    outcome = {result.artifact.id: result.outcome for result in results}
    assert outcome == {
        archived.id: "skipped",
        never.id: "skipped",
        busy.id: "skipped",
        needed.id: "skipped",
        free.id: "purged",
    }
    assert [result.done for result in seen] == [1, 2, 3, 4, 5]
    assert all(result.why for result in results if result.outcome == "skipped")
    assert (await list_artifacts(db)).total == 4
    entry = (await list_activity(db, ActivityFilter(action="cleanup", outcome="done")))[0]
    assert entry.artifact_id == free.id


async def test_cleanup_of_the_expired_and_chosen(db):
    first = await capture(db, CaptureRequest("soft_drop_table", "a"), DBA)
    second = await capture(db, CaptureRequest("soft_drop_table", "b"), DBA)
    async with client_of(db) as connection:
        await connection.execute(
            "UPDATE zanith._zanith_migration_artifacts SET expires_at = now() - interval '1 s'"
        )
    assert len(await plan_cleanup(db, expired=True)) == 2
    results = await cleanup(db, None, True, DBA, only=[second.id])
    assert [(r.artifact.id, r.outcome) for r in results] == [(second.id, "purged")]
    assert (await get_artifact(db, first.id)).health == "expired"


async def test_a_name_with_a_line_break_is_typed_on_one_line(db):
    async with client_of(db) as connection:
        await connection.execute('CREATE TABLE "two\nlines" (id int)')
    artifact = await capture(db, CaptureRequest("archive_table", '"two\nlines"'), DBA)
    with pytest.raises(Refused):
        await purge(db, artifact.id, DBA, confirm="two-lines")
    await purge(db, artifact.id, DBA, confirm="two lines")
    assert await parked(db) == 0


async def test_cleanup_of_just_some(db, archived):
    """Ids alone choose them, whatever their age; what never expires still stays."""
    other = await capture(db, CaptureRequest("archive_table", "a"), DBA)
    never = await capture(db, CaptureRequest("archive_table", "b", expires_in=None), DBA)
    ids = [other.id, never.id]
    assert [found.id for found, _ in await plan_cleanup(db, only=ids)] == ids
    results = await cleanup(db, None, False, DBA, only=ids)
    assert [result.outcome for result in results] == ["purged", "skipped"]
    assert (await get_artifact(db, archived.id)).id == archived.id
    with pytest.raises(WrongUsage):
        await plan_cleanup(db)


async def test_a_cleanup_purges_what_was_shown_and_skips_what_is_another_by_now(db, archived):
    other = await capture(db, CaptureRequest("archive_table", "a"), DBA)
    shown = await find_digests(db, [archived.id, other.id])
    assert shown[other.id] == (await review_purge(db, other.id)).plan.digest
    async with client_of(db) as connection:  # its seal is another than the one that was looked at
        await connection.execute(
            "UPDATE zanith._zanith_migration_artifacts SET row_count = row_count + 1"
            f" WHERE id = '{archived.id}'"
        )
    results = await cleanup(
        db, timedelta(0), False, DBA, list(shown), before_expiry=True, digests=shown
    )
    outcome = {result.artifact.id: (result.outcome, result.why) for result in results}
    assert outcome[other.id] == ("purged", None)
    assert outcome[archived.id][0] == "skipped"
    assert "is not the one that was confirmed" in outcome[archived.id][1]
    (entry,) = await list_activity(db, ActivityFilter(action="cleanup", outcome="refused"))
    assert entry.artifact_id == archived.id


async def park_many(db, number):
    async with client_of(db) as connection:
        await connection.execute(
            f"DO $$ BEGIN FOR n IN 1..{number} LOOP EXECUTE format('CREATE TABLE many_%s (id int)',"
            " n); PERFORM zanith.archive_table(format('many_%s', n)::regclass); END LOOP; END $$"
        )


async def listen(queue):
    while (await asyncio.wait_for(queue.get(), 10)).kind != "reconnected":
        pass


async def test_listeners_hear_of_every_purge_of_a_cleanup(db):
    """They are told apart from the purges, which would commit one after another otherwise."""
    await park_many(db, 50)
    async with db.events.subscribe() as queue:
        await listen(queue)
        results = await cleanup(db, timedelta(0), expired=False, actor=DBA, before_expiry=True)
        assert {result.outcome for result in results} == {"purged"}
        entries = await list_activity(db, ActivityFilter(action="cleanup"))
        told = {("artifact", result.artifact.id) for result in results}
        told |= {("audit", str(entry.id)) for entry in entries}
        assert len(told) == 100
        while told:
            event = await asyncio.wait_for(queue.get(), 10)
            told.discard((event.kind, event.id))


async def test_a_cleanup_goes_on_when_a_connection_is_lost(db, database):
    await park_many(db, 40)
    seen, ended = [], []

    async def note(result):
        seen.append(result)
        if len(seen) == 10:
            ended.append(
                database.psql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND query LIKE '%zanith.purge_artifact%'"
                    " AND pid <> pg_backend_pid() LIMIT 1"
                )
            )

    results = await cleanup(
        db, timedelta(0), expired=False, actor=DBA, on_progress=note, before_expiry=True
    )
    assert ended == ["t"]
    assert len(results) == len(seen) == 40
    failed = [result for result in results if result.outcome != "purged"]
    assert len(failed) <= 1
    assert await parked(db) == len(failed)


@pytest.mark.parametrize("after", [3, 21, 45])
async def test_what_a_cancelled_cleanup_purged_is_listed_and_told(db, after):
    await park_many(db, 60)
    seen = []

    async def note(result):
        seen.append(result.artifact.id)
        if len(seen) == after:
            working.cancel()

    async with db.events.subscribe() as queue:
        await listen(queue)
        working = asyncio.create_task(
            cleanup(
                db, timedelta(0), expired=False, actor=DBA, on_progress=note, before_expiry=True
            )
        )
        await asyncio.wait({working})
        assert working.cancelled()
        entries = await list_activity(db, ActivityFilter(action="cleanup"))
        whole = [entry for entry in entries if entry.artifact_id is None]
        assert [entry.outcome for entry in whole] == ["cancelled"]
        entries = [entry for entry in entries if entry not in whole]
        assert sorted(seen) == sorted(str(entry.artifact_id) for entry in entries)
        assert after <= len(seen) < 60
        assert await parked(db) == 60 - len(seen)
        told = {("artifact", entry.artifact_id) for entry in entries}
        told |= {("audit", str(entry.id)) for entry in entries}
        while told:
            event = await asyncio.wait_for(queue.get(), 10)
            told.discard((event.kind, event.id))
