"""Files of migrations that cannot be read are refused by name, and none is waited for."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from app.migrate.read import files
from app.migrate.read.layouts import read_migrations
from app.migrate.read.migrations import LONGEST_ID, Layout
from app.migrate.rewriting.files import find_files, rewrite_files
from app.recovery.core.errors import NotFound, WrongUsage

ONE = "CREATE TABLE a (i int);"


def bind(path: Path) -> None:
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(path.parent)  # the path of a socket may have 107 bytes
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.fchdir(here)
        os.close(here)


def large(path: Path) -> None:
    path.touch()
    os.truncate(path, files.LARGEST + 1)


# what stands there, and what is said of it
WRONG = {
    "a named pipe": (os.mkfifo, "is a named pipe, not a regular file"),
    "a socket": (bind, "is a socket, not a regular file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "is a device, not a regular file"),
    "a link to nothing": (
        lambda path: path.symlink_to("gone.sql"),
        "is a link to nothing: 'gone.sql' does not exist",
    ),
    "a link to itself": (lambda path: path.symlink_to(path.name), "cannot be read: Too many"),
    "a large file": (large, "has more than 64 MB"),
}


LAYOUTS = ("zanith", "goose", "flyway", "up-down", "supabase", "file")


@pytest.mark.parametrize(
    ("kind", "layout"),
    # a link to nothing that is given is not found, as any other path
    [(kind, one) for kind in WRONG for one in LAYOUTS if one != "file" or "link" not in kind],
)
def test_what_is_no_file_is_refused(tmp_path, kind, layout):
    make, said = WRONG[kind]
    name = {"flyway": "V2__b.sql", "up-down": "0002_b.up.sql"}.get(layout, "0002_b.sql")
    make(tmp_path / name)
    where = tmp_path / name if layout == "file" else tmp_path
    with pytest.raises((WrongUsage, NotFound), match=said) as caught:
        read_migrations(where, Layout(layout))
    assert name in caught.value.message
    with pytest.raises((WrongUsage, NotFound), match=said):
        rewrite_files(find_files([tmp_path]))


@pytest.mark.parametrize("name", [b"0005_\xff.sql", b"V1__\xff.sql", b"0005_\xff.up.sql"])
def test_a_name_that_is_not_utf8(tmp_path, name):
    (tmp_path / os.fsdecode(name)).write_text(ONE)
    said = r"the name of .*\\xff.*\.sql is not UTF-8"
    for read in (read_migrations, lambda path: find_files([path])):
        with pytest.raises(WrongUsage, match=said) as caught:
            read(tmp_path)
        assert caught.value.hint == "rename it"


@pytest.mark.parametrize("inside", ["0001_a.sql", "a/migration.sql"])
def test_a_directory_whose_name_is_not_utf8(tmp_path, inside):
    directory = tmp_path / os.fsdecode(b"\xff")
    (directory / inside).parent.mkdir(parents=True)
    (directory / inside).write_text(ONE)
    for path in (directory, directory / inside, tmp_path):
        with pytest.raises(WrongUsage, match=r"\\xff.* is not UTF-8|no layout"):
            read_migrations(path)


def journal(*tags: object) -> str:
    return json.dumps({"entries": [{"idx": n, "tag": tag} for n, tag in enumerate(tags)]})


NAMES = {
    "long": "x" * 5000,
    "absolute": "/etc/x",
    "above": "../x",
    "above, later": "a/../../x",
    "zero byte": "a\0b",
    "empty part": "a//b",
    "half of a pair": "\ud800",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_that_a_journal_of_drizzle_may_not_have(tmp_path, name):
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "_journal.json").write_text(journal(NAMES[name]))
    with pytest.raises(WrongUsage, match=r"_journal.json names .* no file below"):
        read_migrations(tmp_path)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "half of a pair"])
def test_names_that_a_plan_of_sqitch_may_not_have(tmp_path, name):
    (tmp_path / "sqitch.plan").write_text(f"{NAMES[name]} 2026-01-01T00:00:00Z me <me@x>\n")
    with pytest.raises(WrongUsage, match=r"sqitch.plan names .* no file below"):
        read_migrations(tmp_path)


def test_entries_that_are_there_twice(tmp_path):
    (tmp_path / "meta").mkdir()
    (tmp_path / "0001_a.sql").write_text(ONE)
    (tmp_path / "meta" / "_journal.json").write_text(journal("0001_a", "0001_a"))
    with pytest.raises(WrongUsage, match=r"0001_a.sql twice"):
        read_migrations(tmp_path)
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "a.sql").write_text(ONE)
    (tmp_path / "sqitch.plan").write_text("a 2026-01-01T00:00:00Z me\n" * 2)
    with pytest.raises(WrongUsage, match=r"a.sql twice"):
        read_migrations(tmp_path)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"entries":' * 100_000, "[]", "null", "{}"])
def test_a_journal_that_is_none(tmp_path, text):
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "_journal.json").write_text(text)
    with pytest.raises(WrongUsage, match=r"is not a journal of drizzle"):
        read_migrations(tmp_path)


def test_an_id_has_an_end(tmp_path):
    part = "x" * 200
    (tmp_path / "deploy" / part).mkdir(parents=True)
    (tmp_path / "deploy" / part / f"{part}.sql").write_text(ONE)
    (tmp_path / "sqitch.plan").write_text(f"{part}/{part} 2026-01-01T00:00:00Z me\n")
    with pytest.raises(WrongUsage, match=f"more than {LONGEST_ID} characters"):
        read_migrations(tmp_path)


def test_a_link_out_of_the_directory_is_read(tmp_path):
    (tmp_path / "shared.sql").write_text(ONE)
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "0001_a.sql").symlink_to("../shared.sql")
    _, [one] = read_migrations(tmp_path / "migrations")
    assert one.up.data == ONE.encode()


def test_a_path_that_is_too_long_for_the_system(tmp_path):
    with pytest.raises(NotFound, match=r"does not exist"):
        read_migrations(tmp_path / ("x" * 5000))


# a file beside the migrations of a layout: whether it looks like one that would never run
BESIDE = {
    ("zanith", "0001_a.sql"): {
        "v13_x.sql": True,
        "V9__x.sql": True,
        "0010-ok.SQL": True,
        "0002_b.down.sql": True,
        "R__views.sql": True,
        "seed.sql": False,
        "readme.md": False,
        "0002_notes.txt": False,
    },
    ("flyway", "V1__a.sql"): {
        "V2_oops.sql": True,
        "v3__low.sql": True,
        "0001_a.sql": True,
        "beforeMigrate.sql": False,
        "schema.sql": False,
    },
    ("up-down", "1_a.up.sql"): {"2_b.sql": True, "2_b.UP.sql": True, "helpers.sql": False},
    ("goose", "1_a.sql"): {"2_b.sql": True, "fixtures.sql": False},
    ("dbmate", "1_a.sql"): {"2_b.sql": True, "schema.sql": False},
    ("prisma", "1_a/migration.sql"): {"2_b.sql": True, "queries.sql": False},
}
WORDS = r"looks like a migration|has no .* beside it"
MARKS = {"goose": "-- +goose Up\n", "dbmate": "-- migrate:up\n"}


@pytest.mark.parametrize(
    ("layout", "first", "beside"),
    [(*case, beside) for case, found in BESIDE.items() for beside in found],
)
def test_a_file_that_would_never_run_is_refused(tmp_path, layout, first, beside):
    (tmp_path / first).parent.mkdir(exist_ok=True)
    (tmp_path / first).write_text(f"{MARKS.get(layout, '')}SELECT 1;")
    (tmp_path / beside).write_text("DROP TABLE a;")
    if not BESIDE[layout, first][beside]:
        assert [one.up.path for one in read_migrations(tmp_path)[1]] == [tmp_path / first]
        return
    for named in (None, Layout(layout)):
        with pytest.raises(
            WrongUsage, match=r"looks like a migration|has no .* beside it"
        ) as found:
            read_migrations(tmp_path, named)
        assert found.value.hint
