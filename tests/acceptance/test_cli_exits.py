"""How a command ends: every exit code, one JSON document, and never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.acceptance.command import PROGRAM, done, environment, zanith
from tests.acceptance.shop import ORDERS

pytestmark = pytest.mark.newest

DROP = ("drop", "column", "orders.legacy_code", "--strategy", "archive", "--yes")


@pytest.fixture
def url(database):
    database.psql(ORDERS)
    return database.url


def fails(code: int, kind: str, *args: str, url: str | None, **env: str) -> dict:
    """Run it for a person and for a script; return the error."""
    told = zanith(*args, url=url, **env)
    assert told.code == code, told
    assert told.out == ""
    assert told.err.startswith("error: ")
    result = zanith(*args, "--json", url=url, **env)
    assert result.code == code, result
    assert result.error["code"] == kind
    assert set(result.error) == {"code", "message", "detail", "hint", "sqlstate"}
    return result.error


def test_3_nothing_matches(url):
    fails(3, "not_found", "recover", "inspect", "orders.legacy_code", url=url)
    fails(3, "not_found", "recover", "restore-table", "nothing", "--yes", url=url)
    fails(3, "not_found", "recover", "export", "zzzzzzzz", "--output", "x", url=url)
    drop = ("drop", "table", "nothing", "--strategy", "soft", "--yes")
    assert "schema" in fails(3, "not_found", *drop, url=url)["hint"]
    fails(3, "not_found", "drop", "column", "orders.no", "--strategy", "soft", "--yes", url=url)


def test_4_refused_for_a_dependent_view_which_is_named(database, url):
    database.psql("CREATE VIEW codes AS SELECT legacy_code FROM orders")
    error = fails(4, "refused", *DROP, url=url)
    assert "codes" in f"{error['message']} {error['detail']}"


def test_4_refused_for_a_column_of_the_partition_key(database, url):
    database.psql("CREATE TABLE days (day date, v text) PARTITION BY RANGE (day)")
    fails(4, "refused", "drop", "column", "days.day", "--strategy", "soft", "--yes", url=url)


def test_4_refused_while_held_and_free_once_released(database, url):
    artifact = done(*DROP, "--json", url=url).json["id"]
    held = done("recover", "hold", artifact, "--reason", "legal", "--json", url=url).json
    assert held["held"]
    assert held["held_reason"] == "legal"
    fails(4, "refused", "recover", "purge", artifact, "--yes", url=url)
    assert not done("recover", "release", artifact, "--json", url=url).json["held"]
    done("recover", "purge", artifact, "--yes", url=url)


def test_4_a_changed_archive_is_not_restored_unless_said_so(database, url, tmp_path):
    artifact = done(*DROP, "--json", url=url).json
    place = f'{artifact["physical_schema"]}."{artifact["physical_name"]}"'
    database.psql(
        f"ALTER TABLE {place} DISABLE TRIGGER ALL;"
        f"UPDATE {place} SET legacy_code = 'edited' WHERE id = 7"
    )
    verified = zanith("recover", "verify", artifact["id"], "--json", url=url)
    assert verified.code == 4
    assert verified.json["matches"] is False
    assert verified.json["expected"] == artifact["checksum"]
    again = done("recover", "seal", artifact["id"], url=url).out
    assert "sealed already since" in again
    export = ("recover", "export", artifact["id"], "--output")
    for place in ("-", str(tmp_path / "codes.csv")):
        exported = zanith(*export, place, url=url)
        assert exported.code == 4
        assert "✗" in exported.err
    assert (tmp_path / "codes.csv").exists()
    for dry in (
        ("recover", "restore", "orders.legacy_code", "--dry-run"),
        ("recover", "restore-column", "orders.legacy_code", "--dry-run"),
    ):
        shown = zanith(*dry, "--json", url=url)
        assert (shown.code, "did not match its seal" in str(shown.json)) == (4, True), dry
    aged = ("recover", "cleanup", "--older-than", "0s", "--before-expiry")
    (kept,) = done(*aged, "--yes", "--json", url=url).json["results"]
    assert (kept["outcome"], "did not match its seal" in kept["why"]) == ("skipped", True)
    restore = ("recover", "restore-column", "orders.legacy_code", "--yes")
    fails(4, "refused", *restore, url=url)
    done(*restore, "--unverified", url=url)
    assert database.psql("SELECT legacy_code FROM orders WHERE id = 7") == "edited"
    audit = database.psql(
        "SELECT detail FROM zanith._zanith_audit_log WHERE action = 'restore' AND outcome = 'done'"
    )
    assert "unverified" in audit


@contextmanager
def reading(database, table: str) -> Iterator[None]:
    """Keep a transaction open that has read the table, as a long report does."""
    with subprocess.Popen(
        [database.server.bin_dir / "psql", "-qX", database.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        reader.stdin.write(f"BEGIN; SELECT count(*) FROM {table}; \\echo ready\n")
        reader.stdin.flush()
        while "ready" not in reader.stdout.readline():
            pass
        try:
            yield
        finally:
            reader.communicate("ROLLBACK;\n", timeout=10)


def test_5_a_lock_not_had_in_time(database, url):
    with reading(database, "orders"):
        soft = ("drop", "column", "orders.legacy_code", "--strategy", "soft", "--yes")
        quick = {"ZANITH_LOCK_TIMEOUT": "100ms", "ZANITH_LOCK_RETRIES": "1"}
        fails(5, "locked", *soft, url=url, **quick)


def test_6_not_permitted(database, url, create_role):
    role = create_role("stranger")
    fails(6, "not_permitted", "recover", "list", url=database.url_of(role))


def test_6_a_table_of_somebody_else(database, url, create_role):
    role = create_role("migrator")
    done("init", "--grant", role, url=url)
    fails(6, "not_permitted", *DROP, url=database.url_of(role))


def test_1_the_server_is_not_there():
    address = {"PGHOST": "127.0.0.1", "PGPORT": "1", "PGUSER": "nobody"}
    error = fails(1, "failed", "recover", "list", url=None, **address)
    assert error["hint"]


def test_a_password_is_never_shown():
    address = "postgresql://ana:s3cret@127.0.0.1:1/shop"
    for args in [("recover", "list"), ("recover", "list", "--json"), ("studio", "--port", "0")]:
        result = zanith(*args, url=address)
        assert "s3cret" not in result.out + result.err


def test_not_installed_says_what_to_run(bare_database):
    error = fails(4, "refused", "recover", "list", url=bare_database.url)
    assert "zanith init" in error["hint"]


def test_a_database_of_a_newer_engine_is_refused(database):
    database.psql("UPDATE zanith._zanith_schema SET engine = '99.0.0'")
    error = fails(4, "refused", "recover", "list", url=database.url)
    assert "99.0.0" in error["detail"]


def test_init_installs_once(bare_database):
    first = done("init", "--json", url=bare_database.url).json
    assert first["applied"]
    assert done("init", "--json", url=bare_database.url).json["applied"] == []
    assert done("recover", "list", "--json", url=bare_database.url).json["artifacts"] == []


def test_init_prints_what_psql_can_run(bare_database):
    script = done("init", "--print").out
    bare_database.psql(script)
    assert done("init", "--json", url=bare_database.url).json["applied"] == []


def test_init_grants(database, create_role):
    role = create_role("migrator")
    assert done("init", "--grant", role, "--json", url=database.url).json["granted"] == role
    fails(3, "not_found", "init", "--grant", "nobody_at_all", url=database.url)


@pytest.mark.newest
def test_the_variables_of_libpq_work(database):
    server = database.server
    variables = {
        "PGHOST": str(server.directory),
        "PGPORT": str(server.port),
        "PGUSER": server.user,
        "PGDATABASE": database.name,
    }
    assert done("recover", "list", "--json", **variables).json["artifacts"] == []
    option = done("recover", "list", "--json", "--database-url", database.url, PGHOST="nowhere")
    assert option.json["artifacts"] == []


@pytest.mark.newest
def test_a_reader_who_leaves_is_no_fault(database):
    for n in range(3):
        database.psql(f"CREATE TABLE t{n} (id integer PRIMARY KEY)")
        done("drop", "table", f"t{n}", "--strategy", "soft", "--yes", url=database.url)
    process = subprocess.Popen(
        [PROGRAM, "recover", "list", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(database.url),
    )
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 141
    assert err == b""


@pytest.mark.newest
@pytest.mark.parametrize(
    ("number", "what"),
    [
        (signal.SIGINT, ("column", "locked.code", "--strategy", "archive", "--online")),
        (signal.SIGTERM, ("table", "locked", "--strategy", "soft")),
    ],
)
def test_an_interrupted_command_says_so(database, url, number, what):
    database.psql("CREATE TABLE locked (id integer PRIMARY KEY, code text)")
    with reading(database, "locked"):
        process = subprocess.Popen(
            [PROGRAM, "drop", *what, "--yes", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(url, ZANITH_LOCK_TIMEOUT="30s"),
        )
        waiting = (
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'locked'::regclass"
        )
        deadline = time.monotonic() + 20
        while database.psql(waiting) == "0" and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(process.pid, number)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert b"Traceback" not in out + err
    assert b'"interrupted"' in out
    assert (b"run the same command again" in out) == ("--online" in what)
    assert database.psql("SELECT to_regclass('locked') IS NOT NULL") == "t"
