"""Promise 2: after a capture the live system behaves as after PostgreSQL's own DROP.

The same world stands on two databases. On one the real DROP is done, on the other the capture; then
the same statements run on both, in the same order, and each must end alike: the same rows, the same
number of rows changed, or the same SQLSTATE.
"""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from tests.conftest import Database
from tests.oracle.judges import capture

ROLE = "@"  # "@reader SELECT …" runs as that role

COLUMN_WORLD = """
CREATE TABLE p (a int PRIMARY KEY); INSERT INTO p VALUES (1), (2), (3), (4);
CREATE DOMAIN pos AS int CHECK (VALUE > 0) NOT NULL DEFAULT 1;
CREATE TABLE t (id int PRIMARY KEY,
    c pos DEFAULT 1 NOT NULL REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE,
                d int DEFAULT 0, e int,
                CONSTRAINT pair UNIQUE (c, d), CONSTRAINT small CHECK (c + d < 100),
    CONSTRAINT alone UNIQUE (c) DEFERRABLE INITIALLY DEFERRED);
CREATE UNIQUE INDEX lone ON t ((c % 1000)); CREATE UNIQUE INDEX part ON t (d) WHERE c > 2;
CREATE INDEX plain ON t (c); CREATE INDEX near ON t (d, c); CREATE STATISTICS st ON c, d FROM t;
INSERT INTO t VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3);
CREATE TABLE k (x int REFERENCES t (id), y int); INSERT INTO k VALUES (1, 5);
CREATE TABLE log (what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO log VALUES (TG_OP);
RETURN NEW; END$$;
CREATE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER trc BEFORE UPDATE OF c ON t FOR EACH ROW EXECUTE FUNCTION note();
CREATE VIEW v AS SELECT id, c FROM t; CREATE VIEW w AS SELECT id FROM t;
CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT sum(c) FROM t';
GRANT SELECT (c, id), UPDATE (c) ON t TO :reader; GRANT SELECT ON v, w TO :reader;
GRANT SELECT, INSERT (id, d) ON t TO :writer;
"""

AFTER_COLUMN = [
    "INSERT INTO t (id, d) VALUES (10, 1)",  # UNIQUE, NOT NULL, domain: all would bite
    "INSERT INTO t (id, d) VALUES (11, 1), (12, 1)",
    "INSERT INTO t (id, d) VALUES (13, 5000)",
    "INSERT INTO t (id) VALUES (14)",
    "INSERT INTO t (id, d, e) VALUES (15, NULL, NULL)",
    "INSERT INTO t (id) VALUES (1)",
    "INSERT INTO t (id, c) VALUES (16, 1)",
    "UPDATE t SET d = 3 WHERE id < 4",
    "UPDATE t SET d = 9000",
    "UPDATE t SET c = 5",
    "UPDATE t SET d = c",
    "SELECT what, count(*) FROM log GROUP BY 1 ORDER BY 1",
    "DELETE FROM p WHERE a = 1",  # would cascade
    "UPDATE p SET a = 70 WHERE a = 2",  # would cascade
    "SELECT id, d, e FROM t ORDER BY id",
    "SELECT c FROM t",
    "SELECT t.c FROM t",
    "SELECT count(*) FROM t WHERE c IS NULL",
    "SELECT * FROM v",
    "SELECT f()",
    "DELETE FROM t WHERE id = 1",
    "DELETE FROM t WHERE id = 2",
    "INSERT INTO k VALUES (3, 7)",
    "SELECT id FROM t ORDER BY id",
    "@reader SELECT id FROM t ORDER BY id LIMIT 1",
    "@reader SELECT c FROM t",
    "@reader SELECT count(*) FROM t",
    "@reader SELECT t FROM t",
    "@reader UPDATE t SET c = 1",
    "@reader SELECT * FROM v",
    "@reader SELECT id FROM w ORDER BY 1 LIMIT 1",
    "@writer INSERT INTO t (id, d) VALUES (20, 3)",
    "@writer SELECT id, d, e FROM t WHERE id = 20",
    "@other SELECT id FROM t",
    "CREATE INDEX part ON t (d)",
    "CREATE INDEX lone ON t (d)",
    "CREATE INDEX pair ON t (d)",
    "ALTER TABLE t ADD CONSTRAINT small CHECK (d < 100000)",
    "ALTER TABLE t ADD CONSTRAINT alone CHECK (e IS NULL)",
    "ALTER TABLE t ADD CONSTRAINT t_c_fkey CHECK (true)",
    "CREATE TRIGGER trc BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note()",
    "CREATE VIEW v AS SELECT 1 AS one",
    "DROP TABLE p",
    "ALTER TABLE t ADD c text DEFAULT 'new' NOT NULL",
    "SELECT id, c FROM t ORDER BY id",
    "@reader SELECT c FROM t",
    "CREATE INDEX other ON t (c)",
    "UPDATE t SET c = 'x', d = d + 1",
    "TRUNCATE k; DELETE FROM t WHERE id > 12",
    "ALTER TABLE t DROP e",
    "ALTER TABLE t RENAME d TO dd",
    "ALTER TABLE t RENAME TO tt",
    "SELECT id, c FROM tt ORDER BY id",
]

