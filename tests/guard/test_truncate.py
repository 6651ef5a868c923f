"""TRUNCATE on demand: what it deletes is kept first, or the statement is refused."""

from __future__ import annotations

import json

import pytest

from app.recovery.db.guard_triggers import TRIGGERS
from app.recovery.guard.rules import Mode, Rule
from tests.acceptance.command import done, zanith
from tests.clusters import CommandFailed
from tests.conftest import Database
from tests.guard.test_rules import artifacts, as_role, count, refused
from tests.guard.twin import guard_truncate, turn_guard_on
from tests.oracle.judges import dump_entries, grant_capture, open_session

ORDERS = """
CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code text UNIQUE, n serial,
    twice int GENERATED ALWAYS AS (id * 2) STORED);
INSERT INTO orders (code) SELECT 'x' || n FROM generate_series(1, 3) n;
"""
ITEMS = """
CREATE TABLE items (id int PRIMARY KEY, o int REFERENCES orders);
INSERT INTO items VALUES (1, 1), (2, 3);
"""
PARTS = """
CREATE TABLE parts (id int, k int, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE p1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE p2 PARTITION OF parts FOR VALUES IN (2);
INSERT INTO parts VALUES (1, 1), (2, 2);
"""
ROWS = "SELECT string_agg(o::text, ' ' ORDER BY id) FROM {} o"


@pytest.fixture
def orders(guarded):
    """A database with the table orders, whose rows the guard keeps."""
    guarded.psql(ORDERS)
    guard_truncate(guarded, "orders")
    return guarded


def rows(database: Database, table: str = "orders") -> str:
    return database.psql(ROWS.format(table))


def kept(database: Database) -> list[str]:
    """Return the tables of the artifacts, oldest first."""
    return database.psql(
        "SELECT source_table FROM zanith._zanith_migration_artifacts"
        " WHERE artifact_type = 'archive_rows' ORDER BY capture_order"
    ).splitlines()


def migration(database: Database) -> str:
    return database.psql("SELECT max(migration_id) FROM zanith._zanith_migration_artifacts")


# -------------------------------------------------------------------------------------- and back


@pytest.mark.each_version
@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE t (id serial, k int) PARTITION BY LIST (k);"
        "CREATE TABLE p PARTITION OF t FOR VALUES IN (1) PARTITION BY LIST (k);"
        "CREATE TABLE q PARTITION OF p DEFAULT",
        "CREATE TABLE t (id serial, k int); CREATE TABLE q () INHERITS (t);"
        "ALTER TABLE q ALTER id SET DEFAULT nextval('t_id_seq')",
    ],
    ids=["partitions", "inheritance"],
)
def test_a_sequence_of_a_parent_goes_on_where_it_stood(guarded, made):
    """The parent has no rows, and so no artifact."""
    guarded.psql(f"{made}; INSERT INTO q (k) VALUES (1), (1), (1)")
    guard_truncate(guarded, "t")
    guarded.psql("TRUNCATE t RESTART IDENTITY")
    assert kept(guarded) == ["q"]
    assert guarded.psql("SELECT nextval('t_id_seq')") == "1"
    done("recover", "restore-migration", migration(guarded), "--yes", url=guarded.url)
    assert guarded.psql("SELECT max(id), nextval('t_id_seq') FROM t") == "3|4"


@pytest.mark.each_version
def test_rows_come_back_with_their_numbers_and_fire_no_trigger(orders):
    before = rows(orders)
    orders.psql(
        "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN NEW.code := ''spoilt''; RETURN NEW; END';"
        "CREATE TRIGGER spoil BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION spoil();"
        "CREATE RULE away AS ON INSERT TO orders DO INSTEAD NOTHING"
    )
    orders.psql("TRUNCATE orders RESTART IDENTITY")
    assert rows(orders) == ""
    done("recover", "restore", "orders", "--yes", url=orders.url)
    assert rows(orders) == before
    enabled = "SELECT tgenabled FROM pg_trigger WHERE tgname = 'spoil'"
    assert orders.psql(enabled) == "O"
    orders.psql("DROP TRIGGER spoil ON orders; DROP RULE away ON orders")
    orders.psql("INSERT INTO orders (code) VALUES ('new')")
    assert rows(orders) == f"{before} (4,new,4,8)"


