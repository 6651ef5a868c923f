"""What a DBA's fingers expect of a command line: short words, short plans, names instead of ids."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import termios
import time

import pytest

from tests.acceptance.command import ESCAPES, PROGRAM, done, environment, typed, zanith
from tests.acceptance.shop import ORDERS

pytestmark = pytest.mark.newest


@pytest.fixture
def url(database):
    """A database with a shop in it."""
    database.psql(ORDERS)
    return database.url


def parked(what: str, name: str, strategy: str, url: str) -> str:
    """Drop an object recoverably and return its artifact's id."""
    words = ("drop", what, name, "--strategy", strategy, "--yes", "--json")
    identifier: str = done(*words, url=url).json["id"]
    return identifier


def test_short_words_look_and_bring_back(database, url):
    assert "nothing has been dropped yet" in done("status", url=url).out
    rows = database.psql("SELECT legacy_code FROM orders ORDER BY id")
    column = parked("column", "orders.legacy_code", "archive", url)
    table = parked("table", "carts", "soft", url)
    shown = done("status", url=url).out
    assert "2: 2 recoverable, 0 restored" in shown
    assert "public.carts" in shown
    assert " as postgres" in shown
    assert column in done("list", "orders", url=url).out
    assert table not in done("list", "public.orders", url=url).out
    assert table in done("list", "--table", "carts", url=url).out
    assert zanith("list", "carts", "--table", "carts", url=url).code == 2

    assert zanith("recover", "restore", url=url).code == 2
    assert zanith("recover", "restore", "carts", "--last", url=url).code == 2
    done("recover", "restore", "--last", "--yes", url=url)
    assert database.psql("SELECT count(*) FROM carts").strip() == "20"
    done("recover", "restore", column[:6], "--yes", url=url)
    assert database.psql("SELECT legacy_code FROM orders ORDER BY id") == rows
    assert zanith("recover", "restore", "--last", url=url).code == 3


def test_a_name_means_what_can_come_back_not_what_was_recorded(database, url):
    parked("table", "carts", "archive", url)
    database.psql("CREATE TABLE carts (id int)")
    done("drop", "rebuild", "carts", "--yes", url=url)
    database.psql("DROP TABLE carts")
    done("recover", "restore", "carts", "--yes", url=url)
    assert database.psql("SELECT count(*) FROM carts").strip() == "20"


def test_what_was_purged_is_listed(url):
    first = parked("table", "carts", "archive", url)
    second = parked("column", "orders.note", "archive", url)
    assert "Nothing has been purged yet" in done("list", "--purged", url=url).out
    done("recover", "purge", first, "--reason", "retention", "--yes", url=url)
    done("recover", "cleanup", "--older-than", "0s", "--before-expiry", "--yes", url=url)
    found = done("list", "--purged", "--json", url=url).json["purged"]
    assert [one["artifact_id"] for one in found] == [second, first]
    assert found[1]["reason"] == "retention"
    assert {one["purged_by_role"] for one in found} == {"postgres"}
    assert [one["action"] for one in found] == ["cleanup", "purge"]
    of_carts = done("list", "--purged", "carts", url=url).out
    assert first in of_carts
    assert second not in of_carts
    assert "retention" in of_carts
    assert zanith("list", "--purged", "--status", "restored", url=url).code == 2


def test_plans_are_short_and_a_purge_has_one(database, url):
    drop = ("drop", "column", "orders.legacy_code", "--strategy", "archive")
    short, whole = done(*drop, "-n", url=url).out, done(*drop, "-n", "--sql", url=url).out
    assert "--sql shows every statement" in short
    assert "DROP COLUMN" in whole
    assert "DROP COLUMN" not in short
    assert len(short.splitlines()) < len(whole.splitlines()) * 2 / 3
    column = parked("column", "orders.legacy_code", "archive", url)
    before = database.pg_dump()
    plan = done("recover", "purge", column, "-n", "--sql", url=url).out
    assert "DROP TABLE" in plan
    assert "sha256" in plan
    assert database.pg_dump() == before
    done("recover", "hold", column, url=url)
    held = zanith("recover", "purge", column, "--dry-run", url=url)
    assert held.code == 4
    assert "held" in held.out
    done("recover", "release", column, url=url)
    assert (
        "SELECT"
        not in done("recover", "inspect", column, url=url).out.split("Restore with psql")[0]
    )


