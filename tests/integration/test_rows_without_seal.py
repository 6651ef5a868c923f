"""The pages of single rows say what the check of the seal reads, and offer to skip it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest

from tests.studios import form_token, run_studio, sign_in, wait_for_job, wait_for_seals

pytestmark = pytest.mark.newest

ORDERS = """
CREATE TABLE orders (id integer PRIMARY KEY, note text);
INSERT INTO orders SELECT n, 'note ' || n FROM generate_series(1, 50) AS n;
SELECT zanith.archive_column('orders', 'note');
ALTER TABLE orders ADD note text;
"""
FORGE = "ALTER TABLE {0} DISABLE TRIGGER USER; UPDATE {0} SET note = 'forged' WHERE id = 9"
PLACE = """SELECT format('%I.%I', physical_schema, physical_table)
    FROM zanith._zanith_migration_artifacts"""
LOGGED = """SELECT detail ->> 'unverified' FROM zanith._zanith_audit_log
    WHERE action = 'restore_rows' ORDER BY id"""
SKIP = "Plan it without the seal"
READS_ALL = "This reads all of its rows, and takes under a second by estimate."


@dataclass(frozen=True)
class Browser:
    """A browser that signed in, on the rows of a sealed artifact, and a client of the API."""

    pages: httpx.Client
    api: httpx.Client
    artifact: str

    def post(self, to: str, **form: str) -> httpx.Response:
        here = f"/studio/artifacts/{self.artifact}/rows"
        token = form_token(self.pages.get(here).text)
        return self.pages.post(f"{here}/{to}", data={"form_token": token, **form})

    def find(self) -> str:
        return self.post("find", column="id", operator="=", value="7").raise_for_status().text


@contextmanager
def browsing(database, **settings) -> Iterator[Browser]:
    tokens = {"auth_token": "ana:the-token-of-staff,bob:another-token-of-staff"}
    artifact = database.psql(ORDERS).splitlines()[-1]
    with (
        run_studio(database.tcp_url, **tokens, **settings) as running,
        sign_in(running, "the-token-of-staff") as pages,
        running.client("the-token-of-staff") as api,
    ):
        wait_for_seals(database)
        yield Browser(pages, api, artifact)


def field(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, page
    return html.unescape(found[1])


def test_rows_come_back_without_the_seal_after_a_choice(database):
    with browsing(database) as browser:
        ref = field(browser.find(), "ref")
        plan = browser.post("chosen", ref=ref).text
        assert READS_ALL in plan
        assert SKIP in plan
        database.psql(FORGE.format(database.psql(PLACE)))
        started = browser.api.post(f"/api/artifacts/{browser.artifact}/verify").raise_for_status()
        wait_for_job(browser.api, started.json()["job"]["id"])
        assert "Put the ticked rows back" in browser.find()
        stopped = browser.post("chosen", ref=ref).text
        assert SKIP in stopped
        assert ">Put back<" not in stopped
        chosen = {"ref": ref, "unverified": "yes"}
        plan = browser.post("chosen", **chosen).text
        assert "The archive is not compared with its seal." in plan
        assert READS_ALL not in plan
        assert "Compare with the seal" in plan
        given = {"digest": field(plan, "digest"), "confirm": "note"}
        wrong = browser.post("restore", **given | chosen | {"confirm": "nothing"})
        assert field(wrong.text, "unverified") == "yes"  # the choice stays beside the error
        with_seal = browser.post("restore", **given, ref=ref)
        assert with_seal.status_code == 409, with_seal.text
        started = browser.post("restore", **given, **chosen)
        assert started.status_code == 303, started.text
        job = wait_for_job(browser.api, started.headers["location"].rsplit("/", 1)[1])
        assert job["state"] == "done", job
    assert database.psql("SELECT note FROM orders WHERE id = 7") == "note 7"
    assert database.psql(LOGGED).splitlines()[-1] == "true"


def test_where_that_needs_an_approval_the_choice_is_not_offered(database):
    with browsing(database, approvals="unverified") as browser:
        ref = field(browser.find(), "ref")
        plan = browser.post("chosen", ref=ref).text
        assert SKIP not in plan
        assert "single rows cannot have one" in plan
        chosen = {"ref": ref, "unverified": "yes"}
        digest = field(browser.post("chosen", **chosen).text, "digest")
        refused = browser.post("restore", digest=digest, confirm="note", **chosen)
        assert refused.status_code == 409, refused.text
        assert "where that needs an approval" in refused.text
