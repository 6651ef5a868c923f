"""Artifacts of a plain drop have the id under which the migration tool records its migration."""

from __future__ import annotations

import pytest

from tests.acceptance.command import done
from tests.guard.tools import BOOKS, Books
from tests.oracle.judges import grant_capture, open_session

SHOP = "CREATE TABLE orders (id int PRIMARY KEY, code text, note text, more text)"
ALEMBIC = BOOKS[0]
DROP = "ALTER TABLE orders DROP COLUMN {}"
IDS = """SELECT string_agg(concat(concat_ws('.', source_table, source_column), '=',
    regexp_replace(migration_id, '^transaction [0-9]+$', 'transaction')), ' '
    ORDER BY capture_order) FROM zanith._zanith_migration_artifacts"""
LEFT = "SELECT count(*) FROM zanith._zanith_guard_unnamed"


def to(version: str) -> str:
    return f"UPDATE alembic_version SET version_num = '{version}'"


@pytest.fixture
def owner(guarded, create_role) -> str:
    """A role without any attribute that owns the tables, and may capture."""
    role: str = create_role("owner")
    grant_capture(guarded, role)
    guarded.psql(
        f"GRANT CREATE ON SCHEMA public TO {role};GRANT CREATE ON DATABASE {guarded.name} TO {role}"
    )
    return role


def as_owner(guarded, owner: str, *statements: str) -> None:
    text = ";\n".join(one.strip().rstrip(";") for one in statements if one)
    guarded.psql(f"SET SESSION AUTHORIZATION {owner};\n{text}")


def ids(guarded) -> str:
    assert guarded.psql(LEFT) == "0"
    found: str = guarded.psql(IDS)
    return found


@pytest.mark.parametrize("books", BOOKS, ids=lambda books: books.tool)
def test_the_id_is_the_tools_own(guarded, owner: str, books: Books) -> None:
    as_owner(guarded, owner, SHOP, books.table)
    as_owner(
        *(guarded, owner),
        *("BEGIN", books.before, DROP.format("code"), DROP.format("note"), books.after, "COMMIT"),
    )
    assert ids(guarded) == f"orders.code={books.id} orders.note={books.id}"


@pytest.mark.each_version
@pytest.mark.smoke
def test_a_migration_is_restored_by_the_tools_id(guarded, owner: str) -> None:
    as_owner(guarded, owner, SHOP, "CREATE TABLE carts (id int)", ALEMBIC.table)
    statements = (DROP.format("code"), "DROP TABLE carts", ALEMBIC.after)
    as_owner(guarded, owner, "BEGIN", *statements, "COMMIT")
    done("recover", "restore-migration", "0042_drop_code", "--yes", url=guarded.url)
    assert guarded.psql("SELECT count(code) FROM orders, carts") == "0"


@pytest.mark.each_version
@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        pytest.param(
            ("BEGIN", DROP.format("code"), to("r1"), DROP.format("note"), to("r2"), "COMMIT"),
            "orders.code=r1 orders.note=r2",
            id="two revisions in one transaction",
        ),
        pytest.param(
            ("BEGIN", DROP.format("code"), to("r1"), to("r2"), "COMMIT"),
            "orders.code=transaction",
            id="an id that was replaced is not guessed",
        ),
        pytest.param(
            ("BEGIN", to("r1"), DROP.format("code"), "COMMIT"),
            "orders.code=r1",
            id="a row before the drop",
        ),
        pytest.param(
            ("BEGIN", DROP.format("code"), "COMMIT", to("r1")),
            "orders.code=transaction",
            id="a row of another transaction",
        ),
        pytest.param((DROP.format("code"),), "orders.code=transaction", id="no row"),
        pytest.param(
            (
                "BEGIN",
                "SAVEPOINT a",
                DROP.format("code"),
                "RELEASE a",
                "SAVEPOINT b",
                to("r1"),
                "RELEASE b",
                "COMMIT",
            ),
            "orders.code=r1",
            id="savepoints",
        ),
        pytest.param(
            (
                "BEGIN",
                "SAVEPOINT a",
                DROP.format("code"),
                "ROLLBACK TO a",
                DROP.format("note"),
                to("r1"),
                "COMMIT",
            ),
            "orders.note=r1",
            id="a capture that is undone",
        ),
        pytest.param(
            ("BEGIN", "SET CONSTRAINTS ALL IMMEDIATE", DROP.format("code"), to("r1"), "COMMIT"),
            "orders.code=r1",
            id="immediate constraints",
        ),
        pytest.param(
            ("BEGIN", DROP.format("code"), f"SELECT 1/0; ROLLBACK; {DROP.format('note')}"),
            None,
            id="a transaction that fails",
        ),
        pytest.param(
            ("BEGIN", DROP.format("code"), to("x" * 201), "COMMIT"),
            "orders.code=transaction",
            id="an id that is too long",
        ),
    ],
)
def test_when_the_tool_writes_its_row(guarded, owner: str, statements, expected) -> None:
    as_owner(guarded, owner, SHOP, "CREATE TABLE alembic_version (version_num text)")
    as_owner(guarded, owner, "INSERT INTO alembic_version VALUES ('r0')")
    if expected is None:
        with pytest.raises(Exception, match="division by zero"):
            as_owner(guarded, owner, *statements)
        assert guarded.psql(f"SELECT count(*) FROM ({IDS}) x(y) WHERE y <> ''") == "0"
        return
    as_owner(guarded, owner, *statements)
    assert ids(guarded) == expected


