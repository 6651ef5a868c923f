"""Where a shadow comes from: one function for the three patterns."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from app.migrate.shadow.embedded import embedded
from app.migrate.shadow.given import given
from app.migrate.shadow.model import Live, Pattern, Shadow
from app.migrate.shadow.same_server import same_server
from app.recovery.core.errors import WrongUsage


def provision(
    pattern: Pattern,
    live: Live | None = None,
    url: str | None = None,
    *,
    keep: bool = False,
    tell: Callable[[str], None] = lambda _text: None,
) -> AbstractAsyncContextManager[Shadow]:
    """Return the shadow as a context: it is gone at its end, unless it is to be kept.

    `url` is the address for the pattern `url`. What an earlier run left is removed first, and
    `tell` says so. ZanithError if the shadow cannot be made.
    """
    if pattern is Pattern.EMBEDDED:
        return embedded(live, keep=keep, tell=tell)
    if pattern is Pattern.SAME_SERVER:
        if live is None:
            raise WrongUsage(
                "no database is named, so there is no server to create a shadow on",
                hint="name the live database with -d, or use the embedded server",
            )
        return same_server(live, keep=keep, tell=tell)
    if url is None:
        raise WrongUsage(
            "no address of a shadow is named", hint="give --shadow-url, or set SHADOW_DATABASE_URL"
        )
    return given(url, live, keep=keep, tell=tell)
