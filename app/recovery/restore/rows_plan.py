"""The plan of putting some rows back: what is archived, what is live, what happens to each row."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import asyncpg

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.core.actor import Actor, require_rows
from app.recovery.core.errors import (
    Refused,
)
from app.recovery.db.bounded_reads import bounded_read
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.transactions import transaction
from app.recovery.jobs import audit
from app.recovery.jobs.operation import attempt
from app.recovery.plan.estimate import estimate_verification
from app.recovery.plan.model import Conflict, Step, check_digest, digest_of
from app.recovery.plan.parsing import parse_conflicts, parse_steps
from app.recovery.queries import load
from app.recovery.rows import copies
from app.recovery.rows.search import (
    Cell,
    FoundColumn,
    FoundRow,
    check_refs,
    check_size,
    columns_of,
    in_order,
    plan_search,
    read_rows,
    run_with,
    with_whole_cells,
)
from app.recovery.rows.stream import Reading, prove

SQL = load("some_rows")
PLAN = load("plan")
STREAM = load("stream")

WORDS = {
    "changes": "the live value is replaced",
    "insert": "the row is inserted",
    "same": "the live row has these values already",
    "missing": "left out: there is no live row with this key",
    "taken": "left out: a live row has this key, with other values",
    "several": "left out: several live rows have this key",
    "null": "left out: the live column is NOT NULL, and the archived value is NULL",
    "unfit": "left out: the live column has a type that cannot have this value",
    "unknown": "not compared: something stands in the way",
}
"""What happens to a row, by the outcome that the plan has for it."""

WRITTEN = ("changes", "insert")


@dataclass(frozen=True)
class PlannedRow:
    """One row: what is archived, what is live, and what will happen to it."""

    row: FoundRow
    key: tuple[str | None, ...]
    live: tuple[Cell | None, ...] | None
    """The live values of the plan's columns; None where there is no live row, or none is known."""
    outcome: str

    @property
    def written(self) -> bool:
        """Whether it is written."""
        return self.outcome in WRITTEN


