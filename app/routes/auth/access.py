"""Who is asking: tokens, the session cookie, form tokens, and the limit on wrong ones.

Only who somebody is gets decided here. What they may do is the engine's decision.
"""

from __future__ import annotations

import getpass
import hashlib
import hmac
import logging
import secrets
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from fastapi import Request, Response
from itsdangerous import BadData, Signer, TimestampSigner, URLSafeTimedSerializer
from itsdangerous.encoding import want_bytes

from app.recovery.core.actor import Actor
from app.recovery.core.errors import NotAuthenticated, NotPermitted
from app.routes.errors import TooManyAttempts
from app.routes.middleware.proxies import person
from app.settings import LOCAL

log = logging.getLogger("zanith.studio")

SESSION = "zanith_session"
FORM = "zanith_form"
SESSION_SECONDS = 12 * 3600
CLOCKS_DIFFER_SECONDS = 60
"""By how much the clock of another studio behind the same name may be ahead."""
FORM_FIELD = "form_token"
FORM_HEADER = "X-Form-Token"
_SESSIONS = b"zanith sessions"
_FORMS = b"zanith forms"
_FORMS_OF_NOBODY = b"zanith forms of nobody"
_RETIRED = 100


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


@dataclass(frozen=True)
class Credential:
    """One token: whose it is and what it lets them be."""

    name: str
    role: str
    token: str = field(repr=False)
    named: bool = True
    """Whether somebody gave it the name; else it is called by its place in a list."""

    def session_signer(self, *, ahead: int = 0) -> URLSafeTimedSerializer:
        """Return what signs the sessions of this token, on a clock that many seconds ahead."""
        return URLSafeTimedSerializer(
            self.token, salt=_SESSIONS, signer=SessionSigner, signer_kwargs={"ahead": ahead}
        )

    def form_key(self, *, nobody: bool = False) -> bytes:
        """Return the key that signs the forms of this credential's pages, or those of nobody's."""
        salt = _FORMS_OF_NOBODY if nobody else _FORMS
        return Sha256Signer(self.token, salt=salt).derive_key()


class Sha256Signer(Signer):
    """Signs with HMAC-SHA-256, with a key that is derived from the secret by the same."""

    default_digest_method = staticmethod(hashlib.sha256)
    default_key_derivation = "hmac"


