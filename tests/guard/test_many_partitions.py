"""The work of a capture grows with the number of partitions, and no faster."""

from __future__ import annotations

import pytest

from tests.conftest import Database

CALLS = (
    "SELECT COALESCE(sum(calls), 0) FROM pg_stat_xact_user_functions"
    " WHERE schemaname IN ('zanith', 'pg_temp')"
)


def calls(database: Database, statement: str, partitions: int) -> int:
    """Return how many functions of Zanith a statement on a partitioned table calls."""
    made = "".join(
        f"CREATE TABLE t_{n} PARTITION OF t FOR VALUES FROM ({n}) TO ({n + 1});"
        for n in range(partitions)
    )
    text = database.psql(
        "SET client_min_messages = error; SET track_functions = 'all';"
        f"CREATE TABLE t (id int PRIMARY KEY, code text) PARTITION BY RANGE (id); {made}"
        f"BEGIN; {statement}; {CALLS}; ROLLBACK; SET zanith.guard = off; DROP TABLE t"
    )
    return int(text.splitlines()[-1])


@pytest.mark.newest
@pytest.mark.parametrize(
    "statement",
    ["DROP TABLE t", "SELECT zanith.archive_table('t')", "SELECT zanith.soft_drop_table('t')"],
)
def test_twice_the_partitions_take_twice_the_calls(guarded: Database, statement: str) -> None:
    few, more, many = (calls(guarded, statement, number) for number in (5, 10, 20))
    assert few > 100
    assert many - more <= 2.1 * (more - few)


@pytest.mark.newest
def test_a_restore_takes_twice_the_calls_too(guarded: Database) -> None:
    plan = (
        "SELECT zanith.plan_restore(id, '{}') FROM zanith._zanith_migration_artifacts"
        " ORDER BY capture_order DESC LIMIT 1"
    )
    found = [
        calls(guarded, f"SELECT zanith.archive_table('t'); {plan}", number)
        - calls(guarded, "SELECT zanith.archive_table('t')", number)
        for number in (5, 10, 20)
    ]
    assert found[2] - found[1] <= 2.1 * (found[1] - found[0])
