"""Chancy: unlogged tables, partial unique keys, and the tables of its plugins."""

from __future__ import annotations

import asyncio
import sys


async def install(url: str) -> None:
    from chancy import Chancy
    from chancy.plugins.cron import Cron
    from chancy.plugins.metrics import Metrics
    from chancy.plugins.workflow import WorkflowPlugin

    async with Chancy(url, plugins=[Cron(), WorkflowPlugin(), Metrics()]) as chancy:
        await chancy.migrate()


if __name__ == "__main__":
    asyncio.run(install(sys.argv[1]))
