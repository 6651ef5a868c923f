"""Tasks that do not outlive what they are for, nor are taken for it when they are cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def stop(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end; raise what it failed with, but not its cancellation.

    A caller that is cancelled meanwhile waits for that end, and is cancelled then: from ``await
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


async def run_to_completion(work: Coroutine[Any, Any, Any]) -> Any:
    """Run it to its end and return what it returned, also if the caller is cancelled.

    The cancellation is raised after that end, in place of the result.
    """
    own: asyncio.CancelledError | None = None
    task = asyncio.create_task(work)
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as exc:
            own = exc
    if own is not None:
        task.cancelled() or task.exception()  # which is heard then
        raise own
    return task.result()


async def gather(*works: Coroutine[Any, Any, Any]) -> list[Any]:
    """Run all and return what each returned.

    Once one fails, or the caller is cancelled, the others are too, once; the error is raised when
    none runs any more.
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            if not task.cancelling():
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
