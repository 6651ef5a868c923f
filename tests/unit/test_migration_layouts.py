"""Migrations of each layout: which are found, in which order, and what is refused by name."""

from __future__ import annotations

import json

import pytest

from app.migrate.read.layouts import find_layout, read_migrations
from app.migrate.read.migrations import Layout, Script
from app.migrate.read.scripts import read_script
from app.migrate.read.statements import Unreadable
from app.recovery.core.errors import NotFound, WrongUsage

BOM = "\ufeff"
ONE, TWO = "CREATE TABLE a (i int);", "DROP TABLE a;"


def journal(*tags: str) -> str:
    return json.dumps({"entries": [{"idx": n, "tag": tag} for n, tag in enumerate(tags)][::-1]})


# layout, files, the ids in order, and those that have a down part
LAYOUTS = {
    "zanith": (
        Layout.ZANITH,
        {
            "0010_b.sql": ONE,
            "2_a.sql": f"{ONE}\n-- zanith: down\n{TWO}",
            "0010_b.down.sql": TWO,
            "schema.sql": "not SQL",
        },
        ["2_a", "0010_b"],
        ["2_a", "0010_b"],
    ),
    "zanith by time": (
        Layout.ZANITH,
        {"20260101120000_a.sql": ONE, "20251231-b.sql": TWO},
        ["20251231-b", "20260101120000_a"],
        [],
    ),
    "zanith with dots": (
        Layout.ZANITH,
        {"00.05.00_02_b.sql": TWO, "00.05.00_01_a.sql": ONE, "00.10.00_01_c.sql": ONE},
        ["00.05.00_01_a", "00.05.00_02_b", "00.10.00_01_c"],
        [],
    ),
    "prisma": (
        Layout.PRISMA,
        {
            "20260102_b/migration.sql": TWO,
            "20260101_a/migration.sql": ONE,
            "migration_lock.toml": "",
        },
        ["20260101_a", "20260102_b"],
        [],
    ),
    "prisma, two of one second": (
        Layout.PRISMA,
        {"20260101_b/migration.sql": TWO, "20260101_a/migration.sql": ONE},
        ["20260101_a", "20260101_b"],
        [],
    ),
    "drizzle": (
        Layout.DRIZZLE,
        {
            "0000_z.sql": f"{ONE}--> statement-breakpoint\n{TWO}",
            "0001_a.sql": TWO,
            "old.sql": "not SQL",
            "meta/_journal.json": journal("0000_z", "0001_a"),
        },
        ["0000_z", "0001_a"],
        [],
    ),
    "flyway": (
        Layout.FLYWAY,
        {
            "V1_10__c.sql": TWO,
            "V1.2__b.sql": ONE,
            "V1__a.sql": ONE,
            "U1.2__b.sql": TWO,
            "sub/V2__d.sql": ONE,
            "R__b_view.sql": "SELECT 1",
            "R__a_view.sql": "SELECT 1",
        },
        ["V1__a", "V1.2__b", "V1_10__c", "V2__d", "R__a_view", "R__b_view"],
        ["V1.2__b"],
    ),
    "golang-migrate": (
        Layout.UP_DOWN,
        {"10_b.up.sql": TWO, "9_a.up.sql": ONE, "9_a.down.sql": TWO},
        ["9_a", "10_b"],
        ["9_a"],
    ),
    "goose": (
        Layout.GOOSE,
        {
            "00002_b.sql": f"-- +goose Up\r\n{ONE}\r\n-- +goose Down\r\n{TWO}\r\n",
            "00001_a.sql": f"{BOM}-- +goose Up\n{ONE}",
        },
        ["00001_a", "00002_b"],
        ["00002_b"],
    ),
    "dbmate": (
        Layout.DBMATE,
        {"1_a.sql": f"-- migrate:up transaction:false\n{ONE}\n-- migrate:down\n{TWO}"},
        ["1_a"],
        ["1_a"],
    ),
    "sqitch": (
        Layout.SQITCH,
        {
            "sqitch.plan": "%project=x\n\na 2026-01-01T00:00:00Z A <a@b.c> # one\n"
            "b [a] 2026-01-01T00:00:00Z A <a@b.c> # two\n"
            "@v1 2026-01-01T00:00:00Z A <a@b.c> # tag\n"
            "a [a@v1 b] 2026-01-02T00:00:00Z A <a@b.c> # again\n",
            "deploy/a@v1.sql": f"BEGIN;\n{ONE}\nCOMMIT;",
            "deploy/b.sql": ONE,
            "deploy/a.sql": TWO,
            "revert/a@v1.sql": TWO,
        },
        ["a@v1", "b", "a"],
        ["a@v1"],
    ),
}


