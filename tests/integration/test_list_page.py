"""The list of artifacts with 300 of them: filters, orders, pages, and what is done to all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from html import unescape

import httpx
import pytest

from app.recovery.artifacts.listing import ArtifactFilter, Page, list_artifacts
from app.recovery.db.database import Database as Engine
from tests.conftest import Database, create_database
from tests.studios import Running, form_token, run_studio, sign_in

pytestmark = pytest.mark.newest

ROWS = "zanith._zanith_migration_artifacts"
SECRETS = {"ana": "the-s3cret-of-ana", "ben": "the-s3cret-of-ben"}
STAFF = ",".join(f"{name}:{token}" for name, token in SECRETS.items())
NAME = "concat_ws('.', source_schema, source_table, source_column)"

# What the address says, and the same asked of the rows.
FILTERS = {
    "": "true",
    "type=archive_table": "artifact_type = 'archive_table'",
    "status=restored": "status = 'restored'",
    "health=ok": "NOT COALESCE(expires_at < now() AND held_by IS NULL, false)",
    "held=yes": "held_by IS NOT NULL",
    "held=no": "held_by IS NULL",
    "expiring=overdue": "expires_at < now() AND held_by IS NULL",
    "expiring=7d": "expires_at < now() + interval '7 days' AND held_by IS NULL",
    "expiring=90d": "expires_at < now() + interval '90 days' AND held_by IS NULL",
    "expiring=never": "expires_at IS NULL",
    "exported=no": "physical_table IS NOT NULL",
    "migration=0034": "migration_id LIKE '%0034%'",
    "migration=DROP_TABLE": "migration_id LIKE '%drop\\_table%'",
    "migration=drop%25table": "false",
    "who=ben": "created_by = 'ben'",
    "who=postgres": "true",
    "since=2020-01-01": "true",
    "until=2020-01-01": "false",
    "object=orders": "source_table LIKE '%orders%'",
    "object=sales.ord": f"{NAME} LIKE '%sales.ord%'",
    "object=SALES.ORD": f"{NAME} LIKE '%sales.ord%'",
    "object=legacy_3": f"{NAME} LIKE '%legacy\\_3%'",
    "object=legacy%25": "false",
    "object=%22Old+Data%22.inv": "source_schema = 'Old Data' AND source_table LIKE 'inv%'",
    "object=Old+Data.inv": "source_schema = 'Old Data' AND source_table LIKE 'inv%'",
    "table=sales.visits_28": "(source_schema, source_table) = ('sales', 'visits_28')",
    "table=sales.visits": "false",
    "search=not+read&held=yes&who=ana": "reason LIKE '%not read%' AND created_by = 'ana'"
    " AND held_by IS NOT NULL",
}


@pytest.fixture(scope="module")
def here(server, many_template: str) -> Iterator[Database]:
    yield from create_database(server, many_template)


@pytest.fixture(scope="module")
def studio(here: Database) -> Iterator[Running]:
    with run_studio(here.tcp_url, auth_token=STAFF) as running:
        yield running


@pytest.fixture(scope="module")
def client(studio: Running) -> Iterator[httpx.Client]:
    with studio.client(SECRETS["ana"]) as opened:
        yield opened


def ids(database: Database, where: str, order: str = "capture_order DESC") -> list[str]:
    return database.psql(f"SELECT id FROM {ROWS} WHERE {where} ORDER BY {order}").split()


def matching(client: httpx.Client, query: str) -> tuple[list[str], int]:
    """Return what all pages of a filter show, and the number that the first page says."""
    found: list[str] = []
    after, total = "", -1
    while after is not None:
        answer = client.get(f"/api/artifacts?limit=90&{query}" + after)
        body = answer.raise_for_status().json()
        found += [item["id"] for item in body["artifacts"]]
        total = body["total"] if total < 0 else total
        after = body["next"] and f"&after={body['next']}"
    return found, total


@pytest.mark.parametrize("query", FILTERS)
def test_a_filter_finds_what_its_words_say(here, client, query: str):
    wanted = ids(here, FILTERS[query])
    assert wanted or "false" in FILTERS[query] or query == "status=restored"
    assert matching(client, query) == (wanted, len(wanted))


@pytest.mark.parametrize("wrong", ["held=perhaps", "expiring=soon", "since=later", "exported=1"])
def test_a_filter_that_means_nothing_is_refused(client, wrong: str):
    answer = client.get(f"/api/artifacts?{wrong}")
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] == "usage"


ORDERS = {
    "created": "capture_order",
    "rows": "COALESCE(row_count, -1)",
    "expires": "COALESCE(expires_at, 'infinity')",
    "name": f'{NAME} COLLATE "C"',
    "size": "",
}


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("sort", ORDERS)
@pytest.mark.parametrize("health", [None, "ok"])
async def test_pages_lead_on_and_back_and_say_where_they_are(here, sort, descending, health):
    """Every page counts right, and the pages before are those that one came from."""
    db = await Engine.open(here.url)
    try:
        wanted = ArtifactFilter(
            sort=sort, descending=descending, limit=70, held=False, health=health
        )
        pages: list[Page] = [await list_artifacts(db, wanted)]
        while pages[-1].next:
            pages.append(await list_artifacts(db, _after(wanted, pages[-1].next)))
        found = [item.id for page in pages for item in page.items]
        for page in pages:
            assert found[page.first - 1 : page.last] == [item.id for item in page.items]
            assert page.total == len(found)
        for number in range(len(pages) - 1, 0, -1):
            back = await list_artifacts(db, _after(wanted, pages[number].previous or ""))
            assert [item.id for item in back.items] == [i.id for i in pages[number - 1].items]
            assert back.first == pages[number - 1].first
    finally:
        await db.close()
    assert len(set(found)) == len(found) > 200
    if sort != "size" and health is None:
        way = "DESC" if descending else "ASC"
        order = f"{ORDERS[sort]} {way}, capture_order {way}"
        assert found == ids(here, "held_by IS NULL", order)


def _after(wanted: ArtifactFilter, cursor: str) -> ArtifactFilter:
    return replace(wanted, after=cursor or None)


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def test_the_list_says_where_it_is_and_what_comes_next(client):
    first = client.get("/studio?sort=size").text
    assert "1–50 of 300" in text_of(first)
    following = re.search(r'rel="next" href="([^"]+)"', first)
    assert following
    assert "Previous" not in text_of(first)
    second = text_of(client.get(unescape(following[1])).text)
    assert "51–100 of 300" in second
    found = [word in second for word in (" Previous ", " Next ", "Newer", "Older")]
    assert found == [True, True, False, False]


def test_one_column_says_that_it_is_overdue(here, client):
    """An overdue artifact is not unhealthy, and a held one is not overdue."""
    page = client.get("/studio?expiring=overdue&limit=200").text
    assert "expired" not in text_of(page.split("<tbody>")[1])
    assert "30 artifacts match" in text_of(page)
    held = here.psql(
        f"SELECT count(*) FROM {ROWS} WHERE held_by IS NOT NULL AND expires_at < now()"
    )
    assert int(held) == 30
    figures = text_of(client.get("/studio").text)
    assert "30 overdue" in figures
    assert "60 on hold" in figures


def test_a_line_of_what_needs_attention_leads_to_just_these(client):
    page = client.get("/studio").text
    box = page.split('id="attention-title"')[1].split("</section>")[0]
    lines = re.findall(r'<a href="([^"]+)"><strong>([\d,]+)</strong> ([^<]+)', box)
    assert [(number, words) for _, number, words in lines] == [
        ("60", "expire within 7 days, or are overdue, without an export")
    ]
    listed = text_of(client.get(unescape(lines[0][0])).text)
    assert "1–50 of 60 match" in listed


def test_the_bins_of_the_chart_exclude_each_other_and_say_so(client):
    chart = client.get("/studio").text.split("Artifacts by expiry</h2>")[1].split("</ul>")[0]
    bins = dict(
        re.findall(
            r"<li><span>([^<]+)</span>.*?<span class=\"figure\"[^>]*>([^<]+)", chart, re.DOTALL
        )
    )
    assert list(bins) == [
        "overdue",
        "within 7 days",
        "in 8 to 30 days",
        "in 31 to 90 days",
        "in more than 90 days",
        "on hold",
        "never",
    ]
    assert sum(int(number) for number in bins.values()) == 300


# ---------------------------------------------------------------- bulk on the filter


@pytest.fixture
def own(many_database: Database) -> Iterator[tuple[Database, Running]]:
    """A database whose artifacts a test may change, and its studio."""
    with run_studio(many_database.tcp_url, auth_token=STAFF) as running:
        yield many_database, running


def hidden(html: str) -> dict[str, str]:
    """Return the fields of the form that confirms."""
    form = html.split('class="confirm"')[1].split("</form>", maxsplit=1)[0]
    return {
        name: unescape(value)
        for name, value in re.findall(r'name="([a-z_]+)" value="([^"]*)"', form)
    }


def ask(browser: httpx.Client, action: str, match: str) -> httpx.Response:
    page = browser.get("/studio").text
    return browser.post(
        "/studio/bulk",
        data={"form_token": form_token(page), "action": action, "all": "yes", "match": match},
    )


def test_holds_all_that_match(own):
    database, studio = own
    with sign_in(studio, SECRETS["ana"]) as browser:
        asked = ask(browser, "hold", "held=no&who=ben")
        assert asked.status_code == 200
        number = len(ids(database, "created_by = 'ben' AND held_by IS NULL"))
        assert f"Hold all {number} artifacts that match" in text_of(asked.text)
        assert "captured by ben" in text_of(asked.text)
        assert ids(database, "held_by = 'ana'") == []
        done = browser.post("/studio/bulk", data=hidden(asked.text) | {"reason": "audit 4711"})
    assert f"{number} artifacts are now on hold" in text_of(done.text)
    held = ids(database, "held_by = 'ana' AND held_reason = 'audit 4711'")
    assert len(held) == number
    logged = "SELECT artifact_id FROM zanith._zanith_audit_log WHERE action = 'hold'"
    logged += " AND actor = 'ana' AND outcome = 'done' AND detail ->> 'reason' = 'audit 4711'"
    assert sorted(database.psql(logged).split()) == sorted(held)


@pytest.mark.parametrize("change", ["fewer", "others"])
def test_refuses_where_others_match_by_then(own, change: str):
    database, studio = own
    with sign_in(studio, SECRETS["ana"]) as browser:
        asked = ask(browser, "release", "held=yes")
        database.psql(
            f"UPDATE {ROWS} SET held_by = NULL WHERE id = (SELECT id FROM {ROWS}"
            " WHERE held_by IS NOT NULL LIMIT 1)"
        )
        if change == "others":
            database.psql(
                f"UPDATE {ROWS} SET held_by = 'cleo' WHERE id = (SELECT id FROM {ROWS}"
                " WHERE held_by IS NULL ORDER BY capture_order LIMIT 1)"
            )
        done = browser.post("/studio/bulk", data=hidden(asked.text) | {"reason": "kept text"})
        said = text_of(done.text)
        assert done.status_code == 409
        assert "The artifacts that match have changed" in said
        assert ("59 match now" if change == "fewer" else "but not the same ones") in said
        assert 'value="kept text"' in done.text
        number = 59 if change == "fewer" else 60
        assert len(ids(database, "held_by IS NOT NULL")) == number
        # the page has the new number: to confirm it again is enough
        done = browser.post("/studio/bulk", data=hidden(done.text))
    assert f"{number} artifacts are no longer on hold" in text_of(done.text)
    assert ids(database, "held_by IS NOT NULL") == []


@pytest.mark.parametrize("match", ["held=no", "type=soft_drop_column"])
def test_two_people_at_once_hold_each_artifact_once(own, match: str):
    database, studio = own
    free = len(
        ids(
            database,
            "held_by IS NULL"
            + (" AND artifact_type = 'soft_drop_column'" if "type" in match else ""),
        )
    )
    with (
        ThreadPoolExecutor(2) as both,
        sign_in(studio, SECRETS["ana"]) as ana,
        sign_in(studio, SECRETS["ben"]) as ben,
    ):
        forms = [(who, hidden(ask(who, "hold", match).text)) for who in (ana, ben)]
        answers = list(both.map(lambda each: each[0].post("/studio/bulk", data=each[1]), forms))
    said = sorted(answer.status_code for answer in answers)
    assert said == ([200, 409] if match == "held=no" else [200, 200])
    words = " ".join(text_of(answer.text) for answer in answers)
    assert f"{free} artifacts are now on hold" in words
    if match != "held=no":
        assert "0 artifacts are now on hold" in words
    logged = "SELECT count(*), count(DISTINCT artifact_id) FROM zanith._zanith_audit_log"
    logged += " WHERE action = 'hold' AND outcome = 'done'"
    assert database.psql(logged) == f"{free}|{free}"


def test_verifies_those_that_have_a_seal(own):
    database, studio = own
    sealed = len(ids(database, "checksum IS NOT NULL AND migration_id LIKE '%003%'"))
    with sign_in(studio, SECRETS["ana"]) as browser:
        asked = ask(browser, "verify", "migration=003")
        assert f"{sealed} of 48 have a seal" in text_of(asked.text)
        done = browser.post("/studio/bulk", data=hidden(asked.text))
    assert (done.status_code, done.headers["location"]) == (303, "/studio/jobs?kind=verify")
    jobs = "SELECT count(*) FROM zanith._zanith_jobs WHERE kind = 'verify'"
    assert database.psql(jobs) == str(sealed)


def test_a_review_of_a_purge_takes_no_more_than_it_can_show(own):
    _, studio = own
    with sign_in(studio, SECRETS["ana"]) as browser:
        refused = ask(browser, "purge", "")
        assert refused.status_code == 400
        assert "300 artifacts match, and a review of a purge shows at most 200" in text_of(
            refused.text
        )
        few = ask(browser, "purge", "migration=0034")
        assert few.status_code == 303
        review = browser.get(few.headers["location"])
    assert "Purge 3 chosen artifacts" in text_of(review.text)


def test_a_viewer_holds_nothing(many_database):
    tokens = {"auth_token": STAFF, "read_only_auth_token": "vic:the-s3cret-of-vic"}
    with (
        run_studio(many_database.tcp_url, **tokens) as studio,
        sign_in(studio, "the-s3cret-of-vic") as browser,
    ):
        page = browser.get("/studio").text
        assert text_of(page).count("Needs staff") == 1
        bar = page.split('class="bulk"')[1].split("</form>")[0]
        assert len(re.findall(r"<button[^>]* disabled>", bar)) == 3
        said = {"form_token": form_token(page), "action": "hold", "all": "yes", "digest": "0"}
        assert browser.post("/studio/bulk", data=said).status_code == 403
    assert len(ids(many_database, "held_by IS NOT NULL")) == 60


async def test_an_age_is_no_other_filter(here):
    db = await Engine.open(here.url)
    try:
        page = await list_artifacts(db, ArtifactFilter(older_than=timedelta(days=300), limit=300))
    finally:
        await db.close()
    assert [a.id for a in page.items] == ids(here, "created_at < now() - interval '300 days'")
