"""Where a shadow comes from: one function for the three patterns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from app.migrate.shadow.embedded import embedded, remove_leftovers
from app.migrate.shadow.given import given
from app.migrate.shadow.model import Live, Pattern, Shadow, connect
from app.migrate.shadow.same_server import drop_leftovers, same_server
from app.recovery.core.errors import WrongUsage


def provision(
    pattern: Pattern,
    live: Live | None = None,
    url: str | None = None,
    *,
    forbidden: Live | None = None,
    keep: bool = False,
    tell: Callable[[str], None] = lambda _text: None,
) -> AbstractAsyncContextManager[Shadow]:
    """Return the shadow as a context: it is gone at its end, unless it is to be kept.

    `url` is the address for the pattern `url`. What an earlier run left is removed first, and
    `tell` says so. `forbidden` is a database that must not be the shadow, as must not the live one.
    ZanithError if the shadow cannot be made.
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
    return given(url, live, forbidden or live, keep=keep, tell=tell)


async def remove_kept(url: str | None, *, named: bool, tell: Callable[[str], None]) -> list[str]:
    """Remove the shadows that were kept: embedded ones, and with a server those beside it."""
    found = await asyncio.to_thread(remove_leftovers, tell=tell, kept=True)
    removed = [str(directory) for directory in found]
    if named:
        control = await connect(url)
        try:
            removed += await drop_leftovers(control, tell=tell, kept=True)
        finally:
            await control.close(timeout=5)
    return removed
