"""Work that is handed over, looked at and gone on with; and everything taken out again."""

from __future__ import annotations

import pytest

from tests.acceptance.command import done, zanith
from tests.acceptance.shop import ORDERS

pytestmark = pytest.mark.newest

DROP = ("drop", "column", "orders.legacy_code", "--strategy", "archive", "--online", "--yes")


@pytest.fixture
def url(database):
    database.psql(ORDERS)
    return database.url


def test_a_drop_that_is_handed_over_waits_for_a_worker(url):
    told = done(*DROP, "--detach", url=url).out
    assert "waits for a worker" in told
    (job,) = done("jobs", "list", "--json", url=url).json["jobs"]
    assert (job["kind"], job["state"]) == ("capture", "queued")
    assert zanith("recover", "inspect", "orders.legacy_code", url=url).code == 3
    ran = done("worker", "--once", url=url)
    assert f"{job['id']}  capture of public.orders.legacy_code: done" in ran.err
    assert "done" in done("jobs", "show", job["id"], url=url).out
    artifact = done("recover", "inspect", "orders.legacy_code", "--json", url=url).json
    assert "archive_column" in str(artifact)
    back = ("recover", "restore-column", "orders.legacy_code", "--online", "--yes", "--detach")
    assert done(*back, "--json", url=url).json["job"]["state"] == "queued"
    done("worker", "--once", url=url)
    found = done("recover", "list", "--json", url=url).json["artifacts"]
    assert [item["status"] for item in found] == ["restored"]


def test_a_job_that_waits_is_cancelled_and_then_there_is_nothing_to_resume(url):
    job = done(*DROP, "--detach", "--json", url=url).json["job"]
    assert "asked to stop" in done("jobs", "cancel", job["id"], url=url).out
    assert "had ended already" in done("jobs", "cancel", job["id"], url=url).out
    assert done("jobs", "list", "--live", url=url).out.strip() == "No jobs."
    assert "waits for a worker" in done("jobs", "resume", job["id"], url=url).out
    done("worker", "--once", url=url)
    assert zanith("jobs", "pause", job["id"], url=url).code == 4
    assert zanith("jobs", "show", "nothing", url=url).code == 3


def test_uninstall_takes_all_out_but_not_while_something_is_parked(database, url):
    before = database.schema()
    done("drop", "column", "orders.legacy_code", "--strategy", "soft", "--yes", url=url)
    refused = zanith("uninstall", "--yes", url=url)
    assert (refused.code, "there are artifacts: 1" in refused.err) == (4, True)
    assert zanith("uninstall", url=url).code == 4  # and nobody is there to ask
    done("recover", "restore-column", "orders.legacy_code", "--yes", url=url)
    (left,) = done("recover", "list", "--json", url=url).json["artifacts"]
    done("recover", "purge", left["id"], "--yes", url=url)
    assert database.schema() == before
    assert "no longer has Zanith" in done("uninstall", "--yes", url=url).out
    assert "SCHEMA zanith" not in database.schema()
    assert zanith("recover", "list", url=url).code != 0
    done("init", url=url)
    assert database.schema() == before
