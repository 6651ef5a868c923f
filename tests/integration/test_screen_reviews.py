"""Reviews before work: a purge of several artifacts, and a rehearsal."""

from __future__ import annotations

import pytest

from tests.integration.screens import (
    DAMAGE,
    STAFF,
    VIEWER,
    artifacts,
    badges,
    field,
    hidden,
    open_studio,
    words,
)
from tests.studios import (
    form_token,
    locked,
    wait_for_job,
)

pytestmark = pytest.mark.newest

__all__ = ["artifacts", "open_studio"]


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


def test_a_rehearsal_is_a_job_that_says_what_it_blocks(database, artifacts, open_studio):
    """It can be followed and cancelled, it is in the log, and above a second it is confirmed."""
    column = artifacts["column"]
    path, api = f"/studio/artifacts/{column}/restore", f"/api/artifacts/{column}/restore"
    with open_studio.client(STAFF) as staff, open_studio.client(VIEWER) as viewer:
        said = words(staff.get(path).text)
        assert "Restore blocks reads and writes of public.orders for" in said
        assert "Rehearse runs every step and rolls it back, and blocks the same." in said
        # an archived table is nobody's before it is back
        table = f"/studio/artifacts/{artifacts['table']}/restore"
        assert "Restore blocks no reads or writes of others." in words(staff.get(table).text)
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
        assert "Check the archive against its seal : done" in page
        log = staff.get("/studio/activity?action=rehearse").text
        assert badges(log)["done"] == "good"
        assert database.psql("SELECT count(*) FROM public.orders") == "500"

        # as large as it says, a rehearsal would take seven seconds and a half
        statistics = "UPDATE pg_class SET reltuples = 1500000 WHERE relname = 'orders'"
        database.psql(statistics)
        dry = staff.post(api, json={"dry_run": True}).json()
        assert dry["blocks"]["rehearsal"]["reads"] == ["public.orders"]
        assert dry["blocks"]["rehearsal"]["seconds"] > 7
        assert "Other sessions may wait that long" in staff.get(path).text
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
