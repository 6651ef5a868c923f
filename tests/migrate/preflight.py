"""Preflight, judged by PostgreSQL: what the probes say, and whether the statement fails."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import asyncpg

from app.migrate.preflight.findings import Finding, Outcome
from app.migrate.preflight.run import run_preflight
from app.migrate.read.migrations import Layout, Migration, Script
from app.migrate.review.live import read_live
from app.migrate.review.plan import plan_migrations
from app.recovery.core.actor import Actor
from app.recovery.db.database import Database
from tests.migrate.preflight_cases import Case

CLEAN = """
DROP SCHEMA IF EXISTS s CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public;
"""


async def probe(db: Database, sql: str, **options) -> tuple[Finding, ...]:
    """Return what the probes say of a migration."""
    migration = Migration("m", Script(Path("m.sql"), sql.encode()))
    live = await read_live(db, [migration])
    plan = plan_migrations(Layout.FILE, [migration], live=live)
    actor = options.pop("actor", Actor("judge"))
    return await run_preflight(db, plan, [migration], actor, **options)


async def fails(connection: asyncpg.Connection, sql: str) -> str:
    """Return the error of statements; "" if they pass. Nothing stays."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(sql)
    except asyncpg.PostgresError as error:
        return f"{error.sqlstate}: {error}"
    finally:
        await transaction.rollback()
    return ""


async def judge(connection: asyncpg.Connection, db: Database, case: Case) -> list[str]:
    """Return what is wrong with what the probes say of a case."""
    await connection.execute(CLEAN + case.rows)
    findings = await probe(db, case.sql)
    error = await fails(connection, case.sql)
    return list(_faults(case, findings, error)) + await _corrected(connection, case, findings)


def _faults(case: Case, findings: Sequence[Finding], error: str) -> Iterator[str]:
    outcomes = {finding.outcome for finding in findings}
    if case.unchecked:
        if Outcome.NOT_CHECKED not in outcomes:
            yield "it says nothing of what it did not check"
        if Outcome.FOUND in outcomes and not error:
            yield "it finds rows, and the statement passes"
        return
    if Outcome.NOT_CHECKED in outcomes:
        yield f"not checked: {[finding.reason for finding in findings if finding.reason]}"
    if bool(error) != (Outcome.FOUND in outcomes):
        yield f"it finds {'rows' if not error else 'none'}, and PostgreSQL says {error or 'yes'}"
    number = sum(finding.count or 0 for finding in findings)
    if case.found is not None and number != case.found:
        yield f"{number} rows instead of {case.found}"
    if case.found is None and error and not case.any:
        yield f"the case passes nowhere: {error}"


_BY_ID = re.compile(r"\(id\)=\((\d+)\)")


async def _corrected(
    connection: asyncpg.Connection, case: Case, findings: Sequence[Finding]
) -> list[str]:
    """Without the rows that are named, the statement passes, if all are named."""
    found = [one for one in findings if one.outcome is Outcome.FOUND and one.count]
    ids = [_BY_ID.match(example) for one in found for example in one.examples]
    if not found or case.unchecked or len(ids) != sum(one.count or 0 for one in found):
        return []
    if not all(ids) or not await connection.fetchval("SELECT to_regclass('public.t') IS NOT NULL"):
        return []
    keys = ", ".join(match[1] for match in ids if match)
    # at once: an index that is built in the same transaction also has the rows that it deleted
    await connection.execute(
        "SET session_replication_role = replica;"
        f"DELETE FROM t WHERE id IN ({keys}); RESET session_replication_role"
    )
    # an index also has deleted rows that another transaction may see, as an ANALYZE of autovacuum
    error = None
    for _ in range(40):
        error = await fails(connection, case.sql)
        if not error:
            return []
        await asyncio.sleep(0.25)
    return [f"without {keys}: {error}"]


# --------------------------------------------------------------------------------------- generated

