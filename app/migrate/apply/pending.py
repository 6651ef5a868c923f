"""The pending migrations of a directory: the state of each file, and the plan of what is to run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from app.migrate.apply.status import Status, read_status
from app.migrate.apply.up import is_guarded, plan_pending
from app.migrate.read.layouts import read_migrations
from app.migrate.review.plan import Gates, MigrationPlan
from app.recovery.core.errors import ZanithError
from app.recovery.db.database import Database


@dataclass(frozen=True)
class Pending:
    """The status of a directory, and the plan of its pending migrations.

    ``plan`` is None if a file cannot be planned; ``error`` then says which, and where in it.
    """

    status: Status
    plan: MigrationPlan | None
    guarded: bool
    error: ZanithError | None = None


async def read_pending(db: Database, directory: Path) -> Pending:
    """Return what the next `up` would run, with what the catalog says of it; it changes nothing.

    Raises as :func:`app.migrate.read.layouts.read_migrations` does if the directory cannot be read.
    """
    layout, migrations = await asyncio.to_thread(read_migrations, directory)
    status = await read_status(db, layout, migrations)
    files = [entry.migration for entry in status.pending if entry.migration is not None]
    guarded = await is_guarded(db)
    try:
        plan = await plan_pending(db, layout, files, Gates(), guarded=guarded)
    except ZanithError as error:
        return Pending(status, None, guarded, error)
    return Pending(status, plan, guarded)
