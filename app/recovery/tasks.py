"""Ending a task of one's own, without mistaking one's own cancellation for its."""

from __future__ import annotations

import asyncio
from typing import Any


async def stop(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end; raise what it failed with, but not its cancellation.

    Whoever is cancelled meanwhile still waits for that end, and is cancelled then: from ``await
    task`` both cancellations look the same.
    """
    own: asyncio.CancelledError | None = None
    task.cancel()
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as exc:
            own = exc
            task.cancel()
    error = None if task.cancelled() else task.exception()
    if own is not None:
        raise own
    if error is not None:
        raise error
