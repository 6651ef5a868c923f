"""`zanith recover erase`: values come from a terminal, a file or stdin, and are repeated nowhere."""

from __future__ import annotations

import hashlib
from signal import Signals

import pytest

from tests.acceptance.command import Result, done, typed, zanith

pytestmark = pytest.mark.newest

SECRET = "ann@example.com"
HOSTILE = """o'Neil "x"; DROP TABLE people; -- $1 %s [red]{a}[/red] \\ é🚀"""
MADE = f"""
CREATE TABLE people (id int PRIMARY KEY, email text, "no .te" text);
INSERT INTO people SELECT n, CASE WHEN n % 10 = 0 THEN '{SECRET}' ELSE 'x' || n END, n / 2
FROM generate_series(1, 100) AS n;
INSERT INTO people VALUES (101, $q${HOSTILE}$q$, ''), (102, ' spaced ', NULL);
"""
ERASE = ("recover", "erase", "people", "--column", "email")
CONFIRMED = ("--rows", "10", "--confirm", "people")


@pytest.fixture
def url(database):
    database.psql(MADE)
    done("drop", "table", "people", "--strategy", "archive", "--yes", url=database.url)
    return database.url


@pytest.fixture
def rows_left(database):
    """Count the parked rows, after a look that no value is in the books."""
    place = "SELECT format('%I.%I', physical_schema, physical_table)"

    def count() -> int:
        books = database.pg_dump("--data-only", "--schema=zanith")
        assert SECRET not in books
        assert "DROP TABLE people" not in books
        found = database.psql(f"{place} FROM zanith._zanith_migration_artifacts")
        return int(database.psql(f"SELECT count(*) FROM {found}"))

    return count


def silent(result: Result, *values: str) -> Result:
    """Return the result, which repeats no value."""
    for value in values or (SECRET,):
        assert value not in result.out + result.err, result
    return result


def test_a_script_gives_values_on_stdin(database, url, rows_left):
    why = ("--reason", "request 4711", "--json")
    told = silent(
        zanith(*ERASE, "--values-from", "-", *CONFIRMED, *why, url=url, stdin=f"{SECRET}\n")
    )
    assert (told.code, told.json["row_count"], told.json["rows_left"]) == (0, 10, 92), told
    assert told.json["artifact"]["row_count"] == rows_left() == 92
    exported = done("recover", "export", "people", "--output", "-", url=url).out
    assert hashlib.sha256(exported.encode()).hexdigest() == told.json["artifact"]["checksum"]
    kept = database.psql("SELECT detail FROM zanith._zanith_audit_log WHERE action = 'erase'")
    assert "request 4711" in kept


def test_a_person_types_them_and_then_the_name(url, rows_left):
    result = typed(*ERASE, "--column", "id", "--sql", url=url, answer=[SECRET, "20", "people"])
    assert result.code == 0, result
    assert "1 row of 102 matches by email, id" in result.err
    assert "VACUUM" in result.err
    assert "erased 1 row of public.people; 101 left" in result.out
    assert rows_left() == 101


def test_a_dry_run_shows_the_plan_without_the_values(url, rows_left, tmp_path):
    file = tmp_path / "ticket.txt"
    file.write_text(SECRET)
    told = silent(done(*ERASE, "--values-from", str(file), "-n", "--sql", url=url))
    assert "10 rows of 102 match by email" in told.out
    assert "DELETE FROM" in told.out
    plan = done(*ERASE, "--values-from", str(file), "--dry-run", "--json", url=url)
    assert silent(plan).json["row_count"] == 10
    assert rows_left() == 102


@pytest.mark.parametrize("value", [HOSTILE, " spaced "])
def test_a_value_is_taken_as_it_is(url, rows_left, tmp_path, value):
    file = tmp_path / "ticket.txt"
    file.write_bytes(f"{value}\r\n".encode())
    given = ("--values-from", str(file), "--rows", "1", "--confirm", "people")
    silent(done(*ERASE, *given, url=url), value)
    assert rows_left() == 101


def test_a_column_is_named_as_in_sql(url, rows_left):
    quoted = ("recover", "erase", "people", "--column", '"no .te"', "--values-from", "-")
    result = zanith(*quoted, "--rows", "1", "--confirm", "people", url=url, stdin="\n")
    assert result.code == 0, result  # the empty text, and not what is NULL
    assert rows_left() == 101


BAD = {
    "no such column": (3, ("--column", "nothing"), f"{SECRET}\nx\n"),
    "nothing matches": (4, (), "nobody\n"),
    "wrong number": (4, ("--rows", "9"), f"{SECRET}\n"),
    "wrong name": (4, ("--confirm", "persons"), f"{SECRET}\n"),
    "the value as the name": (4, ("--confirm", SECRET), f"{SECRET}\n"),
    "no value": (2, (), ""),
    "too many values": (2, (), f"{SECRET}\n{SECRET}\n"),
    "zero byte": (2, (), f"{SECRET}\0\n"),
    "too long": (2, (), SECRET * 100_000),
}


@pytest.mark.parametrize("case", BAD)
def test_what_stops_it_repeats_no_value(url, rows_left, case):
    code, more, stdin = BAD[case]
    for form in ((), ("--json",)):
        result = zanith(
            *ERASE, "--values-from", "-", *CONFIRMED, *more, *form, url=url, stdin=stdin
        )
        assert silent(result).code == code, result
        assert "error" in result.out + result.err
    assert rows_left() == 102


def test_without_a_terminal_values_and_a_name_are_needed(url, rows_left, tmp_path):
    assert "--values-from" in zanith(*ERASE, url=url).err
    assert zanith(*ERASE, url=url).code == 2
    unnamed = zanith(*ERASE, "--values-from", "-", url=url, stdin=f"{SECRET}\n")
    assert silent(unnamed).code == 4
    assert "--confirm NAME" in unnamed.err
    away = zanith(*ERASE, "--values-from", str(tmp_path / "no"), *CONFIRMED, url=url)
    assert away.code == 1
    latin = tmp_path / "latin"
    latin.write_bytes(SECRET.encode() + b"\xe9\n")
    assert silent(zanith(*ERASE, "--values-from", str(latin), *CONFIRMED, url=url)).code == 2
    assert rows_left() == 102


def test_a_wrong_name_at_a_terminal_is_not_repeated(url, rows_left):
    result = typed(*ERASE, url=url, answer=["x7", "not the name"])
    assert result.code == 4, result
    assert "typed:" not in result.err
    assert rows_left() == 102


@pytest.mark.parametrize("number", [Signals.SIGINT, Signals.SIGTERM])
@pytest.mark.parametrize("before", [[], [SECRET]], ids=["value", "name"])
def test_a_signal_ends_a_question(url, rows_left, number, before):
    result = typed(*ERASE, url=url, answer=[*before, number])
    assert result.code == 128 + number, result
    assert "interrupted" in result.err
    assert rows_left() == 102


def test_rows_that_came_meanwhile_stop_it(database, url, rows_left):
    place = database.psql(
        "SELECT format('%I.%I', physical_schema, physical_table)"
        " FROM zanith._zanith_migration_artifacts"
    )
    database.psql(
        f"ALTER TABLE {place} DISABLE TRIGGER ALL;"
        f"INSERT INTO {place} VALUES (200, '{SECRET}', NULL)"
    )
    result = silent(zanith(*ERASE, "--values-from", "-", *CONFIRMED, url=url, stdin=SECRET))
    assert result.code == 4
    assert "does not match its seal" in result.err
    assert rows_left() == 103
