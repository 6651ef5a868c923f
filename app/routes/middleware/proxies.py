"""What a trusted proxy says of a request, and nothing that anybody else says.

Only here are X-Forwarded-For, -Proto and -Host read, and the header that names the person. Behind
this a request looks as it did when it reached the outermost trusted proxy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from app.recovery.core.errors import WrongUsage
from app.settings import LOCAL, Proxy

PERSON = "zanith.person"
"""In the scope: the values of the header that names the person, as they came."""
TRUSTED = "zanith.trusted"
"""In the scope: whether a trusted proxy sent the request."""
FIRST_HOST = "zanith.host"
"""In the scope: the Host header as it came, where X-Forwarded-Host took its place."""

_LONGEST_NAME = 100


class Proxies:
    """Puts the client's address, scheme and host in the place of a trusted proxy's."""

    def __init__(
        self, app: ASGIApp, *, trusted: tuple[Proxy, ...], user_header: str | None
    ) -> None:
        self.app = app
        self.trusted = trusted
        self.user_header = user_header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Rewrite the scope where the peer is trusted; pass everything else on as it is."""
        peer = scope.get("client")
        if scope["type"] == "http" and self.trusted and self._trusts(peer[0] if peer else ""):
            scope = {**scope, "headers": list(scope["headers"])}
            self._believe(scope)
        await self.app(scope, receive, send)

    def _trusts(self, address: str) -> bool:
        found = _address(address)
        if found is None:
            return address in {"", LOCAL} and LOCAL in self.trusted
        return any(found in network for network in self.trusted if network != LOCAL)

    def _believe(self, scope: Scope) -> None:
        scope[TRUSTED] = True
        headers = Headers(scope=scope)
        client = self._client(_listed(headers, "x-forwarded-for"))
        if client is not None:
            scope["client"] = (client, 0)
        scheme = _listed(headers, "x-forwarded-proto")
        if scheme and scheme[-1].lower() in {"http", "https"}:
            scope["scheme"] = scheme[-1].lower()
        if self.user_header:
            name = self.user_header.lower().encode()
            scope[PERSON] = [value for key, value in scope["headers"] if key == name]
        host = _listed(headers, "x-forwarded-host")
        if host:
            scope[FIRST_HOST] = headers.get("host", "")
            MutableHeaders(scope=scope)["host"] = host[-1]

    def _client(self, hops: Sequence[str]) -> str | None:
        """Return the right-most address that is no trusted proxy's: what is left of it is hearsay.

        Where all are trusted it is the left-most; None where the last one is no address.
        """
        client = None
        for hop in reversed(hops):
            address = _address(_without_port(hop))
            if address is None:
                break
            client = str(address)
            if not self._trusts(client):
                break
        return client


def person(scope: Scope) -> str | None:
    """Return the name that a trusted proxy gives the client, or None where it gives none.

    WrongUsage where it is given twice, too long, or not printable.
    """
    values: list[bytes] = scope.get(PERSON, [])
    if not values:
        return None
    try:
        name = values[0].decode().strip()
    except UnicodeDecodeError:
        name = ""
    if len(values) > 1 or not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        raise WrongUsage(
            "the proxy does not name one person",
            detail=f"the name must be 1 to {_LONGEST_NAME} printable characters, in one header",
            hint="look at what the proxy sends in the header that ZANITH_USER_HEADER names",
        )
    return name


def _listed(headers: Headers, name: str) -> list[str]:
    """Return the items of a header that may stand several times and hold several by comma."""
    text = ",".join(headers.getlist(name))
    return [item.strip() for item in text.split(",") if item.strip()]


def _without_port(hop: str) -> str:
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _address(text: str) -> Any:
    """Return the address, that of IPv4 where it is mapped into IPv6; None for what is none."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
