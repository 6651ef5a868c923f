"""Behind a proxy: what is believed of whom, and a studio below a path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from urllib.parse import urlsplit

import httpx
import pytest

from app.recovery.core.errors import WrongUsage
from app.routes.middleware.prefix import inside, ours, outside
from app.settings import load_settings
from tests.studios import Running, capture_orders, form_token, run_studio, sign_in

pytestmark = pytest.mark.newest

TOKENS = {"auth_token": "ana:the-s3cret-of-ana", "read_only_auth_token": "vic:the-s3cret-of-vic"}
TRUSTING = {
    "trusted_proxies": "127.0.0.1, 10.0.0.0/8, local",
    "user_header": "X-Remote-User",
    "allowed_hosts": "zanith.example",
}
LAST = """SELECT actor, coalesce(address, '') FROM zanith._zanith_audit_log
          WHERE action = 'hold' ORDER BY id DESC LIMIT 1"""


@contextmanager
def behind_a_proxy(database, **settings: object) -> Iterator[tuple[Running, str]]:
    """Lend a studio that wants tokens, and where the table's artifact is in its API."""
    found = capture_orders(database)
    with run_studio(database.tcp_url, **(TOKENS | settings)) as studio:
        yield studio, f"/api/artifacts/{found['table']}"


def hold(studio: Running, here: str, **headers: object) -> httpx.Response:
    """Hold and let go, so that it can be done again; return the answer to the hold."""
    said = [("Authorization", "Bearer the-s3cret-of-ana")]
    said += [
        (name.replace("_", "-"), one)
        for name, value in headers.items()
        for one in (value if isinstance(value, list) else [value])
    ]
    answer = httpx.post(f"{studio.url}{here}/hold", headers=said)
    httpx.post(f"{studio.url}{here}/release", headers={"Authorization": "Bearer the-s3cret-of-ana"})
    return answer


@pytest.mark.parametrize(
    ("trusted", "address"), [("local", "203.0.113.9"), ("10.0.0.0/8", "local")]
)
def test_a_proxy_on_a_unix_socket_is_local(database, tmp_path, trusted, address):
    found = capture_orders(database)
    here = tmp_path / "studio.sock"
    with run_studio(database.tcp_url, here, trusted_proxies=trusted, **TOKENS):
        transport = httpx.HTTPTransport(uds=str(here))
        said = {
            "Authorization": "Bearer the-s3cret-of-ana",
            "X-Forwarded-For": "6.6.6.6, 203.0.113.9",
        }
        with httpx.Client(transport=transport, base_url="http://localhost") as client:
            answer = client.post(f"/api/artifacts/{found['table']}/hold", headers=said)
    assert answer.status_code == 200, answer.text
    assert database.psql(LAST) == f"ana|{address}"


