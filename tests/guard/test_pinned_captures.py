"""Pinned tables: Zanith's own captures, and the guard, work beneath a pin."""

from __future__ import annotations

import pytest

from tests.acceptance.command import done
from tests.guard.pinned import ALL, NAME, PARTS, fails, pins, rows
from tests.guard.test_rules import artifacts
from tests.oracle.judges import restore_by_psql

# ------------------------------------------------------------------------------------ own captures


@pytest.mark.each_version
@pytest.mark.parametrize("strategy", ["archive", "soft"])
def test_a_pinned_table_goes_and_comes_back_pinned(pinned, strategy):
    before = rows(pinned)
    plan = done(
        "drop", "table", "orders", "--strategy", strategy, "--dry-run", "--json", url=pinned.url
    )
    assert NAME not in plan.out
    assert plan.json["dependents"] == []
    done("drop", "table", "orders", "--strategy", strategy, "--yes", url=pinned.url)
    state = done("guard", "status", "--json", url=pinned.url).json
    assert state["pins"] == []
    definition = pinned.psql("SELECT definition FROM zanith._zanith_migration_artifacts")
    assert "zanith_pin" not in definition
    assert "zanith_pin" not in pinned.psql(
        "SELECT recovery_sql FROM zanith._zanith_migration_artifacts"
    )
    done("recover", "restore", "orders", "--yes", url=pinned.url)
    assert rows(pinned) == before
    assert pins(pinned) == ALL
    assert done("doctor", "--json", url=pinned.url).json["findings"] == []


@pytest.mark.each_version
@pytest.mark.parametrize("strategy", ["archive", "soft"])
@pytest.mark.parametrize("column", ["code", "d", "total"])
def test_a_column_of_a_pinned_table_goes_and_comes_back_pinned(pinned, strategy, column):
    before = rows(pinned)
    more = ("--on-dependents", "cascade") if column == "total" else ()  # twice is made of it
    word = ("drop", "column", f"orders.{column}", "--strategy", strategy, *more)
    assert NAME not in done(*word, "--dry-run", "--json", url=pinned.url).out
    done(*word, "--yes", url=pinned.url)
    left = [name for name in ALL.split()[1].split(",") if name != column]
    if column == "total":
        left.remove("twice")
    assert pins(pinned) == "orders " + ",".join(left)
    assert NAME in fails(pinned, "ALTER TABLE public.orders DROP COLUMN note")
    done("recover", "restore", f"orders.{column}", "--yes", url=pinned.url)
    assert rows(pinned) == before
    [found] = done("guard", "status", "--json", url=pinned.url).json["pins"]
    assert found["lacking"] == []
    assert NAME in fails(pinned, f"ALTER TABLE public.orders DROP COLUMN {column}")


@pytest.mark.newest
def test_online_work_and_purges_go_on(pinned):
    before = rows(pinned)
    done(
        "drop",
        "column",
        "orders.code",
        "--strategy",
        "archive",
        "--online",
        "--yes",
        url=pinned.url,
    )
    assert pins(pinned) == "orders id,total,d,twice,note"
    done("recover", "restore", "orders.code", "--online", "--yes", url=pinned.url)
    assert rows(pinned) == before
    assert "code" in pins(pinned)
    done("drop", "column", "orders.note", "--strategy", "soft", "--yes", url=pinned.url)
    done("guard", "pin", "orders", url=pinned.url)  # which does not pin what is parked
    done("recover", "purge", "orders.note", "--yes", url=pinned.url)
    done("drop", "rebuild", "orders", "--keep-rows", "--yes", url=pinned.url)
    done("drop", "table", "orders", "--strategy", "archive", "--yes", url=pinned.url)
    done("recover", "purge", "orders", "--yes", url=pinned.url)
    assert pins(pinned) == ""


@pytest.mark.each_version
def test_old_values_come_back_into_a_pinned_column(plain):
    before = rows(plain)
    done("guard", "on", url=plain.url)
    done("guard", "pin", "orders", "--off", url=plain.url)
    plain.psql(
        "ALTER TABLE orders ALTER COLUMN twice DROP EXPRESSION;"
        "ALTER TABLE orders ALTER COLUMN total TYPE int"
    )
    done("guard", "pin", "orders", url=plain.url)
    done("recover", "restore", "orders.total", "--yes", url=plain.url)
    assert rows(plain) == before
    assert pins(plain) == ALL


