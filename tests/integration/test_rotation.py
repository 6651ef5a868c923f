"""Tokens come and go while the studio runs; a user whose token stays notices nothing."""

from __future__ import annotations

import logging
import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from app.recovery.core.errors import WrongUsage
from app.server.composition import create_app
from app.settings import load_settings
from tests.studios import capture_orders, form_token, run_command, run_studio, sign_in, wait_until

pytestmark = pytest.mark.newest


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "staff"
    path.write_text("# who may change things\n\nana:the-secret-of-ana\nbob:the-secret-of-bob\n")
    return path


@pytest.fixture
def studio(database, file):
    capture_orders(database)
    with run_studio(
        database.tcp_url, auth_token="env:the-token-of-the-env", auth_token_file=file
    ) as running:
        yield running


def status(studio, token: str) -> int:
    with studio.client(token) as client:
        return client.get("/api/artifacts").status_code


def test_a_token_that_is_taken_out_ends_at_once(studio, file):
    assert [status(studio, f"the-secret-of-{name}") for name in ("ana", "bob")] == [200, 200]
    with sign_in(studio, "the-secret-of-ana") as ana, sign_in(studio, "the-secret-of-bob") as bob:
        file.write_text("bob:the-secret-of-bob,eve:the-secret-of-eve")
        assert ana.get("/studio").status_code == 303
        assert bob.get("/studio").status_code == 200
    assert status(studio, "the-secret-of-ana") == 401
    assert status(studio, "the-secret-of-bob") == 200
    assert status(studio, "the-secret-of-eve") == 200
    assert status(studio, "the-token-of-the-env") == 200


def test_a_file_put_in_the_place_of_another_is_noticed(studio, file, tmp_path):
    fresh = tmp_path / "fresh"
    fresh.write_text(file.read_text().replace("of-ana", "of-eva"))
    os.utime(fresh, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    fresh.replace(file)
    assert status(studio, "the-secret-of-eva") == 200
    assert status(studio, "the-secret-of-ana") == 401


def unseen(file: Path, words: str) -> None:
    """Write as many other words into a file in a way that its facts do not tell."""
    before = file.stat()
    file.write_text(words)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size


def test_a_signal_rereads_the_files(database, file, tmp_path):
    with run_command(database.tcp_url, tmp_path, ZANITH_AUTH_TOKEN_FILE=str(file)) as studio:
        assert status(studio, "the-secret-of-ana") == 200
        unseen(file, file.read_text().replace("of-ana", "of-eva"))
        assert status(studio, "the-secret-of-ana") == 200
        studio.process.send_signal(signal.SIGHUP)
        wait_until(lambda: status(studio, "the-secret-of-ana") == 401)
        assert status(studio, "the-secret-of-eva") == 200

        unseen(file, file.read_text().replace("bob:", "eve,"))
        studio.process.send_signal(signal.SIGHUP)

        def told() -> bool:
            assert status(studio, "the-secret-of-eva") == 200  # the next request has them read
            return "the tokens stay as they were" in studio.output.read_text()

        wait_until(told)
        assert "secret" not in studio.output.read_text()


def test_a_signal_without_files_changes_nothing(database, tmp_path):
    with run_command(
        database.tcp_url, tmp_path, ZANITH_AUTH_TOKEN="ana:the-secret-of-ana"
    ) as studio:
        studio.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        assert status(studio, "the-secret-of-ana") == 200
        assert studio.process.poll() is None


def test_forms_of_those_who_stay_go_on(studio, file):
    here = "/studio/artifacts/" + httpx_ids(studio)[0]
    with sign_in(studio, "the-secret-of-bob") as bob, sign_in(studio, "the-secret-of-ana") as ana:
        mine, hers = (form_token(client.get(here).text) for client in (bob, ana))
        with httpx.Client(base_url=studio.url, headers={"Origin": studio.url}) as stranger:
            door = form_token(stranger.get("/studio/login").text)
            file.write_text("bob:the-secret-of-bob")
            held = bob.post(f"{here}/hold", data={"form_token": mine})
            assert held.status_code == 303, held.text
            assert "/login" not in held.headers["location"]
            assert (
                "/login" in ana.post(f"{here}/hold", data={"form_token": hers}).headers["location"]
            )
            entered = stranger.post(
                "/studio/login", data={"form_token": door, "token": "the-secret-of-bob"}
            )
            assert entered.headers["location"] == "/studio"


def test_forms_hold_on_another_studio_that_knows_the_token(studio, database):
    """Behind one proxy the page may come from one studio and the form go to another."""
    here = "/studio/artifacts/" + httpx_ids(studio)[0]
    with (
        run_studio(
            database.tcp_url, auth_token="zoe:the-secret-of-zoe,bob:the-secret-of-bob"
        ) as other,
        sign_in(studio, "the-secret-of-bob") as bob,
    ):
        token = form_token(bob.get(here).text)
        cookies = dict(bob.cookies)
        away = httpx.post(
            f"{other.url}{here}/hold",
            data={"form_token": token},
            cookies=cookies,
            headers={"Origin": other.url},
        )
        assert (away.status_code, away.headers["location"]) == (303, here)


def httpx_ids(studio) -> list[str]:
    with studio.client("the-token-of-the-env") as client:
        return [item["id"] for item in client.get("/api/artifacts").json()["artifacts"]]


@pytest.mark.parametrize("secret", ["the-secret-of-ana", "the-secret-of-bob"])
def test_a_form_of_nobody_does_not_serve_somebody(studio, secret):
    """A planted cookie with the form token that belongs to it changes nothing for who signed in."""
    here = "/studio/artifacts/" + httpx_ids(studio)[0]
    with httpx.Client(base_url=studio.url) as stranger:
        token = form_token(stranger.get("/studio/login").text)
        planted = stranger.cookies["zanith_form"]
    with sign_in(studio, secret) as somebody:
        session = somebody.cookies["zanith_session"]
    answer = httpx.post(
        f"{studio.url}{here}/hold",
        data={"form_token": token},
        cookies={"zanith_session": session, "zanith_form": planted},
        headers={"Origin": studio.url},
    )
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("ana:the-secret-of-ana\nsecret-without-name\n", "line 2"),
        ("ana:the-secret-of-ana\nana:secret-of-ana-again", "line 2"),
        ("ana:the-secret-of-ana\nbob:x", "line 2 has a token that is too short"),
        ("env:the-secret-of-ana", "a name that ZANITH_AUTH_TOKEN has"),
        (b"ana:\xff\xfe", "UTF-8"),
        (None, "cannot be read"),
    ],
)
def test_a_broken_file_keeps_the_tokens(studio, file, caplog, damage, said):
    caplog.set_level(logging.INFO)
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage if isinstance(damage, bytes) else damage.encode())
    assert status(studio, "the-secret-of-ana") == 200
    assert status(studio, "the-secret-of-bob") == 200
    [error] = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert said in error
    assert str(file) in error
    assert "secret" not in error.replace(str(file), "")
    file.write_text("ana:the-secret-of-ana")
    assert status(studio, "the-secret-of-bob") == 401


