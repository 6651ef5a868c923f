"""Rows are for those who may see them, and reads of what owners made end."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest

from app.recovery.core.actor import Actor
from app.recovery.core.errors import NotPermitted, Refused
from app.recovery.db.bounded_reads import bounded_read
from app.recovery.db.database import Database
from app.recovery.db.reader_limit import ReaderLimit
from app.recovery.inspection.inspect import inspect, preview_rows
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.purge.erase import plan_erasure
from app.recovery.restore.restore import restore
from tests.studios import run_studio, sign_in, wait_until

STAFF, VIEWER = "the-token-of-staff", "the-token-of-viewer"
TOKENS = {"auth_token": f"ana:{STAFF}", "read_only_auth_token": f"vic:{VIEWER}"}
VIC = Actor("vic", None, "viewer", sees_rows=False)
SECRETS = ("s3cret-1", "s3cret-2")

PEOPLE = """
CREATE TABLE public.people (id text PRIMARY KEY, name text);
INSERT INTO public.people VALUES ('s3cret-1', 's3cret-1'), ('s3cret-2', 's3cret-2');
SELECT zanith.archive_column('public.people', 'name');
INSERT INTO public.people VALUES ('s3cret-2b');
"""


@pytest.fixture
def people(database) -> str:
    return database.psql(PEOPLE)


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


# ---------------------------------------------------------------------------------- who sees rows


async def test_the_engine_shows_no_row_to_whoever_may_see_none(db, people):
    with pytest.raises(NotPermitted, match="look at rows"):
        await preview_rows(db, people, VIC)
    with pytest.raises(NotPermitted, match="count rows"):
        await plan_erasure(db, people, {"id": "s3cret-1"}, VIC)
    shown = [d.examples for d in (await plan_restore(db, people)).drift]
    assert ("s3cret-2b",) in shown
    for plan in (
        await plan_restore(db, people, actor=VIC),
        (await inspect(db, people, actor=VIC)).plan,
    ):
        assert plan is not None
        assert any(d.count for d in plan.drift)
        assert not any(d.examples for d in plan.drift)


async def test_whoever_may_see_no_row_cannot_try_a_value(db, people):
    for value in ("s3cret-1", "nobody"):
        with pytest.raises(NotPermitted, match="try a value"):
            await plan_restore(db, people, Choices(fill=value), actor=VIC)
    assert (await plan_restore(db, people, Choices(fill="nobody"))).steps


RAISING = """
CREATE FUNCTION public.mail(e text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    IF current_setting('work_mem') <> '4MB' THEN RETURN true; END IF;
    RAISE EXCEPTION 'bad %', e
    USING HINT = 'the hint is ' || e, DETAIL = 'the detail is ' || e, ERRCODE = '{state}';
END $$;
SET work_mem = '5MB';
CREATE TABLE public.people (id int PRIMARY KEY, name text CHECK (public.mail(name)));
INSERT INTO public.people VALUES (1, 's3cret-1');
SELECT zanith.archive_column('public.people', 'name');
"""


@pytest.mark.parametrize("state", ["P0001", "55000", "53100", "57014"])
async def test_what_a_check_raises_is_an_answer_and_shows_nobody_a_value_who_may_see_none(
    db, database, state
):
    raising = database.psql(RAISING.replace("{state}", state))
    plan = await plan_restore(db, raising, actor=VIC)
    assert plan.blocked
    assert "s3cret" not in str(plan.to_json())
    assert any(choice.name == "not_valid" for choice in plan.choices)
    with pytest.raises(Refused) as refused:
        await restore(db, raising, Choices(), Actor("dba"))
    assert "cannot be checked" in refused.value.message + str(refused.value.detail)
    assert "s3cret" not in database.pg_dump("--data-only", "--schema=zanith")
    await restore(db, raising, Choices(not_valid=True), Actor("dba"))


async def test_a_read_takes_no_longer_than_the_role_may(database):
    database.psql(f"ALTER DATABASE {database.name} SET statement_timeout = '3s'")
    database.psql(f"ALTER DATABASE {database.name} SET lock_timeout = '300ms'")
    opened = await Database.open(database.url, read_timeout=timedelta(seconds=30))
    async with bounded_read(opened, "it") as connection:
        assert await connection.fetchval("SHOW statement_timeout") == "3s"
        assert await connection.fetchval("SHOW lock_timeout") == "300ms"
    await opened.close()


async def test_reads_of_one_object_run_one_after_another():
    turns, running, most = ReaderLimit(), 0, 0

    async def read(seconds: float) -> None:
        nonlocal running, most
        await asyncio.sleep(seconds)
        async with turns.take("it"):
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.05)
            running -= 1

    await asyncio.gather(*(read(begin) for begin in (0, 0.01, 0.02, 0.05, 0.051, 0.1, 0.101)))
    assert most == 1
    assert not turns._locks


@pytest.mark.newest
def test_viewers_see_no_rows_where_they_may_not_export(database, people):
    here, page = f"/api/artifacts/{people}", f"/studio/artifacts/{people}"
    with run_studio(database.tcp_url, **TOKENS, viewer_export=False) as studio:
        with sign_in(studio, VIEWER) as browser:
            for path in ("", "/rows", "/rows?offset=1", "/restore", "/purge", "/export", "/erase"):
                answer = browser.get(page + path)
                assert answer.status_code == (403 if path.startswith("/rows") else 200), path
                assert not any(secret in answer.text for secret in SECRETS), path
            assert "This studio shows viewers no rows." in browser.get(page).text
            partial = browser.get(f"{page}/rows", headers={"HX-Request": "true"})
            assert partial.status_code == 403
        with studio.client(VIEWER) as viewer:
            for path in (here, "/api/artifacts", "/api/jobs"):
                assert not any(secret in viewer.get(path).text for secret in SECRETS), path
            dry = viewer.post(f"{here}/restore", json={"dry_run": True})
            assert dry.status_code == 200
            assert not any(secret in dry.text for secret in SECRETS)
            match = {"dry_run": True, "match": {"id": "s3cret-1"}}
            for asked in (
                viewer.post(f"{here}/erase", json=match),
                viewer.post(f"{here}/exports"),
                viewer.get(f"{here}/export"),
            ):
                assert asked.json()["error"]["code"] == "not_permitted"
        with studio.client(STAFF) as staff:
            assert all(secret in staff.get(f"{page}/rows").text for secret in SECRETS)


@pytest.mark.newest
def test_an_export_that_was_announced_before_is_not_fetched_after(database, people):
    with run_studio(database.tcp_url, **TOKENS) as studio, studio.client(VIEWER) as viewer:
        job = viewer.post(f"/api/artifacts/{people}/exports").json()["job"]["id"]
    settings = {**TOKENS, "viewer_export": False}
    with run_studio(database.tcp_url, **settings) as studio, studio.client(VIEWER) as viewer:
        fetched = viewer.get(f"/api/exports/{job}/content")
        assert fetched.json()["error"]["code"] == "not_permitted"


@pytest.mark.newest
def test_the_log_says_who_looked_at_rows(database, people):
    def log() -> list[str]:
        return database.psql(f"""
            SELECT actor, outcome, detail ->> 'offset', detail ->> 'rows'
            FROM zanith._zanith_audit_log WHERE action = 'view' AND artifact_id = '{people}'
            ORDER BY id""").splitlines()

    page = f"/studio/artifacts/{people}"
    with run_studio(database.tcp_url, **TOKENS) as studio:
        with studio.client(VIEWER) as viewer:
            viewer.get(page).raise_for_status()
            assert log() == []  # the page itself shows none
            viewer.get(f"{page}/rows").raise_for_status()
            viewer.get(f"{page}/rows?offset=1").raise_for_status()
        assert log() == ["vic|done|0|2", "vic|done|1|1"]
    with run_studio(database.tcp_url, **TOKENS, viewer_export=False) as studio:
        with studio.client(VIEWER) as viewer:
            assert viewer.get(f"{page}/rows").status_code == 403
        assert log()[2].startswith("vic|refused")


# ------------------------------------------------------------------------------ reads that end

SLOW = """
CREATE FUNCTION public.nap(integer) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
CREATE TABLE public.slow (id integer PRIMARY KEY, c integer CHECK (public.nap(c)));
INSERT INTO public.slow VALUES (1, 1);
CREATE TABLE public.quick (id integer PRIMARY KEY, c integer);
SELECT zanith.archive_column('public.slow', 'c'), zanith.archive_column('public.quick', 'c');
"""
NAP = """CREATE OR REPLACE FUNCTION public.nap(integer) RETURNS boolean LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep(300); RETURN true; END'"""
STUBBORN = """CREATE OR REPLACE FUNCTION public.nap(integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    LOOP
        BEGIN PERFORM pg_sleep(300); EXCEPTION WHEN query_canceled THEN NULL; END;
    END LOOP;
END $$"""
NAPPING = """SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event = 'PgSleep'"""


@pytest.fixture
def slow(database) -> tuple[str, str]:
    """The artifact whose plan takes for ever, and another one."""
    found, other = database.psql(SLOW).split("|")
    database.psql(NAP)
    return found, other


def plan(client: httpx.Client, artifact: str) -> httpx.Response:
    client.cookies.clear()  # those of a page: without an Origin they are refused
    return client.post(f"/api/artifacts/{artifact}/restore", json={"dry_run": True})


@pytest.mark.parametrize("code", [NAP, STUBBORN], ids=["obedient", "stubborn"])
def test_a_read_that_takes_for_ever_is_ended(database, slow, code):
    database.psql(code)
    with run_studio(database.tcp_url, read_timeout="1s") as studio, studio.client() as client:
        began = time.monotonic()
        answer = plan(client, slow[0])
        assert time.monotonic() - began < 10
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "out_of_time")
        assert "ZANITH_READ_TIMEOUT" in answer.json()["error"]["hint"]
        assert database.psql(NAPPING) == "0"
        page = client.get(f"/studio/artifacts/{slow[0]}")  # all the rest of it is shown
        assert page.status_code == 200
        part = client.get(f"/studio/artifacts/{slow[0]}/verdict")
        assert part.status_code == 200
        # its code ends at the limit of the count, or with its session
        said = "not done within" if code == NAP else "The read took longer than 1"
        assert said in part.text
        assert "not counted: the result is unknown" in part.text
        assert database.psql(NAPPING) == "0"
        assert plan(client, slow[1]).status_code == 200


