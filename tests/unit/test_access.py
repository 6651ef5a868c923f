"""Sessions and form tokens: what holds, for how long, and for whom."""

from __future__ import annotations

import string
import time
from dataclasses import replace

import pytest
from fastapi import Request

from app.recovery.core.errors import NotPermitted
from app.routes.auth import access
from app.routes.auth.access import CLOCKS_DIFFER_SECONDS, SESSION_SECONDS, Access, Credential

BOB = Credential("bob", "staff", "the-secret-of-bob")
VIC = Credential("vic", "viewer", "the-secret-of-vic")
ALPHABET = string.ascii_letters + string.digits + "-_=.!"


def request(**cookies: str) -> Request:
    head = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return Request({"type": "http", "headers": [(b"cookie", head.encode())]})


def studio(*credentials: Credential) -> Access:
    return Access(credentials or (BOB, VIC))


def at(monkeypatch, seconds: float) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + seconds)


# ---------------------------------------------------------------------------------------- sessions


def test_a_session_is_its_credentials_on_every_studio_that_knows_the_token():
    cookie = studio().session_for(BOB)
    assert studio().by_session(cookie) == BOB
    assert studio(VIC, BOB).by_session(cookie) == BOB
    assert BOB.token not in cookie


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(VIC, id="the token is gone"),
        pytest.param(replace(BOB, token="another-secret-of-bob"), id="the token is another"),
        pytest.param(replace(BOB, name="rob"), id="the name is another"),
        pytest.param(replace(BOB, role="viewer"), id="the role is another"),
    ],
)
def test_a_session_ends_with_its_token(known):
    assert studio(known).by_session(studio().session_for(BOB)) is None


@pytest.mark.parametrize(
    ("seconds", "holds"),
    [
        (-CLOCKS_DIFFER_SECONDS - 2, False),
        (-CLOCKS_DIFFER_SECONDS + 2, True),
        (0, True),
        (SESSION_SECONDS - 2, True),
        (SESSION_SECONDS + 2, False),
    ],
)
def test_a_session_holds_for_twelve_hours_and_a_minute_of_another_clock(
    monkeypatch, seconds, holds
):
    cookie = studio().session_for(BOB)
    at(monkeypatch, seconds)
    assert (studio().by_session(cookie) == BOB) is holds


def test_a_cookie_has_one_spelling():
    """A sign-out is by the SHA-256 of the cookie: no other text may be the same session."""
    keys = studio()
    cookie = keys.session_for(BOB)
    spellings = {cookie[:-1] + last for last in ALPHABET} | {cookie + more for more in ALPHABET}
    spellings |= {cookie[:-3] + more + cookie[-3:] for more in ALPHABET}
    assert [each for each in spellings if keys.by_session(each)] == [cookie]


def test_a_sign_out_ends_the_session_and_says_what_it_had_left(monkeypatch):
    keys = studio()
    cookie, other = keys.session_for(BOB), keys.session_for(BOB)
    at(monkeypatch, 3600)
    ended, left = keys.end_session(cookie) or ("", 0)
    assert ended == access.session_id(cookie)
    assert left == pytest.approx(SESSION_SECONDS - 3600, abs=5)
    assert keys.by_session(cookie) is None
    assert keys.end_session(cookie) is None
    assert keys.by_session(other) == BOB


# ------------------------------------------------------------------------------------------- forms


def fits(keys: Access, given: str, *, anybody: bool = False, **cookies: str) -> bool:
    try:
        keys.check_form(request(**cookies), given, anybody=anybody)
    except NotPermitted:
        return False
    return True


def test_a_form_token_is_of_its_browser_and_of_who_was_signed_in():
    keys = studio()
    bob = {access.SESSION: keys.session_for(BOB), access.FORM: "of this browser"}
    vic = {access.SESSION: keys.session_for(VIC), access.FORM: "of this browser"}
    given = keys.form_token(request(**bob), "of this browser")
    assert fits(keys, given, **bob)
    assert fits(studio(), given, **bob)
    assert not fits(keys, given, **vic)
    assert not fits(keys, given, **{**bob, access.FORM: "of another"})
    assert not fits(keys, given, **{**bob, access.FORM: ""})
    assert not fits(keys, given, **{access.FORM: "of this browser"})
    assert not fits(keys, bob[access.SESSION], **bob)
    for wrong in ("", ".", "x", given[:-1], given + "x", given.rpartition(".")[2], "é"):
        assert not fits(keys, wrong, **bob)


def test_a_form_of_nobody_is_for_signing_in_and_out():
    keys = studio()
    nobody = {access.FORM: "of this browser"}
    given = keys.form_token(request(**nobody), "of this browser")
    bob = {**nobody, access.SESSION: keys.session_for(BOB)}
    assert fits(keys, given, **nobody)
    assert fits(keys, given, anybody=True, **bob)
    assert not fits(keys, given, **bob)


def test_no_two_pages_carry_the_same_form_token():
    """A token that stays the same could be guessed from the sizes of compressed pages."""
    keys = studio()
    bob = {access.SESSION: keys.session_for(BOB), access.FORM: "of this browser"}
    found = [keys.form_token(request(**bob), "of this browser") for _ in range(20)]
    assert all(fits(keys, given, **bob) for given in found)
    assert len({part for given in found for part in given.split(".")}) == 40
