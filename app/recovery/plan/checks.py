"""The checks of a plan: asked of the data, answered as drift, or said to be not counted."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import asyncpg

from app.recovery.core.translate import raised_by_owner, translate
from app.recovery.db.connections import Connection
from app.recovery.plan.execute import guard, query_as
from app.recovery.plan.model import Check, Drift

EXAMPLES = 3

# What a query about rows meets that is no answer to it: the server, its resources, a lock, a
# cancel. All else is one: names that are gone, values that cannot be cast, what a function raises.
_NO_ANSWER = ("08", "25", "40", "53", "55", "57", "58", "XX")

_LEFT_TO_THE_PROOF = (asyncpg.InsufficientPrivilegeError, asyncpg.LockNotAvailableError)


def found(check: Check, count: int, examples: tuple[str, ...]) -> Drift:
    """Return what a check found."""
    return Drift(
        kind=check.kind,
        object=check.object,
        message=count_in(check.message, count),
        count=count,
        examples=examples,
        blocks=check.blocks and count > 0,
        choices=check.choices,
        hint=check.hint,
        waits_for=check.waits_for,
    )


def count_in(message: str, count: int | None) -> str:
    """Return a message with its count in place of {count}, and of {one|many} what goes with it.

    None is a number that nobody knows.
    """
    chosen = r"\1" if count == 1 else r"\2"
    number = "an unknown number of" if count is None else f"{count:,}"
    return re.sub(r"\{([^{}|]*)\|([^{}|]*)\}", chosen, message).replace("{count}", number)


# Checks that count nothing: they ask whether an expression can be evaluated, and fail where not.
_UNCOUNTED = {"fill_value", "expression"}


def not_counted(check: Check, reason: str) -> Drift:
    """Return what is said of a check that did not run: nobody knows its answer, and why."""
    return Drift(
        kind=check.kind,
        object=check.object,
        message=f"whether {check.object} can be used was not checked"
        if check.kind in _UNCOUNTED
        else count_in(check.message, None),
        count=None,
        examples=(),
        blocks=False,
        choices=check.choices,
        hint=check.hint,
        reason=reason,
    )


def unanswered(check: Check, exc: asyncpg.PostgresError) -> Drift:
    """Return what is said of a check that the schema of today gives no answer to: it blocks.

    Where the check asks whether one expression can be evaluated, the error is the answer. Not where
    the owner may not look into another's table, or somebody has locked it: the second transaction
    proves that.
    """
    error = translate(exc)
    left = isinstance(exc, _LEFT_TO_THE_PROOF) and not raised_by_owner(exc)
    if check.kind in _UNCOUNTED:
        said = error.message if check.kind == "fill_value" else error.for_log
        message = f"{check.message}: {said}"
    else:
        message = f"{check.object or check.kind} cannot be checked: {error.for_log}"
    return Drift(
        kind=check.kind,
        object=check.object,
        message=message,
        count=1 if check.kind in _UNCOUNTED and not left else None,
        examples=(),
        blocks=check.blocks and not left,
        choices=check.choices,
        hint=check.hint or error.hint,
        reason=error.for_log,
    )


@asynccontextmanager
async def prepared(connection: Connection, statements: Sequence[str]) -> AsyncIterator[None]:
    """Execute statements for the length of some checks, and roll them back.

    Where the operator may not, the checks say what they lack.
    """
    if not statements:
        yield
        return
    savepoint = connection.transaction()
    await savepoint.start()
    try:
        for statement in statements:
            with suppress(asyncpg.InsufficientPrivilegeError):
                async with connection.transaction():
                    await connection.execute(statement)
        yield
    finally:
        await savepoint.rollback()


async def run_check(connection: Connection, check: Check, *, show: bool) -> Drift:
    examples: tuple[str, ...] = ()
    try:
        async with connection.transaction():
            asked = (connection, check.role)
            await guard(connection, check.role, check.guards, nowait=True)
            count = (await query_as(*asked, check.count_sql, check.path))[0]
            if count and check.examples_sql and show:
                shown = await query_as(*asked, check.examples_sql, check.path)
                examples = tuple(map(str, shown[:EXAMPLES]))
    except asyncpg.PostgresError as exc:
        theirs = raised_by_owner(exc)
        busy = check.guards and isinstance(exc, asyncpg.LockNotAvailableError)
        if (exc.sqlstate or "").startswith(_NO_ANSWER) and not theirs and not busy:
            raise
        answer = unanswered(check, exc)
        if show:
            return answer
        # PostgreSQL quotes the value that it could not read.
        said = f"{check.object or check.kind} cannot be checked"
        reason = "PostgreSQL gave no answer; the error may quote a value"
        return replace(answer, message=said, hint=check.hint, reason=reason)
    return found(check, count, examples)
