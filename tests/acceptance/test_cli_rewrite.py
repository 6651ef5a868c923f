"""`zanith rewrite` as a person and a CI job run it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.command import done, zanith


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    (tmp_path / "0001_drop.sql").write_text("-- é\nDROP TABLE a;\n", "utf-8")
    (tmp_path / "0002_rest.sql").write_text("TRUNCATE b;\nSELECT 1;\n", "utf-8")
    return tmp_path


def test_it_shows_the_difference_and_writes_nothing(migrations):
    shown = zanith("rewrite", str(migrations))
    assert shown.code == 0
    assert (
        "-DROP TABLE a;\n+SELECT zanith.archive_table('a', migration_id => '0001_drop');"
        in shown.out
    )
    assert "0002_rest.sql:1: not rewritten: TRUNCATE deletes the rows" in shown.err.replace(
        "\n", " "
    )
    assert (migrations / "0001_drop.sql").read_text("utf-8") == "-- é\nDROP TABLE a;\n"


def test_it_writes_in_place_and_a_second_time_nothing(migrations):
    done("rewrite", str(migrations), "--in-place", "--strategy", "soft", "--migration-id", "")
    assert (migrations / "0001_drop.sql").read_text("utf-8") == (
        "-- é\nSELECT zanith.soft_drop_table('a');\n"
    )
    again = zanith("rewrite", str(migrations), "--in-place")
    assert "nothing to change in 2 files" in again.err


def test_a_check_ends_with_4_until_nothing_is_dropped(migrations):
    assert zanith("rewrite", str(migrations), "--check").code == 4
    done("rewrite", str(migrations), "--in-place")
    assert zanith("rewrite", str(migrations), "--check").code == 4  # TRUNCATE is left
    (migrations / "0002_rest.sql").unlink()
    assert zanith("rewrite", str(migrations), "--check").code == 0


def test_json_has_each_change_and_what_is_left(migrations):
    shown = zanith("rewrite", str(migrations), "--json").json
    first, second = shown["files"]
    assert shown["written"] == 0
    assert first["changes"] == [
        {
            "line": 2,
            "statement": "DROP TABLE a",
            "replacement": "SELECT zanith.archive_table('a', migration_id => '0001_drop')",
        }
    ]
    assert [left["line"] for left in second["left"]] == [1]


def test_stdin_becomes_stdout_to_the_byte():
    shown = zanith("rewrite", "-", stdin="SELECT 'é';\r\nDROP TABLE a;")
    assert shown.code == 0
    assert shown.out == "SELECT 'é';\r\nSELECT zanith.archive_table('a');"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nowhere.sql",), 3, "does not exist"),
        (("-", "-i"), 2, "takes no other path"),
        (("bad.sql",), 2, "bad.sql:2:12: syntax error"),
        (("model.py",), 2, "is not a SQL file"),
    ],
)
def test_an_error_says_where_and_what_to_do(tmp_path, monkeypatch, arguments, code, said):
    (tmp_path / "bad.sql").write_text("SELECT 1;\nDROP TABLE :a;")
    (tmp_path / "model.py").write_text("")
    monkeypatch.chdir(tmp_path)
    shown = zanith("rewrite", *arguments, stdin="")
    assert shown.code == code
    assert said in shown.err.replace("\n", " ")
    assert "hint:" in shown.err or code == 2
