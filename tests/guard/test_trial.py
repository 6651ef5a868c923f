"""A trial runs each statement for itself, changes nothing, and always ends."""

from __future__ import annotations

import signal
import subprocess
import time

import asyncpg
import pytest

from app.recovery.core.errors import Failed
from app.recovery.db.database import Database as Engine
from app.recovery.guard import statements
from app.recovery.guard.trial import Verdict, try_statements
from tests.acceptance.command import PROGRAM, environment, zanith
from tests.guard.twin import turn_guard_on
from tests.studios import wait_until

TABLE = "CREATE TABLE t (id int PRIMARY KEY, c text); INSERT INTO t VALUES (1, 'precious');"
NAMED_BEGIN = (
    "CREATE FUNCTION days(begin date, finish date) RETURNS int LANGUAGE sql AS 'SELECT $2 - $1'"
)
ROUTINES = [
    NAMED_BEGIN,
    "CREATE OR REPLACE PROCEDURE p(begin int, atomic int) LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION f() RETURNS TABLE (begin int) LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END AS"
    " end; SELECT (CASE WHEN true THEN 1 END); SELECT CASE WHEN true THEN 1 END; END",
    'CREATE FUNCTION f("begin" int) RETURNS int LANGUAGE sql BEGIN /* x */ ATOMIC SELECT 1; END',
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN CASE WHEN true THEN 1 END",
    "CREATE TABLE procedure (begin int, atomic int)",
    "CREATE VIEW function AS SELECT 1 AS begin",
]
# As pg_dump writes it; data that would not be read as SQL, and words that announce no data.
DUMP = r"""\restrict it's
CREATE TABLE n (a text);
COPY n (a) FROM stdin;
it's
; DROP TABLE t;
\.

COPY n FROM stdin WITH (DELIMITER ';');
\.
/*
COPY n FROM stdin;
*/ DROP TABLE t; COPY n FROM stdin;
one
\.
\unrestrict it's
"""


async def trial(database, text: str) -> list[Verdict]:
    engine = await Engine.open(database.url)
    try:
        return await try_statements(engine, text)
    finally:
        await engine.close()


async def outcomes(database, text: str) -> list[str]:
    return [verdict.outcome for verdict in await trial(database, text)]


@pytest.mark.parametrize("routine", ROUTINES)
async def test_a_statement_ends_where_it_ends(guarded, routine):
    guarded.psql(TABLE)
    assert await outcomes(guarded, f"{routine}; DROP TABLE t") == ["passes", "captured"]
    # the guard finds the second statement of one string
    connection = await asyncpg.connect(guarded.url)
    try:
        await connection.execute(f"{routine}; DROP TABLE t")
    finally:
        await connection.close()
    kept = "SELECT count(*) FROM zanith._zanith_migration_artifacts"
    assert guarded.psql(kept) == "1"


async def test_no_statement_commits_the_trial(database):
    """Neither COMMIT nor PREPARE TRANSACTION runs, whatever precedes it."""
    database.psql(TABLE)
    ends = "COMMIT", "PREPARE TRANSACTION 'x'", "COMMIT PREPARED 'x'", "COMMIT AND CHAIN"
    for end in ends:
        text = f"BEGIN; {NAMED_BEGIN}; UPDATE t SET c = NULL; {end}; DROP TABLE t"
        assert await outcomes(database, text) == [
            "skipped", "passes", "passes", "skipped", "captured"]  # fmt: skip
    assert database.psql("SELECT c FROM t") == "precious"
    for nothing in ("pg_event_trigger", "zanith._zanith_guard_rules", "pg_prepared_xacts"):
        assert database.psql(f"SELECT count(*) FROM {nothing}") == "0"


@pytest.mark.parametrize("control", ["COMMIT", "ROLLBACK AND CHAIN"])
async def test_a_trial_stops_where_its_transaction_ended(guarded, control, monkeypatch):
    """Without the list of what is skipped, nothing runs after a COMMIT."""
    monkeypatch.setattr(statements, "CONTROL", frozenset())
    guarded.psql(TABLE)
    with pytest.raises(Failed, match="ended the transaction"):
        await trial(guarded, f"SELECT 1; {control}; DELETE FROM t")
    assert guarded.psql("SELECT c FROM t") == "precious"


async def test_a_text_of_several_statements_is_not_sent(guarded, monkeypatch):
    """If a text were read wrongly, PostgreSQL refuses it."""
    guarded.psql(TABLE)

    async def as_one(_connection: object, text: str) -> list[statements.Statement]:
        return [statements.Statement(text, "SELECT 1")]

    monkeypatch.setattr("app.recovery.guard.trial.read_statements", as_one)
    (found,) = await trial(guarded, "SELECT 1; UPDATE t SET c = NULL; COMMIT")
    assert found.outcome == "failed"
    assert "multiple commands" in (found.message or "")
    assert guarded.psql("SELECT c FROM t") == "precious"


