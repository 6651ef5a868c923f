"""`python -m tests.faults.client URL OPERATION DIRECTORY`: an operation in a process to be killed.

It says when it is connected, begins when it is told to, and writes what came of it as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from app.recovery.db.database import Database
from tests.faults.operations import OPERATIONS
from tests.faults.run import impatient, raised_by


async def main(url: str, name: str, place: str) -> None:
    """Do it."""
    db = await Database.open(url)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    task = asyncio.ensure_future(OPERATIONS[name].run(db, Path(place)))
    await asyncio.wait({task})
    told: list[str] = []
    print(json.dumps([raised_by(task, told), told]), flush=True)
    await db.close()


if __name__ == "__main__":
    with impatient():
        asyncio.run(main(*sys.argv[1:]))
