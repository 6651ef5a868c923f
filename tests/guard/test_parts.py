"""Parts that a transaction drops before their column or table come back with it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from app.recovery.db.database import Database as Engine
from app.recovery.plan.model import Choices
from app.recovery.restore.restore import restore
from tests.conftest import Database
from tests.guard.twin import DBA, without_ours
from tests.oracle.judges import restore_by_psql, see

WORLD = """
CREATE FUNCTION {s}_touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE SCHEMA {s}; SET search_path = {s};
CREATE TABLE author (id int PRIMARY KEY); INSERT INTO author VALUES (1);
CREATE TABLE book (id serial PRIMARY KEY, page int GENERATED ALWAYS AS IDENTITY,
    author_id int CONSTRAINT fk REFERENCES author,
    isbn text DEFAULT 'none' CONSTRAINT isbn_key UNIQUE CONSTRAINT long CHECK (length(isbn) > 1));
CREATE INDEX isbn_lower ON book (lower(isbn)); CREATE INDEX pair ON book (author_id, isbn);
CREATE STATISTICS kinds (ndistinct) ON isbn, upper(isbn) FROM book;
CREATE TRIGGER touch BEFORE UPDATE OF isbn ON book FOR EACH ROW EXECUTE FUNCTION public.{s}_touch();
ALTER TABLE book DISABLE TRIGGER touch; COMMENT ON INDEX pair IS 'both';
CREATE POLICY own ON book USING (author_id > 0);
CREATE RULE late AS ON DELETE TO book WHERE OLD.isbn = 'late' DO INSTEAD NOTHING;
INSERT INTO book (author_id, isbn) SELECT 1, 'isbn ' || n FROM generate_series(1, 5) n;
"""
OF_ISBN = """
DROP INDEX isbn_lower; DROP INDEX pair;
ALTER TABLE book DROP CONSTRAINT isbn_key, DROP CONSTRAINT long;
ALTER TABLE book ALTER isbn DROP DEFAULT; DROP TRIGGER touch ON book; DROP RULE late ON book;
DROP STATISTICS kinds;
"""
EVERYTHING = f"""
ALTER TABLE book DROP CONSTRAINT fk; {OF_ISBN} DROP POLICY own ON book;
ALTER TABLE book DROP CONSTRAINT book_pkey; ALTER TABLE author DROP CONSTRAINT author_pkey;
ALTER TABLE book ALTER COLUMN page DROP IDENTITY; ALTER TABLE book ALTER COLUMN id DROP DEFAULT;
DROP SEQUENCE book_id_seq; DROP TABLE author; DROP TABLE book;
"""
CASES = {  # the statements, and how many parts they drop by themselves
    "tools": (f"{OF_ISBN} ALTER TABLE book DROP COLUMN isbn CASCADE;", 8),
    "one_statement": (
        "DROP INDEX isbn_lower, pair;"
        " ALTER TABLE book DROP CONSTRAINT isbn_key, DROP COLUMN isbn CASCADE;",
        2,
    ),
    "keys": (
        "ALTER TABLE book DROP CONSTRAINT fk; DROP INDEX pair; DROP POLICY own ON book;"
        " ALTER TABLE book DROP COLUMN author_id;",
        3,
    ),
    "identity": (
        "ALTER TABLE book ALTER page DROP IDENTITY IF EXISTS; ALTER TABLE book DROP page;",
        1,
    ),
    "serial": (
        "ALTER TABLE book ALTER id DROP DEFAULT; DROP SEQUENCE book_id_seq;"
        " ALTER TABLE book DROP CONSTRAINT book_pkey; ALTER TABLE book DROP id;",
        3,
    ),
    "soft": (
        f"SET LOCAL zanith.guard_copy_limit = '0'; {OF_ISBN}"
        " ALTER TABLE book DROP COLUMN isbn CASCADE;",
        8,
    ),
    "clean": (EVERYTHING, 15),
    "undone": (
        "SAVEPOINT a; DROP INDEX isbn_lower; ROLLBACK TO a; DROP INDEX pair;"
        " ALTER TABLE book DROP COLUMN isbn CASCADE;",
        1,
    ),
    "cascade": (
        "ALTER TABLE author DROP CONSTRAINT author_pkey CASCADE;"
        " DROP TABLE book; DROP TABLE author;",
        2,
    ),
}
PARTS = (
    "SELECT source_schema, sum(jsonb_array_length(COALESCE(definition -> 'earlier', '[]')))"
    " FROM zanith._zanith_migration_artifacts GROUP BY 1"
)
ARTIFACTS = "SELECT id FROM zanith._zanith_migration_artifacts ORDER BY capture_order DESC"


@pytest.mark.parametrize("with_psql", [False, True])
def test_what_was_dropped_before_comes_back(
    guarded: Database, tmp_path: Path, with_psql: bool
) -> None:
    for schema in CASES:
        guarded.psql(WORLD.format(s=schema))
    before = see(guarded, moved=True)
    for schema, (statements, _) in CASES.items():
        guarded.psql(f"SET search_path = {schema}; BEGIN; {statements} COMMIT")
    found = dict(line.split("|") for line in guarded.psql(PARTS).splitlines())
    assert found == {schema: str(number) for schema, (_, number) in CASES.items()}
    artifacts = guarded.psql(ARTIFACTS).split()
    if with_psql:
        for artifact in artifacts:
            restore_by_psql(guarded, artifact, tmp_path)
    else:
        asyncio.run(_restore(guarded, artifacts))
    after = see(guarded, moved=True)
    assert without_ours(after) == without_ours(before)
    assert guarded.psql("INSERT INTO clean.book (isbn) VALUES ('new') RETURNING id, page") == "6|6"


async def _restore(database: Database, artifacts: list[str]) -> None:
    engine = await Engine.open(database.url)
    try:
        for artifact in artifacts:
            report = await restore(engine, artifact, Choices(), DBA)
            assert report.fidelity is not None
            assert report.fidelity["missing"] == []
    finally:
        await engine.close()


@pytest.mark.newest
def test_an_earlier_transaction_is_another_one(guarded: Database) -> None:
    guarded.psql(WORLD.format(s="s"))
    guarded.psql("SET search_path = s; BEGIN; DROP INDEX isbn_lower; COMMIT")
    guarded.psql("SET search_path = s; ALTER TABLE book DROP COLUMN isbn CASCADE")
    assert guarded.psql(PARTS) == "s|0"
    # The notes of an ended transaction go with a later drop, as soon as nothing older runs.
    deadline = time.monotonic() + 60
    while True:
        guarded.psql("CREATE INDEX again ON s.book (id)")
        guarded.psql("DROP INDEX s.again")
        if guarded.psql("SELECT count(*) FROM zanith._zanith_guard_parts") == "1":
            break
        assert time.monotonic() < deadline, "notes of ended transactions are never removed"


@pytest.mark.newest
def test_nobody_reads_or_writes_what_is_noted(guarded: Database, create_role) -> None:
    role = create_role("curious")
    for verb in ("SELECT", "INSERT", "UPDATE", "DELETE"):
        asked = f"SELECT has_table_privilege('{role}', 'zanith._zanith_guard_parts', '{verb}')"
        assert guarded.psql(asked) == "f"


RENAMED = {  # by the statements between the drop of the part and that of its table or column
    "column_renamed": (
        "ALTER TABLE t ALTER a DROP DEFAULT; DROP INDEX i;",
        "ALTER TABLE t RENAME a TO c; ALTER TABLE t RENAME b TO a; ALTER TABLE t DROP a CASCADE;",
    ),
    "column_gone": (
        "ALTER TABLE t ALTER a DROP DEFAULT; DROP INDEX i;",
        "ALTER TABLE t RENAME a TO c; ALTER TABLE t DROP c CASCADE;",
    ),
    "columns_of_table": (
        "DROP INDEX i; ALTER TABLE t DROP CONSTRAINT more; DROP POLICY p ON t;"
        " DROP TRIGGER g ON t;",
        "ALTER TABLE t RENAME a TO c; ALTER TABLE t RENAME b TO a; DROP TABLE t;",
    ),
    "table_renamed": (
        "DROP STATISTICS s; DROP RULE r ON t; DROP POLICY p ON t; DROP INDEX i;",
        "ALTER TABLE t RENAME TO old; CREATE TABLE t (id int, a int, b int); DROP TABLE old;",
    ),
    "schema_renamed": (
        "DROP STATISTICS s; DROP INDEX i;",
        "ALTER TABLE t SET SCHEMA public; DROP TABLE public.t;",
    ),
    "referenced": (
        "ALTER TABLE t DROP CONSTRAINT fk;",
        "ALTER TABLE one RENAME TO one_old; ALTER TABLE two RENAME TO one; DROP TABLE t;",
    ),
    "referenced_gone": (
        "ALTER TABLE t DROP CONSTRAINT fk;",
        "ALTER TABLE one RENAME TO one_old; DROP TABLE t;",
    ),
    "referenced_first": (
        "ALTER TABLE t DROP CONSTRAINT fk;",
        "ALTER TABLE one RENAME TO one_old; ALTER TABLE two RENAME TO one; DROP TABLE one;",
    ),
    "referenced_column": (
        "ALTER TABLE t DROP CONSTRAINT fk;",
        "ALTER TABLE one RENAME id TO old; ALTER TABLE one RENAME n TO id; DROP TABLE t;",
    ),
}
RENAMES = """
CREATE SCHEMA {s}; SET search_path = {s};
CREATE TABLE one (id int PRIMARY KEY, n int); CREATE TABLE two (id int PRIMARY KEY);
CREATE TABLE t (id int PRIMARY KEY, a int DEFAULT 1 CONSTRAINT more CHECK (a > 0), b int,
    one_id int CONSTRAINT fk REFERENCES one);
CREATE INDEX i ON t (a); CREATE STATISTICS s ON a, b FROM t; CREATE POLICY p ON t USING (a > 1);
CREATE RULE r AS ON DELETE TO t WHERE OLD.a = 1 DO INSTEAD NOTHING;
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW WHEN (NEW.a > 1) EXECUTE FUNCTION f();
INSERT INTO t VALUES (1, 2, 3);
"""


@pytest.mark.newest
def test_a_part_does_not_go_to_what_has_its_name_by_then(guarded: Database, tmp_path: Path) -> None:
    for schema, (drops, then) in RENAMED.items():
        guarded.psql(RENAMES.format(s=schema))
        guarded.psql(f"SET search_path = {schema}; BEGIN; {drops} {then} COMMIT")
    found = guarded.psql(
        "SELECT source_schema, definition -> 'earlier' FROM zanith._zanith_migration_artifacts"
        " WHERE jsonb_array_length(COALESCE(definition -> 'earlier', '[]')) > 0"
    )
    assert found == ""
    tables = ARTIFACTS.replace("ORDER", "WHERE kept_kind IS NULL ORDER")
    for artifact in guarded.psql(tables).split():
        restore_by_psql(guarded, artifact, tmp_path)
