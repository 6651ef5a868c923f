"""Every template renders with the view that its page builds, whole and as a partial."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.studios import Running, capture_orders, locked, run_studio, wait_for_job, wait_for_seals

pytestmark = pytest.mark.newest

PARTIAL = {"HX-Request": "true"}


@pytest.fixture
def artifacts(database) -> dict[str, str]:
    database.psql("CREATE TABLE public.notes (id integer PRIMARY KEY, text text DEFAULT 'x')")
    rebuilt = database.psql("SELECT zanith.rebuild_table('public.notes')")
    database.psql("ALTER TABLE public.notes DROP COLUMN text")
    database.psql(
        "CREATE TABLE base (id integer); CREATE TABLE child (own integer) INHERITS (base)"
    )
    family = database.psql("SELECT zanith.archive_table('base', on_dependents => 'cascade')")
    database.psql("CREATE TABLE emptied (id int PRIMARY KEY); INSERT INTO emptied VALUES (1)")
    rows = database.psql("SELECT zanith.archive_rows('emptied')")
    database.psql("TRUNCATE emptied")
    captured = capture_orders(database)
    return {**captured, "rebuilt": rebuilt, "family": family, "rows": rows}


@pytest.fixture
def studio(database, artifacts) -> Iterator[Running]:
    tokens = {
        "auth_token": "ana:the-token-of-staff",
        "read_only_auth_token": "vic:the-token-of-viewer",
    }
    with run_studio(database.tcp_url, **tokens) as running:
        wait_for_seals(database)
        yield running


def visit(client: httpx.Client, path: str, status: int = 200) -> str:
    """Return the text of a page, after both of its forms answered as they should."""
    partial = client.get(path, headers=PARTIAL)
    whole = client.get(path)
    assert (whole.status_code, partial.status_code) == (status, status), whole.text
    assert "<html" in whole.text
    return whole.text


def visit_rows(client: httpx.Client, artifact: str, form: dict[str, str]) -> None:
    """Find rows of an artifact, and look at the plan of one of them."""
    here = f"/studio/artifacts/{artifact}/rows"
    search = {"column": "id", "operator": "=", "value": "1", **form}
    found = client.post(f"{here}/find", data=search).raise_for_status().text
    ref = html_of(found, r'name="ref" value="([^"]*)"')
    chosen = client.post(f"{here}/chosen", data={**search, "ref": ref})
    assert "rows of" in chosen.text.lower()


def visit_request(client: httpx.Client, artifact: str, form: dict[str, str]) -> None:
    """Ask another person to approve a purge, first without a reason."""
    here = f"/studio/artifacts/{artifact}/purge/request"
    assert client.post(here, data={**form, "reason": " "}).status_code == 400
    asked = client.post(here, data={**form, "reason": "old"})
    assert asked.status_code == 303, asked.text
    visit(client, asked.headers["location"])


def html_of(text: str, pattern: str) -> str:
    """Return what a pattern finds first in a page."""
    found = re.search(pattern, text)
    assert found is not None, text
    return found.group(1)


def form_token(html: str) -> str:
    return html.split('name="form_token" value="', 1)[1].split('"', 1)[0]


def visit_pending(studio: Running, client: httpx.Client) -> None:
    """Visit the pages of pending migrations, with a directory for the while."""
    running = studio.app.state.studio
    before = running.settings
    with tempfile.TemporaryDirectory() as made:
        (Path(made) / "0001_note.sql").write_text("ALTER TABLE orders ADD COLUMN note text;\n")
        there = {"migrations": Path(made), "shadow": "same-server"}
        running.settings = before.model_copy(update=there)
        visit(client, "/studio/pending")
        page = visit(client, "/studio/pending?id=0001_note")
        form = {"form_token": form_token(page), "confirm": "0001_note"}
        for path in ("/studio/pending/verify", "/studio/pending"):
            started = client.post(path, params={"id": "0001_note"}, data=form)
            job = started.headers["location"].rsplit("/", 1)[1]
            client.get(f"/studio/jobs/{job}/progress").raise_for_status()
            wait_for_job(client, job)
            visit(client, f"/studio/jobs/{job}")
            visit(client, f"/studio/{'history' if path.endswith('ding') else 'pending'}")
        for shown in ("/studio/history/1", "/studio/schema?before=0001_note:before"):
            visit(client, shown)
        client.get("/studio/schema?before=live", headers=PARTIAL).raise_for_status()
    running.settings = before


@pytest.mark.smoke
def test_every_template_renders(studio: Running, artifacts, database):
    column, table, rows = artifacts["column"], artifacts["table"], artifacts["rows"]
    with studio.client("the-token-of-staff") as staff:
        visit(staff, "/studio")
        visit(staff, "/studio?search=none+such&sort=size")
        visit(staff, "/studio/search?q=orders")
        staff.get("/studio/search?q=orders", headers=PARTIAL).raise_for_status()
        visit(staff, "/studio/capture?schema=public&table=orders&check=yes")
        for artifact in artifacts.values():
            here = f"/studio/artifacts/{artifact}"
            for path in ("", "/rows", "/diff", "/restore", "/export", "/purge", "/erase"):
                visit(staff, here + path)
            staff.get(f"{here}/seal").raise_for_status()
        database.psql("INSERT INTO public.orders VALUES (501, 0)")
        here = f"/studio/artifacts/{column}"
        assert "1 row of" in visit(staff, f"{here}/restore?not_valid=yes&count=yes")
        for part in ("/restore/counted", "/verdict"):
            assert "1 row of" in staff.get(here + part).raise_for_status().text
        for path in ("", "?schema=public&table=orders", "?schema=public&table=orders&column=total"):
            visit(staff, f"/studio/capture{path}")
        staff.get("/studio/summary").raise_for_status()
        visit(staff, f"/studio/artifacts/{table}/rows?offset=20")
        visit(staff, f"/studio/artifacts/{column}/left")
        visit(staff, f"/studio/artifacts/{artifacts['rows']}/diff/counts")
        visit(staff, f"/studio/artifacts/{artifacts['rows']}/diff/rows?kind=same")
        visit(staff, f"/studio/artifacts/{table}/rows?offset=200000", 400)
        visit(staff, "/studio/coverage")
        staff.get("/studio/coverage", headers=PARTIAL).raise_for_status()
        visit(staff, "/studio/guard")
        visit(staff, "/studio/cleanup")
        visit(staff, "/studio/cleanup?older_than=0s&expired=yes&before_expiry=yes")
        visit(staff, "/studio/cleanup?older_than=soon", 400)
        visit(staff, "/studio/nowhere", 404)
        visit(staff, "/studio/migrations")
        assert "No directory of migrations is set" in visit(staff, "/studio/pending")
        visit_pending(studio, staff)
        visit(staff, "/studio/webhooks")
        visit(staff, "/studio/approvals")
        staff.get("/studio/approvals/badge").raise_for_status()

        token = form_token(staff.get("/studio").text)
        form = {"form_token": token}
        visit_rows(staff, table, form)
        visit_request(staff, artifacts["family"], form)
        database.psql(
            f"UPDATE zanith._zanith_migration_artifacts SET migration_id = 'm' WHERE id = '{rows}'"
        )
        visit(staff, "/studio/migrations/m")
        held = {"action": "hold", "id": [column, "nothing"], **form}
        assert "1 of 2 held" in staff.post("/studio/bulk", data=held).text
        matching = {"action": "hold", "all": "yes", "match": "search=orders", **form}
        asked = staff.post("/studio/bulk", data=matching).text
        shown = dict(re.findall(r'name="(digest|count)" value="([^"]*)"', asked))
        assert "already" in staff.post("/studio/bulk", data=matching | shown).text
        nameless = staff.post("/studio/approvals/purges", data={"id": [table], **form})
        assert "Nothing was asked for" in nameless.text
        ticked = {"action": "verify", "id": [column, table], **form}
        visit(staff, staff.post("/studio/bulk", data=ticked).headers["location"])
        rehearsed = staff.post(f"/studio/artifacts/{column}/restore/rehearse", data=form)
        assert rehearsed.status_code == 303
        wait_for_job(staff, rehearsed.headers["location"].rsplit("/", 1)[1])
        assert "Rehearsed, and rolled back" in visit(staff, rehearsed.headers["location"])

        export = staff.post(f"/api/artifacts/{table}/exports").json()["job"]["id"]
        visit(staff, f"/studio/exports/{export}")
        staff.get(f"/studio/exports/{export}/progress", headers=PARTIAL).raise_for_status()
        staff.get(f"/api/exports/{export}/content")
        visit(staff, f"/studio/exports/{export}")

        with locked(database):
            restored = staff.post(f"/api/artifacts/{column}/restore", json={"confirm": "code"})
            visit(staff, f"/studio/jobs/{restored.json()['job']['id']}")
            staff.get(f"/studio/jobs/{restored.json()['job']['id']}/progress").raise_for_status()
        wait_for_job(staff, restored.json()["job"]["id"])
        staff.get(f"/studio/jobs/{restored.json()['job']['id']}/progress").raise_for_status()
        visit(staff, f"/studio/jobs/{restored.json()['job']['id']}")
        visit(staff, f"/studio/jobs/{restored.json()['job']['id']}/report")
        report = f"/studio/jobs/{restored.json()['job']['id']}/report?download=yes"
        assert "attachment" in staff.get(report).headers["content-disposition"]
        visit(staff, f"/studio/artifacts/{column}")
        one = {"where": ["id = 1"], "confirm": "code"}
        database.psql("UPDATE public.orders SET code = 'other' WHERE id = 1")
        put_back = staff.post(f"/api/artifacts/{column}/restore-rows", json=one).json()["job"]["id"]
        wait_for_job(staff, put_back)
        visit(staff, f"/studio/jobs/{put_back}")
        assert "Insert every row from the archive" in visit(staff, f"/studio/artifacts/{rows}")
        restored = staff.post(f"/api/artifacts/{rows}/restore", json={"confirm": "emptied"})
        wait_for_job(staff, restored.json()["job"]["id"])
        visit(staff, f"/studio/jobs/{restored.json()['job']['id']}")
        back = visit(staff, f"/studio/artifacts/{rows}")
        assert "The rows of <strong>public.emptied</strong> are live again" in back
        assert "Its archive stays until it is purged" in back
        assert database.psql("SELECT count(*) FROM emptied") == "1"
        chosen = {
            "older_than": "0s",
            "before_expiry": "yes",
            "id": artifacts["weird"],
            "confirm": "1",
            **form,
        }
        cleaned = staff.post("/studio/cleanup", data=chosen)
        assert cleaned.status_code == 303
        wait_for_job(staff, cleaned.headers["location"].rsplit("/", 1)[1])
        visit(staff, cleaned.headers["location"])
        purged = staff.post(
            f"/studio/artifacts/{table}/purge", data={"confirm": "public.carts", **form}
        )
        assert purged.status_code == 303
        assert staff.get(purged.headers["location"]).status_code == 410
        for path in ("/studio/jobs", "/studio/jobs?state=live", "/studio/activity"):
            visit(staff, path)
        visit(staff, "/studio/activity?actor=nobody")
        lines = staff.get("/studio/activity/download").text.splitlines()
        assert any('"purge"' in line for line in lines)
    with studio.client() as nobody:
        nobody.get("/studio/login").raise_for_status()
        arrival = nobody.get("/studio/login", headers={"Sec-Fetch-Site": "cross-site"})
        assert 'http-equiv="refresh"' in arrival.text

    env = studio.app.state.studio.pages.env
    rendered = {name for _, name in env.cache}
    assert set(env.list_templates()) - rendered == set()


def test_a_viewer_is_told_why_not(studio: Running, artifacts):
    with studio.client("the-token-of-viewer") as viewer:
        for path in ("/restore", "/purge", ""):
            text = visit(viewer, f"/studio/artifacts/{artifacts['table']}{path}")
            assert "signed in as a viewer" in text
            assert 'name="confirm"' not in text
        form = {"form_token": form_token(viewer.get("/studio").text), "confirm": "public.carts"}
        for path in ("/restore", "/restore/rehearse", "/purge", "/hold", "/seal"):
            answer = viewer.post(f"/studio/artifacts/{artifacts['table']}{path}", data=form)
            assert answer.status_code == 403, path
            assert "Not permitted" in answer.text


def test_a_purged_artifact_keeps_its_page(studio: Running, artifacts):
    with studio.client("the-token-of-staff") as staff:
        seal = staff.get(f"/api/artifacts/{artifacts['table']}").json()["checksum"]
        staff.get(f"/api/artifacts/{artifacts['table']}/export?format=csv").raise_for_status()
        body = {"confirm": "carts", "reason": "no longer needed"}
        staff.request(
            "DELETE", f"/api/artifacts/{artifacts['table']}", json=body
        ).raise_for_status()
        page = staff.get(f"/studio/artifacts/{artifacts['table']}")
    assert page.status_code == 410
    assert seal in page.text
    assert "no longer needed" in page.text
    assert "Last export</dt><dd><time " in page.text
