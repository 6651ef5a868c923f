"""What is known of a run: the schema before and after it, its statements, and its captures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from app.migrate.apply.history import SQL, Run, Step, read_steps
from app.migrate.apply.renames import Undo, key_of, old_key, undo_renames, with_old_names
from app.migrate.schema.difference import Difference, difference
from app.migrate.schema.model import Key, Object, Schema
from app.migrate.schema.snapshots import find_schema
from app.recovery.artifacts.migrations import find_all
from app.recovery.artifacts.model import Artifact
from app.recovery.core.errors import NotFound, ZanithError
from app.recovery.core.names import parse_name
from app.recovery.db.database import Database
from app.recovery.restore.migration import in_restore_order

_CHANGES_ROWS = frozenset(
    {"insert", "update", "delete", "delete_all", "merge", "copy", "truncate", "do", "call"}
)
_CONVERTS = frozenset({"alter_column_type", "change_type"})


@dataclass(frozen=True)
class Recorded:
    """What is known of a run: the schema before and after, its statements, and its artifacts.

    Objects that the run renamed have their old names in both schemas.
    """

    run: Run
    before: Schema
    after: Schema
    steps: tuple[Step, ...]
    artifacts: tuple[Artifact, ...]
    last: Schema
    """The schema after the run, by the names that it has."""
    begun: bool = False
    """Whether a down undid the renames and dropped what it had to, and then ended in the middle."""

    @property
    def found(self) -> Difference:
        """What turns the schema after the run into the one before it."""
        return difference(self.after, self.before)

    @property
    def renames(self) -> list[str]:
        """The statements that undo renames before the restores."""
        if self.begun:
            return []
        early = [undo for undo in self._undone if not self._is_late(undo) and self._is_there(undo)]
        return [sql for undo in early for sql in undo.sql]

    @property
    def late_renames(self) -> list[str]:
        """Those after the restores, which bring back the object or its table by the newer name."""
        return [sql for undo in self._undone if self._is_late(undo) for sql in undo.sql]

    @property
    def _undone(self) -> list[Undo]:
        return list(undo_renames([step.changes for step in self.steps]))

    def _is_late(self, undo: Undo) -> bool:
        new = undo.new.name
        return any(
            name[: len(new)] == new or new[: len(name)] == name
            for name in map(_captured_name, self.artifacts)
        )

    def _is_there(self, undo: Undo) -> bool:
        """Whether the object was there when the run ended."""
        name = undo.last.name
        return any(key.name[: len(name)] == name for key in self.last.objects)

    @property
    def passing(self) -> set[Key]:
        """What the run created, and what was gone when it ended: a restore can bring it back."""
        changes = [step.changes for step in self.steps]
        made = {
            old_key(key_of(one), changes) for step in changes for one in step.get("created") or []
        }
        return made - self.before.objects.keys() - self.after.objects.keys()

    @property
    def captured(self) -> set[Key]:
        """The tables and columns that the artifacts bring back."""
        keys = set()
        for one in self.artifacts:
            if one.artifact_type in {"archive_rows", "archive_values"}:
                continue
            keys |= self._with_those_below(old_key_of(one, self.steps))
        return keys

    def _with_those_below(self, captured: Key) -> set[Key]:
        """Return a table or column with those of its partitions, which are captured with it.

        Of a column, these are those of children too that only inherit it.
        """
        found, work = {captured}, [captured]
        while work:
            above = work.pop()
            below = [key for key in self._below(above) if key not in found]
            work += below
            found.update(below)
        return found

    def _below(self, above: Key) -> Iterator[Key]:
        name = list(above.name[:2])
        for key, one in self.before.objects.items():
            if key.kind != "table" or name not in (one.get("partition_of"), *_parents(one)):
                continue
            if above.kind == "table":
                if one.get("partition_of"):
                    yield key
                continue
            column = Key("column", (*key.name, above.name[2]))
            found = self.before.objects.get(column)
            if found is not None and found.get("inherited") and not found.get("local"):
                yield column


def _parents(table: Object) -> list[list[str]]:
    return table.get("inherits") or []


async def read_recorded(db: Database, run: Run) -> Recorded:
    """Return what is recorded of a run; NotFound if there is no snapshot of it."""
    async with db.acquire() as connection:
        before = await find_schema(connection, f"{run.id}:before", exact=True)
        after = await find_schema(connection, f"{run.id}:after", exact=True)
        steps = await read_steps(connection, [run.run])
        begun = bool(await connection.fetchval(SQL["begun"], run.id, run.run))
    artifacts: list[Artifact] = []
    with suppress(NotFound):
        artifacts = await in_restore_order(db, (await find_all(db, run.id))[0])
    done = [step for step in steps if step.status in {"done", "skipped"}]
    kept = [one for one in artifacts if old_key_of(one, done) in before.objects]
    old = with_old_names(after, [step.changes for step in done])
    return Recorded(run, before, old, tuple(done), tuple(kept), after, begun)


def _captured_name(artifact: Artifact) -> tuple[str, ...]:
    """Return the name that an object had when it was captured."""
    table = (artifact.source_schema, artifact.source_table)
    return table if artifact.source_column is None else (*table, artifact.source_column)


def old_key_of(artifact: Artifact, steps: Sequence[Step]) -> Key:
    """Return the name that the object of an artifact had before the run."""
    kind = "table" if artifact.source_column is None else "column"
    return old_key(Key(kind, _captured_name(artifact)), [step.changes for step in steps])


def find_losses(recorded: Recorded, live: Schema) -> Iterator[str]:
    """Yield the tables and columns that were dropped without a capture, and are not back."""
    renamed = {
        tuple(one["before"]["names"])
        for step in recorded.steps
        for one in step.changes.get("renamed") or []
    }
    kept = recorded.captured
    for key in recorded.found.created:
        if key.kind not in {"table", "column"} or key in kept or key.name in renamed:
            continue
        if key in live.objects:
            continue
        above = recorded.before.parent(key)
        if key.kind == "column" and (above is None or above.kind != "table"):
            continue
        if above is not None and (above in kept or above.name in renamed):
            continue
        if above is not None and above in recorded.found.created:
            continue  # its table is told
        yield f"{key} was dropped, and not captured"


def find_changed_rows(recorded: Recorded) -> Iterator[str]:
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
