"""A studio below a path of a proxy: inside every path begins at /studio, outside at the prefix.

The prefix is taken off what comes in, unless the proxy did, and put on what goes out: the headers
that lead somewhere and the paths of cookies here, the addresses in HTML by `url()` in templates.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LEADING = ("location", "hx-redirect", "hx-location", "hx-push-url", "hx-replace-url")
_COOKIE_PATH = re.compile(r"(;\s*path=)/(?=;|$)", re.IGNORECASE)


class Prefix:
    """Serves the application below a path, whether a proxy takes the path off or not."""

    def __init__(self, app: ASGIApp, *, prefix: str) -> None:
        self.app = app
        self.prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the prefix off the path, and put it on the answer's headers."""
        if scope["type"] != "http" or not self.prefix:
            await self.app(scope, receive, send)
            return

        async def send_outside(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._lead(MutableHeaders(scope=message))
            await send(message)

        path = inside(scope["path"], self.prefix)
        inner = {**scope, "path": path}
        if path != scope["path"]:
            inner["raw_path"] = scope.get("raw_path", b"")[len(self.prefix) :] or b"/"
        await self.app(inner, receive, send_outside)

    def _lead(self, headers: MutableHeaders) -> None:
        for name in LEADING:
            value = headers.get(name, "")
            if value.startswith("/") and not value.startswith("//"):
                headers[name] = self.prefix + value
        cookies = headers.getlist("set-cookie")
        if cookies:
            del headers["set-cookie"]
        for cookie in cookies:
            headers.append("set-cookie", _COOKIE_PATH.sub(rf"\g<1>{self.prefix}", cookie))


def inside(path: str, prefix: str) -> str:
    """Return a path without the prefix, where it has it: the one form that is used inside."""
    if not prefix or not (path == prefix or path.startswith((f"{prefix}/", f"{prefix}?"))):
        return path
    rest = path[len(prefix) :]
    return rest if rest.startswith("/") else f"/{rest}"


def address_of(scope: Scope) -> str:
    """Return the path and the query of a request as they were sent: a path may hold any sign."""
    raw: bytes | None = scope.get("raw_path")
    path = raw.decode("latin-1") if raw else quote(scope["path"])
    query = scope.get("query_string", b"").decode("latin-1")
    return path + (f"?{query}" if query else "")


def ours(path: str, prefix: str, otherwise: str = "/studio") -> str:
    """Return a path that somebody sent without the prefix; one that is no page becomes another."""
    path = inside(path, prefix)
    page = path == "/studio" or path.startswith(("/studio/", "/studio?"))
    return path if page and "\\" not in path else otherwise


def outside(prefix: str) -> Callable[..., str]:
    """Return the `url()` of templates: an address of a path, and of names below it."""

    def url(path: str, *names: object) -> str:
        if not path.startswith("/"):
            raise ValueError(f"{path} is not a path of the studio")
        return prefix + "/".join((path, *(quote(str(name), safe="") for name in names)))

    return url
