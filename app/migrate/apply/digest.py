"""The digest of what somebody confirms: the pending migrations, their files, and their plan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from app.migrate.apply.contents import checksum_of, kept_text
from app.migrate.apply.status import Entry
from app.migrate.review.plan import MigrationPlan
from app.migrate.risk import Operation
from app.recovery.core.errors import Refused


def digest_of(entries: Sequence[Entry], plan: MigrationPlan, *, guarded: bool) -> str:
    """Return the SHA-256 of what would run: files, earlier runs, operations and the guard.

    Estimates are not part of it: they change with each ANALYZE.
    """
    files = [
        {
            "id": entry.id,
            "state": entry.state.value,
            "run": entry.run.run if entry.run else None,
            "checksum": checksum_of(kept_text(entry.migration.up)) if entry.migration else None,
        }
        for entry in entries
    ]
    statements = [
        [one.text, [_judged(operation) for operation in one.operations]]
        for migration in plan.migrations
        for one in migration.statements
    ]
    said = {
        "layout": plan.layout.value,
        "guard": guarded,
        "migrations": files,
        "transactions": [one.transaction for one in plan.migrations],
        "statements": statements,
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _judged(operation: Operation) -> dict[str, Any]:
    said = operation.to_json()
    return {key: said[key] for key in said if key not in {"seconds", "notes", "hint"}}


def require_digest(
    expected: str | None, entries: Sequence[Entry], plan: MigrationPlan, *, guarded: bool
) -> None:
    """Raise Refused if what would run is not what somebody looked at; None is no expectation."""
    if expected in {None, digest_of(entries, plan, guarded=guarded)}:
        return
    raise Refused(
        "the pending migrations are not the ones that were confirmed: nothing was changed",
        detail="a file, the history or the catalog changed meanwhile",
        hint="look at them again, and confirm them",
    )