# What only an archive can promise: the slot in the row is gone too.
AFTER_ARCHIVE = [
    "SELECT * FROM t ORDER BY id",
    "SELECT t FROM t ORDER BY id",
    "INSERT INTO t VALUES (100, 5, 6)",
    "INSERT INTO t VALUES (101, 5, 6, 7)",
    "CREATE INDEX plain ON t (d)",
    "CREATE INDEX near ON t (d)",
    "CREATE STATISTICS st ON d, e FROM t",
    "SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute WHERE attrelid = "
    "'t'::regclass AND attnum > 0 AND NOT attisdropped",
    "SELECT count(*) FROM pg_constraint WHERE conrelid = 't'::regclass",
    "@writer SELECT * FROM t ORDER BY id",
]

TABLE_WORLD = """
CREATE TABLE p (a int PRIMARY KEY); INSERT INTO p VALUES (1), (2);
CREATE TABLE t (id serial PRIMARY KEY, a int REFERENCES p ON DELETE CASCADE,
    b int GENERATED ALWAYS AS IDENTITY CONSTRAINT bu UNIQUE, up int REFERENCES t);
CREATE INDEX ia ON t (a); CREATE STATISTICS st ON a, id FROM t; INSERT INTO t (a) VALUES (1), (2);
CREATE TABLE k (x int REFERENCES t, y int); INSERT INTO k VALUES (1, 1);
CREATE VIEW v AS SELECT a FROM t; CREATE FUNCTION f()
    RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM t';
CREATE TABLE log (what text); CREATE FUNCTION note()
    RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO log VALUES (TG_OP); RETURN NULL; END$$;
CREATE TRIGGER tr AFTER DELETE OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note();
GRANT SELECT ON t, v TO :reader; GRANT UPDATE (a) ON t TO :writer;
GRANT USAGE ON t_id_seq TO :reader;
CREATE TABLE l (x int); CREATE RULE r AS ON INSERT TO l DO ALSO DELETE FROM t;
CREATE TABLE q (id int PRIMARY KEY, s text) PARTITION BY RANGE (id);
CREATE TABLE q1 PARTITION OF q FOR VALUES FROM (0) TO (10);
CREATE TABLE q2 PARTITION OF q FOR VALUES FROM (10) TO (20);
INSERT INTO q VALUES (1, 'a'), (11, 'b'); CREATE INDEX qi ON q (s);
GRANT SELECT ON q1, q2 TO :reader;
"""

AFTER_TABLE = [
    "SELECT * FROM t",
    "INSERT INTO t (a) VALUES (1)",
    "DELETE FROM p WHERE a = 1",  # would cascade
    "UPDATE p SET a = 9 WHERE a = 2",  # would be refused
    "INSERT INTO k VALUES (99, 1)",
    "DELETE FROM k",
    "SELECT * FROM log",
    "SELECT f()",
    "SELECT * FROM v",
    "INSERT INTO l VALUES (1)",
    "@reader SELECT * FROM t",
    "@reader SELECT nextval('t_id_seq')",
    "@reader SELECT * FROM v",
    "@writer UPDATE t SET a = 1",
    "SELECT nextval('t_id_seq')",
    "CREATE TYPE t AS ENUM ('x')",
    "DROP TYPE t",
    "CREATE SEQUENCE t_id_seq",
    "CREATE SEQUENCE t_b_seq",
    "DROP SEQUENCE t_id_seq, t_b_seq",
    "CREATE TABLE t (id serial PRIMARY KEY, a int REFERENCES p, "
    "b int GENERATED ALWAYS AS IDENTITY CONSTRAINT bu UNIQUE, up int REFERENCES t)",
    "CREATE INDEX ia ON t (a)",
    "CREATE STATISTICS st ON a, id FROM t",
    "CREATE VIEW v AS SELECT a FROM t",
    "INSERT INTO t (a) VALUES (9) RETURNING *",
    "ALTER TABLE k ADD CONSTRAINT k_x_fkey FOREIGN KEY (x) REFERENCES t",
    "INSERT INTO k VALUES (1, 2)",
    "INSERT INTO k VALUES (50, 2)",
    "SELECT count(*) FROM pg_constraint WHERE conrelid = 'k'::regclass",
    "@reader SELECT * FROM t",
    "SELECT f()",
    "DROP TABLE p CASCADE",
    "DROP TABLE t CASCADE",
]