@dataclass(frozen=True)
class RowsPlan:
    """What putting some rows back would do. ``written`` are the live columns that get values."""

    artifact_id: str
    object: str
    target: str | None
    form: str
    columns: tuple[FoundColumn, ...]
    key: tuple[str, ...]
    written: tuple[str, ...]
    column: str | None
    rows: tuple[PlannedRow, ...]
    steps: tuple[Step, ...]
    conflicts: tuple[Conflict, ...]
    triggers: tuple[str, ...]
    verified_at: str | None
    unverified: bool = False
    """Whether the parked rows are put back without a comparison with their seal."""
    verification: float | None = None
    """Seconds that the comparison takes, by estimate; None where none is made."""

    @property
    def digest(self) -> str:
        """SHA-256 of the statement, and of the archived and live values of each row.

        A row that somebody changes after the plan was shown makes another digest.
        """
        values = [
            (row.row.ref, row.key, row.outcome, _digests(row.row.cells), _digests(row.live))
            for row in self.rows
        ]
        without = ["without the seal"] if self.unverified else []
        text = json.dumps([digest_of(self.steps), self.target, values, *without])
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def counts(self) -> dict[str, int]:
        """How many rows have each outcome."""
        return dict(Counter(row.outcome for row in self.rows))

    @property
    def count(self) -> int:
        """How many rows are written."""
        return sum(row.written for row in self.rows)

    def archived(self, row: PlannedRow, name: str) -> Cell | None:
        """Return the archived value that goes into a live column."""
        if self.form == "update":
            return row.row.cells[-1]
        return row.row.cells[[column.name for column in self.columns].index(name)]

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON shows it."""
        return {
            "artifact_id": self.artifact_id,
            "object": self.object,
            "target": self.target,
            "form": self.form,
            "columns": [asdict(column) for column in self.columns],
            "key": list(self.key),
            "written": list(self.written),
            "counts": self.counts,
            "rows": [
                {
                    **row.row.to_json(self.columns),
                    "key": list(row.key),
                    "live": None
                    if row.live is None
                    else {
                        name: None if cell is None else cell.text
                        for name, cell in zip(self.written, row.live, strict=True)
                    },
                    "outcome": row.outcome,
                }
                for row in self.rows
            ],
            "steps": [asdict(step) for step in self.steps],
            "conflicts": [asdict(conflict) for conflict in self.conflicts],
            "triggers": list(self.triggers),
            "verified_at": self.verified_at,
            "unverified": self.unverified,
            "verify_seconds": self.verification,
            "digest": self.digest,
        }


def _digests(cells: Sequence[Cell | None] | None) -> list[str | None] | None:
    return None if cells is None else [cell.digest if cell else None for cell in cells]


async def plan_rows(
    db: Database,
    artifact_id: str,
    refs: Sequence[str],
    actor: Actor,
    *,
    unverified: bool = False,
) -> RowsPlan:
    """Return what putting these rows back would do; it changes nothing.

    The audit log says that somebody looked at them. NotPermitted where the actor may not see rows,
    Refused where one of them is not there any more.
    """
    artifact = await get_artifact(db, artifact_id)
    async with attempt(db, actor, "view", artifact.id, artifact.object_name):
        require_rows(actor, "look at rows")
        plan, _ = await plan_with_texts(db, artifact, refs, unverified=unverified)
        shown = {"rows": len(plan.rows)}
        await audit.record_view(db, actor, artifact.id, artifact.object_name, shown)
    return plan


Finish = Callable[[Connection, "RowsPlan"], Awaitable[None]]


async def plan_with_texts(
    db: Database,
    artifact: Artifact,
    refs: Sequence[str],
    *,
    whole: bool = False,
    unverified: bool = False,
    begin: Callable[[Connection], Awaitable[None]] | None = None,
    finish: Finish | None = None,
) -> tuple[RowsPlan, dict[str, FoundTexts]]:
    """Return the plan, and with `whole` all texts of the rows that are written, by their places.

    ``begin`` and ``finish`` run in the transaction that reads the rows, before and after that.
    """
    named = check_refs(refs)
    async with bounded_read(db, artifact.id, bounded=not whole) as connection:
        if begin is not None:
            await begin(connection)
        reading = await prove(connection, artifact.id)
        await connection.execute(STREAM["settings"], None)
        search = await plan_search(connection, artifact.id, ())
        rows = in_order(await read_rows(reading, search["refs_sql"], named), named)
        data = await connection.fetchval(SQL["plan"], artifact.id)
        columns = columns_of(search)
        live = Live(connection, data, columns)
        rows = await with_whole_cells(reading, search["whole_sql"], rows, live.key_at)
        data["conflicts"] = standing_conflicts(data, unverified=unverified)
        data["conflicts"] += await live.find_key_conflicts(rows)
        found = await live.look(rows)
        texts: dict[str, FoundTexts] = {}
        wanted = [row.row.ref for row in found if row.written]
        if wanted and (whole or not data.get("alike")):
            check_size(rows)
            texts = dict(await run_with(reading, search["whole_sql"], wanted))
            found = [await live.check_fit(row, texts) for row in found]
        plan = _made(artifact, data, columns, found, unverified=unverified)
        if finish is not None:
            await finish(connection, plan)
    return plan, texts


def standing_conflicts(data: dict[str, Any], *, unverified: bool) -> list[dict[str, Any]]:
    """Return the conflicts of the plan but those that a choice lifts."""
    return [each for each in data["conflicts"] if not unverified or each["code"] != "seal_broken"]


def _made(
    artifact: Artifact,
    data: dict[str, Any],
    columns: tuple[FoundColumn, ...],
    found: Sequence[PlannedRow],
    *,
    unverified: bool,
) -> RowsPlan:
    archive = {"size_bytes": artifact.size_bytes}
    verified = not unverified and bool(data["steps"]) and sealable(artifact)
    return RowsPlan(
        artifact_id=data["artifact_id"],
        object=data["object"],
        target=data["target"],
        form=data["form"],
        columns=columns,
        key=tuple(data["key"]),
        written=tuple(data["columns"]),
        column=data["column"],
        rows=tuple(found),
        steps=parse_steps(data["steps"]),
        conflicts=parse_conflicts(data["conflicts"]),
        triggers=tuple(data["triggers"]),
        verified_at=artifact.verified_at.isoformat() if artifact.verified_at else None,
        unverified=unverified,
        verification=(estimate_verification(archive) or 0.0) if verified else None,
    )


def sealable(artifact: Artifact) -> bool:
    """Whether its parked rows have a seal of their own: a soft-dropped column's have none."""
    return artifact.artifact_type != "soft_drop_column"


