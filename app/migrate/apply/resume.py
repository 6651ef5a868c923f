"""A file without a transaction that ended in the middle: what is there, and where to go on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.migrate.apply.history import SQL, Step
from app.migrate.apply.prepare import Prepared, Unit, first_difference
from app.migrate.review.classify import needs_no_transaction
from app.migrate.review.world import definition_of, parts_of
from app.recovery.core.errors import Failed, Refused
from app.recovery.core.names import quote
from app.recovery.db.connections import Connection
from app.recovery.db.locks import retry

if TYPE_CHECKING:
    from app.migrate.apply.run import Runner

GO_ON = "zanith migrate up resumes there; zanith migrate status shows the state"
DONE = frozenset({"done", "skipped"})
KNOWN = DONE | {"begun", "failed"}


@dataclass(frozen=True)
class Found:
    """What a look at the database says of a statement that was begun.

    `done` is True if it ended. `sql` is what runs instead of it; None is the statement itself.
    """

    done: bool = False
    sql: str | None = None
    notes: tuple[str, ...] = ()


def interrupted(prepared: Prepared) -> Failed:
    """Return the error of a run whose process or connection ended in the middle."""
    return Failed(
        f"{prepared.script.path}: interrupted in the middle of a file without a transaction",
        detail="each statement before that one is committed",
    )


def is_concurrent(unit: Unit) -> bool:
    """Return whether a statement waits for others without blocking them."""
    alone = needs_no_transaction(unit.steered.statement)
    return alone is not None and "concurrently" in unit.steered.text.lower()


def require_same(prepared: Prepared, known: Mapping[int, Step]) -> None:
    """Raise Refused if a statement that is committed stands in the file no more as it ran."""
    done = [known[place].sql for place in sorted(known) if known[place].status in DONE]
    units = prepared.units
    place = first_difference(done, units)
    if place is None:
        return
    step = [known[number] for number in sorted(known) if known[number].status in DONE][place]
    now = units[place].steered.text if place < len(units) else "(nothing)"
    line = units[place].line if place < len(units) else step.line
    path = prepared.script.path
    raise Refused(
        f"{path} was edited, and a part of it is already applied",
        detail=f"{path}:{line}: applied: {step.sql}\n{path}:{line}: now:     {now}",
        hint="put the statements that ran back as they were; those after them may be corrected",
    )


# ------------------------------------------------------------------------------ before it begins


async def facts_before(runner: Runner, unit: Unit) -> dict[str, Any]:
    """Return what has to be known to tell later whether the statement ended."""
    name = _relation(unit)
    if name is None:
        return {}
    oid = await runner.session.fetchval(SQL["relation"], quote(name))
    if oid is None:
        return {}
    async with runner.db.acquire() as connection:
        rows = await connection.fetch(SQL["indexes"], oid)
    return {"relation": oid, "indexes": [row["oid"] for row in rows]}


def _relation(unit: Unit) -> Sequence[str] | None:
    """Return the name of the table or index that a statement works on."""
    node = unit.steered.statement.node
    kind = unit.steered.statement.kind
    if kind in {"index_stmt", "reindex_stmt", "alter_table_stmt"}:
        if kind == "alter_table_stmt":  # of a partition that is detached
            return parts_of(definition_of(node.cmds[0].alter_table_cmd).partition_cmd.name)
        return parts_of(node.relation) or None
    if kind == "drop_stmt":
        return [item.string.sval for item in node.objects[0].list.items]
    return None


# ----------------------------------------------------------------------------- when it goes on


async def look_after(runner: Runner, prepared: Prepared, unit: Unit, earlier: Step) -> Found:
    """Return what became of a statement that was begun, and clean up what it left.

    Refused for a statement of which nobody can tell whether it ended, unless the person said.
    """
    kind = unit.steered.statement.kind
    place = f"{prepared.script.path}:{unit.line}"
    look = _LOOKS.get(kind)
    if look is not None:
        return await look(runner, unit, earlier.before or {}, place)
    if kind in _REPEATED:
        return Found(notes=(f"{place}: it was interrupted, and runs again",))
    if runner.again == "again":
        return Found(notes=(f"{place}: it was begun before, and runs again",))
    if runner.again == "skip":
        return Found(done=True, notes=(f"{place}: it was begun before, and is skipped",))
    raise Refused(
        f"{place}: the statement was interrupted, and nobody knows whether it ended",
        detail=unit.steered.text,
        hint="look at the database, then give --resume again to run it again, or --resume skip",
    )


_REPEATED = frozenset({"vacuum_stmt", "cluster_stmt", "refresh_mat_view_stmt"})


async def _look_for_index(
    runner: Runner, unit: Unit, before: Mapping[str, Any], place: str
) -> Found:
    """An index that CREATE INDEX CONCURRENTLY left invalid is dropped; a valid one is done."""
    return await _drop_invalid(runner, before, place, done=True, named=unit_name(unit))


async def _look_for_reindex(
    runner: Runner, _unit: Unit, before: Mapping[str, Any], place: str
) -> Found:
    """The copies that REINDEX CONCURRENTLY left are dropped, and it runs again."""
    return await _drop_invalid(runner, before, place, done=False, named=None)


async def _drop_invalid(
    runner: Runner, before: Mapping[str, Any], place: str, *, done: bool, named: str | None
) -> Found:
    if not before.get("relation"):
        return Found(notes=(f"{place}: it was interrupted, and runs again",))
    async with runner.db.acquire() as connection:
        rows = await connection.fetch(SQL["indexes"], before["relation"])
    new = [row for row in rows if row["oid"] not in before["indexes"]]
    if done and any(row["valid"] and named in {None, row["name"]} for row in new):
        return Found(done=True, notes=(f"{place}: it had ended before the interruption",))
    notes = []
    for row in new:
        if row["valid"] or (done and named not in {None, row["name"]}):
            continue
        name = quote([row["schema"], row["name"]])
        await _drop_index(runner, name)
        notes.append(f"{place}: dropped the invalid index {name} that the interruption left")
    return Found(notes=(*notes, f"{place}: it runs again"))


async def _drop_index(runner: Runner, name: str) -> None:
    async def work(connection: Connection) -> None:
        await connection.execute("SET LOCAL zanith.guard = off")  # it holds nothing to capture
        await connection.execute(f"DROP INDEX IF EXISTS {name}")

    await retry(runner.db, name, runner.opened, work, runner.on_progress)


def unit_name(unit: Unit) -> str | None:
    """Return the name of the index that a statement creates; None if PostgreSQL chooses it."""
    return unit.steered.statement.node.idxname or None


async def _look_for_drop(
    runner: Runner, _unit: Unit, before: Mapping[str, Any], place: str
) -> Found:
    """DROP INDEX CONCURRENTLY leaves an invalid index, or none."""
    relation = before.get("relation")
    async with runner.db.acquire() as connection:
        there = bool(relation) and await connection.fetchval(SQL["there"], relation)
    if relation and not there:
        return Found(done=True, notes=(f"{place}: it had ended before the interruption",))
    return Found(notes=(f"{place}: it was interrupted, and runs again",))


async def _look_for_detach(
    runner: Runner, unit: Unit, before: Mapping[str, Any], place: str
) -> Found:
    """DETACH PARTITION CONCURRENTLY can be left pending: FINALIZE ends it."""
    relation = before.get("relation")
    async with runner.db.acquire() as connection:
        row = await connection.fetchrow(SQL["detaching"], relation) if relation else None
    if relation and row is None:
        return Found(done=True, notes=(f"{place}: it had ended before the interruption",))
    if row is None or not row["pending"]:
        return Found(notes=(f"{place}: it was interrupted, and runs again",))
    node = unit.steered.statement.node
    parent, part = (
        quote(parts_of(one))
        for one in (node.relation, definition_of(node.cmds[0].alter_table_cmd).partition_cmd.name)
    )
    sql = f"ALTER TABLE {parent} DETACH PARTITION {part} FINALIZE"
    return Found(sql=sql, notes=(f"{place}: the partition is half detached: FINALIZE ends that",))


_Look = Callable[["Runner", Unit, Mapping[str, Any], str], Awaitable[Found]]
_LOOKS: dict[str, _Look] = {
    "index_stmt": _look_for_index,
    "reindex_stmt": _look_for_reindex,
    "drop_stmt": _look_for_drop,
    "alter_table_stmt": _look_for_detach,
}
