"""Drop, list, inspect, restore: the whole way round, through the command alone."""

from __future__ import annotations

import pytest

from tests.acceptance.command import done, typed, zanith
from tests.acceptance.shop import HOSTILE, ORDERS, quoted

ARTIFACT_KEYS = {
    *("id", "migration_id", "artifact_type", "status", "health"),
    *("source_schema", "source_table", "source_column", "physical_schema", "physical_name"),
    *("row_count", "size_bytes", "checksum", "checksum_algorithm", "sealed_at", "verified_at"),
    *("reason", "created_at", "created_by", "created_by_role", "expires_at", "held", "cascade_of"),
    *("held_by", "held_by_role", "held_reason"),
    *("restored_at", "restored_by", "restored_by_role", "unfinished", "kept_kind", "kept_name"),
}

COLUMN = ("drop", "column", "orders.legacy_code", "--strategy")
TABLE = ("drop", "table", "carts", "--strategy")


@pytest.fixture
def url(database):
    database.psql(ORDERS)
    return database.url


@pytest.fixture
def drop(url):
    """Drop the column by archive, and return the artifact."""
    return lambda *more: done(*COLUMN, "archive", "--yes", "--json", *more, url=url).json


@pytest.mark.parametrize("strategy", ["soft", "archive"])
def test_a_column_goes_and_comes_back(database, url, strategy):
    before, rows = database.schema(), database.psql("SELECT legacy_code FROM orders ORDER BY id")
    artifact = done(*COLUMN, strategy, "--yes", "--json", url=url).json
    assert set(artifact) == ARTIFACT_KEYS | {"format_version", "command", "companions"}
    assert (artifact["source_table"], artifact["source_column"]) == ("orders", "legacy_code")
    assert "legacy_code" not in database.psql(
        "SELECT string_agg(attname, ',') FROM pg_attribute WHERE attrelid = 'orders'::regclass"
        " AND NOT attisdropped AND attname = 'legacy_code'"
    )
    (listed,) = done("recover", "list", "--json", url=url).json["artifacts"]
    assert listed == {key: artifact[key] for key in ARTIFACT_KEYS}
    seen = done("recover", "inspect", "orders.legacy_code", "--json", url=url).json
    assert set(seen) >= ARTIFACT_KEYS
    assert {"recovery_sql", "plan", "definition", "dependents", "exports", "activity"} <= set(seen)
    assert {"sql", "purpose", "lock", "tables"} <= set(seen["plan"]["steps"][0])
    done("recover", "restore-column", "orders.legacy_code", "--yes", "--json", url=url)
    assert database.psql("SELECT legacy_code FROM orders ORDER BY id") == rows
    if strategy == "soft":
        assert database.schema() == before
    again = done("recover", "inspect", artifact["id"], "--json", url=url).json
    assert again["status"] == "restored"


@pytest.mark.parametrize("strategy", ["soft", "archive"])
def test_a_table_goes_and_comes_back(database, url, strategy):
    before, rows = database.schema(), database.psql("SELECT * FROM carts ORDER BY id")
    artifact = done(*TABLE, strategy, "--yes", "--json", url=url).json
    assert artifact["row_count"] == 20
    assert len(artifact["checksum"]) == 64
    assert database.psql("SELECT to_regclass('carts') IS NULL") == "t"
    done("recover", "restore-table", "carts", "--yes", url=url)
    assert database.schema() == before
    assert database.psql("SELECT * FROM carts ORDER BY id") == rows


def test_a_rebuild_is_recorded_and_its_restore_refused(url):
    artifact = done("drop", "rebuild", "carts", "--keep-rows", "--yes", "--json", url=url).json
    assert artifact["artifact_type"] == "rebuild_table"
    refused = zanith(
        *("recover", "restore-table", "carts", "--artifact", artifact["id"], "--yes"), url=url
    )
    assert refused.code == 4, refused
    assert done("recover", "export", artifact["id"], "--output", "-", url=url).out.count("\n") == 21


def test_a_whole_migration_comes_back_newest_first(database, url):
    before = database.schema()
    given = ("--migration-id", "0042", "--yes")
    done("drop", "column", "orders.note", "--strategy", "soft", *given, url=url)
    done("drop", "table", "carts", "--strategy", "archive", *given, url=url)
    planned = done("recover", "restore-migration", "0042", "--dry-run", "--json", url=url).json[
        "plans"
    ]
    assert [plan["artifact"]["source_table"] for plan in planned] == ["carts", "orders"]
    assert planned[1]["plan"]["waits_for"] == []
    database.psql("ALTER TABLE orders ADD COLUMN note text")  # one of the two cannot come back
    refused = zanith("recover", "restore-migration", "0042", "--yes", url=url)
    assert (refused.code, "already has a column" in refused.err) == (4, True)
    assert database.psql("SELECT to_regclass('carts') IS NULL") == "t"
    database.psql("ALTER TABLE orders DROP COLUMN note")
    done("recover", "restore-migration", "0042", "--yes", url=url)
    assert database.schema() == before
    assert zanith("recover", "restore-migration", "0043", "--yes", url=url).code == 3