FoundTexts = Sequence[str | None]


class Live:
    """The live table beside the rows, as the plan of the database says to read and write it."""

    def __init__(
        self, connection: Connection, data: dict[str, Any], columns: Sequence[FoundColumn]
    ) -> None:
        self.reading = Reading(connection, data["role"], data.get("path"))
        self.data = data
        names = [column.name for column in columns]
        self.key_at = [names.index(name) for name in data["key"] if name in names]
        updates = data["form"] == "update"
        self.value_at = (
            [len(names) - 1] if updates else [names.index(name) for name in data["columns"]]
        )

    async def look(self, rows: Sequence[FoundRow]) -> list[PlannedRow]:
        """Return the rows with the live ones beside them; none are read past a conflict."""
        keys = [self.key_of([c.text if c else None for c in row.cells]) for row in rows]
        if self.data["conflicts"] or not self.data["columns"]:
            return [PlannedRow(r, k, None, "unknown") for r, k in zip(rows, keys, strict=True)]
        found: dict[int, list[tuple[Cell | None, ...]]] = {}
        asked = [value for key in keys for value in key]
        for number, cells in await run_with(self.reading, self.data["live_sql"], asked):
            live = tuple(None if cell is None else Cell(*cell) for cell in cells)
            found.setdefault(number - 1, []).append(live)
        return [
            self._judge(row, key, found.get(number, []))
            for number, (row, key) in enumerate(zip(rows, keys, strict=True))
        ]

    async def find_key_conflicts(self, rows: Sequence[FoundRow]) -> list[dict[str, Any]]:
        """Return the conflict of keys that the columns of the live key cannot have."""
        changed = self.data.get("key_changed")
        if not changed or self.data["conflicts"]:
            return []
        for row in rows:
            key = self.key_of([cell.text if cell else None for cell in row.cells])
            if not await self._fits(self.data["key_fits_sql"], key):
                return [_key_conflict(self.data["target"], changed)]
        return []

    async def _fits(self, sql: str, values: FoundTexts) -> bool:
        """Whether the live columns print each text as it was read."""
        try:
            async with transaction(self.reading.connection):
                (fits,) = await run_with(self.reading, sql, values)
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError):
            return False
        return all(fits)

    def key_of(self, texts: FoundTexts) -> tuple[str | None, ...]:
        return tuple(texts[at] for at in self.key_at)

    def _judge(
        self,
        row: FoundRow,
        key: tuple[str | None, ...],
        lives: list[tuple[Cell | None, ...]],
    ) -> PlannedRow:
        archived = [row.cells[at] for at in self.value_at]
        updates = self.data["form"] == "update"
        if len(lives) > 1:
            return PlannedRow(row, key, None, "several")
        live = lives[0] if lives else None
        if live is not None and _digests(live) == _digests(archived):
            return PlannedRow(row, key, live, "same")
        if (live is None) == updates:
            return PlannedRow(row, key, live, "missing" if updates else "taken")
        strict = self.data["refuses_null"]
        named = zip(self.data["columns"], archived, strict=True)
        if any(cell is None and name in strict for name, cell in named):
            return PlannedRow(row, key, live, "null")
        return PlannedRow(row, key, live, "changes" if updates else "insert")

    async def check_fit(self, row: PlannedRow, texts: dict[str, FoundTexts]) -> PlannedRow:
        """Return the row, left out where the live columns cannot have its values."""
        if not row.written or self.data.get("alike"):
            return row
        values = [texts[row.row.ref][at] for at in self.value_at]
        if await self._fits(self.data["fits_sql"], values):
            return row
        return PlannedRow(row.row, row.key, row.live, "unfit")

    async def write(self, row: PlannedRow, texts: FoundTexts) -> int:
        """Write one row; return 1 where that is done, 0 where it changed, 2 where a trigger did."""
        values = [texts[at] for at in self.value_at]
        if self.data["form"] == "update":
            (before,) = row.live or (None,)
            values = [*self.key_of(texts), *values, before.digest if before else None]
        written: int = await self.reading.connection.fetchval(
            PLAN["run_with"],
            *(self.reading.role, self.data["write_sql"], "rows", self.reading.path, values),
        )
        return written

    async def read_old(self, texts: FoundTexts) -> FoundTexts | None:
        """Return the whole live values of one row before it is overwritten; None for an insert."""
        if self.data["form"] != "update":
            return None
        found = await run_with(self.reading, self.data["old_sql"], self.key_of(texts))
        return list(found[0]) if found else None


