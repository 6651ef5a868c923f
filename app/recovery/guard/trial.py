"""What the guard would do with statements: they run in one transaction, which is rolled back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import asyncpg

from app.recovery.core.errors import Refused
from app.recovery.core.translate import translate
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.guard_triggers import create_triggers
from app.recovery.db.transactions import lock_timeout_text, rolled_back, transaction
from app.recovery.guard.rules import Mode, Rule, read_guard, set_rule_of
from app.recovery.queries import load

SQL = load("guard")
# What begins or ends a transaction: the trial is one.
CONTROL = frozenset(
    ("BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE")
)
MARK = "guard: "
# What deletes rows and fires no event trigger.
UNSEEN = frozenset(("TRUNCATE", "DELETE"))
ONLY_OUTSIDE = "25001"  # cannot run inside a transaction block


@dataclass(frozen=True)
class Verdict:
    """One statement.

    ``outcome`` is passes, captured, deleted (nothing keeps it), refused, failed or skipped.
    """

    statement: str
    command: str
    outcome: str
    captured: tuple[dict[str, str], ...] = ()
    deleted: tuple[str, ...] = ()
    message: str | None = None
    detail: str | None = None
    hint: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as JSON shows it."""
        return asdict(self)


async def try_statements(db: Database, text: str) -> list[Verdict]:
    """Run each statement of a text, and return what the guard did with it; nothing stays.

    Where the guard is off, it is on in that transaction alone, and captures. Statements that begin
    or end a transaction, or that PostgreSQL runs only outside of one, are skipped.
    """
    state = (await read_guard(db)).state
    verdicts = []
    async with db.acquire() as connection, rolled_back(connection):
        if state != "on":
            await _turn_on_here(connection)
        found = await connection.fetch(SQL["statements"], text)
        await connection.execute(SQL["begin_trial"], lock_timeout_text(db.lock_timeout))
        for row in found:
            statement = text[row["place"] - 1 : row["place"] - 1 + row["size"]]
            verdicts.append(await _try(connection, statement, row["command"]))
    return verdicts


async def _turn_on_here(connection: Connection) -> None:
    try:
        await create_triggers(connection)
    except asyncpg.InsufficientPrivilegeError as exc:
        raise Refused(
            "the guard is off, and only a superuser can try it",
            hint="run zanith guard test as a superuser, or turn the guard on first",
        ) from exc
    await set_rule_of(connection, Rule(Mode.CAPTURE))


async def _try(connection: Connection, statement: str, command: str) -> Verdict:
    if command.partition(" ")[0] in CONTROL:
        return Verdict(statement, command, "skipped", message="the trial is one transaction")
    (marks,) = await connection.fetch(SQL["marks"])
    try:
        async with transaction(connection):
            await connection.execute(statement)
    except asyncpg.PostgresError as exc:
        return _of_error(statement, command, exc)
    captured = await connection.fetch(SQL["captured_since"], marks["artifact"])
    deleted = await connection.fetch(SQL["deleted_since"], marks["entry"])
    if not captured and not deleted and command.partition(" ")[0] in UNSEEN:
        message = "the guard does not keep the rows that it deletes"
        hint = "zanith guard truncate TABLE" if command.startswith("TRUNCATE") else None
        return Verdict(statement, command, "passes", message=message, hint=hint)
    return Verdict(
        statement,
        command,
        "deleted" if deleted else "captured" if captured else "passes",
        tuple(dict(row) for row in captured),
        tuple(row["object"] for row in deleted),
    )


def _of_error(statement: str, command: str, exc: asyncpg.PostgresError) -> Verdict:
    error = translate(exc)
    if error.sqlstate == ONLY_OUTSIDE:
        outcome = "skipped"
    else:
        outcome = "refused" if error.message.startswith(MARK) else "failed"
    return Verdict(
        statement,
        command,
        outcome,
        message=error.message.removeprefix(MARK),
        detail=error.detail,
        hint=error.hint,
    )
