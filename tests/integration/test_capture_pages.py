"""Drops that begin in the studio: the plan that was looked at is what runs, or nothing does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlencode

import httpx
import pytest

from tests.studios import Running, locked, run_studio, wait_for_job, wait_until

pytestmark = pytest.mark.newest

MADE = '''
CREATE TABLE public.orders (id integer PRIMARY KEY, code text, total numeric DEFAULT 0);
INSERT INTO public.orders SELECT n, 'C-' || n, n FROM generate_series(1, 300) AS n;
CREATE VIEW public.totals AS SELECT id, total FROM public.orders;
CREATE SCHEMA "s.1";
CREATE TABLE "s.1"."<b>t</b> & ""co""" (id integer PRIMARY KEY, "Col .ümn" text);
INSERT INTO "s.1"."<b>t</b> & ""co""" VALUES (1, 'x');
CREATE TABLE public.parted (id integer, d date) PARTITION BY RANGE (d);
CREATE TABLE public.parted_1 PARTITION OF public.parted
    FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
'''
HARD = {"schema": "s.1", "table": '<b>t</b> & "co"', "column": "Col .ümn"}
STAFF, VIEWER = "the-token-of-staff", "the-token-of-viewer"


@pytest.fixture
def studio(database) -> Iterator[Running]:
    database.psql(MADE)
    tokens = {"auth_token": f"ana:{STAFF}", "read_only_auth_token": f"vic:{VIEWER}"}
    with run_studio(database.tcp_url, **tokens) as running:
        yield running


@pytest.fixture
def staff(studio: Running) -> Iterator[httpx.Client]:
    with studio.client(STAFF) as client:
        yield client


def page(client: httpx.Client, said: dict | None = None, status: int = 200) -> str:
    answer = client.get("/studio/capture?" + urlencode(said or {}))
    assert answer.status_code == status, answer.text
    return answer.text


def between(html: str, before: str) -> str:
    return html.split(before, 1)[1].split('"', 1)[0]


def send(client: httpx.Client, html: str, said: dict, confirm: str) -> httpx.Response:
    digest = between(html, 'name="digest" value="')
    token = between(html, 'name="form_token" value="')
    data = {**said, "digest": digest, "confirm": confirm, "form_token": token}
    return client.post("/studio/capture", data=data)


def test_picks_a_table_then_a_column(staff):
    tables = page(staff)
    assert "public.orders" in tables
    assert "_zanith_jobs" not in tables
    assert "partitioned table" in tables
    assert "&lt;b&gt;t&lt;/b&gt; &amp;" in tables
    assert "<b>t</b>" not in tables
    found = page(staff, {"search": "orders"})
    assert "public.orders" in found
    assert "public.parted" not in found
    assert "No table matches" in page(staff, {"search": "100%_"})
    columns = page(staff, {"schema": "public", "table": "orders"})
    assert "in the primary key, NOT NULL" in columns
    assert "column=total" in columns
    page(staff, {"schema": "public", "table": "gone"}, 404)
    page(staff, {"schema": "zanith", "table": "_zanith_jobs"}, 404)


def test_pages_through_many_tables(staff, database):
    database.psql(
        "DO $$ BEGIN FOR n IN 100..169 LOOP"
        " EXECUTE format('CREATE TABLE public.many_%s (id int)', n); END LOOP; END $$"
    )
    seen, said = set(), {"search": "many_"}
    while said:
        html = page(staff, said)
        seen |= {n for n in range(100, 170) if f">public.many_{n}<" in html}
        _, more, rest = html.partition('rel="next" href="')
        query = rest.partition('"')[0].partition("?")[2].replace("&amp;", "&")
        said = dict(httpx.QueryParams(query)) if more else {}
    assert seen == set(range(100, 170))


def test_a_warning_begins_with_a_capital_letter(staff, database):
    database.psql(
        "CREATE TYPE mood AS ENUM ('ok'); CREATE TABLE warned (id int PRIMARY KEY, c mood)"
    )
    found = []
    for column in ({}, {"column": "c"}):
        html = page(staff, {"schema": "public", "table": "warned", **column})
        found += re.findall(r"<li>([^<]+)</li>", html)
    assert any(item.startswith("Reads and writes of the table wait") for item in found), found
    assert [item for item in found if item[0].islower()] == []


def test_drops_what_was_looked_at(staff, database):
    said = {**HARD, "strategy": "archive_column", "reason": "it's <i>old</i>", "migration_id": "42"}
    html = page(staff, said)
    assert "_zanith_archive_" in html
    answer = send(staff, html, said, "Col .ümn")
    assert answer.status_code == 303, answer.text
    job = wait_for_job(staff, answer.headers["location"].rsplit("/", 1)[1])
    assert job["state"] == "done", job
    artifact = staff.get(f"/api/artifacts/{job['result']['artifact_id']}").json()
    assert (artifact["source_schema"], artifact["source_column"]) == ("s.1", "Col .ümn")
    assert (artifact["reason"], artifact["migration_id"]) == ("it's <i>old</i>", "42")
    assert artifact["created_by"] == "ana"
    outcome = staff.get(f"/studio/jobs/{job['id']}").text
    assert f"/studio/artifacts/{artifact['id']}" in outcome


def test_says_what_stands_in_the_way(staff, database):
    said = {"schema": "public", "table": "orders", "column": "total"}
    html = page(staff, {**said, "strategy": "archive_column"})
    assert "because other objects depend on it" in html
    assert "view public.totals" in html
    assert 'name="digest"' not in html
    cascade = {**said, "strategy": "archive_column", "on_dependents": "cascade"}
    html = page(staff, cascade)
    assert "Goes too, and comes back with it" in html
    assert "Not confirmed" in send(staff, html, cascade, "orders").text
    database.psql("CREATE VIEW public.more AS SELECT total FROM public.orders")
    stale = send(staff, html, cascade, "total")
    assert stale.status_code == 409
    assert "is not the one that was confirmed" in stale.text
    assert database.psql("SELECT count(*) FROM zanith._zanith_migration_artifacts") == "0"
    refusals = """SELECT count(*) FROM zanith._zanith_audit_log
        WHERE action = 'capture' AND outcome = 'refused'"""
    assert database.psql(refusals) == "2"
    page(staff, {**cascade, "expires_in": "soon"})  # told in the ways, not as a fault


def test_a_capture_that_waits_can_be_cancelled(staff, database):
    said = {"schema": "public", "table": "orders", "column": "code", "strategy": "soft_drop_column"}
    html = page(staff, said)
    with locked(database):
        answer = send(staff, html, said, "code")
        job_id = answer.headers["location"].rsplit("/", 1)[1]
        wait_until(
            lambda: "waiting" in str(staff.get(f"/api/jobs/{job_id}").json()["job"]["progress"])
        )
        assert "Waiting for a lock" in staff.get(f"/studio/jobs/{job_id}").text
        staff.post(f"/api/jobs/{job_id}/cancel").raise_for_status()
        assert wait_for_job(staff, job_id)["state"] == "cancelled"
    assert database.psql("SELECT code FROM public.orders WHERE id = 7") == "C-7"
    assert database.psql("SELECT count(*) FROM zanith._zanith_migration_artifacts") == "0"


def test_two_drops_of_one_column_are_one(staff, database):
    said = {"schema": "public", "table": "orders", "column": "code", "strategy": "soft_drop_column"}
    html = page(staff, said)
    with locked(database):
        sent = [send(staff, html, said, "code") for _ in range(2)]
    ended = [wait_for_job(staff, one.headers["location"].rsplit("/", 1)[1]) for one in sent]
    assert sorted(job["state"] for job in ended) == ["done", "refused"]
    assert database.psql("SELECT count(*) FROM zanith._zanith_migration_artifacts") == "1"


def test_the_api_plans_then_runs(staff):
    wanted = {"strategy": "archive_table", "table": "public.parted"}
    plan = staff.post("/api/captures", json={**wanted, "dry_run": True}).raise_for_status().json()
    assert plan["object"] == "public.parted"
    assert plan["steps"]
    assert staff.post("/api/captures", json=wanted).status_code == 409
    wrong = {**wanted, "confirm": "parted", "digest": "0" * 64}
    assert staff.post("/api/captures", json=wrong).status_code == 409
    right = {**wanted, "confirm": "parted", "digest": plan["digest"], "expires_in": "never"}
    answer = staff.post("/api/captures", json=right)
    assert answer.status_code == 202, answer.text
    job = wait_for_job(staff, answer.json()["job"]["id"])
    assert staff.get(f"/api/artifacts/{job['result']['artifact_id']}").json()["expires_at"] is None
    assert staff.post("/api/captures", json={**right, "table": "a..b"}).status_code == 400


def test_a_viewer_looks_and_drops_nothing(studio, database):
    said = {"schema": "public", "table": "orders", "column": "code", "strategy": "soft_drop_column"}
    with studio.client(VIEWER) as viewer, studio.client(STAFF) as staff:
        assert "You are signed in as a viewer" in page(viewer, said)
        wanted = {"strategy": "soft_drop_column", "table": "public.orders", "column": "code"}
        refused = viewer.post("/api/captures", json={**wanted, "confirm": "code"})
        assert refused.status_code == 403
        html = page(staff, said)
        token = between(page(viewer, HARD), 'name="form_token" value="')
        data = {**said, "digest": between(html, 'name="digest" value="'), "confirm": "code"}
        assert viewer.post("/studio/capture", data={**data, "form_token": token}).status_code == 403
    assert database.psql("SELECT count(*) FROM zanith._zanith_migration_artifacts") == "0"


def test_what_the_studio_drops_expires_as_its_settings_say(database):
    database.psql(MADE)
    database.psql(f"ALTER DATABASE {database.name} SET zanith.retention = '90 days'")
    days = "SELECT date_part('day', expires_at - created_at + interval '1 minute')"
    days += " FROM zanith._zanith_migration_artifacts WHERE source_table = '{}'"
    drop = {"strategy": "soft_drop_table", "on_dependents": "cascade"}
    token = {"auth_token": f"ana:{STAFF}"}
    seven = run_studio(database.tcp_url, retention="7d", **token)
    with seven as studio, studio.client(STAFF) as client:
        column = {"schema": "public", "table": "orders", "column": "code"}
        assert 'placeholder="7d"' in page(client, column)
        made = client.post(
            "/api/captures", json={**drop, "table": "public.orders", "confirm": "orders"}
        )
        assert made.status_code == 202, made.text
        wait_for_job(client, made.json()["job"]["id"])
    assert database.psql(days.format("orders")).strip() == "7"
    with run_studio(database.tcp_url, **token) as studio, studio.client(STAFF) as client:
        column = {"schema": "s.1", "table": HARD["table"], "column": HARD["column"]}
        assert 'placeholder="the database&#39;s default"' in page(client, column)
        made = client.post(
            "/api/captures", json={**drop, "table": "public.parted", "confirm": "parted"}
        )
        assert made.status_code == 202, made.text
        wait_for_job(client, made.json()["job"]["id"])
    assert database.psql(days.format("parted")).strip() == "90"