def lay_out(directory, files: dict[str, str]):
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return directory


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_recognised_and_read_in_order(tmp_path, name):
    layout, files, ids, downs = LAYOUTS[name]
    found, migrations = read_migrations(lay_out(tmp_path, files))
    assert found is layout
    assert [one.id for one in migrations] == ids
    assert [one.id for one in migrations if one.down] == downs
    for one in migrations:
        assert read_script(one.up).statements


def test_supabase_is_known_by_its_directory(tmp_path):
    lay_out(tmp_path, {"supabase/migrations/20260101_a.sql": ONE, "supabase/seed.sql": "x"})
    assert find_layout(tmp_path / "supabase" / "migrations") is Layout.SUPABASE


def test_dbmate_and_goose_say_that_they_run_without_a_transaction(tmp_path):
    files = {
        "1_a.sql": f"-- +goose NO TRANSACTION\n-- +goose Up\n{ONE}",
        "2_b.sql": f"-- +goose Up\n{ONE}",
    }
    _, migrations = read_migrations(lay_out(tmp_path / "goose", files))
    assert [one.transaction for one in migrations] == [False, True]
    _, migrations = read_migrations(lay_out(tmp_path / "dbmate", LAYOUTS["dbmate"][1]))
    assert [one.transaction for one in migrations] == [False]


def test_the_lines_of_a_part_are_those_of_the_file(tmp_path):
    text = "-- +goose Up\r\n-- +goose StatementBegin\r\nCREATE FUNCTION f() RETURNS int AS $$\r\n"
    text += "BEGIN; RETURN 1; END $$ LANGUAGE plpgsql;\r\n-- +goose StatementEnd\r\nSELECT 1;\r\n"
    text += "-- +goose Down\r\n  DROP FUNCTION f();\r\n"
    _, (one,) = read_migrations(lay_out(tmp_path, {"1_a.sql": text}))
    assert [item.statement.line for item in read_script(one.up).statements] == [3, 6]
    (down,) = read_script(one.down).statements
    assert (down.statement.line, down.column, down.text) == (8, 3, "DROP FUNCTION f()")


@pytest.mark.parametrize(
    "text",
    [
        f"-- migrate:up\n{ONE}\n-- migrate:down\n{TWO}",
        f"{BOM}-- +goose Up\n{ONE}\n-- +goose Down\n{TWO}",
        f"{ONE}\n-- zanith: down\n{TWO}",
    ],
)
def test_marks_divide_a_file_that_is_named_by_itself(tmp_path, text):
    lay_out(tmp_path, {"x.sql": text})
    _, (one,) = read_migrations(tmp_path / "x.sql")
    assert [item.text for item in read_script(one.up).statements] == [ONE[:-1]]
    assert [item.text for item in read_script(one.down).statements] == [TWO[:-1]]


