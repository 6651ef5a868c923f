"""PgQueuer: an enum, a trigger on every statement, and unlogged tables where asked for speed."""

from __future__ import annotations

import asyncio
import sys


async def install(url: str) -> None:
    import asyncpg
    from pgqueuer.db import AsyncpgDriver
    from pgqueuer.queries import Queries

    connection = await asyncpg.connect(url)
    await Queries(AsyncpgDriver(connection)).install()
    await connection.close()


if __name__ == "__main__":
    asyncio.run(install(sys.argv[1]))
