"""The pending migrations of a directory: the state of each file, and the plan of what is to run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from app.migrate.apply.digest import digest_of
from app.migrate.apply.session import already_running, require_primary
from app.migrate.apply.status import Entry, Status, read_status, require_sound
from app.migrate.apply.up import (
    choose,
    is_guarded,
    plan_pending,
    require_captures,
    require_gates,
)
from app.migrate.read.layouts import read_migrations
from app.migrate.read.migrations import Migration
from app.migrate.review.plan import Gates, MigrationPlan
from app.recovery.core.errors import ZanithError
from app.recovery.db.database import Database


@dataclass(frozen=True)
class Pending:
    """The status of a directory, and the plan of its pending migrations.

    ``migrations`` are all files. ``chosen`` are those that are planned. ``plan`` is None if a file
    cannot be planned; ``error`` then says which, and where in it.
    """

    migrations: tuple[Migration, ...]
    status: Status
    chosen: tuple[Entry, ...]
    plan: MigrationPlan | None
    guarded: bool
    error: ZanithError | None = None
    digest: str | None = None
    """The digest of what would run, which a person confirms; None without a plan."""
    standby: bool = False

    @property
    def gates(self) -> Gates:
        """The gates that the plan was judged by, with the guard of this database."""
        return self.plan.gates if self.plan else Gates()


async def read_pending(db: Database, directory: Path, to: str | None = None) -> Pending:
    """Return what the next `up` would run, with what the catalog says of it; it changes nothing.

    With `to` only what runs up to this migration is planned, as if its `--to` was given. Raises as
    :func:`app.migrate.read.layouts.read_migrations` does if the directory cannot be read, and as
    :func:`app.migrate.apply.up.choose` does for a migration that is not pending.
    """
    layout, migrations = await asyncio.to_thread(read_migrations, directory)
    status = await read_status(db, layout, migrations)
    chosen = tuple(choose(status, to=to))
    files = [entry.migration for entry in chosen if entry.migration is not None]
    guarded = await is_guarded(db)
    standby = db.server.standby
    try:
        plan = await plan_pending(db, layout, files, Gates(), guarded=guarded)
    except ZanithError as error:
        return Pending(tuple(migrations), status, chosen, None, guarded, error, None, standby)
    digest = await asyncio.to_thread(digest_of, chosen, plan, guarded=guarded)
    return Pending(tuple(migrations), status, chosen, plan, guarded, None, digest, standby)


def require_runnable(found: Pending) -> None:
    """Raise what the next `up` would raise before it asks the rows: nothing runs then."""
    require_primary(found.standby)
    if found.status.holder is not None:
        raise already_running(found.status.holder)
    require_sound(found.status, out_of_order=False, allow_vanished=False)
    if found.error is not None:
        raise found.error
    if found.plan is not None:
        require_gates(found.plan)
    if not found.guarded:
        files = [entry.migration for entry in found.chosen if entry.migration is not None]
        require_captures(files, Gates())
