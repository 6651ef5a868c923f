"""The reverse of a migration without a down part: from the snapshots, renames and captures.

What it dropped comes back by the restore of its artifacts; what it renamed is renamed back; the
rest is the difference of the snapshots after and before it, and nothing that others changed since.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import asyncpg

from app.migrate.apply.history import SQL, Run, Step, read_steps
from app.migrate.apply.renames import undo_renames
from app.migrate.apply.run import Ran, Runner
from app.migrate.apply.steps import describe_observed, seconds
from app.migrate.observe.catalog import read_catalog
from app.migrate.observe.look import look
from app.migrate.rewriting.rewrite import Strategy, rewrite
from app.migrate.schema.ddl.generate import Ddl, generate
from app.migrate.schema.difference import Difference, difference
from app.migrate.schema.model import Key, Object, Schema
from app.migrate.schema.read import read_schema
from app.migrate.schema.snapshots import find_schema
from app.recovery.artifacts.migrations import find_all
from app.recovery.artifacts.model import Artifact
from app.recovery.core.errors import Failed, NotFound, ZanithError
from app.recovery.core.names import parse_name
from app.recovery.core.translate import translate
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.locks import retry
from app.recovery.db.transactions import lock_timeout_text, rolled_back
from app.recovery.restore.migration import in_restore_order, plan_each
from app.recovery.restore.restore import restore

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHANGES_ROWS = frozenset(
    {"insert", "update", "delete", "delete_all", "merge", "copy", "truncate", "do", "call"}
)
_CONVERTS = frozenset({"alter_column_type", "change_type"})


@dataclass(frozen=True)
class Recorded:
    """What is known of a run: the schema before and after, its statements, and its artifacts."""

    run: Run
    before: Schema
    after: Schema
    steps: tuple[Step, ...]
    artifacts: tuple[Artifact, ...]

    @property
    def found(self) -> Difference:
        """What turns the schema after the run into the one before it."""
        return difference(self.after, self.before)

    @property
    def renames(self) -> list[str]:
        return list(undo_renames([step.changes for step in self.steps]))

    @property
    def captured(self) -> set[Key]:
        """The tables and columns that the artifacts bring back."""
        keys = set()
        for one in self.artifacts:
            if one.artifact_type in {"archive_rows", "archive_values"}:
                continue
            table = _old_name(one, self.steps)
            if one.source_column is not None:
                keys.add(Key("column", (*table, one.source_column)))
            else:
                keys |= self._with_partitions(Key("table", table))
        return keys

    def _with_partitions(self, table: Key) -> set[Key]:
        """Return a table and its partitions, which are captured with it."""
        found, work = {table}, [table]
        while work:
            above = list(work.pop().name)
            below = [
                key
                for key, one in self.before.objects.items()
                if key.kind == "table" and one.get("partition_of") == above
            ]
            work += below
            found.update(below)
        return found


@dataclass(frozen=True)
class Derived:
    """How a migration is reverted: statements, objects that are restored, and what cannot be."""

    statements: tuple[str, ...] = ()
    restores: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


async def plan(db: Database, run: Run, *, keep_rows: bool) -> Derived:
    """Return how a run is reverted, and what of it cannot be; nothing is changed.

    If names changed, it tries the renames in a transaction that is rolled back.
    """
    try:
        recorded = await read_recorded(db, run)
    except NotFound:
        return Derived(problems=("it has no down part, and no snapshot of the schema before it",))
    problems = [*_lost(recorded), *_moved(recorded), *([] if keep_rows else _rows(recorded))]
    restores = [_name(one) for one in recorded.artifacts]
    try:
        async with db.acquire() as connection, rolled_back(connection):
            timeout = lock_timeout_text(db.lock_timeout)
            await connection.fetchval(SQL["set_lock_timeout"], timeout)
            for statement in recorded.renames:
                await connection.execute(statement)
            live = await read_schema(connection)
    except (ZanithError, asyncpg.PostgresError) as exc:
        said = translate(exc).message
        return Derived(tuple(recorded.renames), tuple(restores), (*problems, said))
    drops, rest = _ddl(recorded, live)
    missing = [f"{one.key}: {one.what}" for one in (*drops.missing, *rest.missing)]
    statements = [*recorded.renames, *(one.sql for one in (*drops.statements, *rest.statements))]
    if restores:
        problems += await _blocked(db, recorded.artifacts)
    return Derived(tuple(statements), tuple(restores), (*problems, *missing))


async def read_recorded(db: Database, run: Run) -> Recorded:
    """Return what is recorded of a run; NotFound if there is no snapshot of it."""
    async with db.acquire() as connection:
        before = await find_schema(connection, f"{run.id}:before")
        after = await find_schema(connection, f"{run.id}:after")
        steps = await read_steps(connection, [run.run])
    artifacts: list[Artifact] = []
    with suppress(NotFound):
        artifacts = await in_restore_order(db, (await find_all(db, run.id))[0])
    done = [step for step in steps if step.status in {"done", "skipped"}]
    there = {key.name for key in before.objects if key.kind in {"table", "foreign_table"}}
    kept = [one for one in artifacts if one.source_column is None or _old_name(one, done) in there]
    return Recorded(run, before, after, tuple(done), tuple(kept))


def _old_name(artifact: Artifact, steps: Sequence[Step]) -> tuple[str, ...]:
    """Return the name that the table of an artifact had before the run renamed it."""
    name: tuple[str, ...] = (artifact.source_schema, artifact.source_table)
    for step in reversed(steps):
        for one in step.changes.get("renamed") or []:
            if tuple(one["after"]["names"]) == name:
                name = tuple(one["before"]["names"])
    return name


async def _blocked(db: Database, artifacts: Sequence[Artifact]) -> list[str]:
    """Return the artifacts that have no plan of a restore.

    What else is in its way now is no problem yet: the down removes it first.
    """
    try:
        planned = await plan_each(db, artifacts)
    except ZanithError as error:
        return [error.message]
    return [
        f"{_name(artifact)}: {plan.message}"
        for artifact, plan in planned
        if isinstance(plan, ZanithError)
    ]


def _name(artifact: Artifact) -> str:
    return artifact.object_name


def _lost(recorded: Recorded) -> Iterator[str]:
    """Yield the tables and columns that were dropped without a capture."""
    renamed = {
        tuple(one["before"]["names"])
        for step in recorded.steps
        for one in step.changes.get("renamed") or []
    }
    kept = recorded.captured
    for key in recorded.found.created:
        if key.kind not in {"table", "column"} or key in kept or key.name in renamed:
            continue
        above = recorded.before.parent(key)
        if key.kind == "column" and (above is None or above.kind != "table"):
            continue
        if above is not None and (above in kept or above.name in renamed):
            continue
        if above is not None and above in recorded.found.created:
            continue  # its table is told
        yield f"{key} was dropped, and not captured"


def _moved(recorded: Recorded) -> Iterator[str]:
    """Yield what was renamed and then dropped: it would come back under its newer name."""
    for place, step in enumerate(recorded.steps):
        for one in step.changes.get("renamed") or []:
            name = one["after"]["names"]
            for later in recorded.steps[place + 1 :]:
                dropped = later.changes.get("dropped") or []
                if any(gone["names"][: len(name)] == name for gone in dropped):
                    yield f"line {later.line}: it drops {one['after']['name']}, renamed before"


def _rows(recorded: Recorded) -> Iterator[str]:
    """Yield the statements that changed rows of tables that were there before."""
    made = {key.name for key in recorded.found.dropped if key.kind == "table"}
    copied = {
        (one.source_schema, one.source_table)
        for one in recorded.artifacts
        if one.artifact_type in {"archive_rows", "archive_values"}
    }
    for step in recorded.steps:
        for operation in step.predicted:
            kind = operation["kind"]
            if kind not in _CHANGES_ROWS | _CONVERTS:
                continue
            names = made | (copied if kind in {"truncate", *_CONVERTS} else set())
            if _is_one_of(operation["object"], names):
                continue
            what = "converted values" if kind in _CONVERTS else "may have changed rows"
            yield f"line {step.line}: {kind} {operation['object']} {what}".replace("  ", " ")


def _is_one_of(text: str, names: Iterable[tuple[str, ...]]) -> bool:
    with suppress(ZanithError):
        parts = parse_name(text)
        return any(
            name[-len(part) :] == part for name in names for part in (parts, parts[:-1]) if part
        )
    return False


# ------------------------------------------------------------------------------------ statements


def _ddl(recorded: Recorded, live: Schema) -> tuple[Ddl, Ddl]:
    """Return what has to go before the restores, and what is changed and created after them."""
    found = recorded.found
    gone = {key for key in found.dropped if key in live.objects}
    # a table or column that took the name of one that comes back
    gone |= {key for key in recorded.captured if key in live.objects}
    gone |= {key for key in live.objects if _is_below(live, key, gone)}
    first = replace_objects(live, dict.fromkeys(gone))
    drops = generate(difference(live, first))
    ours = {*found.created, *found.dropped, *found.changed} - recorded.captured
    wanted = {
        key: recorded.before.objects.get(key)
        for key in ours
        if not _is_below(recorded.before, key, recorded.captured)
    }
    target = replace_objects(first, wanted)
    return drops, generate(difference(first, target, frozenset({"columns"})))


def replace_objects(schema: Schema, objects: Mapping[Key, Any]) -> Schema:
    """Return the schema with other objects; None removes one."""
    known = {**schema.objects, **objects}
    found = {key: one for key, one in known.items() if one is not None}
    return replace(schema, objects={key: _with_columns(one, found) for key, one in found.items()})


def _with_columns(one: Object, objects: Mapping[Key, Any]) -> Object:
    """Return a relation with the columns that are there; those that were added come last."""
    columns = one.get("columns")
    if columns is None or one.key.kind == "column":
        return one
    name = one.key.name
    there = [column for column in columns if Key("column", (*name, column)) in objects]
    known = set(there)
    there += sorted(
        key.name[2]
        for key in objects
        if key.kind == "column" and key.name[:2] == name and key.name[2] not in known
    )
    return (
        one if there == columns else replace(one, attributes={**one.attributes, "columns": there})
    )


def _is_below(schema: Schema, key: Key, above: set[Key]) -> bool:
    """Whether an object is a part of one of these."""
    parent = schema.parent(key)
    while parent is not None:
        if parent in above:
            return True
        parent = schema.parent(parent)
    return False


# ------------------------------------------------------------------------------------------ runs


async def revert(runner: Runner, run: Run, *, captures: bool) -> Ran:
    """Revert a run: drops in one transaction, then the restores, then the rest in another one."""
    db = runner.db
    recorded = await read_recorded(db, run)
    start = time.monotonic()
    steps: list[dict[str, Any]] = []
    whole = not recorded.artifacts

    async def first(connection: Connection) -> int:
        steps.clear()
        await _execute(runner, recorded.renames, steps, captures=captures)
        live = await read_schema(connection)
        drops, rest = _ddl(recorded, live)
        texts = [one.sql for one in drops.statements]
        if whole:
            texts += [one.sql for one in rest.statements]
        await _execute(runner, texts, steps, captures=captures)
        for one in recorded.artifacts:
            steps.append(_step(len(steps) + 1, "restore", f"restore {_name(one)}", "pending"))
        if not whole:
            steps.append(_step(len(steps) + 1, "change", "the rest of the definitions", "pending"))
        described = _describe(runner, run, "applied" if whole else "running", start)
        number: int = await connection.fetchval(SQL["record"], described, steps)
        if whole:
            await connection.fetchval(SQL["undo"], run.run, "reverted", number)
        return number

    number = await retry(db, run.id, runner.opened, first, runner.on_progress)
    if whole:
        return _ran(run, number, start, len(steps))
    places = {one["sql"]: one["ordinal"] for one in steps if one["status"] == "pending"}
    try:
        for one in recorded.artifacts:
            await restore(db, one.id, None, runner.actor, on_progress=runner.on_progress)
        await retry(
            db,
            run.id,
            runner.opened,
            lambda connection: _finish(
                runner, connection, recorded, number, places, captures=captures
            ),
            runner.on_progress,
        )
    except (ZanithError, asyncpg.PostgresError) as exc:
        error = translate(exc)
        async with db.acquire() as connection:
            await connection.fetchval(SQL["end"], number, "failed", None, error.as_kept())
        error.hint = "; ".join(
            filter(None, (error.hint, "zanith migrate down goes on with the rest"))
        )
        raise error from exc
    return _ran(run, number, start, len(steps))


async def _finish(
    runner: Runner,
    connection: Connection,
    recorded: Recorded,
    number: int,
    places: Mapping[str, int],
    *,
    captures: bool,
) -> None:
    live = await read_schema(connection)
    found = recorded.found
    target = {
        key: recorded.before.objects.get(key)
        for key in {*found.created, *found.dropped, *found.changed}
    }
    rest = generate(difference(live, replace_objects(live, target), frozenset({"columns"})))
    done: list[dict[str, Any]] = []
    await _execute(runner, [one.sql for one in rest.statements], done, captures=captures)
    ran = ";\n".join(one["sql"] for one in done)
    for text, ordinal in places.items():
        more = {"ran": ran} if not text.startswith("restore ") else {}
        step = {"ordinal": ordinal, "status": "done", **more}
        await connection.fetchval(SQL["record_step"], number, step)
    await connection.fetchval(SQL["end"], number, "applied", None, None)
    await connection.fetchval(SQL["undo"], recorded.run.run, "reverted", number)


async def _execute(
    runner: Runner, texts: Sequence[str], steps: list[dict[str, Any]], *, captures: bool
) -> None:
    """Run derived statements in the open transaction; drops become captures."""
    catalog = await read_catalog(runner.session)
    for text in texts:
        ran = None
        if captures:
            # a column without a key of its table has no archive; a parked one needs none
            strategy: Strategy = "soft_drop" if "DROP COLUMN" in text else "archive"
            changes = rewrite(text.encode(), strategy, None, "the derived statement").changes
            ran = changes[0].now if changes else None
        start = time.monotonic()
        try:
            await runner.session.execute(ran or text)
        except asyncpg.PostgresError as exc:
            error = translate(exc)
            if error.code == "locked":
                raise
            raise Failed(
                error.message,
                detail="\n".join(filter(None, (f"in the statement: {text}", error.detail))),
                hint=error.hint or "write a down part, and run zanith migrate down again",
                sqlstate=error.sqlstate,
            ) from exc
        elapsed = seconds(time.monotonic() - start)
        observed, catalog = await look(runner.session, catalog)
        more = {"ran": ran, "elapsed": elapsed, **describe_observed(observed)}
        steps.append(_step(len(steps) + 1, "derived", text, "done", **more))


def _step(ordinal: int, kind: str, text: str, status: str, **more: Any) -> dict[str, Any]:
    described = {"ordinal": ordinal, "line": 0, "kind": kind, "sql": text, "status": status}
    return {**described, "level": "low", "score": 15, **more}


def _describe(runner: Runner, run: Run, outcome: str, start: float) -> dict[str, Any]:
    return {
        "id": run.id,
        "direction": "down",
        "layout": run.layout,
        "transactional": outcome == "applied",
        "outcome": outcome,
        "elapsed": seconds(time.monotonic() - start),
        "applied_by": runner.actor.name,
    }


def _ran(run: Run, number: int, start: float, statements: int) -> Ran:
    elapsed = round(time.monotonic() - start, 6)
    return Ran(run.id, number, run.path or "", elapsed, 1, statements)