def test_a_trusted_proxy_is_believed(database):
    with behind_a_proxy(database, **TRUSTING) as (studio, here):
        for forwarded, address in (
            ("203.0.113.9", "203.0.113.9"),
            ("6.6.6.6, 203.0.113.9", "203.0.113.9"),
            ("6.6.6.6, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
            (["6.6.6.6", "203.0.113.9:4711, 10.1.2.3"], "203.0.113.9"),
            ("[2001:db8::7]:443, ::ffff:10.1.2.3", "2001:db8::7"),
            ("203.0.113.9, nonsense, 10.1.2.3", "10.1.2.3"),
            ("nonsense", "127.0.0.1"),
        ):
            answer = hold(studio, here, X_Forwarded_For=forwarded, X_Remote_User="Grace Hopper")
            assert answer.status_code == 200, answer.text
            assert database.psql(LAST) == f"Grace Hopper|{address}"
        assert hold(studio, here).status_code == 200
        assert database.psql(LAST) == "ana|127.0.0.1"


def test_anybody_else_is_not_believed(database):
    forged = {
        "X_Forwarded_For": "203.0.113.9",
        "X_Forwarded_Proto": "https",
        "X_Forwarded_Host": "evil.example",
        "X_Remote_User": "root",
    }
    for settings in ({}, {**TRUSTING, "trusted_proxies": "10.0.0.0/8"}):
        with run_studio(database.tcp_url, **(TOKENS | settings)) as studio:
            database.psql(
                "DROP TABLE IF EXISTS tt; CREATE TABLE tt (a int);"
                "SELECT zanith.archive_table('public.tt')"
            )
            with studio.client("the-s3cret-of-ana") as client:
                [found] = client.get("/api/artifacts?limit=1").json()["artifacts"]
            answer = hold(studio, f"/api/artifacts/{found['id']}", **forged)
            assert answer.status_code == 200, answer.text
            assert database.psql(LAST) == "ana|127.0.0.1"
            page = httpx.get(f"{studio.url}/studio/login", headers={"X-Forwarded-Proto": "https"})
            assert "Secure" not in page.headers["set-cookie"]


@pytest.mark.parametrize("name", ["", "x" * 101, "a\tb", b"\xff\xfe", ["ana", "root"]])
def test_a_name_that_is_none_is_refused(database, name):
    with behind_a_proxy(database, **TRUSTING) as (studio, here):
        answer = hold(studio, here, X_Remote_User=name)
        assert answer.status_code == 400
        assert "does not name one person" in answer.json()["error"]["message"]


def test_the_role_still_comes_from_the_token(database):
    with behind_a_proxy(database, **TRUSTING) as (studio, here):
        headers = {"X-Remote-User": "Grace"}
        assert httpx.get(f"{studio.url}{here}", headers=headers).status_code == 401
        headers["Authorization"] = "Bearer the-s3cret-of-vic"
        refused = httpx.post(f"{studio.url}{here}/hold", headers=headers)
        assert refused.status_code == 403
        assert "Grace may look" in refused.json()["error"]["message"]


def test_wrong_tokens_are_counted_by_client(database):
    with behind_a_proxy(database, **TRUSTING) as (studio, here):

        def guess(address: str) -> int:
            headers = {"Authorization": "Bearer guess", "X-Forwarded-For": address}
            return httpx.get(f"{studio.url}{here}", headers=headers).status_code

        assert [guess("203.0.113.9") for _ in range(6)] == [401] * 5 + [429]
        assert guess("203.0.113.10") == 401


def test_the_forwarded_host_must_be_ours(database):
    with behind_a_proxy(database, **TRUSTING) as (studio, here):
        assert hold(studio, here, X_Forwarded_Host="zanith.example").status_code == 200
        assert hold(studio, here, X_Forwarded_Host="evil.example").status_code == 403
        assert (
            hold(studio, here, X_Forwarded_Host="zanith.example", Host="evil.example").status_code
            == 403
        )
        ours = {"X_Forwarded_Host": "zanith.example", "X_Forwarded_Proto": "https"}
        assert hold(studio, here, **ours, Origin="https://zanith.example").status_code == 200
        assert hold(studio, here, **ours, Origin="https://evil.example").status_code == 403


def test_cookies_are_secure_behind_tls(database):
    with behind_a_proxy(database, **TRUSTING) as (studio, _):
        headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "zanith.example"}
        page = httpx.get(f"{studio.url}/studio/login", headers=headers)
        assert "Secure" in page.headers["set-cookie"]


def test_settings_of_a_proxy_are_checked():
    for wrong in (
        {"trusted_proxies": "10.0.0.300"},
        {"trusted_proxies": "10.0.0.1/8"},
        {"trusted_proxies": "127.0.0.1", "auth_token": ()},
        {"user_header": "X-Remote-User"},
        {"user_header": "X User", "trusted_proxies": "127.0.0.1"},
        {"user_header": "Cookie", "trusted_proxies": "127.0.0.1"},
        {"root_path": "zanith"},
        {"root_path": "/studio"},
        {"root_path": "//evil"},
        {"root_path": "/a b"},
    ):
        with pytest.raises(WrongUsage, match="ZANITH_"):
            load_settings(**({"auth_token": "the-token-of-staff"} | wrong))
    assert load_settings(root_path="/zanith/").root_path == "/zanith"


# ------------------------------------------------------------------------------------- below a path


