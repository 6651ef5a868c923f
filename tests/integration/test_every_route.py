"""Every route and every method, sent as everybody: who may not changes nothing, who may does."""

from __future__ import annotations

import asyncio
import difflib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import quote

import httpx
import pytest
from fastapi import Request
from itsdangerous import URLSafeSerializer

import app.server.composition
from app.routes.auth import access
from app.routes.compression import MINIMUM_BYTES, TEXTS
from tests.hard_cases import ANA, DEPLOY, ROWS, HardCases
from tests.integration.routes_table import (
    BESIDES,
    METHODS,
    PENDING,
    PLACES,
    TABLE,
    Valid,
    every_route,
    note_places,
)
from tests.receivers import receiver
from tests.studios import Running, run_studio, wait_until

pytestmark = pytest.mark.newest

STAFF = f"{ANA.name}:the-token-of-staff"  # the announced export of the hard cases is theirs
SIGNING = frozenset({"/studio/login", "/studio/logout"})
UNDECLARED = Valid(json={}, viewer=False)
WHERE_AN_ID_MAY_STAND = frozenset(
    f"{root}/approvals/{word}" for root in ("/api", "/studio") for word in ("approve", "purges")
)
FAR = "https://evil.example"


@pytest.fixture
def studio(hard_database, cases: HardCases, monkeypatch, tmp_path) -> Iterator[Running]:
    """A studio with tokens that does nothing by itself."""

    async def idle(*_) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(app.server.composition, "keep_up", idle)
    hard_database.psql(BESIDES)
    note_places(hard_database, cases.artifacts)
    for name, text in PENDING.items():
        (tmp_path / name).write_text(text)
    tokens = {"auth_token": STAFF, "read_only_auth_token": "vic:the-token-of-viewer"}
    with (
        receiver() as hook,
        run_studio(
            hard_database.tcp_url,
            **tokens,
            webhook_url=hook.url,
            migrations=tmp_path,
            shadow="same-server",
        ) as running,
    ):
        running.app.state.studio.access.limiter.attempts = 10_000
        yield running


# ----------------------------------------------------------------------------------------- requests


def target(path: str, valid: Valid, cases: HardCases) -> tuple[str, str]:
    """Return the address of a request and the id in it."""
    migrations = {"small": "small", "too": "small%2Ftoo", "deploy": quote(DEPLOY, safe="")}
    beside = {"also running": "a", "also online": "b", "also resting": "c", "rows": "d"}
    jobs = {**cases.jobs, **{name: f"feedface0000000{n}" for name, n in beside.items()}}
    found = ""
    for spot, ids in (
        ("{artifact_id}", cases.artifacts),
        ("{export_id}", cases.exports),
        ("{job_id}", jobs),
        ("{migration_id:anything}", migrations),
        ("{approval_id}", cases.approvals),
        ("{run}", {"failed": "1"}),
    ):
        if spot in path:
            found = ids[valid.of or next(iter(ids))]
            path = path.replace(spot, found)
    if path == "/static":
        path += "/studio.css"
    return path, found or (cases.artifacts | cases.approvals).get(valid.of, "")


def send(
    client: httpx.Client, method: str, path: str, valid: Valid, cases: HardCases, form_token: str
) -> int:
    """Send one request and return its status, 401 for the way to the login page."""
    address, artifact = target(path, valid, cases)
    given = [valid.json, valid.form, valid.query]
    text = json.dumps(given).replace("{id}", artifact).replace("{ref}", PLACES.get(artifact, ""))
    *said, query = json.loads(text)
    sent = {"json": said[0]} if said[0] is not None else {}
    if said[1] is not None:
        sent = {"data": {**said[1], "form_token": form_token}}
    if method in {"GET", "HEAD", "OPTIONS"}:
        sent = {}
    if valid.endless:
        with client.stream(method, address) as answer:
            return answer.status_code
    try:
        answer = client.request(method, address, params=query, **sent)
    except httpx.RemoteProtocolError:  # an answer that breaks off
        return 599
    asked = answer.headers.get("location", "").startswith("/studio/login?next=")
    return 401 if asked else answer.status_code