def test_what_a_cascade_takes_has_the_id_too(guarded, owner: str) -> None:
    as_owner(
        *(guarded, owner),
        *("CREATE TABLE base (id int)", "CREATE TABLE child (own int) INHERITS (base)"),
        ALEMBIC.table,
    )
    as_owner(guarded, owner, "BEGIN", "DROP TABLE base CASCADE", ALEMBIC.after, "COMMIT")
    assert ids(guarded) == "child=0042_drop_code base=0042_drop_code"


@pytest.mark.each_version
def test_a_rule_that_is_set_waits_for_no_migration(guarded, owner: str) -> None:
    """The trigger is created once: to create it again would wait for every open capture."""
    as_owner(guarded, owner, SHOP, ALEMBIC.table)
    with open_session(guarded, owner) as run:
        run("BEGIN")
        run(DROP.format("code"))
        done("guard", "on", "--schema", "public", url=guarded.url, ZANITH_LOCK_TIMEOUT="1s")
        run(ALEMBIC.after)
        run("COMMIT")
    assert ids(guarded) == "orders.code=0042_drop_code"


def test_a_session_that_replays_changes_has_the_id_too(guarded) -> None:
    guarded.psql(f"{SHOP}; {ALEMBIC.table}")
    guarded.psql(
        "SET session_replication_role = replica; BEGIN;"
        f"{DROP.format('code')}; {ALEMBIC.after}; COMMIT"
    )
    assert ids(guarded) == "orders.code=0042_drop_code"


def test_rows_of_a_truncate_have_the_id_too(guarded, owner: str) -> None:
    as_owner(guarded, owner, SHOP, "INSERT INTO orders VALUES (1)", ALEMBIC.table)
    done("guard", "truncate", "orders", url=guarded.url)
    as_owner(guarded, owner, "BEGIN", "TRUNCATE orders", ALEMBIC.after, "COMMIT")
    assert ids(guarded) == "orders=0042_drop_code"


def test_a_row_of_another_session_is_not_taken(guarded, owner: str) -> None:
    """It was committed meanwhile, and so it is visible at COMMIT."""
    as_owner(guarded, owner, SHOP, BOOKS[2].table)
    insert = "INSERT INTO django_migrations (app, name, applied) VALUES ('a', '{}', now())"
    with open_session(guarded, owner) as one, open_session(guarded, owner) as two:
        two("BEGIN")
        two(insert.format("before"))
        one("BEGIN")
        one(DROP.format("code"))
        two("COMMIT")
        two(insert.format("between"))
        one(insert.format("mine"))
        two(insert.format("later"))
        one("COMMIT")
    assert ids(guarded) == "orders.code=a.mine"


# ------------------------------------------------------------------------ what must not go wrong


