"""The card that stands before a plan: what it says in each state, and what its buttons do."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from html import unescape

import httpx
import pytest

from app.recovery.db.database import Database
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.plan.waits import SQL as WAITS
from app.recovery.plan.waits import find_waits
from app.routes.pages import artifact as artifact_page
from app.routes.pages import restore as restore_page
from tests.integration.screens import STAFF, VIEWER, words
from tests.studios import Running, locked, run_studio, sign_in, wait_for_seals, wait_until

pytestmark = pytest.mark.newest

TOKENS = {"auth_token": f"ana:{STAFF}", "read_only_auth_token": f"vic:{VIEWER}"}

SETUP = """
CREATE ROLE verdict_gone;
CREATE ROLE verdict_other;
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE calm (id int PRIMARY KEY, a text DEFAULT 'x');
CREATE TABLE gaps (id int PRIMARY KEY, a text NOT NULL DEFAULT 'none', b text);
CREATE TABLE taken (id int PRIMARY KEY, a text);
CREATE TABLE granted (id int PRIMARY KEY);
GRANT SELECT ON granted TO verdict_gone;
CREATE TABLE parents (id int PRIMARY KEY);
CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents);
CREATE TABLE checked (id int PRIMARY KEY, a int CONSTRAINT positive CHECK (a > 0));
CREATE TABLE moody (id int PRIMARY KEY, a mood);
CREATE TABLE given (id int PRIMARY KEY);
CREATE TABLE fires (id int PRIMARY KEY, a text);
CREATE TABLE lost (id int PRIMARY KEY);
CREATE TABLE broken (id int PRIMARY KEY);
CREATE TABLE offline (id int PRIMARY KEY, a int GENERATED ALWAYS AS (id + 1) STORED);
INSERT INTO calm SELECT n FROM generate_series(1, 20) n;
INSERT INTO gaps SELECT n, 'v', 'w' FROM generate_series(1, 20) n;
INSERT INTO taken VALUES (1, 'a');
INSERT INTO checked VALUES (1, 1);
INSERT INTO moody VALUES (1, 'sad');
INSERT INTO broken VALUES (1);
INSERT INTO fires VALUES (1, 'a');
INSERT INTO offline VALUES (1);
"""

CAPTURES = {
    "calm": "archive_column('calm', 'a')",
    "gaps": "archive_column('gaps', 'a')",
    "nulls": "archive_column('gaps', 'b')",
    "taken": "archive_column('taken', 'a')",
    "granted": "archive_table('granted')",
    "children": "archive_table('children')",
    "parents": "archive_table('parents')",
    "checked": "archive_column('checked', 'a')",
    "moody": "archive_column('moody', 'a')",
    "given": "archive_table('given')",
    "fires": "archive_column('fires', 'a')",
    "lost": "archive_table('lost')",
    "broken": "archive_table('broken')",
    "offline": "archive_column('offline', 'a')",
}

SINCE = """
INSERT INTO gaps VALUES (101), (102), (103);
ALTER TABLE taken ADD COLUMN a int;
DROP OWNED BY verdict_gone; DROP ROLE verdict_gone;
INSERT INTO checked VALUES (2);
DROP TYPE mood;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER always BEFORE UPDATE ON fires FOR EACH ROW EXECUTE FUNCTION nothing();
ALTER TABLE fires ENABLE ALWAYS TRIGGER always;
"""


@dataclass(frozen=True)
class Parked:
    """A database in which things are parked, a studio on it, and the ids of what is parked."""

    studio: Running
    ids: dict[str, str]

    def page(self, name: str, rest: str = "/restore?count=yes", token: str = STAFF) -> str:
        with self.studio.client(token) as client:
            return client.get(f"/studio/artifacts/{self.ids[name]}{rest}").raise_for_status().text


@pytest.fixture
def parked(database) -> Iterator[Parked]:
    gone, other = f"gone_{database.name}", f"other_{database.name}"

    def run(sql: str) -> str:
        return database.psql(sql.replace("verdict_gone", gone).replace("verdict_other", other))

    run(SETUP)
    ids = {name: database.psql(f"SELECT zanith.{call}") for name, call in CAPTURES.items()}
    with run_studio(database.tcp_url, **TOKENS) as studio:
        wait_for_seals(database)
        run(SINCE)
        places = dict(
            line.split("|")
            for line in database.psql(
                "SELECT id || '|' || format('%I.%I', physical_schema, physical_table)"
                " FROM zanith._zanith_migration_artifacts WHERE physical_table IS NOT NULL"
            ).splitlines()
        )
        run(
            f"ALTER TABLE {places[ids['given']]} OWNER TO verdict_other;"
            f"ALTER TABLE {places[ids['lost']]} DISABLE TRIGGER ALL;"
            f"DROP TABLE {places[ids['lost']]};"
            "UPDATE zanith._zanith_migration_artifacts SET verified_at = now(), verified_ok = false"
            f" WHERE id = '{ids['broken']}'"
        )
        yield Parked(studio, ids)
    run("DROP OWNED BY verdict_other; DROP ROLE verdict_other")


def title(html: str) -> str:
    """Return the verdict, and the class of its card."""
    tone = re.search(r'<section class="panel verdict ([a-z]*)" id="verdict"', html)
    said = re.search(r'id="verdict-title">([^<]*)<', html)
    assert tone, html
    assert said, html
    return f"{said[1].removeprefix('Can be restored: ')} ({tone[1] or 'plain'})"


def buttons(html: str) -> dict[str, str]:
    """Return where each button of the card leads; a field's leads to the plan with its text."""
    card = html[html.index('id="verdict"') :].split("</section>", 1)[0]
    found = {}
    for link, label in re.findall(
        r'<a class="button slight[^>]*? href="([^"]+)"[^>]*>([^<]+)', card
    ):
        found[unescape(label)] = unescape(link)
    for form in re.findall(
        r'<form method="get" action="([^"]+)" class="ask"(.*?)</form>', card, re.DOTALL
    ):
        hidden = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form[1])
        key, text = re.findall(r'<input name="([^"]+)" value="([^"]*)"', form[1])[0]
        label = re.findall(r'aria-label="([^"]+)"', form[1])[0]
        query = httpx.QueryParams([*hidden, (key, unescape(text) or "0")])
        found[label] = f"{form[0]}?{query}"
    return found


