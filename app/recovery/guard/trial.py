"""What the guard would do with statements: they run in one transaction, which is rolled back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

import asyncpg

from app.recovery.core.errors import Failed, Refused
from app.recovery.core.translate import translate
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.guard_triggers import create_triggers
from app.recovery.db.session_settings import set_locally
from app.recovery.db.transactions import lock_timeout_text, rolled_back, transaction
from app.recovery.guard.rules import Mode, Rule, read_guard, set_rule_of
from app.recovery.guard.statements import Statement, read_statements
from app.recovery.queries import load

SQL = load("guard")
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
    or end a transaction, or that PostgreSQL runs only outside of one, are skipped, and so is COPY
    FROM STDIN with its data.
    """
    state = (await read_guard(db)).state
    async with db.acquire() as connection, rolled_back(connection):
        if state != "on":
            await _turn_on_here(connection)
        found = await read_statements(connection, text)
        trial = Trial(connection, await _marks(connection))
        await connection.execute(SQL["begin_trial"], lock_timeout_text(db.lock_timeout))
        return [await trial.take(statement) for statement in found]


async def _turn_on_here(connection: Connection) -> None:
    try:
        await create_triggers(connection)
    except asyncpg.InsufficientPrivilegeError as exc:
        raise Refused(
            "the guard is off, and only a superuser can try it",
            hint="run zanith guard test as a superuser, or turn the guard on first",
        ) from exc
    await connection.execute(SQL["open_schema"])
    await set_rule_of(connection, Rule(Mode.CAPTURE))


async def _marks(connection: Connection) -> dict[str, Any]:
    (row,) = await connection.fetch(SQL["marks"])
    return dict(row)


@asynccontextmanager
async def _as_ourselves(connection: Connection) -> AsyncIterator[None]:
    """Run our own queries under our own role and settings: a statement may have set others.

    Also because nothing that another role created may run in them. The savepoint ends by a
    rollback, which sets everything back to what the statements set.
    """
    async with rolled_back(connection):
        await connection.execute(SQL["own_role"])
        await connection.execute(set_locally())
        yield


@dataclass
class Trial:
    """The transaction of a trial. ``marks`` says which it is, and what the guard did so far."""

    connection: Connection
    marks: dict[str, Any]

    async def take(self, statement: Statement) -> Verdict:
        """Run one statement, and return what the guard did with it."""
        reason = statement.skipped
        if reason is not None:
            return Verdict(statement.text, statement.command, "skipped", message=reason)
        failed: Verdict | None = None
        try:
            async with transaction(self.connection):
                # the extended protocol: PostgreSQL refuses a text of several statements
                await self.connection.executemany(statement.text, [()])
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
            if self.connection.is_closed():
                raise
            failed = _of_error(statement, exc)
        before = self.marks
        await self._check()
        return failed or await self._what_happened(statement, before)

    async def _check(self) -> None:
        """Refuse to go on where this is another transaction: it would not be rolled back."""
        if self.connection.is_in_transaction():
            with suppress(asyncpg.InFailedSQLTransactionError):  # no savepoint to go back to
                async with _as_ourselves(self.connection):
                    found = await _marks(self.connection)
                if found["transaction"] == self.marks["transaction"]:
                    self.marks = found
                    return
        raise Failed(
            "the last statement ended the transaction of the trial",
            detail="what the statements before it did may be committed",
            hint="look at the database, and report this: it is a fault of Zanith",
        )

    async def _what_happened(self, statement: Statement, before: dict[str, Any]) -> Verdict:
        async with _as_ourselves(self.connection):
            captured = await self.connection.fetch(SQL["captured_since"], before["artifact"])
            deleted = await self.connection.fetch(SQL["deleted_since"], before["entry"])
        command = statement.command
        if not captured and not deleted and command.partition(" ")[0] in UNSEEN:
            message = "the guard does not keep the rows that it deletes"
            hint = "zanith guard truncate TABLE" if command.startswith("TRUNCATE") else None
            return Verdict(statement.text, command, "passes", message=message, hint=hint)
        return Verdict(
            statement.text,
            command,
            "deleted" if deleted else "captured" if captured else "passes",
            tuple(dict(row) for row in captured),
            tuple(row["object"] for row in deleted),
        )


def _of_error(statement: Statement, exc: Exception) -> Verdict:
    if isinstance(exc, asyncpg.InterfaceError):  # the client's own, such as for parameters
        return Verdict(
            statement.text, statement.command, "failed", message=str(exc).partition("\n")[0]
        )
    error = translate(exc)
    if error.sqlstate == ONLY_OUTSIDE:
        outcome = "skipped"
    else:
        outcome = "refused" if error.message.startswith(MARK) else "failed"
    return Verdict(
        statement.text,
        statement.command,
        outcome,
        message=error.message.removeprefix(MARK),
        detail=error.detail,
        hint=error.hint,
    )
