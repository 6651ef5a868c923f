"""Where somebody goes on after signing in: the page that they were on, never what it posts to."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from starlette.routing import Match

from app.routes.middleware.prefix import address_of, inside
from app.routes.middleware.same_origin import SAFE_METHODS

# What pages load into themselves: addresses that answer GET and are no page.
_PIECES = frozenset({"seal", "progress"})
_FIRST = "/studio"


def to_login(request: Request) -> Response:
    """Lead to the sign-in, which leads back; where something was sent it says that it was not."""
    sent = request.method not in SAFE_METHODS
    target = f"{_FIRST}/login?next={quote(page_of(request), safe='')}" + ("&ended=yes" * sent)
    if request.headers.get("HX-Request"):
        return Response(status_code=401, headers={"HX-Redirect": target})
    return RedirectResponse(target, 303, {"Cache-Control": "no-store"})


def page_of(request: Request) -> str:
    """Return the page that a request was made from, or the one nearest to its address."""
    partial = "HX-Request" in request.headers
    if request.method in SAFE_METHODS and not partial:
        return address_of(request.scope)
    said = request.headers.get("HX-Current-URL" if partial else "Referer", "")
    return _our_page(request, said) or _nearest(request)


def _our_page(request: Request, address: str) -> str | None:
    """Return the path of an address that is a page of this very origin; None for any other."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    if not parts.netloc or parts.netloc.lower() != request.headers.get("host", "").lower():
        return None
    path = inside(parts.path, request.app.state.studio.settings.root_path)
    if path.startswith(f"{_FIRST}/login") or not _is_page(request, path):
        return None
    return path + (f"?{parts.query}" if parts.query else "")


def _nearest(request: Request) -> str:
    """Return the first page on the way up from the address of a request."""
    path = request.url.path
    while path.startswith(f"{_FIRST}/"):
        if _is_page(request, path):
            return path
        path = path.rpartition("/")[0]
    return _FIRST


def _is_page(request: Request, path: str) -> bool:
    if path != _FIRST and not path.startswith(f"{_FIRST}/"):
        return False
    if path.rpartition("/")[2] in _PIECES:
        return False
    scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.router.routes)
