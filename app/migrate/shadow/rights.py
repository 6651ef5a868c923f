"""What statements may do on a shadow: roles, a superuser's rights, objects of the server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

import asyncpg
from postgast import pg_query_pb2 as pg

from app.migrate.read.statements import Statement
from app.migrate.review.world import messages_in
from app.migrate.shadow.model import SQL, Shadow
from app.recovery.db.connections import Connection

OWN_ROLES = "zanith_"
"""The beginning of the names of our roles on an embedded server."""

# Statements that need a superuser, or more rights than the owner has, and run no code of anybody.
_ELEVATED = frozenset(
    {
        "alter_default_privileges_stmt",
        "alter_event_trig_stmt",
        "alter_extension_contents_stmt",
        "alter_extension_stmt",
        "alter_owner_stmt",
        "comment_stmt",
        "create_event_trig_stmt",
        "create_extension_stmt",
        "create_fdw_stmt",
        "create_foreign_server_stmt",
        "create_publication_stmt",
        "reassign_owned_stmt",
    }
)
_GRANTABLE = frozenset(
    {pg.OBJECT_TABLE, pg.OBJECT_SEQUENCE, pg.OBJECT_SCHEMA, pg.OBJECT_TYPE, pg.OBJECT_DOMAIN}
)

# Statements about objects that all databases of a server share, or that reach other servers.
_OF_SERVER = frozenset(
    {
        "alter_database_refresh_coll_stmt",
        "alter_database_set_stmt",
        "alter_database_stmt",
        "alter_role_set_stmt",
        "alter_role_stmt",
        "alter_subscription_stmt",
        "alter_system_stmt",
        "alter_table_space_options_stmt",
        "create_role_stmt",
        "create_subscription_stmt",
        "create_table_space_stmt",
        "createdb_stmt",
        "drop_role_stmt",
        "drop_subscription_stmt",
        "drop_table_space_stmt",
        "dropdb_stmt",
        "grant_role_stmt",
    }
)
# On a server of ours, only what reaches another server.
_OUTSIDE = frozenset({"create_subscription_stmt", "alter_subscription_stmt"})


def is_of_server(shadow: Shadow, statement: Statement) -> bool:
    """Return whether a statement is about more than the shadow."""
    return statement.kind in (_OUTSIDE if shadow.elevate else _OF_SERVER)


async def changes_server(shadow: Shadow, connection: Connection) -> list[str]:
    """Return the shared catalogs that the open transaction changed on a server that is not ours."""
    if shadow.elevate is not None:
        return []
    return [row[0] for row in await connection.fetch(SQL["shared"])]


def roles_in(statements: Iterable[Statement]) -> set[str]:
    """Return the roles that the statements name, and do not create."""
    named: set[str] = set()
    created: set[str] = set()
    for statement in statements:
        if statement.kind == "create_role_stmt":
            created.add(statement.node.role)
        named |= {
            one.rolename
            for one in messages_in(statement.node, pg.RoleSpec)
            if one.roletype == pg.ROLESPEC_CSTRING
        }
    return {name for name in named - created if not name.startswith(("pg_", OWN_ROLES))}


@asynccontextmanager
async def rights_for(
    shadow: Shadow, connection: Connection, statement: Statement
) -> AsyncIterator[None]:
    """Give the session a superuser's rights for a statement that needs them and runs no code."""
    if shadow.elevate is None or not _is_elevated(statement):
        yield
        return
    await _elevate(shadow, connection, yes=True)
    try:
        new = shadow.server.version >= 17
        setting, value = (
            ("event_triggers", "off") if new else ("session_replication_role", "replica")
        )
        await connection.execute(f"SET {setting} = {value}")
        yield
        await connection.execute(f"RESET {setting}")
    finally:
        await _elevate(shadow, connection, yes=False)


async def _elevate(shadow: Shadow, connection: Connection, *, yes: bool) -> None:
    """Change the rights of the role, and let the open transaction notice.

    PostgreSQL looks for such changes when a session takes a lock that it does not hold.
    """
    if shadow.elevate is not None:
        await shadow.elevate(yes)
        with suppress(asyncpg.PostgresError):  # an aborted transaction runs nothing any more
            if connection.is_in_transaction():
                await connection.execute(_NOTICE)


_NOTICE = (
    "SAVEPOINT zanith_rights; SELECT FROM pg_catalog.pg_largeobject_metadata LIMIT 0;"
    "ROLLBACK TO SAVEPOINT zanith_rights; RELEASE SAVEPOINT zanith_rights"
)


def _is_elevated(statement: Statement) -> bool:
    node = statement.node
    if any(one.rolename.startswith(OWN_ROLES) for one in messages_in(node, pg.RoleSpec)):
        return False
    if statement.kind == "grant_stmt":
        return node.objtype in _GRANTABLE
    if statement.kind == "alter_table_stmt":
        return all(cmd.alter_table_cmd.subtype == pg.AT_ChangeOwner for cmd in node.cmds)
    if statement.kind == "create_schema_stmt":
        return not node.schema_elts
    return statement.kind in _ELEVATED