def every_request(studio: Running, *, undeclared: bool = True) -> list[tuple[str, str, Valid]]:
    """Return every method of every path; those that no route declares carry an empty body.

    Signing in and out come last: each ends the session that all of them are sent with.
    """
    found = [
        (method, path, TABLE[f"{method} {path}"] if method in methods else UNDECLARED)
        for path, methods in every_route(studio.app)
        for method in METHODS
        if undeclared or method in methods
    ]
    return sorted(found, key=lambda one: one[0] == "POST" and one[1] in SIGNING)


# ----------------------------------------------------------------------------------------- visitors


def session(studio: Running, role: str) -> str:
    """Return the cookie of a session."""
    keys = studio.app.state.studio.access
    return keys.session_for(next(each for each in keys.credentials if each.role == role))


def aged(studio: Running, role: str) -> str:
    """Return the cookie of a session that was signed well, too long ago."""
    keys = studio.app.state.studio.access
    credential = next(each for each in keys.credentials if each.role == role)
    with pytest.MonkeyPatch.context() as patch:
        then = time.time() - access.SESSION_SECONDS - 1
        patch.setattr(access.SessionSigner, "get_timestamp", lambda _: int(then))
        return keys.session_for(credential)


def tampered(studio: Running) -> str:
    """Return a cookie of a session whose signature has one other character."""
    cookie = session(studio, "staff")
    return cookie[:-1] + ("A" if cookie[-1] != "A" else "E")


def promoted(studio: Running) -> str:
    """Return a viewer's cookie that says staff, with the signature of what it said before."""
    body, since, signature = session(studio, "viewer").split(".")
    packed = URLSafeSerializer("any")
    name, _, once = packed.load_payload(body.encode())
    return f"{packed.dump_payload([name, 'staff', once]).decode()}.{since}.{signature}"


def resigned(studio: Running) -> str:
    """Return a cookie that says it is staff, signed with the viewer's own token."""
    keys = studio.app.state.studio.access
    viewer = next(each for each in keys.credentials if each.role == "viewer")
    return keys.session_for(replace(viewer, name=ANA.name, role="staff"))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


SAME = {"Sec-Fetch-Site": "same-origin"}

# Whose requests must change nothing: headers, the session's cookie, whether the form's token comes.
Cookie = Callable[[Running], str]
REFUSED: dict[str, tuple[dict[str, str], Cookie | None, bool]] = {
    "nobody": (SAME, None, True),
    "a wrong token": (bearer("guess"), None, True),
    "an expired session": (SAME, lambda s: aged(s, "staff"), True),
    "a tampered session": (SAME, tampered, True),
    "a viewer's session that says staff": (SAME, promoted, True),
    "a viewer who signs as staff": (SAME, resigned, True),
    "a viewer": (bearer("the-token-of-viewer"), None, True),
    "a viewer's session": (SAME, lambda s: session(s, "viewer"), True),
    "staff from another site": (
        {"Sec-Fetch-Site": "cross-site", "Origin": FAR},
        lambda s: session(s, "staff"),
        True,
    ),
    "staff from a sister site": (
        {"Sec-Fetch-Site": "same-site"},
        lambda s: session(s, "staff"),
        True,
    ),
    "staff with a foreign Origin": ({"Origin": FAR}, lambda s: session(s, "staff"), True),
    "staff with Origin null": ({"Origin": "null"}, lambda s: session(s, "staff"), True),
    "staff's cookies without an Origin": ({}, lambda s: session(s, "staff"), True),
    "a staff token from another site": (
        {**bearer("the-token-of-staff"), "Sec-Fetch-Site": "cross-site"},
        None,
        True,
    ),
}
# Nobody has more ways in than these; that no method but the declared ones works is asked once each.
EVERY_METHOD = ("nobody", "a viewer", "staff from another site")
STAFF_WITHOUT_FORM = (SAME, lambda s: session(s, "staff"), False)