class Addresses(HTMLParser):
    """Collects what a page leads to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()
        self.sent: set[str] = set()

    def handle_starttag(self, _tag, attrs):
        found = dict(attrs)
        for name in ("href", "src", "hx-get", "sse-connect"):
            if found.get(name):
                self.asked.add(found[name])
        for name in ("action", "formaction", "hx-post"):
            if found.get(name):
                get = name == "action" and found.get("method", "get") == "get"
                (self.asked if get else self.sent).add(found[name])
        if found.get("http-equiv") == "refresh" and "url=" in found["content"]:
            self.asked.add(found["content"].split("url=", 1)[1])


def addresses(html: str) -> Addresses:
    parser = Addresses()
    parser.feed(html)
    return parser


class Stripping(httpx.BaseTransport):
    """A proxy that serves the studio below /zanith and nothing else, and takes that off or not."""

    def __init__(self, strips: bool) -> None:
        self.strips = strips
        self.real = httpx.HTTPTransport()

    def handle_request(self, request):
        path = request.url.raw_path.decode()
        if not path.startswith("/zanith"):
            return httpx.Response(404, text="this is not below the prefix")
        if self.strips:
            request.url = request.url.copy_with(raw_path=(path[len("/zanith") :] or "/").encode())
        return self.real.handle_request(request)

    def close(self):
        self.real.close()


@pytest.mark.parametrize("strips", [True, False])
def test_every_address_carries_the_prefix(database, strips):
    settings = {"root_path": "/zanith"}
    with behind_a_proxy(database, **settings) as (studio, here):
        artifact = here.rsplit("/", 1)[1]
        with studio.client("the-s3cret-of-ana") as api:
            export = api.post(f"{here}/exports").json()["job"]["id"]
            verified = api.post(f"{here}/verify").json()["job"]["id"]
        with httpx.Client(
            base_url=f"{studio.url}/zanith",
            transport=Stripping(strips),
            headers={"Origin": studio.url},
            timeout=20,
        ) as browser:
            first = browser.get("/")
            assert first.headers["location"] == "/zanith/studio"
            away = browser.get("/studio?search=a")
            assert away.headers["location"].startswith("/zanith/studio/login?next=")
            door = browser.get(urlsplit(away.headers["location"]).path.removeprefix("/zanith"))
            assert "path=/zanith;" in door.headers["set-cookie"].lower()
            entered = browser.post(
                "/studio/login",
                data={
                    "token": "the-s3cret-of-ana",
                    "form_token": form_token(door.text),
                    "next": "/zanith/studio?search=a",
                },
            )
            assert entered.headers["location"] == "/zanith/studio?search=a"

            seen: set[str] = set()
            todo = {
                "/zanith/studio",
                f"/zanith/studio/artifacts/{artifact}",
                f"/zanith/studio/artifacts/{artifact}/rows",
                f"/zanith/studio/jobs/{verified}",
                f"/zanith/studio/exports/{export}",
            }
            posts: set[str] = set()
            while todo:
                address = todo.pop()
                seen.add(address)
                assert address.startswith("/zanith/"), address
                if address.endswith(("/events", "/content")):
                    continue
                answer = browser.get(address.removeprefix("/zanith"), follow_redirects=False)
                assert answer.status_code in {200, 303}, (address, answer.text)
                if answer.status_code == 303:
                    todo.add(answer.headers["location"])
                elif answer.headers["content-type"].startswith("text/html"):
                    found = addresses(answer.text)
                    plain = {part.partition("#")[0] for part in found.asked}
                    todo |= {part for part in plain if part} - seen
                    posts |= found.sent
                todo = {one for one in todo if one not in seen and len(seen) < 120}
            assert len(seen) > 30
            assert any("/events" in one or "/content" in one for one in seen)
            assert all(one.startswith("/zanith/studio/") for one in posts), posts

            token = form_token(browser.get(f"/studio/artifacts/{artifact}").text)
            held = browser.post(f"/studio/artifacts/{artifact}/hold", data={"form_token": token})
            assert held.headers["location"] == f"/zanith/studio/artifacts/{artifact}"
            started = browser.post(
                f"/studio/artifacts/{artifact}/restore",
                data={"form_token": token, "confirm": "carts"},
                headers={"HX-Request": "true"},
            )
            assert started.headers["hx-redirect"].startswith("/zanith/studio/jobs/")
            arrival = browser.get("/studio/login", headers={"Sec-Fetch-Site": "cross-site"})
            assert 'content="0;url=/zanith/studio"' in arrival.text
            servers = browser.get("/api/openapi.json").json()["servers"]
            assert servers == [{"url": "/zanith"}]
            theme = browser.post(
                "/studio/theme",
                data={"form_token": token, "theme": "dark", "back": "/studio/jobs"},
            )
            assert theme.headers["location"] == "/zanith/studio/jobs"


def test_a_hostile_name_is_no_address(database):
    """What looks like an address in data is shown as it is: only templates write addresses."""
    hostile = ' href="/studio/x" action="/api/y" content="0;url=/static/z'
    quoted = '"' + hostile.replace('"', '""') + '"'
    literal = hostile.replace("'", "''")
    database.psql(f"CREATE TABLE public.{quoted} (id int PRIMARY KEY, note text)")
    database.psql(f"INSERT INTO public.{quoted} VALUES (1, '{literal}')")
    artifact = database.psql(
        f"SELECT zanith.archive_table('public.{quoted.replace(chr(39), chr(39) * 2)}', "
        f"reason => '{literal}')"
    ).strip()
    bodies = []
    for root_path in ("", "/zanith"):
        with run_studio(database.tcp_url, root_path=root_path) as studio:
            with studio.client() as client:
                pages = [
                    client.get(f"/studio/artifacts/{artifact}{rest}")
                    for rest in ("", "/rows", "/restore", "/purge", "/export")
                ]
                export = client.get(f"/api/artifacts/{artifact}/export")
                there = f"/studio/exports/{export.headers['zanith-export-id']}"
                pages.append(client.get(there))
            for page in pages:
                assert page.status_code == 200
            bodies.append("".join(page.text for page in pages))
    assert "/zanith/studio/x" not in bodies[1]
    assert "/zanith/api/y" not in bodies[1]
    assert "/zanith/static/z" not in bodies[1]
    assert min(body.count("/studio/x") for body in bodies) > 10
    assert 'data-feed="/zanith/api/events?since=' in bodies[1]
    assert not re.search(r'\s(href|action)="/(studio|api|static)', bodies[1])


def test_the_prefix_is_taken_off_once():
    for path, expected in (
        ("/zanith", "/"),
        ("/zanith/studio", "/studio"),
        ("/zanith?x", "/?x"),
        ("/zanithology", "/zanithology"),
        ("/studio", "/studio"),
    ):
        assert inside(path, "/zanith") == expected


@pytest.mark.parametrize("prefix", ["", "/z"])
def test_an_address_is_the_prefix_the_path_and_the_names(prefix):
    url = outside(prefix)
    assert url("/studio?sort=size") == f"{prefix}/studio?sort=size"
    assert url("/studio/artifacts", "7k2m", "rows") == f"{prefix}/studio/artifacts/7k2m/rows"
    assert url("/studio/artifacts", "a/../b?c#d é") == (
        f"{prefix}/studio/artifacts/a%2F..%2Fb%3Fc%23d%20%C3%A9"
    )
    for foreign in ("", "studio", "https://evil.example"):
        with pytest.raises(ValueError, match="not a path of the studio"):
            url(foreign)


@pytest.mark.parametrize("prefix", ["", "/z"])
def test_only_a_page_of_ours_is_gone_on_to(prefix):
    for page in ("/studio", "/studio?search=a", "/studio/jobs"):
        assert ours(page, prefix) == ours(prefix + page, prefix) == page
    for foreign in (
        "",
        "//evil.example/studio",
        "/studios",
        "/api/jobs",
        "/studio\\evil",
        "x:/studio",
    ):
        assert ours(foreign, prefix, "/studio/jobs") == "/studio/jobs"


def test_nothing_changes_without_a_prefix(database):
    with behind_a_proxy(database) as (studio, _), sign_in(studio, "the-s3cret-of-ana") as browser:
        assert '"/studio/jobs"' in browser.get("/studio").text
        assert browser.get("/zanith/studio").status_code == 404
