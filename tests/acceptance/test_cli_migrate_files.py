"""What `zanith migrate plan` and the others read of a path: files of a directory, and stdin."""

from __future__ import annotations

import json
import re

import pytest

from tests.acceptance.command import zanith
from tests.unit.test_migration_layouts import LAYOUTS, ONE, TWO, lay_out

DOWN_PARTS = [
    ("zanith", "0010_b.down.sql", "0010_b"),
    ("flyway", "U1.2__b.sql", "V1.2__b"),
    ("golang-migrate", "9_a.down.sql", "9_a"),
    ("sqitch", "revert/a@v1.sql", "a@v1"),
]


@pytest.mark.newest
@pytest.mark.parametrize(("name", "file", "migration"), DOWN_PARTS)
def test_a_down_part_is_not_judged_as_an_up(tmp_path, name, file, migration):
    lay_out(tmp_path, LAYOUTS[name][1])
    named = ("migrate", "plan", str(tmp_path / file), "--dir", str(tmp_path), "--max-risk", "low")
    result = zanith(*named, "--json")
    assert result.code == 0, result
    assert result.json["migrations"] == []
    (note,) = result.json["notes"]
    assert f"{file} is the down part of {migration}" in note
    shown = zanith(*named)
    assert "nothing to plan" in shown.err
    assert f"is the down part of {migration}" in shown.err
    alone = zanith(*named[:2], "-", "--max-risk", "low", stdin=TWO)
    assert alone.code == 4, alone


@pytest.mark.newest
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("zanith", "v13_x.sql"),
        ("zanith", "schema.sql"),
        ("zanith", "13_gone.down.sql"),
        ("zanith", "sub/14_x.sql"),
        ("flyway", "v3__x.sql"),
        ("flyway", "U9__x.sql"),
        ("drizzle", "old.sql"),
        ("prisma", "20260103_c/other.sql"),
    ],
)
@pytest.mark.parametrize("command", ["plan", "verify"])
def test_a_file_that_the_layout_does_not_read_is_an_error(tmp_path, name, file, command):
    lay_out(tmp_path, {**LAYOUTS[name][1], file: ONE})
    result = zanith("migrate", command, str(tmp_path / file), "--dir", str(tmp_path))
    assert result.code == 2, result
    layout = LAYOUTS[name][0]
    words = f"{file} (is not a migration of the layout {layout}|looks like .* {layout} does not)"
    assert re.search(words, result.err), result


@pytest.mark.newest
def test_a_file_has_the_id_and_the_layout_of_its_directory(tmp_path):
    lay_out(tmp_path, LAYOUTS["prisma"][1])
    path = tmp_path / "20260102_b" / "migration.sql"
    result = zanith("migrate", "plan", str(path), "--dir", str(tmp_path), "--json")
    assert result.json["layout"] == "prisma"
    (one,) = result.json["migrations"]
    assert (one["id"], one["level"]) == ("20260102_b", "destructive")


@pytest.mark.newest
def test_a_file_outside_the_directory_comes_after_all(tmp_path):
    lay_out(tmp_path, {"m/1_a.sql": ONE, "draft.sql": TWO})
    result = zanith(
        "migrate", "plan", str(tmp_path / "draft.sql"), "--dir", str(tmp_path / "m"), "--json"
    )
    assert [one["level"] for one in result.json["migrations"]] == ["destructive"]


@pytest.mark.newest
@pytest.mark.parametrize(
    "line",
    [
        "plan {}", "plan --dir {}", "verify {}", "up --dir {}", "status --dir {}", "down --dir {}",
        "baseline --dir {}", "generate new --dir {}",
    ],
)  # fmt: skip
def test_the_layout_file_is_not_for_a_directory(tmp_path, line):
    lay_out(tmp_path, {"1_a.sql": ONE})
    words = [word.format(tmp_path) for word in line.split()]
    refused = zanith("migrate", *words, "--layout", "file")
    assert refused.code == 2, refused
    assert "is a directory, and the layout file is one file or the standard input" in refused.err
    assert "VERSION_name.sql" in refused.err
    assert len(list(tmp_path.iterdir())) == 1


FROM_BASE = (
    "CREATE TABLE alembic_version (version_num text);\nCREATE TABLE a (i int);\nDROP TABLE a;"
)


@pytest.mark.newest
def test_sql_that_begins_with_an_empty_database_is_named_in_each_form(tmp_path):
    wanted = "line 1 creates alembic_version"
    plan = ("migrate", "plan", "-")
    assert wanted in zanith(*plan, stdin=FROM_BASE).err
    assert wanted in zanith(*plan, "--json", stdin=FROM_BASE).json["notes"][0]
    assert "alembic&#95;version" in zanith(*plan, "--markdown", stdin=FROM_BASE).out
    (run,) = json.loads(zanith(*plan, "--sarif", stdin=FROM_BASE).out)["runs"]
    (said,) = run["invocations"][0]["toolExecutionNotifications"]
    assert wanted in said["message"]["text"]
    pending = zanith(*plan, "--json", stdin="DROP TABLE a;")
    assert pending.json["notes"] == []