def visitor(
    studio: Running, headers: dict[str, str], cookie: Cookie | None, *, form: bool
) -> tuple[httpx.Client, str]:
    """Return a client, and the form token that its forms carry."""
    client = httpx.Client(base_url=studio.url, timeout=20, headers=headers)
    cookies = [f"{access.FORM}=aform"]
    if cookie is not None:
        cookies.append(f"{access.SESSION}={cookie(studio)}")
    client.headers["Cookie"] = "; ".join(cookies)
    return client, form_token_of(studio, client) if form else "wrong"


def form_token_of(studio: Running, client: httpx.Client) -> str:
    """Return the token of the forms on the pages that this client would be given."""
    headers = [(name.lower(), value) for name, value in client.headers.raw]
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers}
    token: str = studio.app.state.studio.access.form_token(Request(scope), "aform")
    return token


# ---------------------------------------------------------------------------------------- the state


def state(database, studio: Running) -> str:
    """Return a dump without what a viewer may leave: exports, checks, the log, sign-outs."""
    wait_until(lambda: studio.app.state.studio.runner.running == 0)
    apart = ("_zanith_audit_log*", "_zanith_jobs", "_zanith_ended_sessions", "_zanith_webhook*")
    apart = (*apart, ROWS.split(".")[1])
    dump = database.pg_dump(*(f"--exclude-table-data=zanith.{name}" for name in apart))
    rows = f"SELECT to_jsonb(a) - '{{verified_at,verified_ok}}'::text[] FROM {ROWS} a ORDER BY id"
    jobs = """SELECT to_jsonb(j) FROM zanith._zanith_jobs j
        WHERE kind NOT IN ('export', 'verify') ORDER BY id"""
    return "\n".join((dump, database.psql(rows), database.psql(jobs)))


def fingerprint(database, what: str) -> str:
    """Return what tells whether the artifacts, the jobs or the approvals changed."""
    tables = {"artifacts": ROWS, "jobs": "zanith._zanith_jobs"}
    table = {**tables, "approvals": "zanith._zanith_approvals"}[what]
    return database.psql(f"SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM {table} t")


CHANGED = ("artifacts", "jobs", "approvals")


def difference(before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line[:300] for line in lines]


# -------------------------------------------------------------------------------------------- tests


def test_every_route_has_a_valid_request(studio: Running):
    declared = {f"{m} {path}" for path, methods in every_route(studio.app) for m in methods}
    assert declared ^ set(TABLE) == set()


@pytest.mark.parametrize("who", REFUSED)
def test_nothing_changes_for(who: str, studio: Running, hard_database, cases: HardCases):
    headers, cookie, form = REFUSED[who]
    viewer, staff = "viewer" in who and "says" not in who and "signs" not in who, "staff" in who
    before = state(hard_database, studio)
    client, token = visitor(studio, headers, cookie, form=form)
    let_in = []
    with client:
        for method, path, valid in every_request(studio, undeclared=who in EVERY_METHOD):
            status = send(client, method, path, valid, cases, token)
            reads = method == "GET" and (valid.viewer or staff)
            allowed = valid.anyone or (viewer and valid.viewer) or (staff and reads)
            if status < 400 and not allowed:
                let_in.append(f"{method} {path}: {status}")
            if status >= 500:
                let_in.append(f"{method} {path}: {status}")
            if viewer and valid.viewer and status >= 400:
                let_in.append(f"{method} {path}: {status} for a viewer, who may")
    assert not let_in, "\n".join(let_in)
    assert difference(before, state(hard_database, studio)) == []


