"""What every request passes before a route sees it: Host, origin, and the headers of every answer.

A pure ASGI middleware, so that streams keep their back-pressure.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.recovery.core.errors import NotPermitted
from app.routes.answers import Document
from app.routes.middleware.proxies import FIRST_HOST

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # a sign-in leads back to the page with the form
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

_HOST = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]/@]+))(?::\d+)?")


def host_name(value: str) -> str | None:
    """Return the name in a Host header without its port, in lower case; None if it is none."""
    match = _HOST.fullmatch(value)
    return (match[1] or match[2]).lower().rstrip(".") if match else None


def host_is_ours(value: str, bound_to: str, names: frozenset[str]) -> bool:
    """Whether a Host header names this studio, so that no foreign name was pointed at it.

    Bound to every address, any address literal is ours: only names can be pointed elsewhere.
    """
    name = host_name(value)
    if name is None:
        return False
    if name in LOOPBACK or name == bound_to.lower() or name in names:
        return True
    if bound_to in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared with, not bound to
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True
    return False


def origin_is_ours(headers: Headers) -> bool:
    """Whether the browser says that the request comes from a page of this very origin.

    A client that sends neither Origin nor Sec-Fetch-Site is no browser; it counts as ours unless
    it is known by its cookies alone, which only a browser would send by itself.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:  # the browser's own word, which holds behind a proxy too
        return site in {"same-origin", "none"}
    origin = headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
    return "cookie" not in headers or "authorization" in headers


def is_foreign(headers: Headers) -> bool:
    """Whether the browser says that a page of another site caused this request."""
    return headers.get("sec-fetch-site") in {"cross-site", "same-site"}


def refusal(scope: Scope, bound_to: str, names: frozenset[str]) -> str | None:
    """Return why a request is turned away at the door, or None."""
    headers = Headers(scope=scope)
    hosts = [headers.get("host", ""), *([scope[FIRST_HOST]] if FIRST_HOST in scope else [])]
    if not all(host_is_ours(host, bound_to, names) for host in hosts):
        return "the Host header does not name this studio"
    # A GET of the API may start an export, so no foreign page may make the browser send one.
    if scope["method"] in SAFE_METHODS:
        if is_foreign(headers) and scope["path"].startswith("/api/"):
            return "the request comes from another site"
        return None
    return None if origin_is_ours(headers) else "the request comes from another site"


class SameOrigin:
    """Turns foreign requests away and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp, *, bound_to: str, names: frozenset[str]) -> None:
        self.app = app
        self.bound_to = bound_to
        self.names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")  # static files say otherwise
            await send(message)

        why = refusal(scope, self.bound_to, self.names)
        if why is None:
            await self.app(scope, receive, send_with_headers)
            return
        error = NotPermitted(why, hint="open the studio under the address that it was started with")
        scope["app"].state.studio.counters.refused(error.code)
        answer = Document({"error": error.as_dict()}, 403, {"Cache-Control": "no-store"})
        await answer(scope, receive, send_with_headers)