@pytest.mark.newest
def test_a_key_that_is_taken_again_is_named(orders):
    orders.psql(
        "TRUNCATE orders; INSERT INTO orders (id, code) OVERRIDING SYSTEM VALUE VALUES (2, 'x3')"
    )
    said = zanith("recover", "restore-table", "orders", "--yes", url=orders.url)
    assert said.code == 4
    assert "1 key of archived rows is taken again in the unique key orders_pkey" in said.err
    assert "1 key of archived rows is taken again in the unique key orders_code_key" in said.err
    orders.psql("UPDATE orders SET id = DEFAULT, code = 'other'")
    done("recover", "restore-table", "orders", "--yes", url=orders.url)
    assert count(orders, "_zanith_migration_artifacts WHERE status = 'restored'") == 1
    assert orders.psql("SELECT count(*) FROM orders") == "4"


@pytest.mark.newest
def test_an_artifact_of_rows_is_like_any_other(orders, tmp_path):
    orders.psql("TRUNCATE orders")
    [found] = done("list", "--json", url=orders.url).json["artifacts"]
    assert (found["artifact_type"], found["row_count"]) == ("archive_rows", 3)
    done("recover", "seal", "orders", url=orders.url)
    done("recover", "verify", "orders", url=orders.url)
    done("recover", "export", "orders", "--output", str(tmp_path / "o.csv"), url=orders.url)
    assert (tmp_path / "o.csv").read_text().splitlines()[1] == "1,x1,1,2"
    inspected = done("inspect", "orders", url=orders.url)
    assert "Insert every row from the archive" in inspected.out
    done("recover", "restore", "orders", "--rehearse", url=orders.url)
    assert rows(orders) == ""
    done("recover", "restore", "orders", "--yes", url=orders.url)
    again = done("recover", "restore", found["id"], "--yes", url=orders.url)
    assert "restored already" in again.out + again.err
    assert done("doctor", url=orders.url).code == 0
    done("recover", "purge", found["id"], "--yes", url=orders.url)
    assert artifacts(orders) == 0
    assert orders.psql("SELECT count(*) FROM orders") == "3"


