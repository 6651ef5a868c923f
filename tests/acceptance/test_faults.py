"""Promise 9, any crash is survivable: a sample of `make faults`, and that its judge can say no."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import clusters
from tests.clusters import Server
from tests.conftest import install_zanith
from tests.faults.operations import OPERATIONS, Operation
from tests.faults.run import Arena, impatient
from tests.faults.strike import FAULTS

pytestmark = pytest.mark.newest
# Each fault once: `make faults` does all.
SAMPLE = (
    ("archive online", "cut"),
    ("capture archive table", "lost answer"),
    ("purge", "network"),
    ("restore soft table", "backend"),
    ("restore online", "crash"),
    ("archive partitions", "backend"),
    ("archive online", "stall"),
    ("purge", "cancel"),
    ("archive online", "client"),
)


@pytest.fixture
def arena(disposable_server: Server) -> Iterator[Arena]:
    base = clusters.obtain_template(disposable_server.directory, disposable_server, install_zanith)
    arena = Arena(disposable_server, base, disposable_server.directory)
    arena.settle()
    with impatient():
        yield arena


async def test_whatever_breaks_nothing_is_lost_and_it_goes_on(arena):
    chance = random.Random(11)
    told, struck = [], 0
    for name, fault in SAMPLE:
        operation = OPERATIONS[name]
        number = await arena.count(operation)
        outcome = await arena.strike(operation, FAULTS[fault], chance.randint(1, number * 9 // 10))
        struck += outcome.letter is not None
        if outcome.violations:
            told.append(outcome)
    assert told == []
    assert struck == len(SAMPLE)


async def _drop(db, place: Path) -> None:
    async with db.acquire() as connection:
        await connection.execute("ALTER TABLE public.orders DROP COLUMN code")


async def _change(db, place: Path) -> None:
    async with db.acquire() as connection:
        await connection.execute("UPDATE public.orders SET code = 1")
        await connection.execute("ALTER TABLE public.orders RENAME tag TO _zanith_dropped_tag_x")


async def _fail(db, place: Path) -> None:
    raise RuntimeError("bare")


async def _whatever(db, place: Path) -> bool:
    return True


async def test_what_would_lose_something_is_told(arena):
    for number, (run, said) in enumerate(
        (
            (_drop, "orders.code is lost: neither live nor parked"),
            (_change, "orders.code is not what it was"),
            (_change, "_zanith_dropped_tag_x has 0 artifacts"),
            (_fail, "a raw exception: RuntimeError"),
        )
    ):
        with pytest.raises(AssertionError) as caught:
            await arena.count(Operation(f"careless {number}", run, _whatever))
        assert said in str(caught.value)