# the verdict before anything was counted, and after it
STATES = {
    "calm": ("yes (plain)", "yes (good)"),
    "gaps": ("not known yet (plain)", "needs a choice (warn)"),
    "nulls": ("yes (plain)", "yes (good)"),
    "checked": ("not known yet (plain)", "yes (good)"),
    "taken": ("needs a choice (warn)", "needs a choice (warn)"),
    "granted": ("needs a choice (warn)", "needs a choice (warn)"),
    "children": ("after another artifact (warn)", "after another artifact (warn)"),
    "moody": ("needs a choice (warn)", "needs a choice (warn)"),
    "given": ("needs a choice (warn)", "needs a choice (warn)"),
    "lost": ("no (bad)", "no (bad)"),
    "broken": ("no (bad)", "no (bad)"),
}

# what is there at first, the button, and what the plan says then
WAYS = [
    ("gaps", "", "would hold NULL", "Use default 'none'"),
    ("gaps", "", "would hold NULL", "Leave NULL, without NOT NULL"),
    ("gaps", "", "would hold NULL", "Enter a value"),
    ("taken", "", "already has a column a", "Restore as"),
    ("granted", "", "which had a grant, does not exist", "Leave out grants to gone_"),
    ("children", "", "does not exist any more", "Leave out foreign key children_parent_fkey"),
    ("moody", "", "does not exist any more", "Restore as text"),
    ("given", "", "The parked object of public.given was given", "Restore for its current owner"),
    ("broken", "", "did not match its seal", "Plan it without the seal"),
    ("fires", "&online=yes", "fires triggers", "Let the triggers fire"),
    ("fires", "&online=yes", "fires triggers", "Restore in one transaction"),
    ("offline", "&online=yes", "online form does not do this", "Restore in one transaction"),
]


@pytest.mark.smoke
def test_the_card_tells_the_state_and_its_buttons_resolve_it(parked):
    for name, (first, then) in STATES.items():
        shown = parked.page(name, "/restore"), parked.page(name)
        assert (title(shown[0]), title(shown[1])) == (first, then), name
        # nothing that was not counted looks as if it were
        assert "no drift since" not in words(shown[0])
        assert "Counting what changed" in shown[0]
        assert "/restore/counted" in shown[0]
        assert "Counting what changed" not in shown[1]
        # the artifact's page begins with the same card, and has no plan of its own
        page, part = parked.page(name, ""), parked.page(name, "/verdict")
        assert (title(page), title(part)) == (first, then), name
        assert 'class="steps"' not in page
    for name, choices, stop, button in WAYS:
        page = parked.page(name, f"/restore?count=yes{choices}")
        assert stop in words(page), (name, words(page))
        (there,) = (link for label, link in buttons(page).items() if label.startswith(button))
        assert parked.ids[name] in there
        with parked.studio.client(STAFF) as client:
            again = client.get(there, params={**httpx.URL(there).params, "count": "yes"})
        assert again.status_code == 200, again.text
        assert stop not in words(again.text), (name, button)
        assert "This plan cannot run yet" not in words(again.text), (name, button)
    # rows inserted since may keep NULL: the choice is offered, and says which one is made
    nulls = parked.page("nulls")
    assert {"Leave NULL", "Enter a value"} <= buttons(nulls).keys()
    assert 'aria-current="true"' in nulls
    # what comes first is one click away
    first = buttons(parked.page("children"))[f"Restore artifact {parked.ids['parents']} first"]
    assert first == f"/studio/artifacts/{parked.ids['parents']}/restore"
    # online: how long it would block, and how long it would take
    assert re.search(r"Online : under a second, .* in total", words(parked.page("calm")))
    # a viewer sees the same, and no button of a change
    viewed = parked.page("broken", token=VIEWER)
    assert title(viewed) == "no (bad)"
    assert "Plan it without the seal" not in viewed
    # the purge answers the same three questions
    purge = words(parked.page("calm", "/purge"))
    assert "Can come back after this: no" in purge
    assert "Lost for good 20 rows" in purge
    assert "never exported Export it first" in purge
    assert "Blocks no reads or writes of others" in purge


