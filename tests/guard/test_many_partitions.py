"""Trees of partitions: each part refuses writes, and the work grows no faster than their number."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clusters import CommandFailed
from tests.conftest import Database
from tests.oracle.judges import restore_by_psql

CALLS = (
    "SELECT COALESCE(sum(calls), 0) FROM pg_stat_xact_user_functions"
    " WHERE schemaname IN ('zanith', 'pg_temp')"
)


TREE = (
    "CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id);"
    "CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (1) TO (5) PARTITION BY RANGE (id);"
    "CREATE TABLE t_1a PARTITION OF t_1 FOR VALUES FROM (1) TO (5);"
    "CREATE TABLE t_2 PARTITION OF t DEFAULT; INSERT INTO t VALUES (1), (9)"
)
# What earlier versions left: a trigger of its own for each partition with rows.
BEFORE = """
DO $$ DECLARE leaf text; root text;
BEGIN
    SELECT format('%I.%I', physical_schema, physical_table) INTO root
    FROM zanith._zanith_migration_artifacts;
    EXECUTE format('DROP TRIGGER _zanith_refuse_row ON %s', root);
    FOR leaf IN SELECT relid FROM pg_partition_tree(root::regclass) WHERE isleaf LOOP
        EXECUTE format('CREATE TRIGGER _zanith_refuse_row BEFORE INSERT OR UPDATE OR DELETE ON %s'
                       ' FOR EACH ROW EXECUTE FUNCTION zanith.refuse_write()', leaf);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER _zanith_refuse_row', leaf);
    END LOOP;
    UPDATE zanith._zanith_migration_artifacts
    SET definition = jsonb_set(definition, '{members}', (
        SELECT jsonb_agg(m - '{cloned,clones}'::text[])
        FROM jsonb_array_elements(definition -> 'members') m));
END $$;
UPDATE zanith._zanith_migration_artifacts SET recovery_sql = zanith._render_script(id)
"""
LEFT = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE '_zanith%'"
LEAVES = """
SELECT t.relid::regclass::text FROM zanith._zanith_migration_artifacts a,
       pg_partition_tree(format('%I.%I', a.physical_schema, a.physical_table)::regclass) t
"""


@pytest.mark.each_version
@pytest.mark.parametrize("strategy", ["archive_table", "soft_drop_table"])
def test_each_part_of_a_parked_tree_refuses_writes(
    database: Database, strategy: str, tmp_path: Path
) -> None:
    database.psql(TREE)
    artifact = database.psql(f"SELECT zanith.{strategy}('t')")
    leaves = database.psql(LEAVES).split()
    assert len(leaves) == 4
    for leaf in leaves:
        for write in ("INSERT INTO {} VALUES (2)", "DELETE FROM {}", "TRUNCATE {}"):
            for role in ("origin", "replica"):
                with pytest.raises(CommandFailed, match="is parked and refuses"):
                    database.psql(f"SET session_replication_role = {role}; {write.format(leaf)}")
    restore_by_psql(database, artifact, tmp_path)
    assert database.psql(LEFT) == "0"
    assert database.psql("DELETE FROM t RETURNING id").split() == ["1", "9"]


@pytest.mark.each_version
@pytest.mark.recorded("older", "its members do not say `cloned`")
def test_a_tree_that_an_earlier_version_parked_comes_back(
    database: Database, tmp_path: Path
) -> None:
    database.psql(TREE)
    artifact = database.psql("SELECT zanith.archive_table('t')")
    database.psql(BEFORE)
    assert database.psql(LEFT) != "0"
    restore_by_psql(database, artifact, tmp_path)
    assert database.psql(LEFT) == "0"
    assert database.psql("SELECT id FROM t ORDER BY id").split() == ["1", "9"]


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
