"""A plan for a pull request (Markdown) and for code scanning (SARIF 2.1.0)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote as escape_uri

from app.migrate.review.plan import (
    Gates,
    MigrationPlan,
    PlannedMigration,
    PlannedStatement,
    is_kept,
)
from app.migrate.risk import By, Level, Mode, Operation, Reason
from app.recovery.core.version import VERSION
from app.text import plural, visible

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_GATE = "gate"
_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+.!|~@&:$=-])")
_MARKS = {
    Level.SAFE: "🟢",
    Level.LOW: "🟢",
    Level.MEDIUM: "🟡",
    Level.HIGH: "🟠",
    Level.DESTRUCTIVE: "🔴",
    Level.BLOCKED: "⛔",
}

# ---------------------------------------------------------------------------------------- Markdown


def to_markdown(plan: MigrationPlan) -> str:
    """Return the plan as Markdown: what has a reason, and the gates that failed."""
    lines = [f"### Migrations: {_MARKS[plan.level]} {plan.level.word} ({plan.level.value})", ""]
    for failure in plan.failures:
        place = f"{failure.migration.path}:{failure.line}"
        lines += [f"- ❌ {plain(place)}: {plain(failure.message)}. {plain(failure.hint)}"]
    if plan.failures:
        lines.append("")
    for note in plan.notes:
        lines += [f"> ⚠️ {plain(note)}", ""]
    quiet = 0
    for migration in plan.migrations:
        rows = list(_rows(migration))
        quiet += not rows
        if rows:
            lines += [f"**{plain(migration.id)}**", "", _HEAD, _RULE, *rows, ""]
    if quiet:
        lines += [f"{plural(quiet, 'migration')} without a reason.", ""]
    return "\n".join(lines)


_HEAD = "| line | operation | level | reasons | locks | recoverable | safer |"
_RULE = "| --- | --- | --- | --- | --- | --- | --- |"


def _rows(migration: PlannedMigration) -> Iterator[str]:
    for statement in migration.statements:
        for one in statement.operations:
            if one.reasons or one.level is Level.BLOCKED:
                cells = (
                    str(statement.line),
                    plain(f"{one.kind} {one.object}".strip()),
                    f"{_MARKS[one.level]} {one.level.word}",
                    "<br>".join(f"`{code}`" for code in one.codes),
                    "<br>".join(plain(words) for words in lock_words(one)),
                    plain(recovery_words(one)),
                    plain(one.hint or ""),
                )
                yield f"| {' | '.join(cells)} |"


def plain(text: str) -> str:
    """Text from a file: no markup, no mention of a person, and all in one cell."""
    shown = " ".join(visible(text).split())
    return _SPECIAL.sub(lambda match: f"&#{ord(match[1])};", shown)


def lock_words(operation: Operation) -> Iterator[str]:
    """Yield the tables of each lock mode: `ACCESS EXCLUSIVE on orders and its partitions`."""
    tables: dict[Mode, dict[str, None]] = {}
    for lock in operation.locks:
        which = lock.which.removeprefix("and ")
        more = f" and {which}" if which and not which.startswith(("if ", "or ")) else ""
        words = which if lock.table is None else f"{lock.table}{more}"
        tables.setdefault(lock.mode, {})[words] = None
    for mode, words_of_mode in tables.items():
        yield f"{mode.word} on {', '.join(words_of_mode)}"


def recovery_words(operation: Operation, gates: Gates | None = None) -> str:
    """Return whether the loss of an operation can be undone; "" if it loses nothing.

    With the gates of a database, it is what holds there.
    """
    recovery = operation.recovery
    if recovery is None:
        return ""
    if recovery.by is By.NOTHING:
        return "no"
    if recovery.by is By.CAPTURE:
        return f"yes, by a capture ({recovery.strategy})"
    condition = (
        "zanith guard truncate names the table"
        if Reason.TRUNCATES in operation.reasons
        else "the guard is on"
    )
    if gates is None:
        return f"yes, if {condition} ({recovery.strategy})"
    if is_kept(operation, gates):
        return f"yes, by the guard ({recovery.strategy})"
    return f"no, unless {condition}"


# ------------------------------------------------------------------------------------------- SARIF


def to_sarif(plan: MigrationPlan) -> dict[str, Any]:
    """Return the plan as one run of SARIF 2.1.0: one result for each reason of an operation."""
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "zanith",
                        "semanticVersion": VERSION,
                        "rules": [*(_rule(reason) for reason in Reason), _GATE_RULE],
                    }
                },
                "columnKind": "unicodeCodePoints",
                **_invocations(plan),
                "results": list(_results(plan)),
            }
        ],
    }


def _invocations(plan: MigrationPlan) -> dict[str, Any]:
    if not plan.notes:
        return {}
    notes = [{"level": "warning", "message": {"text": note}} for note in plan.notes]
    return {"invocations": [{"executionSuccessful": True, "toolExecutionNotifications": notes}]}


def _rule(reason: Reason) -> dict[str, Any]:
    return {
        "id": reason.value,
        "shortDescription": {"text": reason.about.meaning},
        "defaultConfiguration": {"level": _severity(reason.about.level)},
        "properties": {"tags": [reason.about.family.value]},
    }


_GATE_RULE = {
    "id": _GATE,
    "shortDescription": {"text": "a gate failed"},
    "defaultConfiguration": {"level": "error"},
}


def _results(plan: MigrationPlan) -> Iterator[dict[str, Any]]:
    for migration in plan.migrations:
        for statement in migration.statements:
            for operation in statement.operations:
                yield from _results_of(migration, statement, operation)
    for failure in plan.failures:
        yield {
            "ruleId": _GATE,
            "level": "error",
            "message": {"text": f"{failure.message}. {failure.hint}"},
            "locations": [_location(failure.migration, failure.line, failure.column)],
        }


def _results_of(
    migration: PlannedMigration, statement: PlannedStatement, operation: Operation
) -> Iterator[dict[str, Any]]:
    what = f"{operation.kind} {operation.object}".strip()
    hint = f" Safer: {operation.hint}." if operation.hint else ""
    for reason in Reason:
        if reason not in operation.reasons:
            continue
        result: dict[str, Any] = {
            "ruleId": reason.value,
            "level": _severity(reason.about.level),
            "message": {"text": f"{what}: {reason.about.meaning}.{hint}"},
            "locations": [_location(migration, statement.line, statement.column)],
            "properties": {"score": operation.level.value, "level": operation.level.word},
        }
        if reason in operation.allowed:
            result["suppressions"] = [
                {"kind": "inSource", "justification": operation.reason or "allowed by a comment"}
            ]
        yield result


def _location(migration: PlannedMigration, line: int, column: int) -> dict[str, Any]:
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": escape_uri(migration.path.as_posix())},
            "region": {"startLine": line, "startColumn": column},
        }
    }


def _severity(level: Level) -> str:
    if level >= Level.HIGH:
        return "error"
    return "warning" if level >= Level.MEDIUM else "note"
