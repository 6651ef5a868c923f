"""Who is asking: tokens, the session cookie, form tokens, and the limit on wrong ones.

Only who somebody is gets decided here. What they may do is the engine's decision.
"""

from __future__ import annotations

import base64
import binascii
import getpass
import hashlib
import hmac
import json
import logging
import secrets
import time
from collections import deque
from dataclasses import dataclass, field

from fastapi import Request, Response

from app.recovery.database import Actor
from app.recovery.errors import NotAuthenticated, NotPermitted
from app.routes.errors import TooManyAttempts

log = logging.getLogger("zanith.studio")

SESSION = "zanith_session"
FORM = "zanith_form"
SESSION_SECONDS = 12 * 3600
FORM_FIELD = "form_token"
FORM_HEADER = "X-Form-Token"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


@dataclass(frozen=True)
class Credential:
    """One token: whose it is and what it lets them be."""

    name: str
    role: str
    token: str = field(repr=False)

    def sign(self, what: str) -> str:
        """Return what only the holder of this token's secret can have written, in hex."""
        return hmac.new(_digest(self.token), what.encode(), hashlib.sha256).hexdigest()


class Access:
    """Knows every credential, recognizes sessions, and remembers wrong attempts for a minute."""

    def __init__(self, credentials: tuple[Credential, ...], *, attempts: int = 5) -> None:
        self.credentials = credentials
        self.limiter = Limiter(attempts)
        seed = "\0".join(credential.token for credential in credentials)
        # With tokens the forms of a page outlive a restart; without, each start has its own secret.
        self._secret = _digest(f"forms\0{seed}") if seed else secrets.token_bytes(32)

    @property
    def open(self) -> bool:
        """Whether nobody needs a token: the studio of one developer on their own machine."""
        return not self.credentials

    def by_token(self, token: str, address: str) -> Credential:
        """Return whose token it is, in a time that does not depend on which; else raise.

        NotAuthenticated for a wrong token, TooManyAttempts after several from one address.
        """
        self.limiter.check(address)
        given, found = _digest(token), None
        for credential in self.credentials:
            if hmac.compare_digest(given, _digest(credential.token)):
                found = credential
        if found is None:
            self.limiter.failed(address)
            log.warning("a wrong token came from %s", address)
            raise NotAuthenticated("that token is not known", hint="ask who runs this studio")
        return found

    def session_for(self, credential: Credential) -> str:
        """Return the cookie of a new session; it holds no token and needs no table."""
        body = json.dumps([credential.name, credential.role, int(time.time())])
        packed = base64.urlsafe_b64encode(body.encode()).decode()
        return f"{packed}.{credential.sign(packed)}"

    def by_session(self, cookie: str) -> Credential | None:
        """Return whose session a cookie is; None where it is forged, old, or its token is gone."""
        packed, _, signature = cookie.partition(".")
        try:
            name, role, issued = json.loads(base64.urlsafe_b64decode(packed))
            fresh = 0 <= time.time() - float(issued) < SESSION_SECONDS
        except (ValueError, TypeError, binascii.Error):
            return None
        found = None
        for credential in self.credentials:
            same = (credential.name, credential.role) == (name, role)
            wanted = credential.sign(packed).encode()
            if hmac.compare_digest(signature.encode(), wanted) and same and fresh:
                found = credential
        return found

    def actor(self, request: Request) -> Actor:
        """Return who is asking; NotAuthenticated where a token is needed and none came."""
        address = address_of(request)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if self.open:
            return Actor(name=getpass.getuser(), address=address, role="dev")
        if scheme.lower() == "bearer" and token:
            credential = self.by_token(token.strip(), address)
        else:
            session = self.by_session(request.cookies.get(SESSION, ""))
            if session is None:
                raise NotAuthenticated("sign in with a token first")
            credential = session
        return Actor(
            name=credential.name,
            address=address,
            role="viewer" if credential.role == "viewer" else "staff",
        )

    def form_token(self, cookie: str) -> str:
        """Return the token that every form of this browser carries."""
        return hmac.new(self._secret, cookie.encode(), hashlib.sha256).hexdigest()

    def check_form(self, request: Request, given: str | None) -> None:
        """Raise NotPermitted unless the form is on a page that this browser was given."""
        cookie = request.cookies.get(FORM, "")
        wanted = self.form_token(cookie)
        given = given or request.headers.get(FORM_HEADER) or ""
        if not cookie or not hmac.compare_digest(given.encode(), wanted.encode()):
            raise NotPermitted(
                "this form is out of date",
                detail="it was opened before the studio restarted, or in another session",
                hint="load the page again, then repeat what you did; nothing was changed",
            )


class Limiter:
    """Counts wrong tokens by address over the last minute; forgets addresses that behave."""

    WINDOW = 60.0
    ADDRESSES = 10_000

    def __init__(self, attempts: int) -> None:
        self.attempts = attempts
        self._failures: dict[str, deque[float]] = {}

    def _recent(self, address: str) -> deque[float]:
        failures = self._failures.get(address, deque())
        while failures and time.monotonic() - failures[0] > self.WINDOW:
            failures.popleft()
        return failures

    def check(self, address: str) -> None:
        """Raise TooManyAttempts where this address has had its tries."""
        if len(self._recent(address)) >= self.attempts:
            raise TooManyAttempts(
                "too many wrong tokens from this address", hint="wait a minute, then try again"
            )

    def failed(self, address: str) -> None:
        """Remember one wrong token."""
        failures = self._recent(address)
        failures.append(time.monotonic())
        if len(self._failures) >= self.ADDRESSES:
            self._failures.clear()
        self._failures[address] = failures


def address_of(request: Request) -> str:
    """Return where a request comes from: the peer's address, or "local" for a socket."""
    return request.client.host if request.client else "local"


def set_cookie(
    request: Request, response: Response, name: str, value: str, max_age: int | None = None
) -> None:
    """Set a cookie that no script reads and no other site sends."""
    response.set_cookie(
        name,
        value,
        max_age=max_age,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        path="/",
    )
