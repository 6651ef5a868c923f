"""What names two columns goes with either of them: where one is gone for good, the other comes back without it.

The judge is a copy on which the second column was dropped with CASCADE and nothing else happened.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.recovery.core.actor import Actor
from app.recovery.db.database import Database as Engine
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.restore import restore
from tests.conftest import Database
from tests.oracle.judges import any_order, capture, dump_entries, without_place

DBA = Actor("dba", None, "staff")
T = (
    "CREATE TABLE t (id int PRIMARY KEY, b int, a int, c int);"
    "INSERT INTO t VALUES (1, 9, 1, 1), (2, 9, 2, 2);"
)
GENERATED = "ALTER TABLE t ADD e int GENERATED ALWAYS AS (a + b) STORED, ADD f int GENERATED ALWAYS AS (a * 2) STORED;"
# each with what the plan must name as lost
SHARED = {
    "an index": ("CREATE INDEX shared ON t (a, b)", ["index shared"]),
    "a check": ("ALTER TABLE t ADD CONSTRAINT shared CHECK (a <= b)", ["check constraint shared"]),
    "a key that others refer to": (
        "ALTER TABLE t ADD CONSTRAINT k UNIQUE (a, b); CREATE TABLE o (x int, y int, z int,"
        "CONSTRAINT fk FOREIGN KEY (x, y) REFERENCES t (a, b)); CREATE TABLE p (x int, y int,"
        "CONSTRAINT fk FOREIGN KEY (x, y) REFERENCES t (b, a))",
        ["unique constraint k", "foreign key constraint fk"],
    ),
    "views upon views": (
        "CREATE VIEW v AS SELECT a, b FROM t; CREATE VIEW kept AS SELECT a, c FROM t;"
        "CREATE VIEW w AS SELECT v.b, kept.c FROM v, kept; CREATE VIEW also AS SELECT * FROM kept;"
        "CREATE MATERIALIZED VIEW m AS SELECT b FROM v; CREATE VIEW over AS SELECT * FROM m",
        ["view public.v", "view public.w", "view public.m", "view public.over"],
    ),
    "a function that reads both": (
        "CREATE VIEW v AS SELECT a, b FROM t; CREATE FUNCTION f() RETURNS bigint BEGIN ATOMIC"
        " SELECT max(a) FROM v; END; CREATE FUNCTION g() RETURNS bigint BEGIN ATOMIC SELECT max(a) FROM t; END",
        ["view public.v", "function public.f()"],
    ),
    "a policy": (
        "CREATE POLICY two ON t USING (a > b); CREATE POLICY one ON t USING (a > 0)",
        ["policy two on table public.t"],
    ),
    "a trigger": (
        "CREATE FUNCTION n() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER two AFTER UPDATE OF a, b ON t FOR EACH ROW EXECUTE FUNCTION n();"
        "CREATE TRIGGER one AFTER UPDATE OF a ON t FOR EACH ROW EXECUTE FUNCTION n()",
        ["trigger two on table public.t"],
    ),
    "a publication's list": (
        "CREATE PUBLICATION zanith_both FOR TABLE t (id, a, b)",
        ["publication of table public.t in publication zanith_both"],
    ),
    "a generated column": (GENERATED, ["column e of table public.t"]),
    "a generated column and all that it has": (
        GENERATED
        + "CREATE INDEX ef ON t (e, f); CREATE INDEX fc ON t (f, c); CREATE INDEX fb ON t (f, b);"
        "CREATE INDEX af ON t (a, f); CREATE INDEX ae ON t (a, e); ALTER TABLE t ADD CONSTRAINT ck CHECK (e > f);"
        "CREATE STATISTICS st ON e, f FROM t; CREATE VIEW v AS SELECT f FROM t; CREATE VIEW w AS SELECT e FROM t",
        [
            "column e of table public.t",
            "view public.w",
            "index ef",
            "index fb",
            "index ae",
            "check constraint ck",
            "statistics object st",
        ],
    ),
}


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[Engine]:
    opened = await Engine.open(database.url)
    yield opened
    await opened.close()


def dumped(database: Database) -> list[str]:
    """The schema of users, in no order: a column that was archived stands last."""
    entries = dump_entries(database)
    return any_order(without_place(line) for lines in entries.values() for line in lines)


@pytest.mark.newest
@pytest.mark.parametrize("way", ["archive", "soft_drop"])
@pytest.mark.parametrize("what", SHARED)
async def test_what_went_with_another_column_stays_away_and_the_plan_says_so(
    what: str, way: str, database: Database, twin_database: Database, engine: Engine
) -> None:
    made, lost = SHARED[what]
    for each in (database, twin_database):
        each.psql(T + made)
    options = "on_dependents => 'cascade', published_ok => true"
    artifact = capture(database, f"{way}_column", "t", "a", options)
    database.psql("ALTER TABLE t DROP b")
    plan = await plan_restore(engine, artifact)
    assert plan.blocked == []
    told = [loss.message for loss in plan.losses if loss.code == "dropped_with_another"]
    assert sorted(message.partition(" is not restored")[0] for message in told) == sorted(
        f"the {name}" for name in lost
    )
    report = await restore(engine, artifact, None, DBA)
    assert set(plan.losses) <= set(report.losses)
    twin_database.psql("ALTER TABLE t DROP b CASCADE")
    assert dumped(database) == dumped(twin_database)


@pytest.mark.newest
@pytest.mark.parametrize("way", ["archive", "soft_drop"])
async def test_a_column_that_may_come_back_is_waited_for(
    way: str, database: Database, engine: Engine
) -> None:
    """Parked or renamed is not gone: the generated column is not given up for it."""
    database.psql(T + GENERATED)
    before = dumped(database)
    options = "on_dependents => 'cascade'"
    first = capture(database, f"{way}_column", "t", "a", options)
    database.psql("ALTER TABLE t RENAME b TO called")
    assert [c.code for c in (await plan_restore(engine, first)).conflicts] == ["column_renamed"]
    database.psql("ALTER TABLE t RENAME called TO b; ALTER TABLE t RENAME TO r")
    second = capture(database, f"{way}_column", "r", "b", options)
    database.psql("ALTER TABLE r RENAME TO t")
    assert [c.code for c in (await plan_restore(engine, first)).conflicts] == ["column_gone"]
    database.psql("ALTER TABLE t RENAME TO r")
    await restore(engine, second, None, DBA)
    database.psql("ALTER TABLE r RENAME TO t")
    await restore(engine, first, None, DBA)
    assert dumped(database) == before


BOTH = {
    "statistics over an expression": "CREATE STATISTICS s ON (b % 7), a FROM t",
    "statistics over two expressions": "CREATE STATISTICS s ON (b % 7), (a % 7) FROM t",
    "an index of both": "CREATE INDEX i ON t (a, b)",
    "an index that includes": "CREATE INDEX i ON t (a) INCLUDE (b)",
}
# These are lifted with the first that goes, and made anew: they wait for the other.
ANEW = {
    "an index over an expression": "CREATE INDEX i ON t (a, (b % 7))",
    "an index with a predicate": "CREATE INDEX i ON t (a) WHERE b > 0",
    "a unique index": "CREATE UNIQUE INDEX i ON t (a, (b % 7))",
}


@pytest.mark.newest
@pytest.mark.parametrize("first", ["a", "b"])
@pytest.mark.parametrize("what", [*BOTH, *ANEW])
async def test_what_two_parked_columns_share_comes_back_with_the_last(
    what: str, first: str, database: Database, engine: Engine
) -> None:
    database.psql(T + {**BOTH, **ANEW}[what])
    before = dumped(database)
    parked = {name: capture(database, "soft_drop_column", "t", name, "") for name in "ab"}
    order = ["a", "b"] if first == "a" else ["b", "a"]
    if what in ANEW and first == "a":
        plan = await plan_restore(engine, parked["a"])
        assert [conflict.code for conflict in plan.conflicts] == ["column_gone"]
        order = ["b", "a"]
    for name in order:
        assert (await plan_restore(engine, parked[name])).blocked == []
        await restore(engine, parked[name], None, DBA)
    assert dumped(database) == before
