"""The pages of applied migrations and of the schema's history say what the history has."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.command import zanith
from tests.studios import run_studio

pytestmark = pytest.mark.newest

LOOK = {"read_only_auth_token": "vic:the-token-of-viewer", "auth_token": "ana:the-token-of-staff"}
FILES = {
    "0001_orders.sql": "CREATE TABLE orders (id int PRIMARY KEY, code text);\n",
    "0002_<b>drop.sql": "ALTER TABLE orders ADD COLUMN total bigint;\n"
    "ALTER TABLE orders DROP COLUMN code;\n",
    "0003_fails.sql": "ALTER TABLE orders ADD COLUMN more int;\nSELECT 1/0;\n",
}


@pytest.fixture
def look(database, tmp_path: Path):
    """Return what asks for a page as a viewer, after two migrations ran and one failed."""
    directory = tmp_path / "migrations"
    directory.mkdir()
    for name, text in FILES.items():
        (directory / name).write_text(text)
    given = ("migrate", "up", "--dir", str(directory))
    assert zanith(*given, "--steps", "1", url=database.url).code == 0
    assert zanith(*given, url=database.url).code == 1
    with run_studio(database.url, migrations=directory, **LOOK) as studio:

        def ask(path: str, status: int = 200) -> str:
            with studio.client("the-token-of-viewer") as client:
                answer = client.get(path)
                assert answer.status_code == status, answer.text
                return answer.text

        yield ask


def test_lists_the_runs_and_shows_one(look, database):
    listed = look("/studio/history")
    assert "0002_&lt;b&gt;drop" in listed
    assert 'badge bad">failed' in listed
    assert re.findall(r'href="/studio/history/(\d+)"', listed) == ["3", "2", "1"]
    assert "0001_orders" not in look("/studio/history?id=0003_fails")
    assert "It never ran here" in look("/studio/history?id=nothing")
    ran = look("/studio/history/2")
    assert "ACCESS EXCLUSIVE on public.orders" in ran
    assert "ACCESS EXCLUSIVE on orders" in ran
    assert "more than predicted" not in ran
    assert "zanith._zanith" not in ran  # what the capture locks of its own
    assert "What ran instead: a capture" in ran
    assert "Undo this deploy" in ran
    [undo] = re.findall(r'href="(/studio/migrations/[^"]*)">Undo', ran)
    assert "1 object left to restore" in look(html.unescape(undo))
    [difference] = re.findall(r'hx-get="(/studio/schema[^"]*)"', ran)
    assert "orders.total" in look(html.unescape(difference))
    failed = look("/studio/history/3")
    assert 'badge warn">undone' in failed
    assert 'badge bad">failed' in failed
    assert "Undo this deploy" not in failed
    assert "/studio/schema" not in failed.split('id="main"')[1]
    look("/studio/history/4", 404)
    look("/studio/history/99999999999999999999999", 404)


def test_a_lock_above_the_plan_is_marked(look, database):
    assert "more than predicted" not in look("/studio/history/2")
    lock = '[{"locks": [{"table": "orders", "mode": "ROW EXCLUSIVE", "which": null}]}]'
    database.psql(f"UPDATE zanith._zanith_migration_steps SET predicted = '{lock}' WHERE run = 2")
    assert look("/studio/history/2").count("more than predicted") == 1


def test_shows_what_changed_between_two_snapshots(look, database):
    database.psql("CREATE VIEW ids AS SELECT id FROM orders")
    asked = {"before": "0001_orders:after", "after": "live"}
    page = look(f"/studio/schema?before={asked['before']}&after={asked['after']}")
    printed = zanith(
        *("migrate", "snapshot", "diff", *asked.values(), "--sql"), url=database.url
    ).out
    [shown] = re.findall(r'aria-label="The difference as SQL"><code>(.*?)</code>', page, re.DOTALL)
    assert html.unescape(re.sub("<[^>]*>", "", shown)).split() == printed.split()
    assert "CREATE VIEW" in printed
    assert "The schemas are equal" in look("/studio/schema?before=live")
    picked = look("/studio/schema")
    assert "after 0002_&lt;b&gt;drop" in picked
    assert "The schemas are equal" not in picked


def test_the_api_says_what_the_commands_print(look, database):
    def printed(*words: str) -> Any:
        return zanith("migrate", *words, "--json", url=database.url).json

    def asked(path: str) -> Any:
        return json.loads(look(path))

    history = asked("/api/history")
    assert history["runs"] == printed("history")["runs"]
    assert [one["run"] for one in asked("/api/history?limit=1&before=3")["runs"]] == [2]
    assert history["next"] is None
    assert asked("/api/history?limit=2")["next"] == 2
    assert asked("/api/snapshots")["snapshots"] == printed("snapshot", "list")["snapshots"]
    between = asked("/api/snapshots/diff?before=0001_orders:before&after=live")
    told = printed("snapshot", "diff", "0001_orders:before", "live")
    assert between == {key: told[key] for key in between}
    assert between["statements"]
    look("/api/snapshots/diff?before=/etc/passwd", 404)


@pytest.mark.parametrize("name", ["/etc/passwd", "schema.json", "99", "nothing:before"])
def test_a_snapshot_is_never_a_file_of_the_studio(look, tmp_path: Path, name: str):
    if name.endswith(".json"):
        (tmp_path / name).write_text("{}")
        name = str(tmp_path / name)
    assert "here is no snapshot" in look(f"/studio/schema?before={name}", 404)