SLEEPS = """
CREATE FUNCTION sleeps(a text) RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN
        PERFORM pg_catalog.pg_sleep(current_setting('nap.seconds', true)::float8);
        RETURN true;
    END $$;
CREATE TABLE slow (
    id int PRIMARY KEY, a text CONSTRAINT patient CHECK (sleeps(a)), b text NOT NULL DEFAULT 'x');
INSERT INTO slow VALUES (1, 'a');
ALTER ROLE CURRENT_USER IN DATABASE "{name}" SET nap.seconds = '20';
"""
LIMIT = 5.0  # on any machine; what the page would wait for takes longer
ASLEEP = """SELECT count(*) FROM pg_stat_activity
    WHERE wait_event = 'PgSleep' AND datname = current_database()"""


@pytest.fixture
def slow(database) -> Iterator[Parked]:
    """A studio on a table whose count takes 20 seconds, as a lock may."""
    database.psql("SET nap.seconds = '0';" + SLEEPS.replace("{name}", database.name))
    ids = {
        "a": database.psql("SET nap.seconds = '0'; SELECT zanith.archive_column('slow', 'a')"),
        "b": database.psql("SET nap.seconds = '0'; SELECT zanith.soft_drop_column('slow', 'b')"),
    }
    with run_studio(database.tcp_url, lock_timeout="20s", **TOKENS) as studio:
        yield Parked(studio, ids)


def first_byte(studio: Running, path: str) -> float:
    """Return the seconds until an answer begins; the whole answer is 200."""
    with studio.client(STAFF) as client:
        started = time.monotonic()
        with client.stream("GET", path) as answer:
            assert answer.status_code == 200
            next(answer.iter_raw())
            return time.monotonic() - started


def test_no_page_waits_for_a_count(slow, database, monkeypatch):
    for module in (restore_page, artifact_page):
        monkeypatch.setattr(module, "COUNT", timedelta(seconds=6))
    here = f"/studio/artifacts/{slow.ids['a']}"
    pages = ("/studio", here, f"{here}/restore", f"{here}/purge", f"{here}/restore?not_valid=yes")
    for path in pages:
        assert first_byte(slow.studio, path) < LIMIT, path
    found: list[str] = []

    def count() -> None:
        with slow.studio.client(STAFF) as client:
            found.append(client.get(f"{here}/verdict").text)

    counted = threading.Thread(target=count)
    counted.start()
    wait_until(lambda: database.psql(ASLEEP) == "1")
    for path in pages:  # nor for the count of somebody else
        assert first_byte(slow.studio, path) < LIMIT, path
    counted.join()
    (part,) = found
    assert title(part) == "not known (warn)"
    assert "not counted: the result is unknown" in words(part), words(part)
    assert "it was not done within 6s" in words(part)
    assert "Count again, with more time" in words(part)
    assert database.psql(ASLEEP) == "0"


def test_a_locked_table_holds_up_no_page(slow, database):
    here = f"/studio/artifacts/{slow.ids['b']}"
    held = threading.Event()
    done = threading.Event()

    def hold() -> None:
        async def lock() -> None:
            connection = await database.connect()
            await connection.execute("BEGIN; LOCK TABLE slow IN ACCESS EXCLUSIVE MODE")
            held.set()
            await asyncio.to_thread(done.wait)
            await connection.close()

        asyncio.run(lock())

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert held.wait(10)
        for path in ("/studio", here, f"{here}/restore", f"{here}/purge"):
            assert first_byte(slow.studio, path) < LIMIT, path
    finally:
        done.set()
        holder.join()