REFUSED = {
    "two of one version": ({"1_a.sql": ONE, "01_b.sql": ONE}, None, "01_b.sql and 1_a.sql have"),
    "two of one version of flyway": (
        {"V1__a.sql": ONE, "V1.0__b.sql": ONE},
        None,
        "have the same version",
    ),
    "a down part and a down file": (
        {"1_a.sql": "SELECT 1;\n-- zanith: down\n", "1_a.down.sql": ONE},
        None,
        "has a down part, and 1_a.down.sql exists too",
    ),
    "a down file without its up file": ({"1_a.up.sql": ONE, "2_b.down.sql": ONE}, None, "2_b.up"),
    "two up parts": ({"1_a.sql": "-- +goose Up\n-- +goose Up\n"}, None, "two parts for up"),
    "only a down part": ({"1_a.sql": "-- migrate:down\n"}, None, "no part for up"),
    "a journal that is none": ({"meta/_journal.json": "[]"}, None, "not a journal of drizzle"),
    "a plan that is none": ({"sqitch.plan": "[x]\n"}, None, "sqitch.plan:1: "),
    "no layout": ({"readme.md": ""}, None, "no layout of migrations"),
    "no migration of the layout": ({"1_a.sql": ONE}, Layout.PRISMA, "no migrations of the layout"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_one_order_is_refused(tmp_path, name):
    files, layout, message = REFUSED[name]
    with pytest.raises(WrongUsage) as caught:
        read_migrations(lay_out(tmp_path, files), layout)
    assert message in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    "files",
    [
        {"meta/_journal.json": journal("0000_gone")},
        {"sqitch.plan": "gone 2026-01-01T00:00:00Z A <a@b.c>\n"},
    ],
)
def test_a_file_that_is_named_and_not_there_is_an_error(tmp_path, files):
    with pytest.raises(NotFound):
        read_migrations(lay_out(tmp_path, files))


def test_a_file_that_vanished_is_an_error_and_not_skipped(tmp_path):
    lay_out(tmp_path, {"1_a.sql": ONE})
    (tmp_path / "2_b.sql").symlink_to(tmp_path / "gone.sql")
    with pytest.raises(NotFound, match=r"2_b\.sql is a link to nothing"):
        read_migrations(tmp_path)
    with pytest.raises(NotFound):
        read_migrations(tmp_path / "nowhere")


# -------------------------------------------------------------------------------- their statements


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT 1;\n  \\connect other\n", "f.sql:2:3: \\connect is a psql command, not SQL"),
        ("SELECT 1;\r\n\\i x.sql\r\n", "f.sql:2:1: \\i is a psql command"),
        ("SELECT 'é', :name", "f.sql:1:13: syntax error"),
        ("SELECT 1;\n\tSELEC 2;", 'f.sql:2:2: syntax error at or near "SELEC"'),
        ("COPY t FROM stdin;\n1\t2\n\\.\n", "COPY … FROM stdin has data after it"),
        ("SELECT 1;\n COPY t (a, b) FROM stdin WITH (FORMAT csv);", "f.sql:2:2: COPY … FROM stdin"),
        ("SELECT 'open", "f.sql:1:8: unterminated quoted string"),
        (
            "-- zanith: permit truncates_table\nSELECT 1",
            "f.sql:1:1: 'permit truncates_table' is not",
        ),
        ("SELECT 1; -- zanith: allow trunc", "f.sql:1:11: 'trunc' is not a reason code"),
        ("-- zanith: allow\nSELECT 1", "f.sql:1:1: allow names no reason code"),
        ("-- zanith: strategy drop\nSELECT 1", "'strategy drop' is not a comment for Zanith"),
    ],
)
def test_what_cannot_be_read_is_refused_with_file_line_and_column(tmp_path, text, message):
    with pytest.raises(Unreadable) as caught:
        read_script(Script(tmp_path.relative_to(tmp_path) / "f.sql", text.encode()))
    assert message in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    "text", ["COPY t FROM '/tmp/x';", "COPY t FROM PROGRAM 'cat';", "COPY t TO stdout;"]
)
def test_a_copy_without_data_in_the_file_is_read(tmp_path, text):
    assert len(read_script(Script(tmp_path, text.encode())).statements) == 1


def test_comments_steer_a_statement_or_the_file(tmp_path):
    text = """-- zanith: reason the whole file
-- zanith: no-transaction

-- zanith: allow truncates_table, drops_table_with_data
TRUNCATE a;
DROP TABLE b; -- zanith: strategy soft
DROP TABLE c;
SELECT '-- zanith: allow nonsense', $$ -- zanith: nonsense $$;
-- zanith: reason only d
DROP TABLE d;
"""
    source = read_script(Script(tmp_path, text.encode()))
    assert not source.steering.transaction
    a, b, c, _, d = (item.steering for item in source.statements)
    assert sorted(a.allowed) == ["drops_table_with_data", "truncates_table"]
    assert (b.strategy, c.strategy) == ("soft", None)
    assert not b.allowed
    assert (c.reason, d.reason) == ("the whole file", "only d")
