"""Forms: what is typed is kept, what cannot be done is not offered, and an error leads back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape

import pytest

from tests import clusters
from tests.conftest import create_database, install_zanith
from tests.integration.screens import (
    DAMAGE,
    STAFF,
    VIEWER,
    artifacts,
    field,
    hidden,
    open_studio,
    words,
)
from tests.studios import (
    Running,
    capture_orders,
    form_token,
    run_studio,
    wait_for_job,
    wait_for_seals,
)

pytestmark = pytest.mark.newest

__all__ = ["artifacts", "open_studio"]


# ------------------------------------------------------------------------- what was not confirmed

LINES = """
CREATE TABLE public."two
lines" (id integer PRIMARY KEY, "first
second" text);
INSERT INTO public."two
lines" VALUES (1, 'a');
"""


def test_a_wrong_name_is_said_at_the_field_and_kept(artifacts, open_studio):
    table, column = artifacts["table"], artifacts["column"]
    with open_studio.client(STAFF) as staff:
        form = {"form_token": form_token(staff.get("/studio").text), "confirm": "another"}
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
            assert 'value="another"' in typed
            assert "autofocus" in typed
            assert 'aria-invalid="true"' in typed
            said = 'id="confirm-error"><strong>Not confirmed: nothing was changed.</strong>'
            after = answer.text.split('name="confirm"', 1)[1]
            assert said in after[:300]
            assert words(answer.text).count("Not confirmed") == 1
            if "reason" in sent:
                assert 'value="too old"' in field(answer.text, "reason")
        assert "aria-invalid" not in field(staff.get(pages[0][0]).text, "confirm")


@dataclass(frozen=True)
class Wrong:
    """A form that is filled in wrongly: the field that says so, and what stays in the fields."""

    path: str
    said: str
    at: str
    sent: dict[str, str | list[str]]
    posted: bool = True
    status: int = 400
    kept: tuple[str, ...] = ()


LONG = "r" * 2_001
TOO_LONG = "The reason has 2,001 characters"

# Each form of the studio with a field in which a person can be wrong. The typed name of the object
# is above, requests for an approval are in test_approvals_studio.py.
WRONG = {
    "sign in": Wrong(
        "/studio/login", "That token is not known", "token", {"token": "x" * 20}, status=401
    ),
    "list": Wrong("/studio", "is not a date", "since", {"since": "soon"}, posted=False),
    "activity": Wrong(
        "/studio/activity", "is not a date", "since", {"since": "soon"}, posted=False
    ),
    "age": Wrong(
        *("/studio/cleanup", "is not a duration", "older_than", {"older_than": "soon"}),
        posted=False,
    ),
    "number": Wrong(
        *("/studio/cleanup", "Not confirmed", "confirm"),
        {
            "older_than": "0s",
            "before_expiry": "yes",
            "id": "",
            "confirm": "99",
            "reason": "too old",
        },
        status=409,
        kept=("99", "too old"),
    ),
    "cleanup, a long reason": Wrong(
        *("/studio/cleanup", "The reason has 2,001", "reason"),
        {"older_than": "0s", "before_expiry": "yes", "id": "", "confirm": "1", "reason": LONG},
        kept=("1",),
    ),
    "hold": Wrong("/studio/artifacts/{table}/hold", TOO_LONG, "reason", {"reason": LONG}),
    "several, nothing ticked": Wrong(
        *("/studio/bulk", "Nothing is ticked", ""),
        {"action": "hold", "reason": "audit of May", "place": "type=archive_table"},
        kept=("audit of May", "type=archive_table"),
    ),
    "several, none to purge": Wrong("/studio/bulk", "Nothing is ticked", "", {"action": "purge"}),
    "several, too many": Wrong(
        *("/studio/bulk", "201 artifacts are ticked", ""),
        {"action": "hold", "id": [str(n) for n in range(201)], "reason": "all of them"},
        kept=("all of them",),
    ),
    "several, a long reason": Wrong(
        *("/studio/bulk", TOO_LONG, "reason"),
        {"action": "hold", "id": "", "reason": LONG},
    ),
    "all that match, a long reason": Wrong(
        *("/studio/bulk", TOO_LONG, "reason"),
        {"action": "hold", "all": "yes", "digest": "x", "count": "1", "reason": LONG},
    ),
    "purge": Wrong(
        *("/studio/artifacts/{table}/purge", TOO_LONG, "reason"),
        {"confirm": "{table}", "reason": LONG},
        kept=("{table}",),
    ),
    "erasure, a long reason": Wrong(
        *("/studio/artifacts/{table}/erase", TOO_LONG, "reason"),
        {"column": "id", "value": "1", "rows": "1", "confirm": "{table}", "reason": LONG},
        kept=("{table}", "id"),
    ),
    "drop": Wrong(
        *("/studio/capture", TOO_LONG, "reason"),
        {
            "schema": "public",
            "table": "orders",
            "strategy": "soft_drop_table",
            "confirm": "orders",
            "reason": LONG,
        },
        kept=("orders",),
    ),
    "expiry": Wrong(
        *("/studio/capture", "is not a duration", "expires_in"),
        {"schema": "public", "table": "orders", "strategy": "soft_drop_table", "expires_in": "x"},
        posted=False,
        status=200,
    ),
    "search": Wrong(
        *("/studio/artifacts/{table}/rows/find", "is not a value of type", "value"),
        {"column": "id", "operator": "=", "value": "one"},
    ),
    "no column": Wrong(
        *("/studio/artifacts/{table}/rows/find", "Choose the column", "value"),
        {"column": "", "operator": "=", "value": "one"},
    ),
    "ticks": Wrong(
        *("/studio/artifacts/{table}/rows/chosen", "No row is ticked", ""),
        {"column": "id", "operator": "<=", "value": "3"},
        kept=("3",),
    ),
    "ticks to erase": Wrong(
        *("/studio/artifacts/{table}/erase/ticked", "No row is ticked", ""),
        {"column": "id", "operator": "<=", "value": "3"},
        kept=("3",),
    ),
    "erasure": Wrong(
        *("/studio/artifacts/{table}/erase/look", "A column is given twice", ""),
        {"column": ["id", "id"], "value": ["17", "18"]},
        kept=("17", "18"),
    ),
}


@pytest.fixture(scope="module")
def forms(server, run_directory) -> Iterator[tuple[Running, dict[str, str]]]:
    template = clusters.obtain_template(run_directory, server, install_zanith)
    for database in create_database(server, template):
        made = capture_orders(database)
        with run_studio(database.tcp_url, auth_token=f"ana:{STAFF}") as running:
            wait_for_seals(database)
            yield running, made


@pytest.mark.parametrize("case", WRONG)
def test_each_form_says_what_is_wrong_at_its_field_and_keeps_the_rest(forms, case):
    running, made = forms
    wrong = WRONG[case]
    path = wrong.path.format(**made)
    with running.client(STAFF) as staff:
        if wrong.posted:
            ticked = {"id": [made["table"]]} if wrong.sent.get("id") == "" else {}
            sent = {key: _filled(value, made) for key, value in wrong.sent.items()}
            form = {"form_token": form_token(staff.get("/studio").text), **sent, **ticked}
            answer = staff.post(path, data=form)
        else:
            answer = staff.get(path, params=wrong.sent)
    assert answer.status_code == wrong.status, words(answer.text)
    main = answer.text.split("<main", 1)[1]
    assert words(main).count(wrong.said) == 1
    if wrong.at:
        invalid = [
            unescape(one)
            for one in re.findall(r"<input[^>]*aria-invalid[^>]*>", main)
            if f'name="{wrong.at}"' in one
        ]
        assert len(invalid) == 1, invalid
        (described,) = re.findall(r'aria-describedby="([^"]+)"', invalid[0])
        assert f'id="{described}"' in main
        if wrong.at != "token":  # a secret is not sent back
            assert f'value="{wrong.sent[wrong.at]}"' in invalid[0]
    for text in wrong.kept:
        assert f'value="{_filled(text, made)}"' in main, text
    if wrong.sent.get("id") == "":  # what was ticked is ticked
        assert re.search(rf'value="{made["table"]}[:"][^>]*checked', main)


def _filled(value: str | list[str], made: dict[str, str]) -> str | list[str]:
    return value.format(**made) if isinstance(value, str) else value


def test_a_viewer_sees_each_control_muted_with_what_it_needs(artifacts, open_studio):
    """No page repeats why, and none hides what staff can do."""
    table, column = artifacts["table"], artifacts["column"]
    pages = {
        f"/studio/artifacts/{table}": ("Hold",),
        f"/studio/artifacts/{column}/restore": ("Rehearse", "Restore"),
        f"/studio/artifacts/{table}/purge": ("Purge",),
        "/studio/cleanup?older_than=0s&before_expiry=yes": ("Delete",),
        "/studio/capture?schema=public&table=orders&strategy=soft_drop_table": (
            "Drop recoverably",
        ),
    }
    with open_studio.client(VIEWER) as viewer, open_studio.client(STAFF) as staff:
        for path, labels in pages.items():
            page = viewer.get(path).raise_for_status().text
            for label in labels:
                assert f"disabled>{label}</button>" in page, path
            assert words(page).count("You are signed in as a viewer") == 1, path
            assert "Needs staff" in words(page), path
            assert "Needs staff" not in words(staff.get(path).text), path
        story = viewer.get(f"/studio/artifacts/{table}").text
        assert "disabled>Erase one person&#39;s rows</button>" in story
        assert f"/studio/artifacts/{table}/erase" not in story


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
        assert job["state"] == "refused"
        failed = staff.get(started.headers["location"]).text
        assert "Nothing was changed. Its work was rolled back." in words(failed)
        assert f'href="{path}?as=code_2&amp;not_valid=yes">Back to its plan' in failed

        page = staff.get(path).text
        assert 'name="confirm"' not in page
        assert "did not match its seal when it was last verified" in words(page)
        assert "This plan cannot run yet" in words(page)
        assert f'href="{path}?unverified=yes"' in page
        assert 'name="confirm"' in staff.get(f"{path}?unverified=yes").text
        story = staff.get(f"/studio/artifacts/{column}").text
        assert 'class="button primary"' not in story


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
        assert conflict["detail"] == "These need it: the foreign key of_shop."
        assert "These need it: the foreign key of_shop." in said
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
