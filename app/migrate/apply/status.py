"""Files of migrations beside the history: which are applied, pending, edited, and so on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.migrate.apply.contents import Edit, checksum_of, find_edits, kept_text
from app.migrate.apply.history import SQL, Run, find_holder, read_newest
from app.migrate.read.migrations import Layout, Migration
from app.recovery.core.errors import Refused
from app.recovery.db.connections import Connection
from app.recovery.db.database import Blocker, Database

SHOWN = 5
"""How many edited lines an error names."""


class State(StrEnum):
    """What is known of a migration. The values are part of the public interface."""

    APPLIED = "applied"
    PENDING = "pending"
    OUT_OF_ORDER = "out_of_order"
    """Pending, and a later one is applied."""
    CHANGED = "changed"
    """Repeatable, and the file is not the one that ran: it runs again."""
    FAILED = "failed"
    """Pending, and the newest run failed."""
    INTERRUPTED = "interrupted"
    """A run outside a transaction ended in the middle: the next one goes on."""
    RUNNING = "running"
    EDITED = "edited"
    """Applied, and the file is not the one that ran."""
    VANISHED = "vanished"
    """Applied, and there is no file of that name."""

    @property
    def words(self) -> str:
        """The state in words, for people."""
        return _SHOWN[self][0]

    @property
    def mark(self) -> str:
        """How it is marked: good, waiting, running or bad."""
        return _SHOWN[self][1]


_SHOWN = {
    State.APPLIED: ("applied", "good"),
    State.PENDING: ("pending", "waiting"),
    State.OUT_OF_ORDER: ("out of order", "bad"),
    State.CHANGED: ("changed: runs again", "waiting"),
    State.FAILED: ("failed", "bad"),
    State.INTERRUPTED: ("interrupted", "bad"),
    State.RUNNING: ("running", "running"),
    State.EDITED: ("edited after it was applied", "bad"),
    State.VANISHED: ("its file is gone", "bad"),
}

WANTS_RUN = frozenset(
    {State.PENDING, State.OUT_OF_ORDER, State.CHANGED, State.FAILED, State.INTERRUPTED}
)


@dataclass(frozen=True)
class Entry:
    """One migration: its file, the run that decides, and the lines that were edited since."""

    id: str
    state: State
    migration: Migration | None
    run: Run | None
    edits: tuple[Edit, ...] = ()

    @property
    def path(self) -> str | None:
        if self.migration is not None:
            return str(self.migration.up.path)
        return self.run.path if self.run else None

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "state": self.state.value,
            "path": self.path,
            "edits": [edit.to_json() for edit in self.edits],
            "run": self.run.to_json() if self.run else None,
        }


@dataclass(frozen=True)
class Status:
    """All migrations, in the order of their run; `holder` runs some now."""

    layout: Layout
    entries: tuple[Entry, ...]
    holder: Blocker | None = None

    @property
    def pending(self) -> list[Entry]:
        """Those that the next `up` runs."""
        return [entry for entry in self.entries if entry.state in WANTS_RUN]

    @property
    def problems(self) -> list[Entry]:
        """Those that the next `up` refuses."""
        wrong = {State.EDITED, State.VANISHED, State.OUT_OF_ORDER}
        return [entry for entry in self.entries if entry.state in wrong]

    def to_json(self) -> dict[str, Any]:
        counts = {state.value: 0 for state in State}
        for entry in self.entries:
            counts[entry.state.value] += 1
        return {
            "layout": self.layout.value,
            "counts": counts,
            "running_pid": self.holder.pid if self.holder else None,
            "migrations": [entry.to_json() for entry in self.entries],
        }


async def read_status(db: Database, layout: Layout, migrations: Sequence[Migration]) -> Status:
    """Return the state of each migration; it reads only."""
    holder = await find_holder(db)
    async with db.acquire() as connection:
        # a standby does not know who runs migrations on the primary
        return await status_in(connection, layout, migrations, holder, busy=db.server.standby)


async def status_in(
    connection: Connection,
    layout: Layout,
    migrations: Sequence[Migration],
    holder: Blocker | None = None,
    *,
    busy: bool = False,
) -> Status:
    """Do the same in a session of the caller's; `busy` if a run can be under way all the same."""
    runs = await read_newest(connection)
    entries = []
    known = await asyncio.to_thread(
        lambda: list(_entries(migrations, runs, busy=busy or holder is not None))
    )
    for entry in known:
        edits: tuple[Edit, ...] = ()
        if entry.state is State.EDITED and entry.run and entry.migration:
            kept = await connection.fetchval(SQL["contents"], entry.run.run)
            edits = await asyncio.to_thread(find_edits, kept or "", entry.migration.up)
        entries.append(Entry(entry.id, entry.state, entry.migration, entry.run, edits))
    return Status(layout, tuple(entries), holder)


def _entries(
    migrations: Sequence[Migration], runs: Mapping[str, Run], *, busy: bool
) -> Iterator[Entry]:
    known = {migration.id for migration in migrations}
    for run in sorted(runs.values(), key=lambda one: one.run):
        if run.id not in known and run.applied:
            yield Entry(run.id, State.VANISHED, None, run)
        elif run.id not in known and run.outcome == "running":
            yield Entry(run.id, State.RUNNING if busy else State.VANISHED, None, run)
    ordered = [one for one in migrations if not one.repeatable]
    last = max(
        (place for place, one in enumerate(ordered) if one.id in runs and runs[one.id].applied),
        default=-1,
    )
    later = {one.id for one in ordered[: last + 1]}
    for migration in migrations:
        found = runs.get(migration.id)
        state = _state(migration, found, busy=busy)
        if state in {State.PENDING, State.FAILED} and migration.id in later:
            state = State.OUT_OF_ORDER
        yield Entry(migration.id, state, migration, found)


def _state(migration: Migration, run: Run | None, *, busy: bool) -> State:
    if run is None or run.direction == "down":
        return State.PENDING
    if run.outcome == "running":
        return State.RUNNING if busy else State.INTERRUPTED
    if run.outcome == "failed":
        return State.FAILED
    if run.checksum is None or run.checksum == checksum_of(kept_text(migration.up)):
        return State.APPLIED
    return State.CHANGED if migration.repeatable else State.EDITED


def require_sound(status: Status, *, out_of_order: bool, allow_vanished: bool) -> None:
    """Raise Refused where the files are not those of the history."""
    for entry in status.entries:
        if entry.state is State.EDITED:
            raise _edited(entry)
        if entry.state is State.VANISHED and not allow_vanished:
            raise Refused(
                f"{entry.id} is applied, and its file does not exist any more",
                detail=f"it was {entry.path}" if entry.path else None,
                hint="restore the file, or give --allow-vanished if it was removed on purpose",
            )
        if entry.state is State.OUT_OF_ORDER and not out_of_order:
            raise Refused(
                f"{entry.path}: a later migration is already applied",
                hint="give it a later version, or apply it all the same with --out-of-order",
            )


def _edited(entry: Entry) -> Refused:
    lines = []
    for edit in entry.edits[:SHOWN]:
        place = f"{entry.path}:{edit.line}"
        if edit.was is not None:
            lines.append(f"{place}: applied: {edit.was}")
        if edit.now is not None:
            lines.append(f"{place}: now:     {edit.now}")
    if len(entry.edits) > SHOWN:
        lines.append(f"and {len(entry.edits) - SHOWN} more lines")
    return Refused(
        f"{entry.path} was edited after it was applied",
        detail="\n".join(lines) or None,
        hint="put the file back as it was, and write the change into a new migration",
    )
