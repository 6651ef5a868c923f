"""Promise 14: a check that did not run is shown as not run, and a mismatch is never green."""

from __future__ import annotations

import pytest

from app import text as formats
from app.recovery.db.database import Database
from app.recovery.plan.planning import plan_restore
from tests.integration.screens import (
    DAMAGE,
    NOTHING,
    STAFF,
    VIEWER,
    artifacts,
    badges,
    in_terminal,
    open_studio,
    words,
)
from tests.studios import (
    form_token,
    wait_until,
)

__all__ = ["artifacts", "open_studio"]


pytestmark = pytest.mark.newest
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
                whole = f"{page}/restore?count=yes"
                part = f"{page}/verdict"
                for client, path in ((staff, part), (viewer, part), (viewer, whole)):
                    shown = words(client.get(path).raise_for_status().text)
                    assert NOTHING not in shown
                    assert "1 check not counted: the result is unknown" in shown
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
                assert NOTHING in words(client.get(f"{page}/verdict").text)
                assert all(item["counted"] for item in client.get(api).json()["plan"]["drift"])
            assert "Not counted" not in in_terminal(await plan_restore(db, artifact))
            async with db.acquire() as other, other.transaction():
                await other.execute("LOCK TABLE keep.shops IN SHARE MODE")
                await check("could not obtain lock")
            database.psql("ALTER TABLE keep.shops ADD CHECK (keep.fine(id))")
            await check("would run as")
    finally:
        await db.close()


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
