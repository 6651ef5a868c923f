"""How a statement ended, and whether a capture is refused for what DROP is refused for."""

from __future__ import annotations

import re

import asyncpg

DEPENDENT = re.compile(r"(?m)^(.*) depends on .*$")
UNNAMED = re.compile(r"(?m)^and ([0-9]+) other objects? \(see server log for list\)$")
MORE = re.compile(r"(?s)^2BP01 (?P<named>.*), and (?P<number>[0-9]+) more$")


def refuses_alike(mine: str, wanted: str) -> bool:
    """Whether a capture names the dependents of a DROP, which names a hundred and counts the others."""
    if not (cut := MORE.match(wanted)):
        return mine == wanted
    named = mine.removeprefix("2BP01 ").split(", ")
    some = cut["named"].split(", ")
    return set(some) < set(named) and len(named) == len(some) + int(cut["number"])


async def outcome_of(connection: asyncpg.Connection, sql: str, *, undo: bool = False) -> str:
    """Return the first value, or SQLSTATE with the dependents named, or with the message.

    `undo`: nothing of it stays.
    """
    transaction = connection.transaction()
    await transaction.start()
    try:
        value = str(await connection.fetchval(sql))
    except asyncpg.PostgresError as error:
        await transaction.rollback()
        named = sorted(DEPENDENT.findall(error.detail or "")) if error.sqlstate == "2BP01" else []
        named += [f"and {number} more" for number in UNNAMED.findall(error.detail or "")]
        said = ", ".join(name.replace("public.", "") for name in named)
        return f"{error.sqlstate} {said or error}"
    await (transaction.rollback() if undo else transaction.commit())
    return value
