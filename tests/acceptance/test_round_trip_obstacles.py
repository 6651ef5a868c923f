"""Promise 4: where a restore cannot succeed, its plan says so beforehand, and nothing is changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.recovery.plan.checks import count_in
from tests.clusters import CommandFailed
from tests.conftest import Database
from tests.oracle.judges import capture, open_session, read_rows, restore_by_psql

T = (
    "CREATE TABLE t (id int PRIMARY KEY, a int, b int, c text); "
    "INSERT INTO t VALUES (1, 1, 1, 'x');"
)
TRIGGER = (
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
    "CREATE TRIGGER g AFTER UPDATE OF a ON t EXECUTE FUNCTION f();"
)
TREE = (
    "CREATE TABLE t (id int, a int, b int) PARTITION BY LIST (id);"
    "CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1); INSERT INTO t VALUES (1, 2, 3);"
)
CHILD = "CREATE TABLE p (x int CONSTRAINT px PRIMARY KEY, y int); INSERT INTO p VALUES (1);"
CHILD += T + "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES p;"

# what there was; the table and column captured; what happened since
OBSTACLES = {
    "trigger's name is taken": (
        T + TRIGGER,
        "t",
        "a",
        "CREATE TRIGGER g AFTER UPDATE ON t EXECUTE FUNCTION f()",
    ),
    "policy's name is taken": (
        T + "CREATE POLICY p ON t USING (a > 0)",
        "t",
        "a",
        "CREATE POLICY p ON t USING (true)",
    ),
    "view's name is taken": (T + "CREATE VIEW v AS SELECT a FROM t", "t", "a", "CREATE TABLE v ()"),
    "index's name is taken": (T + "CREATE INDEX i ON t (a)", "t", "a", "CREATE INDEX i ON t (b)"),
    "constraint's name is taken": (
        T + "ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0)",
        "t",
        "a",
        "ALTER TABLE t ADD CONSTRAINT k CHECK (true)",
    ),
    "rows break a check that is not valid": (
        T,
        "t",
        "a",
        "ALTER TABLE t ADD CONSTRAINT k CHECK (b > 5) NOT VALID",
    ),
    "table was renamed": (T, "t", "a", "ALTER TABLE t RENAME TO tt"),
    "referenced key went": (CHILD, "t", "a", "ALTER TABLE p DROP CONSTRAINT px"),
    "referenced column went": (CHILD, "t", "a", "ALTER TABLE p DROP x"),
    "referenced table went": (CHILD, "t", "a", "DROP TABLE p"),
    "values are not in the key": (
        T + "ALTER TABLE t ADD UNIQUE (b, a)",
        "t",
        "a",
        "ALTER TABLE t DROP CONSTRAINT t_pkey; INSERT INTO t VALUES (1, 1)",
    ),
    "key is of another type": (T, "t", "a", "ALTER TABLE t ALTER id TYPE text"),
    "key column went": (T, "t", "a", "ALTER TABLE t DROP id"),
    "publication went": (
        T + "CREATE PUBLICATION obstacle FOR TABLE t",
        "t",
        None,
        "DROP PUBLICATION obstacle",
    ),
    "table's name is taken": (T, "t", None, "CREATE VIEW t AS SELECT 1"),
    "type has its name": (T, "t", None, "CREATE TYPE t AS (x int)"),
    "parent lost a column": (TREE, "t1", None, "ALTER TABLE t DROP b"),
    "parent gained a column": (TREE, "t1", None, "ALTER TABLE t ADD d int"),
    "parent went": (TREE, "t1", None, "DROP TABLE t"),
    "bound is taken": (TREE, "t1", None, "CREATE TABLE t2 PARTITION OF t FOR VALUES IN (1)"),
    "default partition took rows": (
        TREE + "CREATE TABLE t0 PARTITION OF t DEFAULT",
        "t1",
        None,
        "INSERT INTO t VALUES (1, 5)",
    ),
}


@pytest.mark.newest
@pytest.mark.parametrize("what", OBSTACLES)
def test_the_plan_sees_what_stands_in_the_way(
    what: str, database: Database, tmp_path: Path
) -> None:
    """A conflict or drift that blocks; its queries run; and recovery_sql changes nothing."""
    before, table, column, since = OBSTACLES[what]
    database.psql(before)
    strategy = "archive_column" if column else "archive_table"
    options = "on_dependents => 'cascade', published_ok => true"
    artifact = capture(database, strategy, table, column, options)
    database.psql(since)
    with open_session(database) as run:
        plan = json.loads(run(f"SELECT zanith.plan_restore('{artifact}')"))
        blocking = [conflict["message"] for conflict in plan["conflicts"]]
        for check in plan["checks"]:
            count = run(check["count_sql"])
            run(check["examples_sql"])
            if count and check["blocks"]:
                blocking.append(count_in(check["message"], int(count)))
    found = (database.schema(), read_rows(database))
    with pytest.raises(CommandFailed):
        restore_by_psql(database, artifact, tmp_path)
    assert (database.schema(), read_rows(database)) == found
    assert blocking
