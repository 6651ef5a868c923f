"""The command line and the pages name what a cascade took along, and what to restore next."""

from __future__ import annotations

import re

import pytest

from tests.acceptance.command import done, zanith
from tests.studios import run_studio

pytestmark = pytest.mark.newest

MADE = """CREATE TABLE parent (id int PRIMARY KEY, n text); INSERT INTO parent VALUES (0, 'null');
CREATE TABLE child (own int) INHERITS (parent); INSERT INTO child VALUES (1, 'one', 7);
CREATE TABLE odd (id int, whole parent); INSERT INTO odd VALUES (1, ROW(2, 'two'))"""
DROP = ("drop", "table", "parent", "--strategy", "archive", "--on-dependents", "cascade")


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_the_command_line_tells_what_goes_and_what_comes_back_next(database):
    url = database.url
    database.psql(MADE)
    before = database.pg_dump("--schema=public", "--inserts")
    plan = done(*DROP, "--dry-run", url=url).out
    assert "Also captured, as a separate artifact" in plan
    assert "public.odd.whole  soft_drop_column" in plan
    assert "public.child  archive_table" in plan
    planned = done(*DROP, "--dry-run", "--json", url=url).json
    assert planned["companions"] == [
        {"object": "public.odd.whole", "strategy": "soft_drop_column"},
        {"object": "public.child", "strategy": "archive_table"},
    ]
    dropped = done(*DROP, "--yes", "--json", url=url).json
    assert [x["object"] for x in dropped["companions"]] == ["public.child", "public.odd.whole"]
    ids = [dropped["id"], *(item["id"] for item in dropped["companions"])]
    listed = done("list", "--json", url=url).json["artifacts"]
    assert {item["id"]: item["cascade_of"] for item in listed} == {
        ids[0]: None,
        ids[1]: ids[0],
        ids[2]: ids[0],
    }
    assert all(item["health"] == "ok" for item in listed)
    assert re.search(rf"captured with +{ids[0]}", done("inspect", ids[1], url=url).out)
    shown = done("inspect", ids[0], url=url).out
    assert f"{ids[1]}  public.child, recoverable" in shown
    early = zanith("recover", "restore", ids[1], "--yes", url=url)
    assert early.code == 4
    assert "its parent public.parent does not exist any more" in early.err
    for plan in (
        done("recover", "restore-table", "parent", "--dry-run", url=url).out,
        done("recover", "restore-table", "parent", "--rehearse", url=url).out,
        done("recover", "restore-table", "parent", "--yes", url=url).out,
    ):
        assert "Captured with it: restore next, in this order" in plan
        first, second = (plan.index(f"zanith recover restore {number}") for number in ids[1:])
        assert first < second
    for number in ids[1:]:
        report = done("recover", "restore", number, "--yes", "--json", url=url).json
        assert report["companions"] == []
    assert database.pg_dump("--schema=public", "--inserts") == before


def test_the_drop_names_its_companions_and_a_migration_brings_all_back(database):
    url = database.url
    database.psql(MADE)
    before = database.pg_dump("--schema=public", "--inserts")
    out = done(*DROP, "--migration-id", "42", "--yes", url=url).out
    assert "Captured with it" in out
    done("recover", "restore-migration", "42", "--yes", url=url)
    assert database.pg_dump("--schema=public", "--inserts") == before


def test_the_pages_lead_from_each_to_the_others(database):
    database.psql(MADE)
    with run_studio(database.tcp_url) as studio, studio.client() as client:
        asked = {"schema": "public", "table": "parent", "on_dependents": "cascade"}
        page = client.get("/studio/capture", params={**asked, "strategy": "soft_drop_table"}).text
        assert "Also captured, as a separate artifact public.odd.whole" in words(page)
        dropped = done(*DROP, "--yes", "--json", url=database.url).json
        child, column = dropped["companions"]
        page = client.get(f"/studio/artifacts/{dropped['id']}").text
        assert "Captured with it public.child" in words(page)
        assert "Captured with it: restore these next, in this order" in page
        for item in (child, column):
            assert f'href="/studio/artifacts/{item["id"]}"' in page
        page = client.get(f"/studio/artifacts/{child['id']}").text
        assert f"Captured with {dropped['id']}" in words(page)
        assert f'href="/studio/artifacts/{dropped["id"]}/restore"' in page
        page = client.get("/studio").text
        assert words(page).count(f", with {dropped['id']}") == 2
        page = client.get(f"/studio/artifacts/{dropped['id']}/purge").text
        assert "First restore or purge the artifacts that depend on it" in page
        assert f'href="/studio/artifacts/{column["id"]}">Look at artifact' in page
        answer = client.get(f"/api/artifacts/{dropped['id']}").json()
        assert [item["id"] for item in answer["companions"]] == [child["id"], column["id"]]
