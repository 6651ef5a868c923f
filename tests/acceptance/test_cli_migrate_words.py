"""What the commands of `zanith migrate` say of a mistake, and of what is not there."""

from __future__ import annotations

import pytest

from tests.acceptance.command import done, zanith
from tests.unit.test_migration_layouts import ONE, lay_out

TRUNCATE = "TRUNCATE t;"
EMPTY = "zanith migrate generate NAME --dir"
SAID = [
    ("up --dir {}/one/0001_a.sql", "", "--dir needs a directory of migrations, and"),
    ("status --dir {}/one/0001_a.sql", "", "is a file"),
    ("plan {}/one --dir {}/one/0001_a.sql", "", "names another"),
    ("plan {}/one/0001_a.sql --dir {}/one/0001_a.sql", "", "is a file"),
    ("verify {}/one --schema {}/nosuch.sql", "", "nosuch.sql does not exist\n"),
    *((f"{command} --dir {{}}/empty", "", EMPTY) for command in ("plan", "status", "up", "down")),
    ("verify {}/empty", "", EMPTY),
    ("plan {}/empty --layout flyway", "", EMPTY),
    ("plan -", TRUNCATE, "zanith guard truncate"),
    ("plan -", TRUNCATE, "write the comment: zanith: allow truncates_table"),
    ("plan -", TRUNCATE, "--allow-destructive"),
    ("plan - --layout zanith", "CREATE INDEX CONCURRENTLY i ON t (c);", "-- zanith: no-transaction"),
    ("plan -", "CREATE TABLE ${schema}.t (i int);", "${schema} is a placeholder, not SQL"),
    ("plan - --max-risk medium", "DROP TABLE a;", "above medium (35)"),
    ("plan - --max-risk 36", "DROP TABLE a;", "above 36"),
    ("plan - --fail-on opaque_sql", "DO 'x';", "write the comment: zanith: allow opaque_sql"),
]  # fmt: skip


@pytest.fixture
def place(tmp_path):
    (tmp_path / "empty").mkdir()
    return lay_out(tmp_path, {"one/0001_a.sql": ONE})


@pytest.mark.newest
@pytest.mark.parametrize(("line", "stdin", "message"), SAID)
def test_a_mistake_is_named_with_what_to_do(place, line, stdin, message):
    words = [word.format(place) for word in line.split()]
    refused = zanith("migrate", *words, stdin=stdin)
    assert refused.code in {2, 3, 4}, refused
    assert message in refused.err


@pytest.mark.newest
def test_a_down_part_on_stdin_is_no_part_of_the_plan():
    text = f"CREATE EXTENSION citext;\n{ONE}\n-- zanith: down\n{TRUNCATE}\n"
    result = done("migrate", "plan", "-", "--json", "--max-risk", "low")  # of an empty text
    assert result.json["migrations"][0]["statements"] == []
    shown = zanith("migrate", "plan", "-", stdin=text)
    assert shown.code == 0, shown
    assert "create_extension  line 1" in shown.out
    assert "truncate" not in shown.out
    marked = zanith(
        "migrate", "plan", "-", "--json", stdin=f"-- +goose Up\n{ONE}\n-- +goose Down\n"
    )
    assert marked.json["layout"] == "goose"


@pytest.mark.newest
@pytest.mark.parametrize(
    ("verb", "said", "not_said"),
    [
        ("plan", "(0 to 100)", "5 to 95"),
        ("verify", "or - for stdin", "a nothing"),
        ("snapshot list", "newest first", "range"),
    ],
)
def test_help_says_what_is_taken(verb, said, not_said):
    shown = done("migrate", *verb.split(), "--help", COLUMNS="200").out
    assert said in shown
    assert not_said not in shown


@pytest.mark.newest
def test_that_no_shadow_was_kept_is_said():
    done("migrate", "verify", "--remove-kept", "--json")
    assert "no shadow was kept" in done("migrate", "verify", "--remove-kept").err


def test_the_history_of_another_tool_is_named(database, tmp_path):
    lay_out(tmp_path, {"1_a.sql": ONE})
    database.psql("CREATE TABLE a (i int); CREATE TABLE schema_migrations (version text)")
    database.psql("INSERT INTO schema_migrations VALUES ('1')")
    known = {"url": database.url, "ZANITH_MIGRATIONS": str(tmp_path)}
    warning = "public.schema_migrations is a history table of Rails or dbmate"
    status = done("migrate", "status", **known)
    assert warning in status.err
    up = zanith("migrate", "up", **known)
    assert (up.code, warning in up.err, "zanith migrate baseline" in up.err) == (1, True, True), up
    adopted = done("migrate", "baseline", "--yes", **known)
    assert "1 migration recorded as applied" in adopted.err
    assert warning not in done("migrate", "status", **known).err
    assert " UTC  1_a" in done("migrate", "history", **known).out