AFTER_PARTITION = [
    "INSERT INTO q VALUES (2, 'x')",
    "INSERT INTO q VALUES (12, 'x')",
    "SELECT tableoid::regclass::text, * FROM q ORDER BY id",
    "SELECT * FROM q1",
    "UPDATE q SET id = 3 WHERE id = 12",
    "DELETE FROM q WHERE id = 1",
    "@reader SELECT * FROM q1",
    "CREATE TABLE q1 PARTITION OF q FOR VALUES FROM (0) TO (10)",
    "INSERT INTO q VALUES (2, 'x')",
    "SELECT tableoid::regclass::text, * FROM q ORDER BY id",
    "CREATE INDEX q1_s_idx1 ON q1 (s)",
    "CREATE TABLE dflt PARTITION OF q DEFAULT",
    "ALTER TABLE q ADD more int DEFAULT 3",
    "TRUNCATE q",
    "DROP INDEX qi",
    "SELECT count(*) FROM q",
]


def build(database: Database, world: str, roles: dict[str, str]) -> None:
    names = "".join(f"\\set {name} {role}\n" for name, role in roles.items())
    database.psql(names + world + f"GRANT USAGE ON SCHEMA public TO {', '.join(roles.values())}")


def play(database: Database, statements: list[str], roles: dict[str, str]) -> list[str]:
    """Run statements one by one, and return how each ended."""

    async def run() -> list[str]:
        ended = []
        async with database.connect() as connection:
            for statement in statements:
                who, _, sql = (
                    statement.partition(" ") if statement.startswith(ROLE) else ("", "", statement)
                )
                if who:
                    await connection.execute(f"SET ROLE {roles[who[1:]]}")
                try:
                    rows = (
                        await connection.fetch(sql)
                        if ";" not in sql
                        else await connection.execute(sql)
                    )
                    ended.append(f"{statement}: {rows}")
                except asyncpg.PostgresError as error:
                    ended.append(f"{statement}: {error.sqlstate}")
                await connection.execute("RESET ROLE")
        return ended

    return asyncio.run(run())


def parked_rows(database: Database, artifact: str) -> str:
    """Return the parked rows, as text; for a soft-dropped column beside the key of today's rows."""
    return database.psql(database.psql(f"SELECT zanith.row_query('{artifact}')"))


@pytest.mark.parametrize("strategy", ["soft_drop_column", "archive_column"])
def test_a_captured_column_is_gone(
    strategy: str, database: Database, twin_database: Database, roles: dict[str, str]
) -> None:
    """No statement can tell the capture from a DROP COLUMN … CASCADE."""
    for each in (database, twin_database):
        build(each, COLUMN_WORLD, roles)
    twin_database.psql("ALTER TABLE t DROP COLUMN c CASCADE")
    artifact = capture(database, strategy, "t", "c", "on_dependents => 'cascade'")
    before = parked_rows(database, artifact)
    statements = (
        AFTER_COLUMN[:1]
        + (AFTER_ARCHIVE if strategy == "archive_column" else [])
        + AFTER_COLUMN[1:]
    )
    assert play(database, statements, roles) == play(twin_database, statements, roles)
    if strategy == "archive_column":
        assert parked_rows(database, artifact) == before
    else:  # rows come and go with their table; the value of row 3 was never touched
        assert "3|3" in parked_rows(database, artifact).splitlines()


@pytest.mark.parametrize("strategy", ["soft_drop_table", "archive_table"])
def test_a_captured_table_is_gone(
    strategy: str, database: Database, twin_database: Database, roles: dict[str, str]
) -> None:
    """No statement can tell the capture from a DROP TABLE … CASCADE."""
    for each in (database, twin_database):
        build(each, TABLE_WORLD, roles)
    twin_database.psql("DROP TABLE t CASCADE")
    artifact = capture(database, strategy, "t", None, "on_dependents => 'cascade'")
    before = parked_rows(database, artifact)
    assert play(database, AFTER_TABLE, roles) == play(twin_database, AFTER_TABLE, roles)
    assert parked_rows(database, artifact) == before