@pytest.mark.parametrize("on", [False, True])
@pytest.mark.parametrize("change", ["SET ROLE {}", "SET SESSION AUTHORIZATION {}"])
async def test_a_changed_role_runs_the_statements_and_not_our_queries(
    database, create_role, change, on
):
    role = create_role("app")
    database.psql(f"{TABLE} ALTER TABLE t OWNER TO {role}; GRANT CREATE ON SCHEMA public TO {role}")
    if on:
        turn_guard_on(database, public=True)
    # a function that our queries would find by its name, if their search path were the session's
    text = (
        f"{change.format(role)}; CREATE FUNCTION public.max(bigint) RETURNS bigint LANGUAGE sql AS"
        f" 'DROP TABLE t; SELECT 1::bigint'; SET search_path = public, pg_catalog;"
        "SELECT 1/(current_user = session_user OR current_role <> session_user)::int; CREATE ROLE x"
        "; ALTER TABLE t DROP COLUMN c; RESET ROLE; RESET SESSION AUTHORIZATION; DROP TABLE t"
    )
    found = await trial(database, text)
    assert [verdict.outcome for verdict in found] == [
        "passes", "passes", "passes", "passes", "failed", "captured" if on else "refused",
        "passes", "passes", "captured"]  # fmt: skip
    assert "permission denied" in (found[4].message or "")
    assert database.psql("SELECT c FROM t") == "precious"


async def test_copy_from_stdin_is_left_out_with_its_data(database):
    database.psql(TABLE)
    found = await trial(database, DUMP)
    assert [(verdict.command, verdict.outcome) for verdict in found] == [
        ("\\restrict", "skipped"),
        ("CREATE TABLE", "passes"),
        ("COPY N", "skipped"),
        ("COPY N", "skipped"),
        ("DROP TABLE", "captured"),
        ("COPY N", "skipped"),
        ("\\unrestrict", "skipped"),
    ]
    loads = [verdict.message or "" for verdict in found if verdict.command == "COPY N"]
    for said, lines in zip(loads, ("2 lines", "0 lines", "1 line"), strict=True):
        assert f"({lines})" in said


@pytest.mark.parametrize(
    ("statement", "outcome"),
    [
        ("COPY t FROM STDIN", "skipped"),
        ("COPY t (id, c) FROM -- x\n STDIN (FORMAT csv)", "skipped"),
        ("COPY t TO STDOUT", "passes"),
        ("COPY (SELECT 'from stdin') TO STDOUT", "passes"),
        ("SELECT $1", "failed"),
        ("SELECT '20000-01-01'::date, t FROM t", "passes"),  # a value that Python has no type for
    ],
)
async def test_no_statement_waits_for_the_client(guarded, statement, outcome):
    guarded.psql(TABLE)
    assert await outcomes(guarded, f"{statement}; DROP TABLE t") == [outcome, "captured"]


@pytest.mark.newest
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_trial(database, number):
    seen = """SELECT count(*) FROM pg_stat_activity
        WHERE query = 'SELECT pg_sleep(100)' AND datname = current_database()"""
    with subprocess.Popen(
        [PROGRAM, "guard", "test", "SELECT pg_sleep(100)"], env=environment(database.url),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:  # fmt: skip
        for _ in range(300):
            if database.psql(f"{seen} AND state = 'active'") == "1":
                break
            time.sleep(0.1)
        running.send_signal(number)
        assert running.wait(20) == 128 + number
    wait_until(lambda: database.psql(f"{seen} AND state <> 'idle'") == "0")


@pytest.mark.newest
def test_a_statement_timeout_ends_a_statement(database):
    ended = zanith(
        "guard", "test", "SET statement_timeout = 200; SELECT pg_sleep(100)", "--json",
        url=database.url)  # fmt: skip
    assert [found["outcome"] for found in ended.json["statements"]] == ["passes", "failed"]
    ended = zanith(
        "guard", "test", "SELECT pg_sleep(100)", url=database.url,
        PGOPTIONS="-c statement_timeout=200")  # fmt: skip
    assert ended.code == 4


@pytest.mark.newest
def test_a_missing_file_is_no_statement(database, tmp_path):
    for name in ("0042_missing.sql", f"{tmp_path}/none", "my migration.SQL", str(tmp_path)):
        ended = zanith("guard", "test", name, "--json", url=database.url)
        assert (ended.code, ended.error["code"]) == (2, "usage"), name
        assert name in ended.error["message"]
    file = tmp_path / "a b.txt"
    file.write_text("\ufeffSELECT 1", encoding="utf-8")  # as Windows writes it
    for text in (str(file), "SELECT 4/2", "SELECT 1 AS x;--.sql", "VACUUM"):
        assert zanith("guard", "test", text, url=database.url).code == 0, text