def _key_conflict(target: str, changed: Sequence[dict[str, Any]]) -> dict[str, Any]:
    types = ", ".join(f"{one['name']} was {one['was']} and is {one['type']}" for one in changed)
    return {
        "code": "key_changed",
        "message": f"the key of {target} has other types now, which cannot have these keys",
        "detail": types,
        "hint": "Copy the rows as SQL instead, and write the new keys into it.",
        "choices": [],
    }


def check_rows(plan: RowsPlan, expected_digest: str | None = None) -> None:
    """Raise Refused where the plan is not the one that was confirmed, or nothing can be written."""
    for conflict in plan.conflicts:
        raise Refused(conflict.message, detail=conflict.detail, hint=conflict.hint)
    check_digest(plan, expected_digest)
    if not plan.count:
        outcomes = [f"rows: {count:,}; {WORDS[outcome]}" for outcome, count in plan.counts.items()]
        hint = "copy the rows as SQL, and run that as you like"
        if set(plan.counts) == {"same"}:
            hint = "nothing has to be done"
        raise Refused("there is nothing to put back", detail="\n".join(outcomes), hint=hint)


async def copy_rows(
    db: Database, artifact_id: str, refs: Sequence[str], actor: Actor, form: str
) -> str:
    """Return the archived values of these rows as ``csv`` or ``sql``; the audit log says who took.

    NotPermitted where the actor may not see rows.
    """
    artifact = await get_artifact(db, artifact_id)
    named = check_refs(refs)
    async with attempt(db, actor, "view", artifact.id, artifact.object_name):
        require_rows(actor, "export rows")
        async with bounded_read(db, artifact.id) as connection:
            reading = await prove(connection, artifact.id)
            await connection.execute(STREAM["settings"], None)
            search = await plan_search(connection, artifact.id, ())
            in_order(await read_rows(reading, search["refs_sql"], named), named)
            data = await connection.fetchval(SQL["plan"], artifact.id)
            texts = dict(await run_with(reading, search["whole_sql"], named))
        shown = {"rows": len(named), "form": form}
        await audit.record_view(db, actor, artifact.id, artifact.object_name, shown)
    rows = [texts[ref] for ref in named]
    names = [column.name for column in columns_of(search)]
    if form == "csv":
        return copies.as_csv(names, rows)
    if data["form"] == "insert":
        return copies.inserts(data["named"], names, rows)
    if len(names) < 2:
        raise Refused("these rows have no key: no UPDATE can name them", hint="take them as CSV")
    return copies.updates(data["named"], names[:-1], data["column"], rows)