@pytest.mark.parametrize("strategy", ["soft_drop_table", "archive_table"])
def test_a_captured_partition_is_gone(
    strategy: str, database: Database, twin_database: Database, roles: dict[str, str]
) -> None:
    """The parent goes on without it as after DROP TABLE."""
    for each in (database, twin_database):
        build(each, TABLE_WORLD, roles)
    twin_database.psql("DROP TABLE q1")
    artifact = capture(database, strategy, "q1")
    before = parked_rows(database, artifact)
    assert play(database, AFTER_PARTITION, roles) == play(twin_database, AFTER_PARTITION, roles)
    assert parked_rows(database, artifact) == before


PARKED = (
    "SELECT format('%I.%I', physical_schema, "
    "physical_table) FROM zanith._zanith_migration_artifacts"
)


@pytest.mark.parametrize("what", ["t", "q"])
@pytest.mark.parametrize("strategy", ["soft_drop_table", "archive_table"])
def test_what_is_parked_is_read_by_the_owner_alone_and_written_by_nobody(
    strategy: str, what: str, database: Database, roles: dict[str, str]
) -> None:
    """Grants are gone, and writes refused, on every leaf: even those that replication applies."""
    build(database, TABLE_WORLD, roles)
    capture(database, strategy, what, None, "on_dependents => 'cascade'")
    parked = database.psql(PARKED)
    leaves = database.psql(f"SELECT tableoid::regclass FROM {parked} GROUP BY 1").splitlines()
    assert leaves
    for name in {parked, *leaves}:
        writes = [
            f"INSERT INTO {name} DEFAULT VALUES",
            f"UPDATE {name} SET id = id",
            f"DELETE FROM {name}",
            f"TRUNCATE {name}",
        ]
        ended = play(database, writes, roles)
        assert not [end for end in ended if end.endswith("]")], ended
        applied = play(
            database,
            [
                "SET session_replication_role = replica",
                f"DELETE FROM {name}",
                f"INSERT INTO {name} VALUES (2)",
            ],
            roles,
        )
        assert not [end for end in applied[1:] if end.endswith("]")], applied
        for role in ("reader", "writer", "other"):
            ended = play(
                database,
                [f"@{role} SELECT * FROM {name}", f"@{role} UPDATE {name} SET id = 1"],
                roles,
            )
            assert all(end.endswith("42501") for end in ended), ended


def test_an_archive_is_read_by_the_owner_alone(database: Database, roles: dict[str, str]) -> None:
    """Default privileges do not open what a table kept closed."""
    build(database, COLUMN_WORLD, roles)
    database.psql(
        f"ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC; "
        f"GRANT USAGE ON SCHEMA _zanith_shadow TO {roles['reader']}"
    )
    capture(database, "archive_column", "t", "c", "on_dependents => 'cascade'")
    database.psql("SELECT zanith.rebuild_table('k', keep_rows => true)")
    for parked in database.psql(PARKED).splitlines():
        ended = play(
            database,
            [
                f"@reader SELECT * FROM {parked}",
                f"@reader DELETE FROM {parked}",
                f"DELETE FROM {parked}",
            ],
            roles,
        )
        assert [end[-5:] for end in ended[:2]] == ["42501", "42501"]
        assert not ended[2].endswith("]"), ended


@pytest.mark.parametrize(
    "strategy",
    [
        "soft_drop_column",
        pytest.param("archive_column", marks=pytest.mark.smoke),
        pytest.param("soft_drop_table", marks=pytest.mark.smoke),
        "archive_table",
    ],
)
def test_a_capture_that_is_rolled_back_leaves_nothing(
    strategy: str, database: Database, roles: dict[str, str]
) -> None:
    """Promise 1: the capture is part of the caller's transaction, and goes with it."""
    build(database, COLUMN_WORLD, roles)
    column = ", 'c'" if strategy.endswith("column") else ""
    call = f"SELECT zanith.{strategy}('t'{column}, on_dependents => 'cascade')"
    everything = (
        "SELECT count(*) FROM zanith._zanith_migration_artifacts; "
        "SELECT count(*) FROM zanith._zanith_audit_log"
    )
    before = (
        database.schema(),
        database.pg_dump("--data-only", "--exclude-schema=zanith"),
        database.psql(everything),
    )
    database.psql(f"BEGIN; {call}; ROLLBACK")
    database.psql(f"BEGIN; SAVEPOINT s; {call}; ROLLBACK TO s; {call}; ROLLBACK TO s; COMMIT")
    assert (
        database.schema(),
        database.pg_dump("--data-only", "--exclude-schema=zanith"),
        database.psql(everything),
    ) == before
