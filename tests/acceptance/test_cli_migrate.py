"""`zanith migrate plan` as a program: exit codes, streams, and the forms of output."""

from __future__ import annotations

import json

import pytest

from app.demo import MIGRATIONS
from tests.acceptance.command import zanith

DROP = "DROP TABLE orders;\n"


@pytest.fixture
def migrations(tmp_path):
    (tmp_path / "0001_a.sql").write_text("CREATE TABLE orders (id int);")
    (tmp_path / "0002_b.sql").write_text(DROP)
    return tmp_path


def planned(directory, *args):
    return zanith("migrate", "plan", *args, ZANITH_MIGRATIONS=str(directory))


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ((), 0),
        (("--max-risk", "high"), 4),
        (("--max-risk", "80"), 0),
        (("--max-risk", "highest"), 2),
        (("--fail-on", "drops_table_with_data"), 4),
        (("--fail-on", "renames_object,nonsense"), 2),
        (("--after", "0002"), 0),
        (("--after", "0009"), 3),
        (("--json", "--sarif"), 2),
        (("{dir}/nowhere",), 3),
        (("{dir}", "--layout", "prisma"), 2),
    ],
)
def test_exit_codes(migrations, args, code):
    result = planned(migrations, *(arg.format(dir=migrations) for arg in args))
    assert result.code == code, result


def test_a_file_comes_after_those_of_the_directory(migrations):
    (migrations / "0003_c.sql").write_text("ALTER TABLE customers ADD c int;")
    result = planned(migrations, str(migrations / "0002_b.sql"), "--json")
    (one,) = result.json["migrations"]
    assert (one["id"], one["level"]) == ("0002_b", "destructive")
    operation = one["statements"][0]["operations"][0]
    assert operation["recovery"] == {
        "recoverable": True, "by": "capture", "strategy": "archive",
    }  # fmt: skip


def test_a_plan_of_stdin_in_each_form():
    sql = 'DROP TABLE "a\x1b[31mb";\nTRUNCATE c;\n'
    text = zanith("migrate", "plan", "-", stdin=sql)
    assert text.code == 4
    assert "\x1b" not in text.out + text.err
    assert "stdin:2: truncate c: truncates_table" in text.err
    markdown = zanith("migrate", "plan", "-", "--markdown", stdin=sql)
    assert markdown.out.startswith("### Migrations: ")
    sarif = zanith("migrate", "plan", "-", "--sarif", stdin=sql)
    assert json.loads(sarif.out)["version"] == "2.1.0"
    assert (markdown.code, sarif.code) == (4, 4)
    refused = zanith("migrate", "plan", "-", "--json", stdin="SELECT 1;\n \\d t")
    assert refused.code == 2
    assert refused.json["error"]["message"].startswith("stdin:2:2: \\d is a psql command")


def test_the_migrations_of_the_demo():
    result = zanith("migrate", "plan", str(MIGRATIONS), "--json")
    assert result.code == 0, result
    levels = {one["id"]: one["level"] for one in result.json["migrations"]}
    assert levels == {
        "0101_product_rating": "low",
        "0102_drop_order_notes": "destructive",
        "0103_one_order_per_customer": "high",
    }


def test_a_preflight_needs_a_database():
    refused = zanith("migrate", "plan", "-", "--preflight", "--json", stdin="SELECT 1")
    assert refused.code == 2
    assert refused.error["message"] == "--preflight needs a database"


def test_plan_up_and_down_know_what_is_pending(database, migrations):
    (migrations / "0002_b.sql").write_text("ALTER TABLE orders ADD COLUMN c int;")
    known = {"url": database.url, "ZANITH_MIGRATIONS": str(migrations)}
    address = ("-d", database.url)
    first = zanith("migrate", "up", "--steps", "1", **known)
    assert (first.code, "0001_a" in first.err) == (0, True), first
    planned_now = zanith("migrate", "plan", "--json", *address, **known)
    assert [one["id"] for one in planned_now.json["migrations"]] == ["0002_b"]
    assert zanith("migrate", "status", "--check", **known).code == 4
    assert zanith("migrate", "up", **known).code == 0
    assert zanith("migrate", "status", "--check", **known).code == 0
    refused = zanith("migrate", "down", **known)
    assert (refused.code, "not confirmed" in refused.err) == (4, True), refused
    assert zanith("migrate", "down", "--yes", **known).code == 0
    shown = zanith("migrate", "history", "--verbose", **known)
    assert "0002_b  down, applied" in shown.out, shown
    assert zanith("migrate", "history", "--id", "nosuch", **known).code == 3
    (migrations / "0003_c.sql").write_text("SELECT nosuch;")
    failed = zanith("migrate", "up", "--json", **known)
    assert (failed.code, failed.error["code"]) == (1, "failed")
    assert "0003_c.sql:1:8" in failed.error["message"]
    (migrations / "0001_a.sql").write_text("CREATE TABLE orders (id bigint);")
    edited = zanith("migrate", "up", **known)
    assert (edited.code, "0001_a.sql:1: now:" in edited.err) == (4, True), edited