def on_a_screen(*args: str, url: str, lines: int, **env: str) -> str:
    """Run a command whose stdout is a terminal of so many lines, and return what it shows."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (lines, 100))
    has = environment(url, TERM="xterm-256color", **env)
    has.pop("LINES", None)
    process = subprocess.Popen(
        [PROGRAM, *args], stdin=theirs, stdout=theirs, stderr=theirs, env=has
    )
    os.close(theirs)
    shown, deadline = b"", time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the other end was closed: it ended
                break
    assert process.wait(10) == 0
    os.close(ours)
    return ESCAPES.sub("", shown.decode())


def test_what_is_longer_than_the_screen_goes_through_the_pager(url, tmp_path):
    column = parked("column", "orders.legacy_code", "archive", url)
    mine = tmp_path / "pager"
    mine.write_text("#!/bin/sh\necho [paged]; cat\n")
    mine.chmod(0o755)
    look = ("recover", "inspect", column, "--sql")
    paged = on_a_screen(*look, url=url, lines=10, PAGER=str(mine))
    assert paged.startswith("[paged]")
    assert column in paged
    for lines, env in (
        (500, {"PAGER": str(mine)}),
        (10, {"PAGER": ""}),
        (10, {"PAGER": str(mine), "ZANITH_PAGER": "cat"}),
        (10, {"ZANITH_PAGER": "/no/such/pager -x"}),
        (10, {"ZANITH_PAGER": "'open"}),
    ):
        plain = on_a_screen(*look, url=url, lines=lines, **env)
        assert "[paged]" not in plain, (lines, env)
        assert column in plain
    assert "[paged]" not in done(*look, url=url, PAGER=str(mine)).out


def test_all_are_sealed_and_verified_and_the_worst_decides(database, url):
    database.psql("SELECT zanith.archive_column('orders', 'legacy_code', notify => false)")
    database.psql("SELECT zanith.archive_table('carts', notify => false)")
    done("drop", "column", "orders.note", "--strategy", "soft", "--yes", url=url)
    assert zanith("recover", "seal", url=url).code == 2
    assert zanith("recover", "verify", "carts", "--all", url=url).code == 2
    results = done("recover", "seal", "--all", "--json", url=url).json["results"]
    assert [one["outcome"] for one in results] == ["sealed", "sealed"]
    assert "Nothing is left to be sealed" in done("recover", "seal", "--all", url=url).out
    assert "2 verified" in done("recover", "verify", "--all", url=url).out
    place = database.psql(
        "SELECT format('%I.%I', physical_schema, physical_table)"
        " FROM zanith._zanith_migration_artifacts WHERE source_table = 'carts'"
    ).strip()
    database.psql(
        f"ALTER TABLE {place} DISABLE TRIGGER ALL; UPDATE {place} SET id = 99 WHERE id = 1"
    )
    told = zanith("recover", "verify", "--all", "--json", url=url)
    assert told.code == 4
    outcomes = {one["artifact"]["source_table"]: one["outcome"] for one in told.json["results"]}
    assert outcomes == {"orders": "verified", "carts": "changed"}
    database.psql(f"DROP TABLE {place}")
    told = zanith("recover", "verify", "--all", "--json", url=url)
    assert told.code == 1
    failed = next(one for one in told.json["results"] if one["outcome"] == "failed")
    assert failed["artifact"]["source_table"] == "carts"
    assert failed["error"]["message"]


def test_a_role_that_may_look_sees_all_and_changes_nothing(database, url, create_role):
    role = create_role("reader")
    column = parked("column", "orders.legacy_code", "archive", url)
    parked("table", "carts", "soft", url)
    told = done("init", "--grant-read", role, "--json", url=url).json
    assert told["granted_read"] == role
    look = ("-U", role)
    for words in (
        ("list",),
        ("list", "--purged"),
        ("status",),
        ("inspect", column),
        ("inspect", "carts"),
        ("doctor",),
        ("jobs", "list"),
        ("recover", "restore", "carts", "-n"),
    ):
        result = zanith(*words, *look, "--json", url=url)
        assert result.code in {0, 4}, (words, result)
        assert not result.json.get("error"), result
    before = database.pg_dump()
    for words in (
        ("recover", "restore", column, "--yes"),
        ("recover", "purge", column, "--yes"),
        ("recover", "hold", column),
        ("drop", "table", "orders", "--strategy", "soft", "--yes"),
    ):
        assert zanith(*words, *look, url=url).code == 6, words
    assert database.pg_dump() == before
    assert zanith("init", "--grant-read", "nobody_there", url=url).code == 3


def test_several_columns_go_in_one_transaction(database, url):
    database.psql(
        "CREATE INDEX of_both ON orders (legacy_code, note);"
        "CREATE VIEW notes AS SELECT note, total FROM orders"
    )
    before, rows = database.schema(), database.psql("SELECT * FROM orders ORDER BY id")
    drop = ("drop", "column", "orders.legacy_code", "public.orders.note", "--strategy")
    plans = done(*drop, "archive", "-n", "--on-dependents", "cascade", "--json", url=url).json
    assert [plan["object"] for plan in plans["plans"]] == [
        "public.orders.legacy_code",
        "public.orders.note",
    ]
    refused = zanith(*drop, "archive", "--yes", url=url)
    assert refused.code == 4  # the second has a dependent, so the first stays too
    assert "notes" in refused.err
    assert zanith(*drop, "archive", "--online", "--yes", url=url).code == 2
    twice = ("drop", "column", "orders.legacy_code", "public.orders.legacy_code")
    assert zanith(*twice, "--strategy", "soft", "--yes", url=url).code == 2
    assert database.schema() == before
    assert zanith("list", "--json", url=url).json["artifacts"] == []

    shown = typed(*drop, "soft", "--on-dependents", "cascade", url=url, answer="2")
    assert shown.code == 0, shown
    assert "2 columns in one transaction" in shown.err
    for name in ("public.orders.legacy_code", "public.orders.note"):
        assert name in shown.err
    for _ in range(2):
        done("recover", "restore", "--last", "--yes", url=url)
    assert database.schema() == before

    given = (*drop, "archive", "--on-dependents", "cascade", "--yes", "--json")
    artifacts = done(*given, "--migration-id", "0042", url=url).json["artifacts"]
    assert all(artifact["sealed_at"] for artifact in artifacts)
    assert len({artifact["created_at"] for artifact in artifacts}) <= 2
    done("recover", "restore-migration", "0042", "--yes", url=url)
    columns = "SELECT id, legacy_code, note, total FROM orders ORDER BY id"
    assert database.psql(columns) == rows


def test_of_several_columns_nothing_runs_that_was_not_shown(database, url):
    database.psql(
        "CREATE TABLE keyed (id int PRIMARY KEY, code text NOT NULL UNIQUE, total int);"
        "INSERT INTO keyed SELECT n, 'c' || n, n FROM generate_series(1, 9) n"
    )
    before = database.schema()
    drop = ("drop", "column", "--strategy", "archive", "--yes")
    # with id gone, total would be filed under code, and its plan was another
    refused = zanith(*drop, "keyed.id", "keyed.total", url=url)
    assert refused.code == 4
    assert "another plan" in refused.err
    assert database.schema() == before
    done(*drop, "keyed.total", "keyed.id", url=url)
    for _ in range(2):
        done("recover", "restore", "--last", "--yes", url=url)
    found = database.psql("SELECT count(*) FROM keyed WHERE code = 'c' || id AND total = id")
    assert found.strip() == "9"


def test_the_shell_offers_names(database, url):
    column = parked("column", "orders.legacy_code", "archive", url)
    database.psql('CREATE SCHEMA apart; CREATE TABLE apart.orders (id int, "Odd name" int, b int)')

    def offered(line: str, **env: str) -> list[str]:
        result = zanith(
            _ZANITH_COMPLETE="complete_bash",
            COMP_WORDS=line,
            COMP_CWORD=str(line.count(" ")),
            **(env or {"ZANITH_DATABASE_URL": url}),
        )
        assert result.err == ""
        return result.out.split()

    assert {"public.orders.legacy_code", column} <= set(offered("zanith inspect "))
    assert offered("zanith inspect ord") == ["orders.legacy_code"]
    assert offered(f"zanith recover restore {column[:5]}") == [column]
    assert offered("zanith list pub") == ["public.orders"]
    assert set(offered("zanith drop table apa")) == {"apart.orders"}
    assert offered("zanith drop column car") == ["carts."]
    assert offered("zanith drop column apart.orders.") == ["apart.orders.id", "apart.orders.b"]
    assert offered(f"zanith inspect -d {url} ord", PGHOST="127.0.0.1") == ["orders.legacy_code"]
    assert offered("zanith inspect ord", ZANITH_PROFILE="nothing") == []
    begun = time.monotonic()
    assert offered("zanith inspect ", PGHOST="10.255.255.1") == []
    assert time.monotonic() - begun < 8  # a connection would wait for 10 s