@pytest.mark.each_version
def test_a_script_restores_and_pins_again(plain, tmp_path):
    before = rows(plain)
    for strategy in ("archive_column", "soft_drop_column"):
        for column in ("d", "code"):
            found = plain.psql(f"SELECT zanith.{strategy}('orders', '{column}')")
            assert f",{column}," not in pins(plain)
            restore_by_psql(plain, found, tmp_path)
            assert column in pins(plain)
    found = plain.psql("SELECT zanith.archive_table('orders')")
    restore_by_psql(plain, found, tmp_path)
    assert rows(plain) == before
    assert NAME in fails(plain, "DROP TABLE orders")


@pytest.mark.each_version
def test_partitions_go_and_come_back_pinned(database):
    database.psql(PARTS)
    done("guard", "pin", "parts", url=database.url)
    done("drop", "column", "parts.v", "--strategy", "archive", "--yes", url=database.url)
    assert pins(database) == "parts id,k\np1 id,k"
    done("recover", "restore", "parts.v", "--yes", url=database.url)
    assert pins(database) == "parts id,k,v\np1 id,k,v"
    done("drop", "table", "p1", "--strategy", "archive", "--yes", url=database.url)
    done("recover", "restore", "p1", "--yes", url=database.url)
    done("drop", "table", "parts", "--strategy", "archive", "--yes", url=database.url)
    done("recover", "purge", "parts", "--yes", url=database.url)
    assert pins(database) == ""


# -------------------------------------------------------------------------------- with the guard


@pytest.mark.each_version
def test_with_the_guard_the_pin_still_refuses_and_cascade_is_captured(plain):
    before = rows(plain)
    done("guard", "on", url=plain.url)
    state = done("guard", "status", "--json", url=plain.url).json
    assert state["protection"] == ["event triggers", "pins"]
    for statement in (
        "DROP TABLE orders",
        "ALTER TABLE orders DROP COLUMN code",
        "ALTER TABLE orders ALTER COLUMN code TYPE varchar(1) USING 'x'",
    ):
        assert NAME in fails(plain, statement)
    assert artifacts(plain) == 0
    plain.psql("ALTER TABLE orders DROP COLUMN code CASCADE")
    assert pins(plain) == "orders id,total,d,twice,note"
    done("recover", "restore", "orders.code", "--yes", url=plain.url)
    plain.psql("DROP TABLE orders CASCADE")
    assert artifacts(plain) == 2
    done("recover", "restore-table", "orders", "--yes", url=plain.url)
    assert sorted(rows(plain)) == sorted(before)
    assert NAME in fails(plain, "DROP TABLE orders")
    plain.psql("CREATE SCHEMA app; ALTER TABLE orders SET SCHEMA app; DROP SCHEMA app CASCADE")
    done("recover", "restore-table", "app.orders", "--yes", url=plain.url)
    assert NAME in fails(plain, "DROP TABLE app.orders")


@pytest.mark.newest
def test_the_guard_keeps_no_definition_of_a_pin(plain):
    done("guard", "on", url=plain.url)
    plain.psql(f"DROP FUNCTION zanith_pin.{NAME}(orders)")
    done("guard", "pin", "orders", url=plain.url)
    done("guard", "pin", "orders", "--off", url=plain.url)
    done("guard", "pin", "orders", url=plain.url)
    plain.psql("ALTER TABLE orders DROP COLUMN code CASCADE; DROP TABLE orders CASCADE")
    plain.psql("CREATE FUNCTION kept(int) RETURNS int LANGUAGE sql AS 'SELECT 1'")
    plain.psql("DROP FUNCTION kept(int); DROP SCHEMA zanith_pin CASCADE")
    kept = "SELECT kept_name FROM zanith._zanith_migration_artifacts WHERE kept_name IS NOT NULL"
    assert plain.psql(kept) == "public.kept(integer)"


@pytest.mark.newest
def test_pins_stay_when_the_guard_is_turned_off(plain):
    done("guard", "on", url=plain.url)
    said = done("guard", "off", "--yes", url=plain.url)
    assert "→ zanith guard pin public.orders --off" in said.out
    assert pins(plain) == ALL
    assert NAME in fails(plain, "DROP TABLE orders")
