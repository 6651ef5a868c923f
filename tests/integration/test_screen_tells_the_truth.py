"""Promise 14: a check that did not run is shown as not run, and a mismatch is never green."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import pytest
from rich.console import Console

from app import text as formats
from app.cli.console import THEME
from app.cli.render.plan import restore_plan
from app.recovery.database import Database
from app.recovery.plan import plan_restore
from tests.studios import (
    Running,
    capture_orders,
    form_token,
    locked,
    run_studio,
    wait_for_job,
    wait_for_seals,
    wait_until,
)

pytestmark = pytest.mark.newest
STAFF, VIEWER = "the-token-of-staff", "the-token-of-viewer"
NOTHING = "Nothing stands in the way"


@pytest.fixture
def artifacts(database) -> dict[str, str]:
    return capture_orders(database)


@pytest.fixture
def open_studio(database) -> Iterator[Running]:
    tokens = {"auth_token": f"ana:{STAFF}", "read_only_auth_token": f"vic:{VIEWER}"}
    with run_studio(database.tcp_url, **tokens) as running:
        wait_for_seals(database)
        yield running


def words(html: str) -> str:
    """Return what a page says: its text on one line."""
    text = re.sub(r"<(script|style).*?</\1>", "", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", text))).strip()


def in_terminal(plan) -> str:
    """Return what the command line says of a plan."""
    console = Console(width=200, color_system=None, theme=THEME)
    with console.capture() as said:
        console.print(restore_plan(plan))
    return re.sub(r"\s+", " ", said.get())


# ---------------------------------------------------------------------- checks that did not run

SHOPS = """
CREATE SCHEMA keep AUTHORIZATION {keeper};
SET ROLE {keeper};
CREATE TABLE keep.shops (id integer PRIMARY KEY);
INSERT INTO keep.shops VALUES (1);
CREATE FUNCTION keep.fine(integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
RESET ROLE;
CREATE TABLE public.bills (id integer PRIMARY KEY, shop integer REFERENCES keep.shops);
INSERT INTO public.bills VALUES (1, 1);
"""


async def test_a_check_that_did_not_run_is_shown_as_not_counted(database, open_studio, create_role):
    """Somebody has locked the table, or the rights are missing: neither is "no drift"."""
    database.psql(SHOPS.format(keeper=create_role("keeper")))
    artifact = database.psql("SELECT zanith.archive_column('public.bills', 'shop')")
    page, api = f"/studio/artifacts/{artifact}", f"/api/artifacts/{artifact}"
    db = await Database.open(database.url)
    try:
        with open_studio.client(STAFF) as staff, open_studio.client(VIEWER) as viewer:

            async def check(expected: str) -> None:
                for client, path in ((staff, page), (viewer, page), (viewer, f"{page}/restore")):
                    shown = words(client.get(path).raise_for_status().text)
                    assert NOTHING not in shown
                    assert "1 check not counted: what it asks is not known" in shown
                    assert expected in shown
                for client in (staff, viewer):
                    drift = client.get(api).json()["plan"]["drift"]
                    found = {item["kind"]: item for item in drift}
                    orphans = found["foreign_key_orphans"]
                    assert (orphans["counted"], orphans["count"]) == (False, None)
                    assert expected in orphans["reason"]
                    # what can be counted still is, and none is told from not known
                    assert (found["rows_added"]["counted"], found["rows_added"]["count"]) == (
                        True,
                        0,
                    )
                plan = await plan_restore(db, artifact)
                said = in_terminal(plan)
                assert "Not counted: these checks did not run" in said
                assert expected in said
                assert not plan.clear
                assert [(item.kind, item.blocks) for item in plan.not_counted] == [
                    ("foreign_key_orphans", False)
                ]

            for client in (staff, viewer):
                assert NOTHING in words(client.get(page).text)
                assert all(item["counted"] for item in client.get(api).json()["plan"]["drift"])
            assert "Not counted" not in in_terminal(await plan_restore(db, artifact))
            async with db.acquire() as other, other.transaction():
                await other.execute("LOCK TABLE keep.shops IN SHARE MODE")
                await check("could not obtain lock")
            database.psql("ALTER TABLE keep.shops ADD CHECK (keep.fine(id))")
            await check("would run as")
    finally:
        await db.close()


# --------------------------------------------------------------------------------- mismatches


def badges(html: str) -> dict[str, str]:
    """Return the class of each badge by its word."""
    found = re.findall(r'<span class="badge ([a-z]*)"[^>]*>([^<]+)</span>', html)
    return {word.strip(): colour for colour, word in found}


DAMAGE = "UPDATE _zanith_shadow.{table} SET code = 'other' WHERE id = 7"
OLD_ENTRY = """
INSERT INTO zanith._zanith_audit_log (actor, action, outcome, object, detail)
VALUES ('eve', 'verify', 'done', 'public.old', '{"matches": false}'),
       ('eve', 'verify', 'done', 'public.same', '{"matches": true}')
"""


def test_a_mismatch_is_red_and_can_be_filtered_for(database, artifacts, open_studio):
    """In jobs, in the log, where several are verified, and of an export; old entries too."""
    column, table = artifacts["column"], artifacts["table"]
    database.psql(OLD_ENTRY)
    with open_studio.client(STAFF) as staff, open_studio.client(VIEWER) as viewer:
        place = staff.get(f"/api/artifacts/{column}").json()["physical_name"]
        database.psql(f"ALTER TABLE _zanith_shadow.{place} DISABLE TRIGGER USER")
        database.psql(DAMAGE.format(table=place))
        form = {"form_token": form_token(viewer.get("/studio").text)}
        ticked = {"action": "verify", "id": [column, table, "nothing"], **form}
        followed = viewer.post("/studio/bulk", data=ticked)
        assert followed.status_code == 303
        here = followed.headers["location"]
        wait_until(lambda: "every 2s" not in viewer.get(here).text)
        page = viewer.get(here).text
        assert badges(page)["mismatch"] == "bad"
        said = words(page)
        assert "1 archive does not match its seal." in said
        assert "1 matches, 1 does not, 1 refused" in said
        assert "<html" not in viewer.get(here, headers={"HX-Request": "true"}).text

        (job,) = staff.get("/api/jobs?state=mismatch").json()["jobs"]
        assert (job["artifact_id"], job["kind"], job["result"]["matches"]) == (
            *(column, "verify", False),
        )
        events = staff.get(f"/api/jobs/{job['id']}/events").text
        assert "event: failed" in events
        assert badges(staff.get("/studio/jobs").text)["mismatch"] == "bad"
        shown = staff.get("/studio/jobs?state=mismatch").text
        assert "public.orders.code" in shown
        assert "public.carts" not in shown
        for path in (f"/studio/jobs/{job['id']}", f"/studio/artifacts/{column}"):
            assert badges(staff.get(path).text)["mismatch"] == "bad"

        export = staff.post(f"/api/artifacts/{column}/exports").json()["job"]["id"]
        staff.get(f"/api/exports/{export}/content").raise_for_status()
        assert staff.get(f"/api/exports/{export}").json()["job"]["state"] == "mismatch"
        assert badges(staff.get(f"/studio/exports/{export}").text)["mismatch"] == "bad"

        log = staff.get("/studio/activity?outcome=mismatch").text
        assert set(badges(log)) == {"mismatch", "staff"}
        assert words(log).count("mismatch") >= 3  # the entry of an older version is among them
        assert "public.old" in log
        assert "public.same" not in log
        done = staff.get("/studio/activity?outcome=done&action=verify").text
        assert "public.old" not in done
        assert "public.carts" in done


# ------------------------------------------------------------------------------------- totals


def test_totals_count_all(database, open_studio):
    """Of 130 tables the largest 100 are named, and all are counted."""
    database.psql(
        """
        DO $$ BEGIN FOR n IN 1 .. 130 LOOP
            EXECUTE format('CREATE TABLE public.t%s AS SELECT 1 AS a', n);
            PERFORM zanith.archive_table(format('public.t%s', n)::regclass);
        END LOOP; END $$"""
    )
    with open_studio.client(STAFF) as staff:
        said = words(staff.get("/studio").text)
    parked = int(
        database.psql(
            "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = '_zanith_shadow' AND c.relkind = 'r'"
        )
    )
    assert f"{formats.size(parked)} parked of 130 tables" in said
    assert f"and 124 more tables, {formats.size(parked * 124 / 130)}" in said


# ------------------------------------------------------------------------- what was not confirmed

LINES = """
CREATE TABLE public."two
lines" (id integer PRIMARY KEY, "first
second" text);
INSERT INTO public."two
lines" VALUES (1, 'a');
"""


def field(html: str, name: str) -> str:
    """Return the element of a field."""
    (found,) = re.findall(rf'<input[^>]* name="{name}"[^>]*>', html)
    return unescape(found)


def hidden(html: str, action: str) -> dict[str, str]:
    """Return the hidden fields of a form, as a browser sends them: with its own line breaks."""
    form = html.split(f'method="post" action="{action}"', 1)[1].split("</form>", 1)[0]
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form)
    return {name: unescape(value).replace("\n", "\r\n") for name, value in found}


def test_a_wrong_name_is_said_at_the_field_and_kept(artifacts, open_studio):
    table, column = artifacts["table"], artifacts["column"]
    with open_studio.client(STAFF) as staff:
        form = {"form_token": form_token(staff.get("/studio").text), "confirm": "anoter"}
        pages = [
            (f"/studio/artifacts/{table}/purge", {"reason": "too old"}),
            (f"/studio/artifacts/{column}/restore", {}),
            (f"/studio/artifacts/{table}/erase", {"column": "id", "value": "1", "rows": "1"}),
            (
                "/studio/capture",
                {"schema": "public", "table": "orders", "strategy": "soft_drop_table"},
            ),
        ]
        for path, sent in pages:
            answer = staff.post(path, data={**form, **sent})
            assert answer.status_code == 409
            typed = field(answer.text, "confirm")
            assert 'value="anoter"' in typed
            assert "autofocus" in typed
            assert 'aria-invalid="true"' in typed
            said = 'id="confirm-error"><strong>Not confirmed: nothing was changed.</strong>'
            after = answer.text.split('name="confirm"', 1)[1]
            assert said in after[:300]
            assert words(answer.text).count("Not confirmed") == 1
            if "reason" in sent:
                assert 'value="too old"' in field(answer.text, "reason")
        assert "aria-invalid" not in field(staff.get(pages[0][0]).text, "confirm")


async def test_a_name_with_a_line_break_is_dropped_and_restored(database, open_studio):
    database.psql(LINES)
    with open_studio.client(STAFF) as staff:
        search = staff.get("/studio/capture?search=two").text
        (table,) = re.findall(r'class="object" href="([^"]+)"', search)
        (column,) = [
            link
            for link in re.findall(r'href="([^"]+)"', staff.get(unescape(table)).text)
            if "first" in link
        ]
        page = staff.get(unescape(column) + "&strategy=archive_column").text
        form = hidden(page, "/studio/capture")
        form |= {"strategy": "archive_column", "confirm": 'public."two lines"."first second"'}
        dropped = staff.post("/studio/capture", data=form)
        assert dropped.status_code == 303, words(dropped.text)
        job = wait_for_job(staff, dropped.headers["location"].rsplit("/", 1)[1])
        assert job["state"] == "done", job["error"]
        artifact = job["result"]["artifact_id"]
        path = f"/studio/artifacts/{artifact}/restore"
        page = staff.get(path).text
        assert f"or the id {artifact} , to restore it" in words(page)
        for confirm in ("first second", artifact):
            form = hidden(page, path) | {"confirm": confirm}
            restored = staff.post(path, data=form)
            assert restored.status_code == 303, words(restored.text)
            assert wait_for_job(staff, restored.headers["location"][-16:])["state"] == "done"


# ------------------------------------------------------------------- a seal that broke, a failure


async def test_a_broken_seal_offers_no_restore_and_a_failure_leads_back(
    database, artifacts, open_studio
):
    column = artifacts["column"]
    path = f"/studio/artifacts/{column}/restore"
    with open_studio.client(STAFF) as staff:
        plan = staff.get(f"{path}?as=code_2&not_valid=yes").text
        place = staff.get(f"/api/artifacts/{column}").json()["physical_name"]
        database.psql(f"ALTER TABLE _zanith_shadow.{place} DISABLE TRIGGER USER")
        database.psql(DAMAGE.format(table=place))
        form = hidden(plan, path) | {"confirm": "code"}
        started = staff.post(path, data=form)
        assert started.status_code == 303, words(started.text)
        job = wait_for_job(staff, started.headers["location"].rsplit("/", 1)[1])
        assert job["state"] == "failed"
        failed = staff.get(started.headers["location"]).text
        assert "Nothing was changed. What it had begun was rolled back." in words(failed)
        assert f'href="{path}?as=code_2&amp;not_valid=yes">Back to its plan' in failed

        page = staff.get(path).text
        assert 'name="confirm"' not in page
        assert "does not match its seal: it is not restored" in words(page)
        assert "This plan cannot run yet" in words(page)
        assert f'href="{path}?unverified=yes"' in page
        assert 'name="confirm"' in staff.get(f"{path}?unverified=yes").text
        story = staff.get(f"/studio/artifacts/{column}").text
        assert 'class="button primary"' not in story


# ------------------------------------------------------------------------ before a bulk purge


def test_a_bulk_purge_is_reviewed_with_checksums_and_exports(database, artifacts, open_studio):
    """Only what was exported, and matches its seal, is ticked; the tombstone keeps the reason."""
    column, table, weird = artifacts["column"], artifacts["table"], artifacts["weird"]
    with open_studio.client(STAFF) as staff:
        for artifact in (column, table):
            export = staff.post(f"/api/artifacts/{artifact}/exports").json()["job"]["id"]
            staff.get(f"/api/exports/{export}/content").raise_for_status()
        place = staff.get(f"/api/artifacts/{column}").json()["physical_name"]
        database.psql(f"ALTER TABLE _zanith_shadow.{place} DISABLE TRIGGER USER")
        database.psql(DAMAGE.format(table=place))
        wait_for_job(staff, staff.post(f"/api/artifacts/{column}/verify").json()["job"]["id"])
        page = staff.get("/studio/cleanup?older_than=0s&before_expiry=yes").text
        rows = {
            artifact: page.split(f'id="go-{artifact}"', 1)[1].split("</tr>", 1)[0]
            for artifact in (column, table, weird)
        }
        ticked = {
            artifact: " checked>" in row.split("<label", 1)[0] for artifact, row in rows.items()
        }
        assert ticked == {column: False, table: True, weird: False}
        seal = staff.get(f"/api/artifacts/{table}").json()["checksum"]
        said = words(rows[table])
        assert seal[:12] in said
        assert "equals the seal" in said
        assert "“moved”" in said
        assert badges(rows[column])["mismatch"] == "bad"
        assert "it does not match its seal" in words(rows[column])
        assert badges(rows[weird])["never"] == "warn"
        assert "it was never exported" in words(rows[weird])
        assert "Delete 1 for good" in words(page)
        asked = {"older_than": "0s", "before_expiry": True}
        planned = staff.post("/api/cleanup", json=asked).json()["candidates"]
        exported = {item["artifact"]["id"]: item["last_export"] for item in planned}
        assert exported[table]["equals_seal"] is True
        assert exported[weird] is None

        form = {"form_token": form_token(page), "older_than": "0s", "before_expiry": "yes"}
        form |= {"reason": "moved to code_v2"}
        # what its box sends says what was shown of it
        digest = staff.get(f"/api/artifacts/{table}/purge").json()["plan"]["digest"]
        assert f'value="{table}:{digest}"' in page
        assert {item["artifact"]["id"]: item["digest"] for item in planned}[table] == digest
        other = f"{table}:{'0' * 64}"
        for sent in (
            staff.post("/studio/cleanup", data={**form, "id": [other], "confirm": "1"}),
            staff.post(
                "/api/cleanup",
                json={
                    **asked,
                    "only": [table],
                    "digests": {table: "0" * 64},
                    "confirm": 1,
                    "dry_run": False,
                },
            ),
        ):
            number = sent.headers.get("location", "").rsplit("/", 1)[1:] or [
                sent.json()["job"]["id"]
            ]
            (left,) = wait_for_job(staff, number[0])["result"]["results"]
            assert left["outcome"] == "skipped"
            assert "is not the one that was confirmed" in left["why"]
        wrong = staff.post("/studio/cleanup", data={**form, "id": [table], "confirm": "7"})
        assert wrong.status_code == 409
        assert 'value="7"' in field(wrong.text, "confirm")
        assert 'value="moved to code_v2"' in field(wrong.text, "reason")
        ticked = [f"{table}:{digest}"]
        done = staff.post("/studio/cleanup", data={**form, "id": ticked, "confirm": "1"})
        wait_for_job(staff, done.headers["location"].rsplit("/", 1)[1])
        assert "moved to code_v2" in staff.get(f"/studio/artifacts/{table}").text


# --------------------------------------------------------------------------------- rehearsals


def test_a_rehearsal_is_a_job_that_says_what_it_blocks(database, artifacts, open_studio):
    """It can be followed and cancelled, it is in the log, and above a second it is confirmed."""
    column = artifacts["column"]
    path, api = f"/studio/artifacts/{column}/restore", f"/api/artifacts/{column}/restore"
    with open_studio.client(STAFF) as staff, open_studio.client(VIEWER) as viewer:
        said = words(staff.get(path).text)
        assert "It blocks reads and writes of public.orders for" in said
        assert "Blocks reads and writes of public.orders for" in said
        # an archived table is nobody's before it is back
        table = f"/studio/artifacts/{artifacts['table']}/restore"
        assert "It blocks no reads or writes of others." in words(staff.get(table).text)
        assert viewer.post(api, json={"rehearse": True}).status_code == 403

        form = hidden(staff.get(path).text, path)
        started = staff.post(f"{path}/rehearse", data=form)
        assert started.status_code == 303
        job = wait_for_job(staff, started.headers["location"].rsplit("/", 1)[1])
        assert (job["kind"], job["state"]) == ("rehearse", "done")
        assert job["progress"]["done"] == job["progress"]["total"]
        counts = {"filled": 500, "given": 0, "given_what": "null", "left": 0}
        assert job["result"]["row_counts"] == counts
        page = words(staff.get(started.headers["location"]).text)
        assert "Rehearsed, and rolled back. Nothing was changed." in page
        assert "500 rows have their archived value" in page
        assert "Back to its plan" in page
        assert "check the archive against its seal : done" in page
        log = staff.get("/studio/activity?action=rehearse").text
        assert badges(log)["done"] == "good"
        assert database.psql("SELECT count(*) FROM public.orders") == "500"

        # as large as it says, a rehearsal would take seven seconds and a half
        statistics = "UPDATE pg_class SET reltuples = 1500000 WHERE relname = 'orders'"
        database.psql(statistics)
        dry = staff.post(api, json={"dry_run": True}).json()
        assert dry["blocks"]["rehearsal"]["reads"] == ["public.orders"]
        assert dry["blocks"]["rehearsal"]["seconds"] > 7
        assert "Others may wait for that long" in staff.get(path).text
        refused = staff.post(f"{path}/rehearse", data=form)
        assert refused.status_code == 409
        assert "Tick this box to rehearse." in words(refused.text)
        assert refused.text.count("Not confirmed") == 1
        assert "autofocus" in refused.text.split('name="blocking_ok"', 1)[1][:200]
        answer = staff.post(api, json={"rehearse": True})
        assert answer.status_code == 409
        assert "it blocks reads and writes of public.orders" in answer.json()["error"]["message"]
        with locked(database):
            waiting = staff.post(f"{path}/rehearse", data={**form, "blocking_ok": "yes"})
            number = waiting.headers["location"].rsplit("/", 1)[1]
            staff.post(f"/api/jobs/{number}/cancel").raise_for_status()
        assert wait_for_job(staff, number)["state"] == "cancelled"
        assert "nothing was changed" in words(staff.get(f"/studio/jobs/{number}").text)
        job = staff.post(api, json={"rehearse": True, "blocking_ok": True}).json()["job"]
        assert wait_for_job(staff, job["id"])["state"] == "done"


# ---------------------------------------------------------- what is not to be restored, or purged

REBUILT = """
CREATE TABLE public.notes (id integer PRIMARY KEY, text text);
SELECT zanith.rebuild_table('public.notes');
"""


def test_pages_offer_only_what_can_be_done(database, artifacts, open_studio):
    """No restore of what was rebuilt or is live, no purge of what is held, no red for viewers."""
    rebuilt = database.psql(REBUILT)
    column, table, weird = artifacts["column"], artifacts["table"], artifacts["weird"]
    with open_studio.client(STAFF) as staff, open_studio.client(VIEWER) as viewer:
        story = staff.get(f"/studio/artifacts/{rebuilt}").text
        assert "there is nothing to restore" in words(story)
        assert f"/studio/artifacts/{rebuilt}/restore" not in story
        assert "recovery_sql" not in story
        plan = staff.get(f"/studio/artifacts/{rebuilt}/restore").text
        assert 'id="choices"' not in plan
        assert 'name="confirm"' not in plan

        job = staff.post(f"/api/artifacts/{column}/restore", json={"confirm": "code"}).json()["job"]
        assert wait_for_job(staff, job["id"])["state"] == "done"
        for path in (f"/studio/artifacts/{column}", f"/studio/artifacts/{column}/restore"):
            shown = staff.get(path).text
            assert "public.orders.code is live again since" in words(shown)
            assert 'id="choices"' not in shown
            assert 'class="steps"' not in shown
        database.psql("ALTER TABLE public.orders DROP COLUMN code")
        for path in (f"/studio/artifacts/{column}", f"/studio/artifacts/{column}/restore"):
            shown = words(staff.get(path).text)
            assert "is live again since" not in shown
            assert "dropped again" in shown

        staff.post(f"/api/artifacts/{table}/hold", json={"reason": "audit"}).raise_for_status()
        review = staff.get(f"/studio/artifacts/{table}/purge").text
        assert 'name="confirm"' not in review
        assert "It cannot be purged now" in words(review)
        assert f'action="/studio/artifacts/{table}/release"' in review
        form = hidden(review, f"/studio/artifacts/{table}/release")
        back = staff.post(f"/studio/artifacts/{table}/release", data=form)
        assert back.headers["location"] == f"/studio/artifacts/{table}/purge"
        assert 'name="confirm"' in staff.get(back.headers["location"]).text

        red = re.compile(r'class="[^"]*\b(danger|danger-quiet|final)\b')
        for path in (
            *(f"/studio/artifacts/{weird}{page}" for page in ("", "/restore", "/purge", "/erase")),
            *("/studio", "/studio/cleanup?older_than=0s&before_expiry=yes"),
        ):
            assert not red.search(viewer.get(path).raise_for_status().text), path
            if "restore" not in path and "erase" not in path:
                assert red.search(staff.get(path).raise_for_status().text), path


# ----------------------------------------------------------------------- what stands in the way

STOPPED = """
CREATE TABLE public.shops (id integer PRIMARY KEY);
CREATE TABLE public.bills (id integer PRIMARY KEY,
    shop integer CONSTRAINT of_shop REFERENCES public.shops);
"""


def test_a_conflict_names_the_dependent_and_links_the_artifact(database, open_studio):
    """A foreign key's table that was renamed and replaced, or is parked itself."""
    database.psql(STOPPED)
    bills = database.psql("SELECT zanith.archive_table('public.bills')")
    with open_studio.client(STAFF) as staff:

        def plan() -> tuple[str, str, dict]:
            text = staff.get(f"/studio/artifacts/{bills}/restore").text
            found = staff.get(f"/api/artifacts/{bills}").json()["plan"]["conflicts"]
            return text, words(text), found[0]

        database.psql(
            "ALTER TABLE public.shops RENAME TO old_shops;"
            " CREATE TABLE public.shops (id integer PRIMARY KEY)"
        )
        _, said, conflict = plan()
        assert conflict["code"] == "table_replaced"
        assert conflict["detail"] == "It is needed by the foreign key of_shop."
        assert "It is needed by the foreign key of_shop." in said
        assert (
            "ALTER TABLE public.shops RENAME TO shops_aside;"
            " ALTER TABLE public.old_shops RENAME TO shops" in said
        )
        database.psql("ALTER TABLE public.shops RENAME TO shops_aside")
        database.psql("ALTER TABLE public.old_shops RENAME TO shops")
        assert staff.get(f"/api/artifacts/{bills}").json()["plan"]["conflicts"] == []

        shops = database.psql("SELECT zanith.soft_drop_table('public.shops')")
        text, said, conflict = plan()
        assert (conflict["code"], conflict["waits_for"]) == ("table_gone", [shops])
        assert "It is parked: restore it first." in said
        assert f'href="/studio/artifacts/{shops}/restore"' in text
        database.psql("CREATE TABLE public.shops (id integer PRIMARY KEY)")
        text, said, conflict = plan()
        assert (conflict["code"], conflict["artifacts"]) == ("table_replaced", [shops])
        assert f"public.shops is parked, as artifact {shops}" in said
        assert f'href="/studio/artifacts/{shops}"' in text


RESULTS = """
INSERT INTO zanith._zanith_jobs (id, kind, state, result, actor, started_at, ended_at) VALUES
    ('feedface000000b1', 'cleanup', 'done', '{"results": [
        {"outcome": "purged", "object": "a"}, {"outcome": "failed", "object": "b"}]}',
     'ana', now(), now()),
    ('feedface000000b2', 'cleanup', 'done', '{"results": [
        {"outcome": "purged", "object": "a"}, {"outcome": "skipped", "object": "b"}]}',
     'ana', now(), now()),
    ('feedface000000b3', 'restore', 'done', '{"rows": 1, "losses": [
        {"code": "not_validated", "message": "Validate the constraint k: no"}]}',
     'ana', now(), now())
"""


def test_what_went_half_well_is_not_green(database, open_studio):
    database.psql(RESULTS)
    with open_studio.client(STAFF) as staff:
        for number, note in (
            ("b1", '<p class="note bad">Purged 1 of 2. 1 failed.'),
            ("b2", '<p class="note warn">Purged 1 of 2.'),
            ("b3", '<p class="note warn"><strong>Restored.</strong> Not everything was validated'),
        ):
            page = staff.get(f"/studio/jobs/feedface000000{number}").raise_for_status().text
            assert note in page