def test_no_form_goes_without_its_token(studio: Running, hard_database, cases: HardCases):
    headers, cookie, form = STAFF_WITHOUT_FORM
    before = state(hard_database, studio)
    client, token = visitor(studio, headers, cookie, form=form)
    with client:
        answers = {
            f"{method} {path}": send(client, method, path, valid, cases, token)
            for method, path, valid in every_request(studio)
            if valid.form is not None
        }
    assert {request: status for request, status in answers.items() if status != 403} == {}
    assert len(answers) > 10
    assert difference(before, state(hard_database, studio)) == []


def test_every_request_works_for_staff(studio: Running, hard_database, cases: HardCases):
    counts = """SELECT kind, count(*) FROM zanith._zanith_jobs
        WHERE state IN ('refused', 'failed') GROUP BY 1"""
    of_the_hard_cases = hard_database.psql(counts)
    client, token = visitor(studio, SAME, lambda s: session(s, "staff"), form=True)
    wrong = []
    with client:
        for method, path, valid in every_request(studio):
            before = {what: fingerprint(hard_database, what) for what in CHANGED}
            status = send(client, method, path, valid, cases, token)
            changed = [w for w, old in before.items() if fingerprint(hard_database, w) != old]
            wait_until(lambda: studio.app.state.studio.runner.running == 0)
            expected = {405} if valid is UNDECLARED else set(range(200, 400))
            if method == "GET" and ":anything}/" in path:
                expected = {404}  # an id ends as any address may: this is another migration
            if valid is UNDECLARED and method == "GET" and path in WHERE_AN_ID_MAY_STAND:
                expected = {404}  # it asks for the request of that id
            if status not in expected or (valid.changes and valid.changes not in changed):
                wrong.append(f"{method} {path}: {status}, changed {changed}")
            if not valid.changes and changed:
                wrong.append(f"{method} {path}: changed {changed} for nothing")
    assert not wrong, "\n".join(wrong)
    assert hard_database.psql(counts) == of_the_hard_cases


def test_texts_are_compressed_and_no_stream_file_or_answer_to_another_site(
    studio: Running, cases: HardCases
):
    """A text of 1 kB and more is sent as gzip; an event stream and a file to save never are.

    Another site gets no compressed answer: from its size it could guess a secret of the page.
    """
    found: dict[str, int] = {"compressed": 0, "small": 0, "streams": 0, "files": 0}
    wrong: list[str] = []

    def judge(answer: httpx.Response) -> None:
        kind = answer.headers.get("content-type", "").partition(";")[0]
        encoded = "content-encoding" in answer.headers
        size = int(answer.headers.get("content-length", 0))
        what = "compressed" if encoded else "small"
        if kind == "text/event-stream":
            what = "streams"
        elif "content-disposition" in answer.headers:
            what = "files"
        elif answer.request.method == "HEAD":  # it has no body
            pass
        elif not encoded and kind in TEXTS and size >= MINIMUM_BYTES:
            wrong.append(f"{answer.request.method} {answer.request.url.path}: {size} plain bytes")
        if encoded and what != "compressed":
            wrong.append(f"{answer.request.method} {answer.request.url.path}: compressed")
        found[what] += 1

    for who in ("staff", "staff from another site"):
        headers = SAME if who == "staff" else REFUSED[who][0]
        client, token = visitor(studio, headers, lambda s: session(s, "staff"), form=True)
        hear = judge if who == "staff" else none_compressed(wrong)
        client.event_hooks = {"response": [hear]}
        with client:
            for method, path, valid in every_request(studio, undeclared=False):
                send(client, method, path, valid, cases, token)
    assert not wrong, "\n".join(wrong)
    assert min(found.values()) > 0, found


def none_compressed(wrong: list[str]) -> Callable[[httpx.Response], None]:
    """Return what notes each answer that is compressed."""

    def judge(answer: httpx.Response) -> None:
        if "content-encoding" in answer.headers:
            wrong.append(f"{answer.request.url.path}: compressed for another site")

    return judge
