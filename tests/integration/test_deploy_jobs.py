"""Jobs of deploys and of verifications on a shadow: one at a time, and no worker takes them."""

from __future__ import annotations

import re

import pytest

from app.recovery import worker
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Locked, Refused
from app.recovery.db.database import Database
from app.recovery.jobs import queueing
from app.recovery.jobs.kinds import Kind, Trait, kinds_with
from tests.online import fetchval

pytestmark = pytest.mark.newest

ANA, BEN = Actor("ana", "10.0.0.9", "staff"), Actor("ben", "10.0.0.8", "staff")
ALONE = kinds_with(Trait.ALONE)


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


@pytest.mark.parametrize("kind", ALONE)
async def test_one_runs_at_a_time_and_where_it_was_started(db, kind: str):
    job = await queueing.start(db, kind, None, {}, ANA, object="0001_first")
    with pytest.raises(Locked, match="is under way") as locked:
        await queueing.start(db, kind, None, {}, BEN, object="0002_second")
    assert "started by ana" in str(locked.value.detail)
    assert await worker.find_work(db) == []
    with pytest.raises(Refused, match="it must be confirmed"):
        await worker.hand_over(db, kind, None, {}, BEN, object="0002_second")
    await queueing.abandon(db, job.id)
    again = await queueing.start(db, kind, None, {}, BEN, object="0002_second")
    await queueing.abandon(db, again.id)


async def test_the_database_knows_which_kinds_run_alone(db):
    index = "SELECT pg_get_indexdef('zanith.jobs_one_live_of_kind'::regclass)"
    kinds = {kind.value for kind in Kind}
    found = set(re.findall(r"'(\w+)'", await fetchval(db, index))) & kinds
    assert found == set(ALONE)
