"""Old values come back after a change of type, and overwrite nothing written since."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance.command import done, zanith
from tests.conftest import Database
from tests.guard.test_rules import artifacts
from tests.guard.test_types import BYTES, kept, values
from tests.oracle.judges import open_session
from tests.studios import wait_until

OLD = "(SELECT id, (id + 0.1234)::numeric(10,4) AS price FROM items) x"


@pytest.fixture
def items(guarded: Database) -> Database:
    """A database with a table, of which one column has lost its digits."""
    guarded.psql(
        "CREATE TABLE items (id int PRIMARY KEY, price numeric(10,4) NOT NULL DEFAULT 7.5 UNIQUE"
        " CHECK (price > 0), n serial); COMMENT ON COLUMN items.price IS 'net';"
        "INSERT INTO items SELECT n, n + 0.1234 FROM generate_series(1, 5) n;"
        "ALTER TABLE items ALTER price TYPE int"
    )
    return guarded


@pytest.mark.each_version
def test_old_values_come_back_into_the_column_if_no_row_was_changed_since(items):
    [artifact] = kept(items).values()
    items.psql("UPDATE items SET n = n + 1 WHERE id < 3; DELETE FROM items WHERE id = 5")
    back = done("recover", "restore-column", "items.price", "--yes", "--json", url=items.url).json
    assert back["fidelity"]["different"] == back["fidelity"]["missing"] == []
    assert values(items, "items", "price") == values(items, OLD, "price")
    assert items.psql(
        "SELECT attnum, attnotnull, format_type(atttypid, atttypmod), col_description(attrelid, 2),"
        " pg_get_expr(adbin, adrelid) FROM pg_attribute JOIN pg_attrdef ON adrelid = attrelid AND"
        " adnum = attnum WHERE attrelid = 'items'::regclass AND attname = 'price'"
    ) == ("2|t|numeric(10,4)|net|7.5")
    assert items.psql("SELECT count(*) FROM pg_constraint WHERE conrelid = 'items'::regclass") == (
        "6" if items.server.version >= 18 else "3"
    )
    assert artifacts(items) == 1  # a restore is not captured
    assert done("doctor", url=items.url).code == 0
    done("recover", "purge", artifact, "--yes", url=items.url)


@pytest.mark.each_version
def test_rows_written_since_are_not_overwritten(items):
    items.psql("INSERT INTO items VALUES (9, 99); UPDATE items SET price = 55 WHERE id = 2")
    said = zanith("recover", "restore-column", "items.price", "--yes", url=items.url)
    assert said.code == 4
    assert "1 row has a value in price that the change of its type did not give" in said.err
    assert "--as price_old" in said.err
    assert items.psql("SELECT price FROM items WHERE id = 3") == "3"
    back = done("recover", "restore-column", "items.price", "--as", "price_old", "--yes", "--json",
                url=items.url).json  # fmt: skip
    assert [part["what"] for part in back["fidelity"]["different"]] == ["column name"]
    assert items.psql("SELECT price, price_old FROM items WHERE id IN (2, 3, 9) ORDER BY id") == (
        "55|2.1234\n3|3.1234\n99|"
    )


@pytest.mark.each_version
def test_rows_inserted_since_keep_their_value(guarded):
    guarded.psql(
        "CREATE TABLE t (id int PRIMARY KEY, c numeric); INSERT INTO t VALUES (1, 1.5), (2, NULL);"
        "ALTER TABLE t ALTER c TYPE int; INSERT INTO t VALUES (3, 77), (4, NULL);"
        "CREATE TABLE u (id int PRIMARY KEY, c varchar(3)); INSERT INTO u VALUES (1, 'abc');"
        "ALTER TABLE u ALTER c TYPE text USING c; INSERT INTO u VALUES (2, 'abcdef')"
    )
    said = zanith("recover", "restore-column", "t.c", "--fill", "0", "--yes", url=guarded.url)
    assert "resolve with --as c_old" in said.err
    done("recover", "restore-column", "t.c", "--yes", url=guarded.url)
    assert guarded.psql("SELECT * FROM t ORDER BY id") == "1|1.5\n2|\n3|77\n4|"
    said = zanith("recover", "restore-column", "u.c", "--yes", url=guarded.url)
    assert "1 row has a value in c that the change of its type did not give" in said.err
    assert guarded.psql("SELECT c FROM u WHERE id = 2") == "abcdef"


@pytest.mark.each_version
@pytest.mark.parametrize("hidden", [False, True])
def test_what_is_written_while_a_restore_waits_for_its_lock_is_not_overwritten(
    guarded, create_role, hidden
):
    guarded.psql(
        "CREATE TABLE t (id int PRIMARY KEY, c numeric); INSERT INTO t VALUES (1, 1.5), (2, 2.5);"
        "ALTER TABLE t ALTER c TYPE int"
    )
    if hidden:
        guarded.psql(
            f"ALTER TABLE t OWNER TO {create_role('owner')}; CREATE POLICY p ON t USING (id = 1);"
            "ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
        )
    with open_session(guarded) as run, ThreadPoolExecutor(1) as thread:
        run("BEGIN")
        run("UPDATE t SET c = 99 WHERE id = 2")
        restoring = thread.submit(
            zanith, "recover", "restore-column", "t.c", "--yes", url=guarded.url
        )
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't'::regclass"
        wait_until(lambda: guarded.psql(waiting) == "1")
        run("COMMIT")
        ended = restoring.result()
    assert ended.code != 0
    assert (
        "rows of public.t have a value in c that the change of its type did not give" in ended.err
    )
    assert guarded.psql("SELECT * FROM t ORDER BY id") == "1|2\n2|99"


@pytest.mark.newest
def test_a_column_that_another_takes_the_name_of_is_not_what_comes_back(guarded):
    guarded.psql(
        "CREATE TABLE t (id int PRIMARY KEY, c numeric); INSERT INTO t VALUES (1, 1.5);"
        "ALTER TABLE t ALTER c TYPE int; ALTER TABLE t RENAME c TO was; ALTER TABLE t ADD c int;"
        "UPDATE t SET c = 2"
    )
    said = zanith("recover", "restore-column", "t.c", "--yes", url=guarded.url)
    assert "resolve with --as c_old" in said.err
    assert guarded.psql("SELECT * FROM t") == "1|2|2"


@pytest.mark.newest
def test_a_published_expression_needs_the_type(guarded):
    guarded.psql(
        "CREATE TABLE t (id int PRIMARY KEY, c numeric); INSERT INTO t VALUES (1, 1.5);"
        "ALTER TABLE t ALTER c TYPE int; CREATE PUBLICATION p FOR TABLE t WHERE (c > 0)"
    )
    said = zanith("recover", "restore-column", "t.c", "--yes", url=guarded.url)
    assert "resolve with --as c_old" in said.err


@pytest.mark.newest
def test_a_cast_that_depends_on_a_setting_is_not_repeated(guarded):
    guarded.psql(
        "CREATE TABLE t (id int PRIMARY KEY, c timestamptz);"
        "INSERT INTO t VALUES (1, '2024-07-01 12:00+00'); SET timezone = 'Europe/Berlin';"
        "ALTER TABLE t ALTER c TYPE timestamp"
    )
    said = zanith("recover", "restore-column", "t.c", "--yes", url=guarded.url)
    assert "resolve with --as c_old" in said.err
    done("recover", "restore-column", "t.c", "--as", "c_old", "--yes", url=guarded.url)
    assert guarded.psql("SET timezone = 'UTC'; SELECT c_old FROM t") == "2024-07-01 12:00:00+00"


@pytest.mark.each_version
def test_what_the_cast_did_not_give_comes_back_beside_the_column(guarded):
    guarded.psql(
        "CREATE TABLE t (id int PRIMARY KEY, c text NOT NULL); INSERT INTO t VALUES (1, 'abc');"
        "ALTER TABLE t ALTER c TYPE text USING reverse(c);"
        "CREATE TABLE u (id int PRIMARY KEY, c numeric); INSERT INTO u VALUES (1, 2.5);"
        "ALTER TABLE u ALTER c TYPE int; CREATE VIEW v AS SELECT c FROM u"
    )
    said = zanith("recover", "restore-column", "t.c", "--yes", url=guarded.url)
    assert "1 row has a value in c that the change of its type did not give" in said.err
    done("recover", "restore-column", "t.c", "--as", "c_old", "--yes", url=guarded.url)
    assert guarded.psql("SELECT c, c_old FROM t") == "cba|abc"
    said = zanith("recover", "restore-column", "u.c", "--yes", url=guarded.url)
    assert "public.u.c is there, and is of type integer now" in said.err
    assert "resolve with --as c_old" in said.err
    artifact = kept(guarded)["u"]
    hint = f"SELECT zanith.plan_restore('{artifact}') #>> '{{conflicts,0,hint}}'"
    line = guarded.psql(hint).partition("values then: ")[2]
    done("recover", "restore-column", "u.c", "--as", "c_old", "--yes", url=guarded.url)
    guarded.psql(f"DROP VIEW v; {line}")
    assert guarded.psql("SELECT c FROM u") == "2.5"
    assert artifacts(guarded) == 4  # the guard kept what these two statements changed


@pytest.mark.newest
def test_an_artifact_of_values_is_like_any_other(items, tmp_path):
    [found] = done("list", "--type", "archive_values", "--json", url=items.url).json["artifacts"]
    assert (found["source_column"], found["row_count"]) == ("price", 5)
    done("recover", "seal", found["id"], url=items.url)
    done("recover", "verify", found["id"], url=items.url)
    done("recover", "export", found["id"], "--output", str(tmp_path / "o.csv"), url=items.url)
    assert (tmp_path / "o.csv").read_text().splitlines()[1] == "1,1.1234"
    assert "archive_values" in done("inspect", "items.price", url=items.url).out
    done("recover", "restore", "items.price", "--as", "p", "--rehearse", url=items.url)
    done("recover", "restore", "items.price", "--as", "p", "--yes", url=items.url)
    items.psql("SET zanith.guard = off; ALTER TABLE items DROP p")
    done("recover", "restore", "items.price", "--as", "q", "--yes", url=items.url)
    assert values(items, "items", "q") == items.psql(
        BYTES.format(
            table="(SELECT id, (id + 0.1234)::numeric(10,4) AS q FROM items) x", column="q"
        )
    )
    assert done("doctor", url=items.url).code == 0
    done("recover", "purge", found["id"], "--yes", url=items.url)
    assert artifacts(items) == 0
    assert items.psql("SELECT price FROM items WHERE id = 1") == "1"


@pytest.mark.newest
def test_the_old_values_come_back_by_the_name_of_a_column_that_was_dropped_since(items):
    items.psql("SET zanith.guard = off; ALTER TABLE items DROP price")
    done("recover", "restore-column", "items.price", "--yes", url=items.url)
    assert items.psql("SELECT max(price) FROM items") == "5.1234"


@pytest.mark.newest
def test_a_migration_comes_back_whole(guarded):
    guarded.psql(
        "CREATE TABLE t (id int PRIMARY KEY, a text, b text); INSERT INTO t VALUES (1, 'ab', 'cd');"
        "ALTER TABLE t ADD c numeric DEFAULT 1.5;"
        "BEGIN; ALTER TABLE t DROP a, ALTER b TYPE char USING right(b, 1), ALTER c TYPE int; COMMIT"
    )
    migration = guarded.psql("SELECT max(migration_id) FROM zanith._zanith_migration_artifacts")
    command = ("recover", "restore-migration", migration, "--yes")
    before = guarded.schema()
    reports = done(*command, "--rehearse", "--json", url=guarded.url).json["reports"]
    assert [one["rehearsed"] for one in reports] == [True] * 3
    assert guarded.schema() == before
    done(*command, url=guarded.url)
    assert guarded.psql("SELECT id, b, a, b_old, c FROM t") == "1|d|ab|cd|1.5"
