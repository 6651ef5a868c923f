"""A role that does all of the product's work without being a superuser.

It owns everything of Zanith's, so that definer functions run as it and no more, and it is a member
of the owners whose tables it works on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from app.recovery.core.errors import NotFound, NotInstalled, Refused
from app.recovery.core.names import quote
from app.recovery.core.translate import translate
from app.recovery.queries import load

if TYPE_CHECKING:
    from app.recovery.db.connections import Connection
    from app.recovery.db.database import Database

SQL = load("installer")


@dataclass(frozen=True)
class Operator:
    """The role, the GRANT lines that it still needs, and what else to know about it."""

    role: str
    grants: tuple[str, ...]
    notes: tuple[str, ...]


async def set_operator(connection: Connection, role: str) -> Operator:
    """Give everything of Zanith's to a role; needs a superuser, or the owner of all of it.

    NotFound where there is no such role, Refused where it is a superuser.
    """
    try:
        async with connection.transaction():
            await connection.execute(SQL["lock"])
            if not await connection.fetchval(SQL["exists"]):
                raise NotInstalled("Zanith is not installed in this database")
            await _check(connection, role)
            if await connection.fetch(SQL["guard_triggers"]):
                raise Refused(
                    "the guard is on: its functions run as every role, and must belong to a"
                    " superuser",
                    hint="zanith guard off, or run Zanith without an operator",
                )
            database = await connection.fetchval("SELECT current_database()::text")
            for (statement,) in await connection.fetch(SQL["give_all"], role):
                await connection.execute(statement)
            await connection.execute(
                f"ALTER DATABASE {quote(database)} SET zanith.operator TO {quote(role)}"
            )
        return await describe_operator(connection, role)
    except (asyncpg.PostgresError, OSError) as exc:
        raise translate(exc) from exc


async def _check(connection: Connection, role: str) -> None:
    found = await connection.fetchrow(SQL["role"], role)
    if found is None:
        raise NotFound(
            f"there is no role {quote(role)}",
            hint=f"create it first: CREATE ROLE {quote(role)} LOGIN",
        )
    if found["rolsuper"]:
        raise Refused(
            f"{quote(role)} is a superuser: an operator must not be one",
            hint="name a role without SUPERUSER that is a member of the owners of the tables",
        )


async def describe_operator(connection: Connection, role: str) -> Operator:
    """Return what a role lacks before it can work on every table."""
    found = await connection.fetchrow(SQL["role"], role)
    version = connection.get_server_version().major
    kind = "SET" if version >= 16 else "MEMBER"
    notes: list[str] = []
    if found is not None:
        rights = {"BYPASSRLS": found["rolbypassrls"], "CREATEROLE": found["rolcreaterole"]}
        notes += [
            f"{quote(role)} has {name}, which it does not need: ALTER ROLE {quote(role)} NO{name}"
            for name, has in rights.items()
            if has
        ]
        if version < 16 and not found["rolinherit"]:
            notes.append(
                f"{quote(role)} inherits no rights of the owners: ALTER ROLE {quote(role)} INHERIT"
            )
    grants: list[str] = []
    options = " WITH INHERIT TRUE, SET TRUE" if version >= 16 else ""
    for row in await connection.fetch(SQL["other_owners"], role, kind):
        owner = quote(row["name"])
        if row["superuser"]:
            notes.append(
                f"{row['tables']} of the tables belong to {owner}, a superuser:"
                f" give them to another role (ALTER TABLE … OWNER TO)"
            )
        else:
            grants.append(f"GRANT {owner} TO {quote(role)}{options};")
    return Operator(role, tuple(grants), tuple(notes))


async def superuser_notice(db: Database) -> str | None:
    """Return what to say where a superuser works on tables of roles that are none, else None."""
    async with db.side() as connection:
        owners = await connection.fetchval(SQL["superuser_over"])
    if not owners:
        return None
    shown = ", ".join(quote(name) for name in owners[:3])
    more = f" and {len(owners) - 3} others" if len(owners) > 3 else ""
    return (
        f"{quote(db.server.role)} is a superuser, and this database has tables of {shown}{more}:"
        " run Zanith as a role with fewer privileges instead (zanith init --operator ROLE)"
    )