_POOLS = {
    "int": ["NULL", "0", "1", "-1", "2", "2147483647", "40000"],
    "bigint": ["NULL", "0", "1", "3000000000", "-3000000000"],
    "text": ["NULL", "''", "'a'", "'A'", "'a '", "'1'", "'01'", "'abcdef'", "'ä'", "'a\u0308'"],
    "varchar(6)": ["NULL", "''", "'a'", "'A'", "'abc'", "'abcd  '", "'abcdef'"],
    "float8": ["NULL", "'NaN'", "'-0'", "0", "1.5", "1e300", "'Infinity'"],
    "numeric": ["NULL", "'NaN'", "1.0", "1.00", "99999.995", "0.5", "1.5"],
    "timestamp": ["NULL", "'2020-01-01 10:00:00.4'", "'2020-01-01 10:00:00.3'", "'infinity'"],
    "date": ["NULL", "'2020-01-01'", "'2020-12-31'", "'-infinity'"],
    "int[]": ["NULL", "'{}'", "'{1}'", "'{1,NULL}'"],
    "jsonb": ["NULL", "'{}'", "'[]'", "'1'", "'1.0'"],
}
_FORMS = [
    "ALTER TABLE t ADD UNIQUE (a)",
    "ALTER TABLE t ADD UNIQUE (a, b)",
    "ALTER TABLE t ADD UNIQUE NULLS NOT DISTINCT (a)",
    "CREATE UNIQUE INDEX ON t (a) WHERE b > 0",
    "CREATE UNIQUE INDEX ON t (b, (a IS NULL)) NULLS NOT DISTINCT",
    "CREATE UNIQUE INDEX ON t ((a::text))",
    "ALTER TABLE t ALTER a SET NOT NULL",
    "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (a)",
    "ALTER TABLE t ADD CHECK (a IS NOT NULL OR b > 0)",
    "ALTER TABLE t ADD CHECK (a = a)",
    "ALTER TABLE t ADD CHECK (length(a::text) < 4)",
    "ALTER TABLE t ADD CHECK (b <> 0) , ADD CHECK (1 / NULLIF(b, 1) >= 0)",
    "ALTER TABLE t ADD FOREIGN KEY (b) REFERENCES o",
    "ALTER TABLE t ADD EXCLUDE (a WITH =)",
    "ALTER TABLE t ALTER a TYPE int",
    "ALTER TABLE t ALTER a TYPE smallint USING a::text::smallint",
    "ALTER TABLE t ALTER a TYPE varchar(3)",
    "ALTER TABLE t ALTER a TYPE text",
    "ALTER TABLE t ALTER a TYPE numeric(7,2)",
    "ALTER TABLE t ALTER a TYPE timestamp(0)",
    "ALTER TABLE t ALTER a TYPE date",
    "ALTER TABLE t ADD UNIQUE (a), ALTER b TYPE smallint, ALTER b SET NOT NULL",
    "ALTER TABLE t ADD c text GENERATED ALWAYS AS (b::text) STORED NOT NULL UNIQUE",
    "ALTER TABLE t RENAME a TO z; ALTER TABLE t ADD UNIQUE (z)",
    "ALTER TABLE t ADD c int DEFAULT 1; CREATE UNIQUE INDEX ON t (c, a)",
]


def generate(seed: int, number: int) -> Iterator[Case]:
    """Yield cases with rows by chance; PostgreSQL alone says whether each passes."""
    chance = Random(seed)
    for _ in range(number):
        kind = chance.choice(list(_POOLS))
        values = [
            f"({n}, {chance.choice(_POOLS[kind])}, {chance.choice(_POOLS['int'])})"
            for n in range(1, chance.randint(0, 9) + 1)
        ]
        rows = f"CREATE TABLE t (id int PRIMARY KEY, a {kind}, b int);"
        if values:
            rows += f"INSERT INTO t VALUES {', '.join(values)};"
        rows += "CREATE TABLE o (id int PRIMARY KEY); INSERT INTO o VALUES (0), (1);"
        yield Case(rows, chance.choice(_FORMS), any=True)