class SessionSigner(Sha256Signer, TimestampSigner):
    """Signs with the time, and takes a signature in the one spelling that it wrote itself.

    Base64 has several spellings of the same bytes. A sign-out is remembered by the SHA-256 of the
    cookie, so another spelling of a cookie must not be a session.
    """

    def __init__(self, *args: Any, ahead: int = 0, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._ahead = ahead

    def get_timestamp(self) -> int:
        """Return the time in seconds on the clock of this signer."""
        return super().get_timestamp() + self._ahead

    def verify_signature(self, value: str | bytes, sig: str | bytes) -> bool:
        """Whether this is the signature, to the character, in constant time."""
        return hmac.compare_digest(self.get_signature(value), want_bytes(sig))


class Source(Protocol):
    """Where credentials come from that may change while the studio runs."""

    def changed(self) -> tuple[Credential, ...] | None:
        """Return all of them where they changed since the last look, else None."""
        ...

    def again(self) -> None:
        """Let the next look find them changed."""
        ...


class Access:
    """Knows every credential, recognizes sessions, and remembers wrong attempts for a minute.

    A form's token is signed with the credential of the reader of the page: it holds on every
    studio that knows the credential, over restarts, and while others come and go. A page that
    nobody is signed in to carries a signature of any credential, also of one that no longer exists.
    """

    def __init__(
        self,
        credentials: tuple[Credential, ...],
        source: Source | None = None,
        *,
        attempts: int = 5,
        viewers_see_rows: bool = True,
        proxy_names: bool = False,
    ) -> None:
        # Decided once: a studio whose tokens are all taken out lets nobody in, not everybody.
        self.open = not credentials
        self.limiter = Limiter(attempts)
        self.viewers_see_rows = viewers_see_rows
        self.proxy_names = proxy_names
        self._credentials = credentials
        self._source = source
        self._own_key = secrets.token_bytes(32)
        # Of every studio of the database: app.routes.auth.sessions keeps it up to date.
        self.ended: frozenset[str] = frozenset()
        self._retired: deque[bytes] = deque(maxlen=_RETIRED)

    @property
    def credentials(self) -> tuple[Credential, ...]:
        """Every credential as it is now: their files are looked at each time."""
        found = self._source.changed() if self._source and not self.open else None
        if found is not None:
            kept = {credential.form_key(nobody=True) for credential in found}
            gone = [c.form_key(nobody=True) for c in self._credentials]
            self._retired.extend(key for key in gone if key not in kept)
            self._credentials = found
        return self._credentials

    def reread(self) -> None:
        """Read the token files again when the next request comes."""
        if self._source:
            self._source.again()

    def by_token(self, token: str, address: str) -> Credential:
        """Return whose token it is, in a time that does not depend on which; else raise.

        NotAuthenticated for a wrong token, TooManyAttempts after several from one address. A right
        one is never refused: others share its address, behind a NAT or a proxy.
        """
        found = self._find(token)
        if found is None:
            self.limiter.check(address)
            self.limiter.failed(address)
            log.warning("a wrong token came from %s", address)
            raise NotAuthenticated(
                "that token is not known", hint="ask the administrator of this studio"
            )
        return found

    def _find(self, token: str) -> Credential | None:
        given, found = _digest(token), None
        for credential in self.credentials:
            if hmac.compare_digest(given, _digest(credential.token)):
                found = credential
        return found

    def session_for(self, credential: Credential) -> str:
        """Return the cookie of a new session; it holds no token, and no table holds it."""
        once = secrets.token_hex(16)
        signed = credential.session_signer().dumps([credential.name, credential.role, once])
        return str(signed)

    def by_session(self, cookie: str) -> Credential | None:
        """Return whose session a cookie is; None where it is forged, over, or its token is gone."""
        found = self._session(cookie)
        return found[0] if found else None

    def _session(self, cookie: str) -> tuple[Credential, datetime] | None:
        """Return whose session a cookie is and since when; every credential is tried."""
        # On a clock that is ahead, a cookie of a studio whose clock is ahead is not of the future.
        oldest = SESSION_SECONDS + CLOCKS_DIFFER_SECONDS
        found = None
        for credential in self.credentials:
            signer = credential.session_signer(ahead=CLOCKS_DIFFER_SECONDS)
            with suppress(BadData):
                (name, role, _), since = signer.loads(cookie, oldest, return_timestamp=True)
                if (credential.name, credential.role) == (name, role):
                    found = credential, since
        return None if session_id(cookie) in self.ended else found

    def end_session(self, cookie: str) -> tuple[str, float] | None:
        """Refuse a session from now on; return its id and the seconds that it had left.

        None where the cookie is of no session that holds.
        """
        found = None if self.open else self._session(cookie)
        if found is None:
            return None
        ended = session_id(cookie)
        self.ended |= {ended}
        return ended, SESSION_SECONDS - (time.time() - found[1].timestamp())

    def still(self, request: Request, actor: Actor) -> bool:
        """Whether a request that is under way would still be let in as the same person."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if self.open:
            return True
        if scheme.lower() == "bearer" and token:
            credential = self._find(token.strip())  # not counted as an attempt
        else:
            credential = self.by_session(request.cookies.get(SESSION, ""))
        if credential is None:
            return False
        name = person(request.scope) or credential.name
        return (name, _role(credential)) == (actor.name, actor.role)

    def actor(self, request: Request) -> Actor:
        """Return who is asking; NotAuthenticated where a token is needed and none came."""
        address = address_of(request)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if self.open:
            return Actor(name=getpass.getuser(), address=address, role="dev", named=False)
        if scheme.lower() == "bearer" and token:
            credential = self.by_token(token.strip(), address)
        else:
            session = self.by_session(request.cookies.get(SESSION, ""))
            if session is None:
                raise NotAuthenticated("sign in with a token first")
            credential = session
        told = person(request.scope)
        return Actor(
            # What it may do hangs on the token; who it is may be known to the proxy alone.
            name=told or credential.name,
            address=address,
            role=_role(credential),
            sees_rows=_role(credential) != "viewer" or self.viewers_see_rows,
            # past the proxy that names people, a token that they share would be one more person
            named=bool(told) if self.proxy_names else credential.named,
        )

    def form_token(self, request: Request, cookie: str) -> str:
        """Return the token that every form of a page carries that this browser is given now."""
        signer = _form_signer(self._form_keys(request)[0], cookie)
        return signer.sign(secrets.token_urlsafe(16)).decode()

    def check_form(self, request: Request, given: str | None, *, anybody: bool = False) -> None:
        """Raise NotPermitted unless the form is on a page that this browser was given.

        With ``anybody`` the page may be one that nobody was signed in to.
        """
        cookie = request.cookies.get(FORM, "")
        given = given or request.headers.get(FORM_HEADER) or ""
        keys = self._form_keys(request, anybody=anybody)
        fits = [_form_signer(key, cookie).validate(given) for key in keys]
        if not cookie or not any(fits):
            raise NotPermitted(
                "this form is out of date",
                detail="it was opened before the studio restarted, or in another session",
                hint="load the page again, then repeat what you did; nothing was changed",
            )

    def _form_keys(self, request: Request, *, anybody: bool = False) -> list[bytes]:
        """Return the keys that a form of this request may be signed with, the best first."""
        if self.open:
            return [self._own_key]
        session = self.by_session(request.cookies.get(SESSION, ""))
        keys = [session.form_key()] if session else []
        if anybody or not session:
            # none that signs somebody's forms: a page of nobody's serves nobody who is signed in
            keys += [credential.form_key(nobody=True) for credential in self.credentials]
            keys += [*self._retired, self._own_key]
        if anybody:  # to sign in or out again on a page of a session that has ended meanwhile
            keys += [credential.form_key() for credential in self.credentials]
        return keys


def session_id(cookie: str) -> str:
    """Return what a session is known by where it is written down: nobody can sign in with that."""
    return hashlib.sha256(cookie.encode()).hexdigest()


def _role(credential: Credential) -> Literal["viewer", "staff"]:
    return "viewer" if credential.role == "viewer" else "staff"


def _form_signer(key: bytes, cookie: str) -> Signer:
    return Sha256Signer(key, salt=cookie)


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
    """Return where a request comes from: the client's address, or "local" for a socket."""
    return (request.client.host if request.client else "") or LOCAL


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
