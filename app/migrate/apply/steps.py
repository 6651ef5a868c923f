"""What is recorded of each statement: the prediction, and what PostgreSQL did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from app.migrate.apply.prepare import Prepared, Unit
from app.migrate.observe.catalog import Object
from app.migrate.observe.look import Observed
from app.migrate.risk import Level, Mode, Operation
from app.recovery.core.actor import Actor
from app.recovery.core.errors import ZanithError
from app.recovery.core.names import quote

_OURS = ("zanith", "_zanith_shadow", "zanith_pin")
_TABLES = frozenset({"table", "foreign table", "materialized view", "view"})
_OF_TABLES = frozenset(
    {"table column", "foreign table column", "table constraint", "trigger", "rule", "policy"}
)


def describe_run(
    prepared: Prepared,
    actor: Actor,
    outcome: str,
    *,
    direction: str = "up",
    tries: int = 1,
    began_at: str | None = None,
    elapsed: float | None = None,
    error: ZanithError | None = None,
) -> dict[str, Any]:
    """Return the row of a run, as zanith.record_migration takes it."""
    return {
        "id": prepared.id,
        "direction": direction,
        "layout": prepared.layout.value,
        "path": str(prepared.script.path),
        "repeatable": prepared.migration.repeatable,
        "transactional": prepared.transactional,
        "checksum": prepared.checksum,
        "contents": prepared.contents,
        "outcome": outcome,
        "tries": tries,
        "began_at": began_at,
        "elapsed": seconds(elapsed),
        "applied_by": actor.name,
        "error": error.as_kept() if error else None,
    }


def describe_step(unit: Unit, status: str, **more: Any) -> dict[str, Any]:
    """Return the row of a statement; `more` has other columns."""
    operations = unit.planned.operations if unit.planned else ()
    worst = max(operations, key=lambda one: one.level, default=None)
    return {
        "ordinal": unit.ordinal,
        "line": unit.line,
        "kind": worst.kind if worst else unit.steered.statement.kind.removesuffix("_stmt"),
        "object": worst.object if worst else None,
        "sql": unit.steered.text,
        "ran": unit.ran,
        **describe_operations(operations),
        "status": status,
        **more,
    }


def describe_operations(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the columns of a statement that say what was predicted of it."""
    level = max((one.level for one in operations), default=Level.SAFE)
    return {
        "level": level.word,
        "score": level.value,
        "reasons": list(dict.fromkeys(code for one in operations for code in one.codes)),
        "predicted": [one.to_json() for one in operations],
    }


def describe_observed(observed: Observed) -> dict[str, Any]:
    """Return the columns of a statement that say what PostgreSQL did."""
    said = observed.to_json()
    created = [one.to_json() for one in observed.created if not is_ours(one)]
    dropped = [one.to_json() for one in observed.dropped if not is_ours(one)]
    renamed = [
        one.to_json()
        for one in observed.renamed
        if not is_ours(one.before) and not is_ours(one.after)
    ]
    return {
        "observed": {key: said[key] for key in ("locks", "rewritten", "scanned", "unobserved")},
        "tables": sorted(_tables(observed)),
        "changes": {"created": created, "dropped": dropped, "renamed": renamed},
    }


def is_ours(one: Object) -> bool:
    """Return whether an object is Zanith's, or is parked."""
    return one.names[0] in _OURS or any(name.startswith("_zanith_") for name in one.names)


def _tables(observed: Observed) -> set[str]:
    """Return the tables that a statement changed, or locked against changes."""
    objects: list[Object] = [
        table for table, mode in observed.locks.items() if mode > Mode.SHARE_UPDATE_EXCLUSIVE
    ]
    objects += [*observed.created, *observed.dropped]
    objects += [one for rename in observed.renamed for one in (rename.before, rename.after)]
    return {name for one in objects if not is_ours(one) for name in _table_of(one)}


def _table_of(one: Object) -> Iterable[str]:
    if one.kind in _TABLES:
        yield quote(one.names)
    elif one.kind in _OF_TABLES and len(one.names) > 2:
        yield quote(one.names[:-1])


def seconds(elapsed: float | None) -> str | None:
    """Return a number of seconds as PostgreSQL's interval."""
    return None if elapsed is None else f"{elapsed:.6f} seconds"
