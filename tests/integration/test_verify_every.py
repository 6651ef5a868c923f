"""Verification by the clock: the oldest first, one at a time, and never in the way."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from app.recovery.core.actor import Actor
from app.recovery.core.errors import Cancelled, ZanithError
from app.recovery.db.database import Database
from app.recovery.jobs import queueing
from app.recovery.rows import schedule, seal
from tests.acceptance.command import zanith
from tests.studios import capture_orders

pytestmark = pytest.mark.newest

ANA = Actor("ana", None, "staff")
WEEK = timedelta(days=7)
FAST = 10**12
ROWS = "zanith._zanith_migration_artifacts"


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


async def sealed(database, db) -> dict[str, str]:
    """Seal three artifacts, the column nine days ago, the table eight, and one just now."""
    ids = capture_orders(database)
    for artifact in ids.values():
        await seal.seal(db, artifact, ANA)
    for name, days in (("column", 9), ("table", 8)):
        database.psql(f"UPDATE {ROWS} SET sealed_at = now() - interval '{days} days'"
                      f" WHERE id = '{ids[name]}'")  # fmt: skip
    return ids


def verified(database) -> list[str]:
    return database.psql(
        "SELECT artifact_id || ' ' || state FROM zanith._zanith_jobs WHERE kind = 'verify'"
        " ORDER BY created_at"
    ).splitlines()


async def test_the_oldest_is_verified_by_one_of_several_processes(database, db):
    ids = await sealed(database, db)
    others = [await Database.open(database.url) for _ in range(2)]
    try:
        looks = [schedule.verify_oldest(one, WEEK, 20_000, ANA) for one in (db, *others)]
        assert sorted(await asyncio.gather(*looks)) == [False, False, True]
    finally:
        for one in others:
            await one.close()
    assert verified(database) == [f"{ids['column']} done"]
    assert await schedule.verify_oldest(db, WEEK, FAST, ANA)
    assert not await schedule.verify_oldest(db, WEEK, FAST, ANA)
    assert verified(database) == [f"{ids['column']} done", f"{ids['table']} done"]


async def test_the_rate_is_bounded(database, db):
    ids = await sealed(database, db)
    measured = await seal.verify(db, ids["column"], ANA)
    assert measured.matches
    size = 500 * 8  # at least so many bytes
    began = asyncio.get_running_loop().time()
    await seal.verify(db, ids["column"], ANA, rate=size)
    assert asyncio.get_running_loop().time() - began > 0.9


async def test_what_fails_is_left_alone_and_the_others_go_on(database, db):
    ids = await sealed(database, db)
    place = database.psql(
        f"SELECT format('%I.%I', physical_schema, physical_table) FROM {ROWS}"
        f" WHERE id = '{ids['column']}'"
    )
    database.psql(f"DROP TABLE {place}")
    with pytest.raises(ZanithError):
        await schedule.verify_oldest(db, WEEK, FAST, ANA)
    assert await schedule.verify_oldest(db, WEEK, FAST, ANA)
    assert not await schedule.verify_oldest(db, WEEK, FAST, ANA)
    assert [line.split()[0] for line in verified(database)] == [ids["column"], ids["table"]]
    database.psql("UPDATE zanith._zanith_jobs SET created_at = now() - interval '7 hours'")
    with pytest.raises(ZanithError):
        await schedule.verify_oldest(db, WEEK, FAST, ANA)


async def test_other_work_comes_first(database, db, monkeypatch):
    monkeypatch.setattr(schedule, "PAUSE", 0.1)
    ids = await sealed(database, db)
    # not while somebody works on it
    job = await queueing.start(db, "restore", ids["column"], {}, ANA, object="public.orders.code")
    slow = asyncio.create_task(schedule.verify_oldest(db, WEEK, 10, ANA))
    while not verified(database):  # noqa: ASYNC110 - in the database
        await asyncio.sleep(0.05)
    assert verified(database)[0].startswith(ids["table"])
    # what begins while it reads cancels it
    await queueing.start(db, "purge", ids["table"], {}, ANA, object="public.carts")
    async with asyncio.timeout(10):
        with pytest.raises(Cancelled):
            await slow
    assert verified(database) == [f"{ids['table']} cancelled"]
    await queueing.abandon(db, job.id)


def test_cron(database):
    ids = capture_orders(database)
    assert zanith("recover", "seal", "--all", url=database.url).code == 0
    cron = ("recover", "verify", "--all", "--older-than", "7d", "--limit-rate", "50MB", "--json")
    assert zanith(*cron, url=database.url).json["results"] == []
    database.psql(f"UPDATE {ROWS} SET sealed_at = now() - interval '8 days'")
    assert len(zanith(*cron, url=database.url).json["results"]) == 3
    assert zanith(*cron, url=database.url).json["results"] == []
    place = database.psql(
        f"SELECT format('%I.%I', physical_schema, physical_table) FROM {ROWS}"
        f" WHERE id = '{ids['table']}'"
    )
    database.psql(
        f"ALTER TABLE {place} DISABLE TRIGGER ALL; UPDATE {place} SET note = 'x';"
        f"UPDATE {ROWS} SET verified_at = now() - interval '8 days' WHERE id = '{ids['table']}'"
    )
    found = zanith(*cron, url=database.url)
    assert (found.code, [one["outcome"] for one in found.json["results"]]) == (4, ["changed"])
    for wrong in (
        ("--older-than", "never", "--all"),
        ("--older-than", "7d"),
        ("--limit-rate", "x"),
    ):
        refused = zanith("recover", "verify", *wrong, url=database.url)
        assert refused.code == 2, refused