def test_a_column_whose_table_went_in_the_same_migration_waits_for_it(database, url):
    before = database.schema()
    given = ("--migration-id", "0044", "--yes")
    done("drop", "column", "orders.note", "--strategy", "soft", *given, url=url)
    done(
        "drop",
        "table",
        "orders",
        "--strategy",
        "archive",
        "--on-dependents",
        "cascade",
        *given,
        url=url,
    )
    planned = done("recover", "restore-migration", "0044", "--dry-run", "--json", url=url).json[
        "plans"
    ]
    table, column = (entry["artifact"]["id"] for entry in planned)
    assert [entry["plan"]["waits_for"] for entry in planned] == [[], [table]]
    shown = done("recover", "restore-migration", "0044", "--dry-run", url=url).out
    assert f"planned in full once {table} is back" in shown
    done("recover", "restore-migration", "0044", "--yes", url=url)
    assert database.schema() == before
    assert column != table


@pytest.mark.smoke
@pytest.mark.newest
def test_restoring_what_is_back_already_is_a_no_op_that_says_so(url, drop):
    artifact = drop()
    restore = ("recover", "restore-column", "orders.legacy_code", "--artifact", artifact["id"])
    done(*restore, "--yes", url=url)
    assert "already" in done(*restore, "--yes", url=url).out


@pytest.mark.newest
def test_dry_runs_show_the_plan_and_change_nothing(database, url, drop):
    before = database.pg_dump()
    for args in [(*COLUMN, "soft"), (*COLUMN, "archive"), (*TABLE, "soft"), (*TABLE, "archive")]:
        assert done(*args, "--dry-run", "--json", url=url).json["steps"]
        assert "ALTER TABLE" in done(*args, "-n", "--sql", url=url).out
        assert "ALTER TABLE" not in done(*args, "--dry-run", url=url).out
    assert database.pg_dump() == before
    drop()
    before = database.pg_dump()
    shown = done("recover", "restore-column", "orders.legacy_code", "-n", "--sql", url=url).out
    assert "ADD COLUMN" in shown
    done("recover", "cleanup", "--older-than", "0d", "--dry-run", url=url)
    assert database.pg_dump() == before


@pytest.mark.newest
def test_a_dry_run_of_what_would_be_refused_exits_4(database, url, drop):
    drop()
    database.psql("ALTER TABLE orders ADD COLUMN legacy_code integer")
    result = zanith(
        *("recover", "restore-column", "orders.legacy_code", "--dry-run", "--json"), url=url
    )
    assert result.code == 4
    assert result.json["blocked"]
    assert result.json["plan"]["conflicts"]


@pytest.mark.smoke
@pytest.mark.newest
def test_the_plan_shown_is_what_runs(database, url, drop):
    drop()
    plan = done(
        *("recover", "restore-column", "orders.legacy_code", "--dry-run", "--json"), url=url
    ).json["plan"]
    seen = done("recover", "inspect", "orders.legacy_code", "--json", url=url).json["plan"]
    assert [step["sql"] for step in plan["steps"]] == [step["sql"] for step in seen["steps"]]


@pytest.mark.newest
def test_choices_resolve_what_stops_a_restore(database, url, drop):
    drop()
    database.psql("INSERT INTO orders (total) VALUES (1), (2)")
    restore = ("recover", "restore-column", "orders.legacy_code", "--yes")
    refused = zanith(*restore, url=url)
    if refused.code:  # rows without a value: NOT NULL cannot come back by itself
        assert refused.code == 4
        assert "--fill" in refused.err
        done(*restore, "--fill", "unknown", url=url)
        assert database.psql("SELECT count(*) FROM orders WHERE legacy_code = 'unknown'") == "2"


@pytest.mark.newest
def test_another_name(database, url):
    done(*TABLE, "archive", "--yes", url=url)
    database.psql("CREATE TABLE carts (other integer)")
    refused = zanith("recover", "restore-table", "carts", "--yes", url=url)
    assert refused.code == 4
    assert "--as" in refused.err
    done("recover", "restore-table", "carts", "--as", "carts_back", "--yes", url=url)
    assert database.psql("SELECT count(*) FROM carts_back") == "20"


