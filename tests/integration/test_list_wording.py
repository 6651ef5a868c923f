"""What the pages of lists, jobs, exports and drops say, and where."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import httpx
import pytest

from tests.conftest import Database
from tests.hard_cases import HardCases
from tests.studios import Running, run_studio

TOKENS = {
    "auth_token": "ana:the-s3cret-of-ana",
    "read_only_auth_token": "vic:the-s3cret-of-vic",
}
PARTIAL = {"HX-Request": "true"}
CLOCK = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


@pytest.fixture
def studio(hard_database: Database) -> Iterator[Running]:
    with run_studio(hard_database.tcp_url, **TOKENS) as running:
        yield running


@pytest.fixture
def client(studio: Running) -> Iterator[httpx.Client]:
    with studio.client("the-s3cret-of-ana") as opened:
        yield opened


@pytest.mark.newest
def test_what_hard_cases_say(client: httpx.Client, cases: HardCases, hard_database: Database):
    # A blocked job names its attempt, and the SQL that ends what is in the way.
    pid = hard_database.psql(
        "SELECT progress -> 'blocked_by' -> 0 ->> 'pid' FROM zanith._zanith_jobs"
        f" WHERE id = '{cases.jobs['running']}'"
    )
    page = client.get(f"/studio/jobs/{cases.jobs['running']}").text
    assert "Attempt 1 of 6." in text_of(page)
    assert f'data-copy="SELECT pg_terminate_backend({pid});"' in page
    # It is idle in its transaction: to cancel its statement would end nothing.
    assert "pg_cancel_backend" not in page
    hard_database.psql(
        "UPDATE zanith._zanith_jobs SET progress = jsonb_set(progress, '{blocked_by,0,state}',"
        f" '\"active\"') WHERE id = '{cases.jobs['running']}'"
    )
    page = client.get(f"/studio/jobs/{cases.jobs['running']}").text
    assert f'data-copy="SELECT pg_cancel_backend({pid});"' in page
    blocked = client.get("/studio/jobs?state=blocked").text
    assert blocked.count("<tr>") == 2
    assert cases.jobs["running"] in blocked

    # What needs attention is what its lists have.
    box = client.get("/studio").text.split('id="attention-title"')[1].split("</section>")[0]
    lines = re.findall(r'<a href="([^"]+)"><strong>([\d,]+)</strong> ([^<]+)', box)
    assert [re.sub("^(is|are) ", "", words) for *_, words in lines] == [
        "damaged",
        "expire within 7 days, or are overdue, without an export",
        "not sealed yet",
        "job waits for a lock",
    ]
    for place, number, _ in (lines[1], lines[3]):
        rows = client.get(unescape(place)).text.split("<tbody>")[1].count("<tr>")
        assert str(rows) == number, place

    # A wrong filter stays in its field, with the error beside it.
    wrong = client.get("/studio?since=later&held=perhaps&who=ana")
    assert wrong.status_code == 400
    for name, said in (("since", "&#39;later&#39; is not a date"), ("held", "is not yes or no")):
        tag = wrong.text.split(f'name="{name}"')[1].split(">")[0]
        assert f'aria-invalid="true" aria-describedby="{name}-error"' in tag
        assert said in wrong.text.split(f'id="{name}-error">')[1].split("</p>")[0]
    assert 'value="later"' in wrong.text
    assert 'name="who" value="ana"' in wrong.text
    assert "No artifact matches" not in wrong.text
    log = client.get("/studio/activity?until=later&actor=ana")
    assert log.status_code == 400
    assert 'value="later" aria-invalid="true" aria-describedby="until-error"' in log.text
    assert 'name="actor" value="ana"' in log.text

    # The clock stands beside how long ago it was.
    for place in ("/studio/activity", "/studio/jobs"):
        body = client.get(place).text.split("<tbody>")[1]
        rows = body.split("</tbody>")[0].split("<tr>")[1:]
        assert rows
        for row in rows:
            assert CLOCK.search(text_of(row)), text_of(row)

    # Commands are shell lines.
    form = client.get(f"/studio/artifacts/{cases.artifacts['values']}/export").text
    line = f"zanith recover export {cases.artifacts['values']} --format csv --output export.csv"
    assert f'data-copy="{line}"' in form
    assert '<code class="shell-line">zanith' in form
    packed = client.get(f"/studio/exports/{cases.exports['packed']}").text
    assert '<code class="shell-line">zstd' in packed


@pytest.mark.newest
def test_a_running_export_has_no_large_download(client, cases: HardCases, hard_database):
    waiting = f"/studio/exports/{cases.exports['waiting']}"
    assert 'class="button primary"' in client.get(waiting).text
    hard_database.psql(
        "UPDATE zanith._zanith_jobs SET state = 'running', started_at = now(), lease = 'x',"
        f" lease_expires_at = now() + interval '1 day' WHERE id = '{cases.exports['waiting']}'"
    )
    assert 'class="button primary"' not in client.get(waiting).text
    # A page that was open when it began hides the button by the state in its progress.
    part = client.get(f"{waiting}/progress", headers=PARTIAL).text
    assert 'data-state="running"' in part


@pytest.mark.newest
def test_a_viewer_is_told_who_may(studio: Running, cases: HardCases):
    with studio.client("the-s3cret-of-vic") as viewer:
        page = viewer.get("/studio").text
    assert "Needs staff" in page


TABLES = """
CREATE SCHEMA judged;
CREATE TABLE judged.orders (id int PRIMARY KEY, code text, total int, twice int);
CREATE VIEW judged.codes AS SELECT id, code FROM judged.orders;
CREATE TABLE judged.lines (order_id int REFERENCES judged.orders, amount int);
CREATE TABLE judged.inherits () INHERITS (judged.lines);
INSERT INTO judged.orders VALUES (1, 'a', 2, 4);
"""


def test_the_drop_page_says_what_can_go(database: Database):
    """Before the click: each column with the reason, dependents, and the last use."""
    database.psql(TABLES)
    database.psql("SELECT * FROM judged.orders; SELECT pg_stat_force_next_flush()")
    place = "/studio/capture?schema=judged&table="
    with run_studio(database.tcp_url) as studio, studio.client() as client:
        plain = client.get(place + "orders").text
        assert "2 dependents" in text_of(plain)
        newer = int(database.psql("SHOW server_version_num")) >= 160000
        used = "last used just now" if newer else "scan"
        assert used in text_of(plain.split('class="lead"')[1].split("</p>")[0])
        listed = client.get("/studio/capture?search=judged.orders").text.split("<tbody>")[1]
        assert ("just now" if newer else "scan") in text_of(listed)

        def judged(table: str) -> dict[str, str]:
            body = client.get(place + table + "&check=yes", headers=PARTIAL).text
            rows = body.split("<tbody>")[1].split("<tr>")[1:]
            return {
                text_of(row.split("</td>")[0]).strip(): text_of(
                    row.split('data-label="Can be dropped"')[1].split(">", 1)[1]
                ).strip()
                for row in rows
            }

        orders = judged("orders")
        assert orders["total"] == orders["twice"] == "yes"
        assert orders["code"].startswith("with its dependents")
        assert "Another object depends on it" in orders["code"]
        inherited = judged("inherits")
        assert inherited["amount"].startswith("no ")
        assert "not even with CASCADE: it may be inherited" in inherited["amount"]
        # the same without scripts
        assert "with its dependents" in client.get(place + "orders&check=yes").text
        assert 'hx-trigger="load"' in plain


@pytest.mark.newest
def test_an_empty_list_leads_to_a_first_drop(database: Database):
    with run_studio(database.tcp_url) as studio, studio.client() as client:
        page = client.get("/studio").text
    empty = page.split('class="panel empty"')[1]
    assert 'href="/studio/capture">Drop something recoverably' in empty
    assert 'href="/studio/guard">Turn the guard on' in empty
    assert 'data-copy="zanith demo"' in empty