def test_without_any_token_left_nobody_gets_in(database, file):
    with run_studio(database.tcp_url, auth_token_file=file) as studio:
        with sign_in(studio, "the-secret-of-ana") as ana:
            file.write_text("# all gone\n")
            assert ana.get("/studio").status_code == 303
        assert status(studio, "the-secret-of-ana") == 401
        assert httpx.get(f"{studio.url}/api/artifacts").status_code == 401
        assert "Sign in" in httpx.get(f"{studio.url}/studio/login").text
        file.write_text("new:the-secret-of-new")
        assert status(studio, "the-secret-of-new") == 200


def test_viewers_may_come_later(database, file, tmp_path):
    viewers = tmp_path / "viewers"
    viewers.write_text("vic:the-secret-of-vic")
    with run_studio(
        database.tcp_url, auth_token_file=file, read_only_auth_token_file=viewers
    ) as studio:
        viewers.write_text("val:the-secret-of-val")
        with studio.client("the-secret-of-val") as client:
            assert client.get("/api/artifacts").status_code == 200
            answer = client.post("/api/cleanup", json={"expired": True, "dry_run": False})
            assert answer.status_code in {403, 409}


def test_a_file_without_tokens_is_refused_at_start(tmp_path):
    for words, name in (
        (None, "missing"),
        ("# none\n", "empty"),
        ("nonsense", "broken"),
        ("a:short", "short"),
    ):
        path = tmp_path / name
        if words is not None:
            path.write_text(words)
        with pytest.raises(WrongUsage, match="ZANITH_AUTH_TOKEN_FILE is wrong") as error:
            create_app(load_settings(auth_token_file=path))
        assert name in error.value.message
