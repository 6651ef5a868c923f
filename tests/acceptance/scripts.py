"""What the tests of recovery_sql share: a database with two tables, and how to look at an artifact of it."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from tests.clusters import SUPERUSER
from tests.conftest import Database
from tests.oracle.judges import (
    literal,
    open_session,
)

WORLD = """
CREATE TABLE p (a int PRIMARY KEY); INSERT INTO p VALUES (1), (2), (3);
CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL DEFAULT 2 REFERENCES p, b text UNIQUE,
    c numeric CHECK (c > 0), d serial);
CREATE INDEX ta ON t (a, b); CREATE VIEW v AS SELECT a, b FROM t; GRANT SELECT ON t TO :reader;
GRANT SELECT (b) ON t TO :writer;
INSERT INTO t VALUES (1, 1, 'x', 1.50), (2, 2, E'two\\nlines, "quoted"', NULL), (3, 3, '', 3e10);
CREATE TABLE k (x int REFERENCES t, y text REFERENCES t (b)); INSERT INTO k VALUES (1, 'x');
CREATE TABLE q (id int PRIMARY KEY, s text) PARTITION BY RANGE (id);
CREATE TABLE q1 PARTITION OF q FOR VALUES FROM (0) TO (10);
CREATE TABLE q2 PARTITION OF q DEFAULT; INSERT INTO q SELECT n, 's' || n FROM generate_series(1,
    20) n;
CREATE TABLE free (s text, n float); INSERT INTO free VALUES ('a', 0.1), ('a', 0.1), (NULL, NULL);
"""
EVERY = ("soft_drop_column", "archive_column", "soft_drop_table", "archive_table")
CASCADE = "on_dependents => 'cascade'"


@pytest.fixture
def world(database: Database, roles: dict[str, str]) -> Database:
    database.psql("".join(f"\\set {name} {role}\n" for name, role in roles.items()) + WORLD)
    return database


def seal(database: Database, artifact: str) -> str:
    """Seal with psql and sha256 as anybody could, and return the checksum."""
    text = canonical_csv(database, artifact)
    query = database.psql(f"SELECT zanith.canonical_query('{artifact}')")
    checksum = hashlib.sha256(text).hexdigest()
    rows = database.psql(f"SELECT count(*) FROM ({query}) r")
    database.psql(
        f"SELECT zanith.record_seal('{artifact}', {rows}, '{checksum}', {literal(query)}, "
        f"zanith.canonical_settings())"
    )
    return checksum


def psql_alone(database: Database, user: str = SUPERUSER) -> list[str | Path]:
    """Return the command that anybody would type."""
    program = database.server.bin_dir / "psql"
    return [program, "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-d", database.url_of(user)]


def canonical_csv(database: Database, artifact: str) -> bytes:
    settings = json.loads(database.psql("SELECT zanith.canonical_settings()"))
    query = database.psql(f"SELECT zanith.canonical_query('{artifact}')")
    script = "".join(
        f"SET {name} = {value if name == 'search_path' else literal(value)};\n"
        for name, value in settings.items()
    )
    script += f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER true, ENCODING 'UTF8');\n"
    command = psql_alone(database)
    return subprocess.run(command, input=script.encode(), capture_output=True, check=True).stdout


def place(database: Database, artifact: str) -> str:
    return database.psql(
        f"SELECT format('%I.%I', physical_schema, "
        f"physical_table) FROM zanith._zanith_migration_artifacts WHERE id = '{artifact}'"
    )


def tamper(database: Database, table: str, change: str) -> None:
    """Get past the triggers that refuse writes, as a superuser can, and put them back."""
    names = database.psql(
        f"SELECT tgname FROM pg_trigger WHERE tgrelid = '{table}'::regclass AND tgenabled = 'A'"
    ).splitlines()
    assert names
    on = "".join(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name};" for name in names)
    database.psql(f"BEGIN; ALTER TABLE {table} DISABLE TRIGGER USER; {change}; {on} COMMIT")


def status(database: Database, artifact: str) -> str:
    return database.psql(
        f"SELECT status FROM zanith._zanith_migration_artifacts WHERE id = '{artifact}'"
    )


def flat(found: dict[str, list[str]]) -> list[str]:
    return [entry for schema in sorted(found) for entry in found[schema]]


def run_plan(database: Database, artifact: str, choices: dict) -> None:
    """Run the steps of a plan as its two transactions."""
    with open_session(database) as run:
        plan = json.loads(
            run(f"SELECT zanith.plan_restore('{artifact}', {literal(json.dumps(choices))})")
        )
        assert plan["conflicts"] == [], plan["conflicts"]
        for number in (1, 2):
            run("BEGIN")
            run("SET LOCAL search_path = pg_catalog, pg_temp")
            run("SET LOCAL row_security = off")
            for step in plan["steps"]:
                if step["transaction"] == number:
                    run(step["sql"])
            run("COMMIT")
