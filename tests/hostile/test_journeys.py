"""Every command over every hook, as a superuser and as an operator who is none: nothing runs but as its owner.

An operation that is refused is as good as one that is done. That the same operations are done where an owner means no
harm shows that they do happen.
"""

from __future__ import annotations

import pytest

from app.recovery.inspection.coverage import measure_coverage
from tests.hostile import journeys
from tests.hostile.journeys import Journey, opened
from tests.hostile.tables import COLUMNS, TABLES, Table
from tests.hostile.world import COPIES

pytestmark = pytest.mark.newest  # ZANITH_TEST_VERSIONS=15 asks an older one

# Its owner means no harm. What is refused even so, and why that is right.
PLAIN = Table("plain", schema="harmless")
EXPECTED: dict[str, set[str]] = {
    "parked_column": {"verify"},  # it has no checksum
    "given_table": {"restore for the former owner"},  # it takes --current-owner
}


@pytest.mark.parametrize("table", [*TABLES, *COLUMNS], ids=str)
async def test_nothing_runs_as_another(ground, cast, trap, operator, record_property, table):
    if table.before:
        ground.psql(table.before, user=cast.owner)
    if table.since > ground.server.version:
        pytest.skip(f"since PostgreSQL {table.since}")
    known = journeys.journeys_of(table, operator)
    async with opened(ground.url_of(cast.user(operator))) as db:
        done = [Journey(db, trap, table.within(copy), ground.psql) for copy in COPIES[: len(known)]]
        for journey, run in zip(known, done, strict=True):
            await journey(run)
    record_property("hostile operations", sum(len(run.steps) for run in done))
    record_property("hostile escapes", sum(len(run.escapes) for run in done))
    assert not any(run.escapes for run in done), "\n" + "\n".join(
        filter(None, (run.report() for run in done))
    )


@pytest.mark.parametrize(
    "journey", [*journeys.OF_COLUMNS, *journeys.OF_TABLES], ids=lambda j: j.__name__
)
async def test_the_operations_do_happen(ground, cast, trap, operator, journey):
    async with opened(ground.url_of(cast.user(operator))) as db:
        done = Journey(db, trap, PLAIN, ground.psql)
        await journey(done)
    refused = {step.operation: step.refused for step in done.steps if step.refused}
    assert refused.keys() == EXPECTED.get(journey.__name__, set()), refused


async def test_coverage_runs_nothing_of_an_owner(ground, cast, trap, operator):
    """Every drop of every table is judged, and nothing that an owner wrote runs."""
    async with opened(ground.url_of(cast.user(operator))) as db:
        done = Journey(db, trap, PLAIN)
        found = await done.do("coverage", lambda: measure_coverage(db))
    assert not done.report(), done.report()
    assert found.all.carried_out > 100
