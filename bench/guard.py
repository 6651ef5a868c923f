"""The guard: DDL with the guard on beside the same DDL with it off, in one session each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import psycopg

from bench.place import Place
from bench.rows import Bar, Row, alternate, times
from tests.guard.twin import guard_truncate_at, turn_guard_on_at

TOPIC = "guard"
MANY = 1_000  # rows, and statements in one string
ROWS = f"SELECT n, 'code ' || n FROM generate_series(1, {MANY}) n"


@dataclass(frozen=True)
class Statement:
    """What is measured, after what is not."""

    what: str
    sql: str
    before: str = ""
    bar: Bar | None = None
    often: int = 10


ANEW = (
    "SET zanith.guard = off; DROP TABLE IF EXISTS g; RESET zanith.guard;"
    f"CREATE TABLE g (id int PRIMARY KEY, code text); INSERT INTO g {ROWS}"
)
STATEMENTS = (
    Statement("ALTER TABLE without a drop", "ALTER TABLE kept ALTER b SET DEFAULT 1", often=100),
    Statement(
        f"DROP TABLE, {MANY:,} rows",
        "DROP TABLE g",
        f"CREATE TABLE g (id int PRIMARY KEY, code text); INSERT INTO g {ROWS}",
    ),
    Statement(
        f"DROP COLUMN, {MANY:,} rows",
        "ALTER TABLE g DROP COLUMN code",
        ANEW,
    ),
    Statement(
        f"ALTER COLUMN TYPE that keeps every value, {MANY:,} rows",
        "ALTER TABLE g ALTER id TYPE bigint",
        ANEW,
    ),
    Statement(
        f"ALTER COLUMN TYPE that loses values, {MANY:,} rows",
        "ALTER TABLE g ALTER code TYPE int USING length(code)",
        ANEW,
    ),
    Statement("DROP VIEW", "DROP VIEW seen", "CREATE VIEW seen AS SELECT a FROM kept", often=10),
    Statement("DROP INDEX", "DROP INDEX found", "CREATE INDEX found ON kept (a)", often=10),
    Statement(f"TRUNCATE, {MANY:,} rows", "TRUNCATE emptied", f"INSERT INTO emptied {ROWS}"),
    Statement(
        f"{MANY:,} ALTER TABLE in one string",
        ";".join(f"ALTER TABLE kept ALTER b SET DEFAULT {n}" for n in range(MANY)),
        often=1,
    ),
    Statement(
        f"{MANY:,} ALTER TABLE in one string, the last drops a default",
        ";".join(f"ALTER TABLE kept ALTER b SET DEFAULT {n}" for n in range(MANY))
        + ";ALTER TABLE kept ALTER b DROP DEFAULT",
        often=1,
    ),
    Statement(
        f"{MANY:,} ALTER TABLE with comments in one string, nothing dropped",
        "-- drop nothing\n"
        + ";".join(
            f"\n-- Name: {n}\nALTER TABLE kept ALTER b SET DEFAULT {n}" for n in range(MANY)
        ),
        often=1,
    ),
    Statement(
        f"INSERT of {MANY:,} rows",
        f"INSERT INTO kept SELECT id, 1 FROM (SELECT n AS id FROM generate_series(1, {MANY}) n) x",
        bar=Bar(1.3),
        often=5,
    ),
)


def tree(partitions: int) -> Statement:
    """Return the drop of a partitioned table."""
    made = "CREATE TABLE g (id int, code text) PARTITION BY RANGE (id);" + "".join(
        f"CREATE TABLE g_{n} PARTITION OF g FOR VALUES FROM ({n}) TO ({n + 1});"
        for n in range(partitions)
    )
    gone = "SET zanith.guard = off; DROP TABLE IF EXISTS g; RESET zanith.guard"
    return Statement(
        f"DROP TABLE, {partitions} partitions", "DROP TABLE g", f"{gone}; {made}", often=1
    )


def measure(place: Place) -> Iterator[Row]:
    """Yield the rows of this topic."""
    template = place.table(MANY)
    with ExitStack() as stack:
        off, on = (stack.enter_context(place.clone(template)) for _ in range(2))
        turn_guard_on_at(place.url(on))
        sessions = {
            name: stack.enter_context(psycopg.connect(place.url(name), autocommit=True))
            for name in (off, on)
        }
        for session in sessions.values():
            session.execute("SET client_min_messages = error; CREATE TABLE kept (a int, b int)")
            session.execute("CREATE TABLE emptied (id int, code text)")
        guard_truncate_at(place.url(on), "emptied")
        partitions = 200 if place.rows >= 100_000 else 10  # as many as a small run has time for
        for statement in (*STATEMENTS, tree(partitions)):
            _take(sessions[on], statement)  # and all is warm
            found = alternate(
                place.rounds,
                ours=partial(_take, sessions[on], statement),
                off=partial(_take, sessions[off], statement),
            )
            yield times(
                TOPIC, statement.what, "guard off", found["ours"], found["off"], statement.bar
            )


def _take(session: psycopg.Connection, statement: Statement) -> float:
    """Return the seconds of one statement, the mean of several."""
    taken = 0.0
    for _ in range(statement.often):
        if statement.before:
            session.execute(statement.before)
        started = time.perf_counter()
        session.execute(statement.sql)
        taken += time.perf_counter() - started
    return taken / statement.often