def test_a_count_ends_when_its_reader_leaves(slow, database):
    artifact = slow.ids["a"]
    for path in (
        f"/studio/artifacts/{artifact}/verdict",
        f"/studio/artifacts/{artifact}/restore/counted",
        f"/studio/artifacts/{artifact}/restore?count=yes",
        f"/api/artifacts/{artifact}",
    ):
        with slow.studio.client(STAFF) as client:
            client.timeout = httpx.Timeout(None, read=1.5)
            with pytest.raises(httpx.ReadTimeout):
                client.get(path)
        wait_until(lambda: database.psql(ASLEEP) == "0")


async def test_transactions_that_would_make_it_wait_are_listed(database, connection, create_role):
    database.psql("CREATE TABLE busy (id int PRIMARY KEY, a text)")
    artifact = database.psql("SELECT zanith.archive_column('busy', 'a')")
    db = await Database.open(database.tcp_url)
    try:
        plan = await plan_restore(db, artifact, Choices(), checks=False)
        await connection.execute("SET application_name = 'report <b>'")
        async with connection.transaction():
            await connection.fetch("SELECT * FROM busy")
            assert await find_waits(db, plan) == ()  # a moment makes nobody wait
            await asyncio.sleep(1.1)
            (session,) = await find_waits(db, plan)
            # a role without pg_read_all_stats learns who it is, and not since when
            asked = [{"name": "public.busy", "modes": ["AccessShareLock"]}]
            async with db.acquire() as other, other.transaction():
                plain = create_role("plain")
                await other.execute(f"GRANT USAGE ON SCHEMA zanith TO {plain}")
                await other.execute(f"GRANT EXECUTE ON FUNCTION zanith._tree TO {plain}")
                await other.execute(f"SET LOCAL ROLE {plain}")
                (seen,) = await other.fetch(WAITS["sessions"], asked, timedelta(seconds=1))
                await other.execute(
                    f"RESET ROLE; REVOKE ALL ON SCHEMA zanith FROM {plain};"
                    f"REVOKE ALL ON FUNCTION zanith._tree FROM {plain}"
                )
            assert (seen["pid"], seen["role"]) == (session.pid, "postgres")
            assert seen["age"] is None
        assert session.pid == connection.get_server_pid()
        assert (session.application, session.tables) == ("report <b>", ("public.busy",))
        assert session.age is not None
        assert session.age > 1
        assert await find_waits(db, plan) == ()
    finally:
        await db.close()


def post(studio: Running, path: str, form: dict[str, str], times: int = 2) -> list[httpx.Response]:
    """Send a form several times at once, as somebody does who clicks again."""
    with sign_in(studio, STAFF) as browser:
        page = browser.get(path.removesuffix("/rehearse"))
        fields = dict(re.findall(r'name="(digest|form_token)" value="([^"]*)"', page.text))
        answers: list[httpx.Response] = []
        cookies = dict(browser.cookies)

        def send() -> None:
            with httpx.Client(base_url=studio.url, headers={"Origin": studio.url}) as client:
                sent = fields | form
                client.cookies.update(cookies)
                answers.append(client.post(path, data=sent, timeout=30))

        senders = [threading.Thread(target=send) for _ in range(times)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
    return answers


def test_a_second_click_leads_to_the_job_of_the_first(parked, database):
    count = "SELECT count(*) FROM zanith._zanith_jobs WHERE artifact_id = '{}' AND kind = '{}'"
    calm = parked.ids["calm"]
    with locked(database, "calm"):  # so that the first is under way when the second comes
        answers = post(parked.studio, f"/studio/artifacts/{calm}/restore/rehearse", {})
        assert {answer.status_code for answer in answers} == {303}
        assert len({answer.headers["location"] for answer in answers}) == 1
        assert database.psql(count.format(calm, "rehearse")) == "1"
    wait_until(lambda: live(database) == "0")
    with locked(database, "calm"):
        form = {"confirm": "calm.a"}
        answers = post(parked.studio, f"/studio/artifacts/{calm}/restore", form)
        assert {answer.status_code for answer in answers} == {303}
        assert len({answer.headers["location"] for answer in answers}) == 1
    wait_until(lambda: live(database) == "0")
    assert database.psql(count.format(calm, "restore")) == "1"
    gone = parked.ids["granted"]
    answers = post(parked.studio, f"/studio/artifacts/{gone}/purge", {"confirm": "granted"}, 3)
    assert {answer.status_code for answer in answers} == {303}
    assert database.psql(count.format(gone, "purge")) == "1"


def live(database) -> str:
    return database.psql(
        "SELECT count(*) FROM zanith._zanith_jobs WHERE state IN ('queued', 'running')"
    )