@pytest.mark.each_version
@pytest.mark.parametrize(
    "failing",
    [
        "CREATE OR REPLACE FUNCTION zanith._guard_read_books() RETURNS jsonb LANGUAGE plpgsql"
        " AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$",
        "DROP FUNCTION zanith._guard_name_artifacts(jsonb, bigint, boolean)",
        "DROP TRIGGER guard_commit ON zanith._zanith_guard_unnamed",
        "ALTER TABLE alembic_version ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE alembic_version RENAME version_num TO other;"
        "ALTER TABLE alembic_version ADD version_num text GENERATED ALWAYS AS (other) STORED",
        "CREATE DOMAIN word AS text; ALTER TABLE alembic_version ALTER version_num TYPE word",
        "ALTER TABLE alembic_version RENAME TO real; CREATE VIEW alembic_version AS TABLE real;"
        "GRANT ALL ON alembic_version TO PUBLIC",
    ],
)
def test_a_transaction_commits_without_the_id(guarded, owner: str, failing: str) -> None:
    as_owner(guarded, owner, SHOP, "CREATE TABLE alembic_version (version_num text)")
    as_owner(guarded, owner, "INSERT INTO alembic_version VALUES ('r0')")
    guarded.psql(failing)
    column = "other" if "RENAME version_num" in failing else "version_num"
    as_owner(
        *(guarded, owner),
        *("BEGIN", DROP.format("code"), to("r1").replace("version_num", column), "COMMIT"),
    )
    assert guarded.psql(IDS) == "orders.code=transaction"


@pytest.mark.each_version
def test_a_role_that_may_not_read_the_row_still_commits(guarded, owner: str) -> None:
    guarded.psql(
        "CREATE TABLE alembic_version (version_num text);"
        f"GRANT INSERT ON alembic_version TO {owner}"
    )
    as_owner(guarded, owner, SHOP)
    insert = "INSERT INTO alembic_version VALUES ('r1')"
    as_owner(guarded, owner, "BEGIN", DROP.format("code"), insert, "COMMIT")
    assert ids(guarded) == "orders.code=transaction"
    guarded.psql(f"GRANT SELECT ON alembic_version TO {owner}")
    as_owner(guarded, owner, "BEGIN", DROP.format("note"), insert, "COMMIT")
    assert ids(guarded) == "orders.code=transaction orders.note=r1"


@pytest.mark.each_version
def test_a_table_of_another_role_is_read_only_if_it_calls_no_code(guarded, owner: str) -> None:
    """A superuser commits, and the planner would evaluate the predicate of an index."""
    as_owner(
        *(guarded, owner),
        "CREATE SCHEMA books",
        "CREATE TABLE books.alembic_version (version_num text)",
        """CREATE FUNCTION books.record(v text) RETURNS void LANGUAGE sql SECURITY DEFINER
           BEGIN ATOMIC INSERT INTO books.alembic_version VALUES (v); END""",
        "CREATE FUNCTION books.trap(int) RETURNS bool LANGUAGE sql IMMUTABLE RETURN true",
    )
    guarded.psql(SHOP)
    record = "SELECT books.record('{}')"
    guarded.psql(f"BEGIN; {DROP.format('code')}; {record.format('r1')}; COMMIT")
    as_owner(guarded, owner, "CREATE INDEX ON books.alembic_version ((1)) WHERE books.trap(1)")
    guarded.psql(f"BEGIN; {DROP.format('note')}; {record.format('r2')}; COMMIT")
    assert ids(guarded) == "orders.code=r1 orders.note=transaction"


def test_nobody_names_what_another_transaction_captured(guarded, owner: str) -> None:
    as_owner(guarded, owner, SHOP, DROP.format("code"))
    (artifact,) = guarded.psql("SELECT id FROM zanith._zanith_migration_artifacts").split()
    as_owner(
        *(guarded, owner),
        "BEGIN",
        f"INSERT INTO zanith._zanith_guard_unnamed (artifact, writes) VALUES ('{artifact}', -1)",
        """SELECT zanith._guard_name_artifacts('[{"command": 99999, "id": "forged"}]', 0, true)""",
        "COMMIT",
    )
    assert ids(guarded) == "orders.code=transaction"
    for verb in ("SELECT", "UPDATE", "DELETE", "TRUNCATE"):
        asked = f"has_table_privilege('{owner}', 'zanith._zanith_guard_unnamed', '{verb}')"
        assert guarded.psql(f"SELECT {asked}") == "f"
