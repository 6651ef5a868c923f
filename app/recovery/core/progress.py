"""How work reports its progress: to a function, plain or a coroutine."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

OnProgress = Callable[[Any], Awaitable[None] | None]


async def tell(on_progress: OnProgress | None, report: Any) -> None:
    """Give the report to the listener, if there is one."""
    if on_progress is not None:
        answer = on_progress(report)
        if inspect.isawaitable(answer):
            await answer