@pytest.mark.newest
@pytest.mark.parametrize("how", ["GET", "POST"])
def test_a_read_ends_when_the_client_leaves(database, slow, how):
    with run_studio(database.tcp_url) as studio, studio.client() as client:
        client.timeout = 1.5
        page = f"/studio/artifacts/{slow[0]}/restore?count=yes"
        with pytest.raises(httpx.ReadTimeout):
            client.get(page) if how == "GET" else plan(client, slow[0])
        wait_until(lambda: database.psql(NAPPING) == "0")


@pytest.mark.newest
def test_one_artifact_takes_one_connection(database, slow):
    with (
        run_studio(database.tcp_url, read_timeout="15s") as studio,
        ThreadPoolExecutor() as threads,
        studio.client() as client,
    ):
        asked = [
            threads.submit(
                httpx.get, f"{studio.url}/studio/artifacts/{slow[0]}/verdict", timeout=40
            )
            for _ in range(14)
        ]
        wait_until(lambda: database.psql(NAPPING) == "1")
        assert plan(client, slow[1]).status_code == 200
        assert client.get("/studio").status_code == 200
        refused = plan(client, slow[0])
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "busy")
        assert refused.headers["retry-after"]
        assert database.psql(NAPPING) == "1"
        for one in asked:
            one.result()