@pytest.mark.newest
@pytest.mark.parametrize("name", HOSTILE, ids=[str(n) for n in range(len(HOSTILE))])
def test_hostile_names_go_round(database, name):
    table, column = quoted(name), quoted(name[:31] if len(name.encode()) > 60 else name)
    database.psql(
        f"CREATE TABLE {table} (id integer PRIMARY KEY, {column} text);"
        f"INSERT INTO {table} VALUES (1, 'one'), (2, NULL)"
    )
    before = database.schema()
    dropped = done(
        *("drop", "column", f"{table}.{column}", "--strategy", "soft", "--yes", "--json"),
        url=database.url,
    ).json
    assert dropped["source_table"] == name
    listed = done("recover", "list", url=database.url).out
    assert "\x1b" not in listed
    shown = done("recover", "inspect", f"public.{table}.{column}", url=database.url).out
    assert "\x1b" not in shown
    done("recover", "restore-column", f"{table}.{column}", "--yes", url=database.url)
    done("drop", "table", table, "--strategy", "archive", "--yes", url=database.url)
    done("recover", "verify", table, url=database.url)
    done("recover", "restore-table", table, "--yes", url=database.url)
    assert database.schema() == before


@pytest.mark.newest
class TestConfirmation:
    """A person types the name; a script says --yes."""

    def test_without_a_terminal_it_refuses(self, database, url):
        before = database.pg_dump()
        result = zanith(*COLUMN, "soft", url=url, stdin="orders.legacy_code\n")
        assert result.code == 4
        assert "--yes" in result.err
        assert database.pg_dump() == before

    @pytest.mark.parametrize(
        "answer",
        ["public.orders.legacy_code", "orders.legacy_code", 'ORDERS."legacy_code"', "legacy_code"],
    )
    def test_the_name_confirms(self, url, answer):
        result = typed(*COLUMN, "soft", url=url, answer=answer)
        assert result.code == 0, result
        assert "ACCESS EXCLUSIVE" in result.err  # the plan stands above the question
        assert "captured" in result.out

    @pytest.mark.parametrize("answer", ["", "y", "yes", "orders", "legacy"])
    def test_anything_else_does_not(self, database, url, answer):
        before = database.pg_dump()
        result = typed(*COLUMN, "soft", url=url, answer=answer)
        assert result.code == 4, result
        assert database.pg_dump() == before

    def test_a_typo_is_asked_about_again_without_the_plan(self, database, url):
        result = typed(*COLUMN, "soft", url=url, answer=["orders", "legacy", "legacy_code"])
        assert result.code == 0, result
        assert result.err.count("in one transaction") == 1
        assert "orders is something else. Nothing was changed." in result.err
        assert result.err.count("Type public.orders.legacy_code to drop it recoverably:") == 3
        before = database.pg_dump()
        result = typed(*TABLE, "soft", url=url, answer=["x", "xx", "xxx", "carts"])
        assert result.code == 4
        assert "typed: xxx" in result.err
        result = typed(*TABLE, "soft", url=url, answer=["no", "carts"])
        assert result.code == 4
        assert database.pg_dump() == before

    def test_a_restore_and_a_purge_ask_too(self, url, drop):
        artifact = drop()
        restore = ("recover", "restore-column", "orders.legacy_code")
        assert typed(*restore, url=url, answer="no").code == 4
        assert typed(*restore, url=url, answer=artifact["id"]).code == 0
        purge = ("recover", "purge", artifact["id"])
        assert typed(*purge, url=url, answer=["orders", artifact["id"][:6]]).code == 0


@pytest.mark.newest
class TestTerminal:
    """How it looks: colour only where somebody sees it, nothing cut at the edge."""

    def test_no_escape_codes_without_a_terminal(self, url, drop):
        drop()
        for args in [("list",), ("inspect", "orders.legacy_code")]:
            assert "\x1b" not in done("recover", *args, url=url).out

    def test_names_stay_whole_in_a_pipe(self, database):
        name = "n" * 63
        database.psql(f"CREATE TABLE {name} (id integer PRIMARY KEY, {name} text)")
        done("drop", "column", f"{name}.{name}", "--strategy", "soft", "--yes", url=database.url)
        assert f"public.{name}.{name}"[:60] in done("recover", "list", url=database.url).out

    @pytest.mark.parametrize("columns", [80, 120])
    def test_lines_fit(self, url, drop, columns):
        drop("--reason", "long " * 40, "--migration-id", "m" * 60)
        for args in [("list",), ("inspect", "orders.legacy_code")]:
            shown = done("recover", *args, url=url, COLUMNS=str(columns)).out
            assert max(len(line) for line in shown.splitlines()) <= columns
