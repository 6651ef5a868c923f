"""A recorded definition as SQL, and beside it what is there now by the same name."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.db.bounded_reads import bounded_read
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.queries import load

SQL = load("definitions")

# Of texts with more lines the same lines are looked for in blocks only.
_MANY_LINES = 2_000


@dataclass(frozen=True)
class Definitions:
    """The SQL of a definition as recorded, and of what is there now: None where nothing is."""

    then: str | None
    now: str | None

    @property
    def differ(self) -> bool:
        """Whether something is there, and its definition is another one."""
        return self.now is not None and self.now != self.then

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        return {"recorded": self.then, "now": self.now, "differ": self.differ}


@dataclass(frozen=True)
class Pair:
    """The numbers of a line as it was recorded and as it is now; None where a side has none."""

    then: int | None
    now: int | None
    same: bool


async def read_definitions(db: Database, reference: str) -> tuple[Artifact, Definitions]:
    """Return an artifact, and its definition beside what is there now."""
    artifact = await get_artifact(db, reference)
    async with bounded_read(db, artifact.id, readonly=True) as connection:
        return artifact, await definitions_of(connection, artifact.id)


async def definitions_of(
    connection: Connection, artifact_id: str, *, also_now: bool = True
) -> Definitions:
    """Return the same on a connection that is at hand; what is there now, only if asked for."""
    then = await connection.fetchval(SQL["recorded"], artifact_id)
    now = await connection.fetchval(SQL["now"], artifact_id) if also_now else None
    return Definitions(then, now)


async def definition_of(db: Database, reference: str) -> tuple[Artifact, dict[str, Any]]:
    """Return an artifact and its definition as it is recorded."""
    artifact = await get_artifact(db, reference)
    async with db.side() as connection:
        found: dict[str, Any] = await connection.fetchval(SQL["definition"], artifact.id)
    return artifact, found


async def render_definition(
    db: Database, artifact_id: str, definition: dict[str, Any] | None
) -> str | None:
    """Return the SQL of a definition that is at hand: the tombstone of an artifact has it."""
    if not definition:
        return None
    async with bounded_read(db, artifact_id, readonly=True) as connection:
        found: str | None = await connection.fetchval(SQL["render"], definition)
    return found


def lines_of(text: str | None) -> list[str]:
    """Return lines as they are compared: the last column has no comma, which says nothing."""
    return [line.removesuffix(",") for line in text.split("\n")] if text else []


def side_by_side(then: str, now: str) -> Iterator[Pair]:
    """Yield the lines of two texts by their numbers from 0 on, each beside what it became."""
    old, new = lines_of(then), lines_of(now)
    blocks = max(len(old), len(new)) > _MANY_LINES
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=blocks)
    for tag, start, end, first, last in matcher.get_opcodes():
        for one, other in zip_longest(range(start, end), range(first, last)):
            yield Pair(one, other, tag == "equal")
