"""The page of pending migrations shows what `up` would run, and it changes no file and no table."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.command import zanith
from tests.studios import run_studio

pytestmark = pytest.mark.newest

STAFF, LOOK = "the-token-of-staff", "the-token-of-viewer"
TOKENS = {"auth_token": f"ana:{STAFF}", "read_only_auth_token": f"vic:{LOOK}"}
TABLE = "CREATE TABLE orders (id int PRIMARY KEY, code text, total int);\n"
FILES = {
    "0001_orders.sql": TABLE,
    "0002_drop <code>.sql": "-- zanith: reason <b>nobody</b> reads it\n"
    "ALTER TABLE orders DROP COLUMN code;\n",
    "0003_total.sql": "ALTER TABLE orders ALTER COLUMN total TYPE bigint;\n"
    "CREATE INDEX by_total ON orders (total);\n",
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "migrations & more"
    made.mkdir()
    for name, text in FILES.items():
        (made / name).write_text(text)
    return made


@pytest.fixture
def look(database, directory):
    """Return what asks for a page of the studio over the directory."""
    zanith("migrate", "up", "--dir", str(directory), "--steps", "1", url=database.url)
    with run_studio(database.url, migrations=directory, **TOKENS) as studio:

        def ask(path: str, status: int = 200, token: str = STAFF) -> str:
            with studio.client(token) as client:
                answer = client.get(path)
                assert answer.status_code == status, answer.text
                return answer.text

        yield ask


def test_shows_what_is_pending(look, database, directory):
    for token in (STAFF, LOOK):
        page = look("/studio/pending", token=token)
        assert "2 migrations pending" in page
        assert "0002_drop &lt;code&gt;" in page
        assert "drops_column_with_data" in page
        assert "1 destructive" in page
        assert "0001_orders" not in page
        one = look("/studio/pending?id=0002_drop+%3Ccode%3E", token=token)
        assert "Highest level: destructive" in one
        assert "ACCESS EXCLUSIVE on orders" in one
        assert "Reason: &lt;b&gt;nobody&lt;/b&gt; reads it" in one
        assert "zanith migrate up --to" in one
    assert "blocks_writes" in look("/studio/pending?id=0003_total")
    look("/studio/pending?id=0001_orders", 404)
    assert database.psql("SELECT count(*) FROM zanith._zanith_migrations") == "1"
    assert {path.name: path.read_text() for path in directory.iterdir()} == FILES


def test_counts_as_captured_only_what_is_captured_here(look, directory):
    (directory / "0004_empty.sql").write_text("TRUNCATE orders;\n")
    captures = re.findall(r'data-label="Captures">(\d+)<', look("/studio/pending"))
    assert captures == ["1", "0", "0"]  # the guard is not on
    one = look("/studio/pending?id=0004_empty")
    assert "Recoverable: no, unless zanith guard truncate names the table" in one


def _edit(directory: Path) -> None:
    (directory / "0001_orders.sql").write_text(TABLE.replace("total int", "total numeric"))


def _break(directory: Path) -> None:
    (directory / "0003_total.sql").write_text("ALTER TABLE orders\nDORP COLUMN total;\n")


def _again(directory: Path) -> None:
    (directory / "0003_other.sql").write_text("SELECT 1;\n")


def _remove(directory: Path) -> None:
    (directory / "0001_orders.sql").unlink()


def _earlier(directory: Path) -> None:
    (directory / "0000_first.sql").write_text("SELECT 1;\n")


def _nothing(directory: Path) -> None:
    subprocess.run(["rm", "-r", str(directory)], check=True)


PROBLEMS = {
    "edited": (_edit, 200, "total numeric"),
    "no SQL": (_break, 200, "0003_total.sql:2:1: syntax error at or near"),
    "two of one version": (_again, 400, "have the same version"),
    "vanished": (_remove, 200, "its file is gone"),
    "out of order": (_earlier, 200, "out of order"),
    "no directory": (_nothing, 404, "does not exist"),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_says_what_is_wrong(look, directory, problem: str):
    spoil, status, said = PROBLEMS[problem]
    spoil(directory)
    assert said in look("/studio/pending", status)


def test_shows_where_a_run_failed(look, database, directory):
    (directory / "0002_drop <code>.sql").write_text("ALTER TABLE nowhere ADD COLUMN c int;\n")
    failed = zanith("migrate", "up", "--dir", str(directory), url=database.url)
    assert failed.code == 1, failed
    page = look("/studio/pending")
    assert 'badge bad">failed' in page
    assert ".sql:1:1: PostgreSQL reported an error of the kind 42P01" in page