CHANGES = {
    "ALTER TABLE orders RENAME code TO sku": "has no column code",
    "ALTER TABLE orders ALTER code TYPE varchar(9)": "is character varying(9) now",
    "ALTER TABLE orders ADD must int NOT NULL": "new column must, which is NOT NULL",
    "ALTER TABLE orders ADD CHECK (code > 'x1')": "1 archived row breaks the check",
    "ALTER TABLE orders RENAME TO sales": "does not exist",
    "DROP TABLE orders": "restore",
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.newest
def test_what_keeps_rows_from_coming_back_is_named(orders, change):
    orders.psql("TRUNCATE orders")
    artifact = orders.psql("SELECT id FROM zanith._zanith_migration_artifacts")
    orders.psql(change)
    said = zanith("recover", "restore", artifact, "--yes", url=orders.url)
    assert said.code == 4
    assert CHANGES[change] in said.err


@pytest.mark.newest
def test_a_column_that_came_since_gets_its_default(orders):
    orders.psql("TRUNCATE orders; ALTER TABLE orders ADD since int NOT NULL DEFAULT 7")
    done("recover", "restore", "orders", "--yes", url=orders.url)
    assert orders.psql("SELECT DISTINCT since FROM orders") == "7"


def test_what_could_not_come_back_is_refused(orders):
    orders.psql("ALTER TABLE orders ADD CONSTRAINT k CHECK (id > 1) NOT VALID")
    said = refused(orders, "TRUNCATE orders")
    assert "ALTER TABLE public.orders VALIDATE CONSTRAINT k;" in said
    assert count(orders, "_zanith_migration_artifacts") == 0


# -------------------------------------------------------------------------------- which tables


@pytest.mark.each_version
def test_a_cascade_keeps_each_table_once_and_all_come_back(orders):
    """One of several tables that reach another asks for its rows; the referenced come first."""
    orders.psql(ITEMS + "CREATE TABLE more (id int PRIMARY KEY, i int REFERENCES items);")
    orders.psql("INSERT INTO more VALUES (1, 2)")
    guard_truncate(orders, "more")
    before = [rows(orders, table) for table in ("orders", "items", "more")]
    orders.psql("TRUNCATE orders CASCADE")
    assert sorted(kept(orders)) == ["items", "more", "orders"]
    planned = done("recover", "restore-migration", migration(orders), "--dry-run", url=orders.url)
    assert planned.code == 0
    done("recover", "restore-migration", migration(orders), "--yes", url=orders.url)
    assert [rows(orders, table) for table in ("orders", "items", "more")] == before


@pytest.mark.newest
def test_rows_without_those_that_they_refer_to_wait_for_them(orders):
    orders.psql(ITEMS)
    orders.psql("TRUNCATE orders, items")
    said = zanith("recover", "restore", "items", "--yes", url=orders.url)
    first = orders.psql(
        "SELECT id FROM zanith._zanith_migration_artifacts WHERE source_table = 'orders'"
    )
    assert said.code == 4
    assert f"Restore the referenced rows first: artifact {first}." in said.err


@pytest.mark.each_version
def test_rows_that_come_between_two_truncates_are_kept_too(orders):
    """What the first asked about, the second asks about again, in the same transaction."""
    orders.psql(ITEMS)
    orders.psql(
        "BEGIN; TRUNCATE orders CASCADE; INSERT INTO orders (code) VALUES ('new');"
        "INSERT INTO items SELECT 9, id FROM orders; TRUNCATE orders CASCADE; COMMIT"
    )
    assert kept(orders) == ["orders", "items"] * 2
    held = orders.psql(
        "SELECT string_agg(row_count::text, ' ' ORDER BY capture_order)"
        " FROM zanith._zanith_migration_artifacts"
    )
    assert held == "3 2 1 1"


def test_rows_that_refer_to_each_other_are_refused(orders):
    orders.psql(ITEMS + "ALTER TABLE orders ADD item int REFERENCES items")
    orders.psql("UPDATE orders SET item = 2")
    said = refused(orders, "TRUNCATE orders, items")
    assert "they and the rows of public.items refer to each other" in said
    assert "SELECT zanith.archive_rows('public.orders');" in said


@pytest.mark.each_version
def test_partitions_keep_their_rows_also_those_that_came_since(guarded):
    guarded.psql(PARTS)
    guard_truncate(guarded, "parts")
    guarded.psql(
        "CREATE TABLE p3 PARTITION OF parts FOR VALUES IN (3); INSERT INTO parts VALUES (3, 3)"
    )
    status = done("guard", "status", "--json", url=guarded.url).json["truncate"]
    assert status == [{"table": "public.parts", "without": ["public.p3"]}]
    before = rows(guarded, "parts")
    guarded.psql("TRUNCATE parts")
    assert sorted(kept(guarded)) == ["p1", "p2", "p3"]
    done("recover", "restore-migration", migration(guarded), "--yes", url=guarded.url)
    assert rows(guarded, "parts") == before
    guarded.psql("TRUNCATE p1, p3")
    assert sorted(kept(guarded)) == ["p1", "p1", "p2", "p3"]
    guard_truncate(guarded, "parts")
    status = done("guard", "status", "--json", url=guarded.url).json["truncate"]
    assert status == [{"table": "public.parts", "without": []}]


def test_only_leaves_the_children(guarded):
    guarded.psql(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE c () INHERITS (t);"
        "INSERT INTO t VALUES (1); INSERT INTO c VALUES (2)"
    )
    guard_truncate(guarded, "t")
    guarded.psql("TRUNCATE ONLY t")
    assert kept(guarded) == ["t"]
    guarded.psql("TRUNCATE t")
    assert kept(guarded) == ["t", "c"]


def test_an_empty_table_leaves_no_artifact(orders):
    orders.psql("TRUNCATE orders; TRUNCATE orders")
    assert artifacts(orders) == 1


# ------------------------------------------------------------------------------------------ rules


@pytest.mark.each_version
def test_the_modes_are_those_of_drops(orders):
    turn_guard_on(orders, Rule(Mode.REFUSE))
    said = refused(orders, "TRUNCATE orders")
    assert "SELECT zanith.archive_rows('public.orders');" in said
    assert "SET LOCAL zanith.guard = off" in said
    turn_guard_on(orders, Rule(Mode.WARN))
    orders.psql("BEGIN; TRUNCATE orders; ROLLBACK; TRUNCATE orders")
    turn_guard_on(orders, Rule(Mode.CAPTURE))
    orders.psql("INSERT INTO orders DEFAULT VALUES")
    orders.psql("BEGIN; SET LOCAL zanith.guard = off; TRUNCATE orders; COMMIT")
    assert artifacts(orders) == 0
    entries = orders.psql(
        "SELECT object, detail ->> 'command', detail ->> 'mode', detail ->> 'turned_off', db_role"
        " FROM zanith._zanith_audit_log WHERE detail ? 'deleted' ORDER BY id"
    )
    assert entries.splitlines() == [
        "public.orders|TRUNCATE|warn|false|postgres",
        "public.orders|TRUNCATE|off|true|postgres",
    ]
    orders.psql("INSERT INTO orders DEFAULT VALUES")
    turn_guard_on(orders, Rule(Mode.CAPTURE, may_turn_off=False))
    orders.psql("SET zanith.guard = off; TRUNCATE orders")
    assert artifacts(orders) == 1


def test_a_rule_of_the_schema_counts(orders):
    turn_guard_on(orders, Rule(Mode.OFF, schema="public"))
    orders.psql("TRUNCATE orders")
    assert artifacts(orders) == count(orders, "_zanith_audit_log WHERE detail ? 'deleted'") == 0


def test_a_copy_above_the_limit_is_refused(orders):
    orders.psql(
        "INSERT INTO orders (code) SELECT repeat('x', 999) || n FROM generate_series(1, 99) n"
    )
    said = refused(orders, "SET zanith.guard_copy_limit = '64kB'; TRUNCATE orders")
    line = said.partition("To copy them: ")[2].partition(";")[0]
    assert line.startswith("SET LOCAL zanith.guard_copy_limit = ")
    orders.psql(f"SET zanith.guard_copy_limit = '64kB'; BEGIN; {line}; TRUNCATE orders; COMMIT")
    assert kept(orders) == ["orders"]


@pytest.mark.each_version
def test_who_may_not_capture_truncates_nothing(guarded, create_role):
    owner, other = create_role("owner"), create_role("other")
    guarded.psql(
        f"CREATE SCHEMA app AUTHORIZATION {owner}; GRANT USAGE ON SCHEMA app TO {other};"
        f"SET ROLE {owner}; CREATE TABLE app.t (id int PRIMARY KEY, c text);"
        f"INSERT INTO app.t VALUES (1, 'a'); GRANT TRUNCATE ON app.t TO {other}"
    )
    guard_truncate(guarded, "app.t")
    for role in (owner, other):
        said = refused(guarded, as_role(role, "TRUNCATE app.t"))
        assert f"zanith init --grant {role}" in said
        grant_capture(guarded, role)
    assert "must be owner of table app.t" in refused(guarded, as_role(other, "TRUNCATE app.t"))
    guarded.psql(as_role(owner, "TRUNCATE app.t"))
    by = guarded.psql("SELECT created_by_role FROM zanith._zanith_migration_artifacts")
    assert by == owner
    guarded.psql(as_role(owner, "INSERT INTO app.t VALUES (2, 'b')"))
    guarded.psql(as_role(other, "SET zanith.guard = off; TRUNCATE app.t"))
    entry = "SELECT db_role FROM zanith._zanith_audit_log WHERE detail ? 'deleted'"
    assert guarded.psql(entry) == other


def test_rows_that_only_their_owner_may_copy_are_refused(guarded, create_role):
    """FORCE ROW LEVEL SECURITY cannot be lifted while TRUNCATE has the table in use."""
    owner = create_role("owner")
    grant_capture(guarded, owner)
    guarded.psql(
        f"CREATE SCHEMA app AUTHORIZATION {owner}; SET ROLE {owner};"
        "CREATE FUNCTION app.f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';"
        "CREATE TABLE app.t (id int PRIMARY KEY); CREATE INDEX ON app.t (app.f(id));"
        "INSERT INTO app.t VALUES (1);"
        "ALTER TABLE app.t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
    )
    guard_truncate(guarded, "app.t")
    said = refused(guarded, as_role(owner, "TRUNCATE app.t"))
    assert "row security applies to their owner" in said
    guarded.psql(
        as_role(
            owner,
            "BEGIN; SELECT zanith.archive_rows('app.t'); SET LOCAL zanith.guard = off;"
            "TRUNCATE app.t; COMMIT",
        )
    )
    done("recover", "restore", "app.t", "--yes", url=guarded.url)
    assert guarded.psql("SELECT count(*) FROM app.t") == "1"


FORGED = [
    "SET zanith.guard_busy = on",
    "SET zanith.guard_rehearsal = on",
    "SET zanith.guard_left = on",
    "SELECT zanith._guard_note_rows('items'::regclass, zanith._prove_caller())",
    "SELECT zanith._guard_forget_rows()",
    "SELECT zanith.begin_own_work()",
]


@pytest.mark.parametrize("forged", FORGED)
def test_no_setting_and_no_call_lets_rows_go(orders, forged):
    orders.psql(ITEMS)
    orders.psql(f"BEGIN; {forged}; TRUNCATE orders CASCADE; COMMIT")
    assert sorted(kept(orders)) == ["items", "orders"]


# ------------------------------------------------------------------------------------ the triggers


@pytest.mark.each_version
def test_the_triggers_are_nobodys_but_the_guards(guarded):
    """No plan, no definition and no coverage counts them; a table takes them along and back."""
    guarded.psql(ORDERS)
    asked = [
        "SELECT zanith._describe_table('orders'::regclass)",
        "SELECT zanith.plan_capture('archive_table', 'orders', on_dependents => 'cascade')",
        "SELECT zanith.plan_capture('archive_column', 'orders', 'code')",
        "SELECT string_agg(x::text, ' ') FROM zanith._describe_needs('orders'::regclass) x",
    ]
    before = [guarded.psql(query) for query in asked]
    guard_truncate(guarded, "orders")
    assert [guarded.psql(query) for query in asked] == before
    guarded.psql("DROP TABLE orders")
    done("recover", "restore", "orders", "--yes", url=guarded.url)
    guarded.psql("TRUNCATE orders")
    assert kept(guarded) == ["orders"]


@pytest.mark.newest
def test_off_and_uninstall_take_the_triggers_away(orders):
    triggers = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE '~zanith%'"
    status = done("guard", "status", url=orders.url)
    assert "keeps the rows of public.orders" in status.out
    found = done("guard", "truncate", "orders", "--off", "--json", url=orders.url).json
    assert (found["truncate"], orders.psql(triggers)) == ([], "0")
    orders.psql("TRUNCATE orders")
    assert artifacts(orders) == 0
    done("guard", "truncate", "orders", url=orders.url)
    assert orders.psql(triggers) == "2"
    done("guard", "off", "--yes", url=orders.url)
    assert orders.psql(triggers) == "0"
    said = zanith("guard", "truncate", "orders", url=orders.url)
    assert (said.code, "zanith guard on" in said.err) == (4, True)
    done("guard", "on", url=orders.url)
    done("guard", "truncate", "orders", url=orders.url)
    done("uninstall", "--yes", url=orders.url)
    assert orders.psql(triggers) == "0"
    assert "zanith" not in json.dumps(dump_entries(orders))


def test_disabled_event_triggers_let_it_pass(orders):
    orders.psql("".join(f"ALTER EVENT TRIGGER {name} DISABLE;" for name in TRIGGERS))
    orders.psql("TRUNCATE orders")
    assert artifacts(orders) == 0


@pytest.mark.newest
def test_only_a_table_that_can_be_captured_is_guarded(guarded):
    guarded.psql("CREATE VIEW v AS SELECT 1")
    for name in ("v", "none_such", "zanith._zanith_jobs"):
        assert zanith("guard", "truncate", name, url=guarded.url).code in {3, 4}
    with open_session(guarded) as run:
        assert run("SELECT count(*) FROM pg_trigger WHERE tgname LIKE '~zanith%'") == 0


@pytest.mark.newest
def test_the_trial_says_what_would_be_kept(orders):
    text = "TRUNCATE orders; DELETE FROM orders"
    tried = done("guard", "test", text, "--json", url=orders.url).json["statements"]
    assert [one["outcome"] for one in tried] == ["captured", "passes"]
    assert tried[0]["captured"] == [{"strategy": "archive_rows", "object": "public.orders"}]
    assert "does not keep the rows" in tried[1]["message"]
    assert rows(orders) != ""


@pytest.mark.each_version
def test_rows_of_a_partitioned_table_are_copied_partition_by_partition(database):
    database.psql(PARTS)
    with pytest.raises(CommandFailed, match="its partitions have its rows") as failed:
        database.psql("SELECT zanith.archive_rows('parts')")
    line = str(failed.value).partition("Copy those of each: ")[2].partition(";")[0]
    database.psql(line)
    assert sorted(kept(database)) == ["p1", "p2"]
