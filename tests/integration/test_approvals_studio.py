"""Approvals over HTTP and on the command line: who may decide, and what each answer says."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from app.recovery.core.errors import WrongUsage
from app.server.composition import create_app
from app.settings import load_settings
from tests.acceptance.command import zanith
from tests.studios import Running, capture_orders, run_studio, sign_in, wait_for_job, wait_for_seals

pytestmark = pytest.mark.newest

ANA, BOB, VIC = "the-token-of-ana-1", "the-token-of-bob-1", "the-token-of-vic-1"
TWO = f"ana:{ANA},bob:{BOB}"


@pytest.fixture
def ids(database) -> dict[str, str]:
    return capture_orders(database)


@pytest.fixture
def studio(database, ids) -> Iterator[Running]:
    tokens = {"auth_token": TWO, "read_only_auth_token": f"vic:{VIC}"}
    with run_studio(database.tcp_url, **tokens, approvals="purge,erase,unverified") as running:
        wait_for_seals(database)
        yield running


def ask(client: httpx.Client, artifact: str, kind: str = "purge", **more) -> str:
    wanted = {"kind": kind, "artifact": artifact, "reason": "retention is over", **more}
    answer = client.post("/api/approvals", json=wanted)
    assert answer.status_code == 201, answer.text
    return answer.json()["approval"]["id"]


def test_the_api_asks_approves_and_purges(studio: Running, ids):
    here = f"/api/artifacts/{ids['column']}"
    with studio.client(ANA) as ana, studio.client(BOB) as bob, studio.client(VIC) as vic:
        wanted = {"json": {"confirm": "code"}}
        refused = ana.request("DELETE", here, **wanted)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "approval_needed")
        assert "POST /api/approvals" in refused.json()["error"]["hint"]
        assert vic.post(
            "/api/approvals", json={"kind": "purge", "artifact": ids["column"]}
        ).is_error
        without = ana.post("/api/approvals", json={"kind": "purge", "artifact": ids["column"]})
        assert without.status_code == 400
        assert without.json()["error"]["message"] == "no reason was given"
        asked = ask(ana, ids["column"])
        here_too = f"/api/approvals/{asked}"
        waits = ana.request("DELETE", here, **wanted).json()["error"]
        assert f"POST {here_too}/approve" in waits["hint"]
        assert ana.post(f"{here_too}/approve", **wanted).status_code == 403
        assert vic.post(f"{here_too}/approve", **wanted).status_code == 403
        assert vic.post(f"{here_too}/reject").status_code == 403
        assert bob.post(f"{here_too}/approve", json={}).status_code == 409
        assert vic.get("/api/approvals").json()["required"] == ["purge", "erase", "unverified"]
        seen = vic.get(here_too).json()
        assert (seen["changed"], seen["approval"]["state"]) == (False, "requested")
        assert bob.post(f"{here_too}/approve", **wanted).json()["approval"]["decided_by"] == "bob"
        assert ana.request("DELETE", here, **wanted).status_code == 200
        assert vic.get(here_too).json()["approval"]["state"] == "used"


def test_a_cleanup_leaves_what_nobody_approved(studio: Running, ids):
    everything = {"older_than": "0s", "before_expiry": True, "dry_run": True}
    with studio.client(ANA) as ana, studio.client(BOB) as bob:
        found = ana.post("/api/cleanup", json=everything).json()["candidates"]
        assert {one["skip"].split(":")[0] for one in found} == {"a second person must approve it"}
        asked = ask(ana, ids["table"])
        bob.post(f"/api/approvals/{asked}/approve", json={"confirm": "carts"}).raise_for_status()
        answer = ana.post("/api/cleanup", json={**everything, "dry_run": False, "confirm": 1})
        job = wait_for_job(ana, answer.json()["job"]["id"])
        assert [one["outcome"] for one in job["result"]["results"]] == ["purged"]


def test_pages_ask_in_place_of_the_button(studio: Running, ids):
    page = f"/studio/artifacts/{ids['column']}/purge"
    with sign_in(studio, ANA) as ana, sign_in(studio, BOB) as bob, sign_in(studio, VIC) as vic:
        html = ana.get(page).text
        assert "Ask for approval" in html
        assert "to delete it for good</label>" not in html
        token = html.split('name="form_token" value="', 1)[1].split('"', 1)[0]
        empty = ana.post(f"{page}/request", data={"form_token": token, "reason": " "})
        assert (empty.status_code, "No reason was given" in empty.text) == (400, True)
        went = ana.post(f"{page}/request", data={"form_token": token, "reason": "old"})
        request = went.headers["location"]
        assert "You asked for it" in ana.get(request).text
        seen = vic.get(request).text
        assert "disabled>Approve</button>" in seen
        assert f'action="{request}/approve"' not in seen
        assert "signed in as a viewer" in vic.get(request).text
        shown = bob.get(request).text
        assert "to decide on" in shown
        token = shown.split('name="form_token" value="', 1)[1].split('"', 1)[0]
        wrong = bob.post(
            f"{request}/approve", data={"form_token": token, "confirm": "x", "reason": "seen by me"}
        )
        assert wrong.status_code == 409
        assert "The typed name does not match" in wrong.text
        assert 'value="seen by me"' in wrong.text
        done = bob.post(f"{request}/approve", data={"form_token": token, "confirm": "code"})
        assert done.status_code == 303
        assert "bob" in ana.get(page).text
        assert "to delete it for good" in ana.get(page).text


@pytest.mark.parametrize(
    "tokens",
    [
        {},
        {"auth_token": f"ana:{ANA}"},
        {"auth_token": f"{ANA},{BOB}"},
        {"auth_token": f"ana:{ANA}", "read_only_auth_token": f"vic:{VIC}"},
    ],
    ids=["nobody", "one", "without names", "a viewer"],
)
def test_a_studio_needs_two_people(tokens):
    with pytest.raises(WrongUsage, match="two people"):
        create_app(load_settings(approvals="purge", **tokens))


def test_a_studio_without_names_decides_nothing(database, ids):
    """The database requires it, whatever the studio was started with."""
    assert zanith("approvals", "require", "purge", url=database.url).code == 0
    with run_studio(database.tcp_url) as studio, studio.client() as anybody:
        wait_for_seals(database)
        wanted = {"kind": "purge", "artifact": ids["column"], "reason": "old"}
        answer = anybody.post("/api/approvals", json=wanted)
        assert (answer.status_code, "who you are" in answer.text) == (403, True)
        gone = anybody.request(
            "DELETE", f"/api/artifacts/{ids['column']}", json={"confirm": "code"}
        )
        assert gone.json()["error"]["code"] == "approval_needed"


def test_past_the_proxy_that_names_people_nobody_is_a_person(database, ids):
    settings = {
        "auth_token": f"shared:{ANA}",
        "trusted_proxies": "127.0.0.1",
        "user_header": "X-Remote-User",
        "approvals": "purge",
    }
    with run_studio(database.tcp_url, **settings) as studio, studio.client(ANA) as shared:
        wait_for_seals(database)
        shared.headers["X-Remote-User"] = "carl"
        asked = ask(shared, ids["column"])
        del shared.headers["X-Remote-User"]
        path, wanted = f"/api/approvals/{asked}/approve", {"json": {"confirm": "code"}}
        assert shared.post(path, **wanted).status_code == 403
        shared.headers["X-Remote-User"] = "carl"
        assert shared.post(path, **wanted).status_code == 403
        shared.headers["X-Remote-User"] = "dora"
        assert shared.post(path, **wanted).status_code == 200


def test_the_command_line_with_the_setting_and_without(database, ids):
    """The rule of the database holds for a command without the setting."""
    name = ids["column"]
    refused = zanith("recover", "purge", name, "--yes", url=database.url, ZANITH_APPROVALS="purge")
    assert (refused.code, "request-purge" in refused.err) == (4, True)
    asked = zanith(
        *("approvals", "request-purge", name, "--reason", "old", "--json"), url=database.url
    ).json["approval"]["id"]
    own = zanith("approvals", "approve", asked, "--yes", url=database.url)
    assert (own.code, "cannot decide on it" in own.err) == (6, True)
    assert asked in zanith("approvals", "list", url=database.url).out
    assert "Drop the parked table" in zanith("approvals", "show", asked, url=database.url).out
    wrong = zanith("recover", "purge", name, "--yes", url=database.url, ZANITH_APPROVALS="all")
    assert (wrong.code, "ZANITH_APPROVALS is wrong" in wrong.err) == (2, True)
    assert zanith("approvals", "require", "purge", url=database.url).code == 0
    assert zanith("recover", "purge", name, "--yes", url=database.url).code == 4
    assert (
        zanith(
            "recover", "cleanup", "--older-than", "0s", "--before-expiry", "--yes", url=database.url
        ).code
        == 0
    )
    assert zanith("inspect", name, url=database.url).code == 0
