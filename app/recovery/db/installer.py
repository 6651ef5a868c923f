"""Installs what lives in the database: numbered files once, functions whenever they changed.

Everything happens in one transaction under an advisory lock. Functions are replaced, never dropped
with CASCADE, and keep their owner and grants also where a signature changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg

from app.recovery.core.errors import NotInstalled, NotPermitted, Refused
from app.recovery.core.names import quote
from app.recovery.core.translate import translate
from app.recovery.core.version import VERSION, as_tuple
from app.recovery.db.guard_triggers import drop_truncate_triggers, renew_triggers
from app.recovery.db.schema_files import NUMBERED, SchemaFile, files
from app.recovery.db.session_settings import fill, set_locally
from app.recovery.queries import load

if TYPE_CHECKING:
    from app.recovery.db.connections import Connection
    from app.recovery.db.database import Database

SQL = load("installer")

_HOW = "run zanith init"


@dataclass(frozen=True)
class Installed:
    """One row of zanith._zanith_schema."""

    file: str
    hash: str
    functions: tuple[str, ...]
    engine: str


@dataclass(frozen=True)
class Status:
    """What is installed beside what this engine brings."""

    installed: bool
    engine: str | None
    pending: tuple[str, ...]
    newer: tuple[str, ...]

    @property
    def current(self) -> bool:
        """Whether nothing is to do."""
        return self.installed and not self.pending and not self.newer


@dataclass(frozen=True)
class _Function:
    oid: int
    version: str
    name: str
    signature: str
    owner: str
    has_acl: bool
    grantees: tuple[str, ...]
    needed: bool


def compare(wanted: tuple[SchemaFile, ...], rows: list[Installed]) -> Status:
    """Return what is pending, and what is there that only a newer engine can have brought."""
    have = {row.file: row for row in rows}
    known = {file.path for file in wanted}
    pending = [file.path for file in wanted if _is_pending(file, have.get(file.path))]
    newer = [row.file for row in rows if NUMBERED.fullmatch(row.file) and row.file not in known]
    newest = max((row.engine for row in rows), key=as_tuple, default=None)
    if newest is not None and as_tuple(newest) > as_tuple(VERSION):
        newer.append(f"engine {newest}")
    stale = [row.file for row in rows if row.file not in known and row.file not in newer]
    return Status(bool(rows), newest, tuple(pending + stale), tuple(newer))


def _is_pending(file: SchemaFile, row: Installed | None) -> bool:
    return row is None or (not file.numbered and row.hash != file.hash)


async def status(connection: Connection) -> Status:
    """Return what is installed beside what this engine brings; reads only."""
    return compare(files(), await _applied(connection))


async def _applied(connection: Connection) -> list[Installed]:
    if not await connection.fetchval(SQL["exists"]):
        return []
    rows = await connection.fetch(SQL["applied"])
    return [Installed(r["file"], r["hash"], tuple(r["functions"]), r["engine"]) for r in rows]


async def install(connection: Connection, notes: list[str] | None = None) -> list[str]:
    """Apply what is pending and return the files applied; an empty list where nothing was.

    ``notes`` gets a sentence for each artifact whose recovery_sql stays as an earlier version wrote
    it. Refused where the database needs a newer engine, or an applied numbered file was edited
    since.
    """
    try:
        async with connection.transaction():
            await connection.execute(set_locally())
            await connection.execute("SET LOCAL client_min_messages = warning")
            # Functions call one another across files, in both directions.
            await connection.execute("SET LOCAL check_function_bodies = off")
            # A file may drop a column or an index of Zanith's own tables.
            await connection.execute("SET LOCAL zanith.guard = off")
            await connection.execute(SQL["lock"])
            await _require_own(connection)
            await _require_able(connection)
            if not await connection.fetchval(SQL["exists"]):
                await connection.execute(SQL["create_table"])
            done = await _apply(connection, await _applied(connection))
            if done:
                stale = await _renew_scripts(connection)
                if notes is not None:
                    notes.extend(stale)
            await connection.execute(fill(SQL["fix_settings"]))
            if done:
                await renew_triggers(connection)
            return done
    except (asyncpg.PostgresError, OSError) as exc:
        raise translate(exc) from exc


async def _require_own(connection: Connection) -> None:
    """Raise Refused where functions that others can replace would run as this role.

    The owner of the schema owns its functions. A superuser trusts no role that is none, not even
    the one that is set up to run Zanith; that one trusts itself.
    """
    owner = await connection.fetchrow(SQL["owner"])
    if owner is None or owner["trusted"]:
        return
    name = quote(owner["name"])
    if owner["operator"] == owner["name"]:
        raise Refused(
            f"Zanith in this database belongs to {name}",
            detail="its functions would run as you, and that role can replace them",
            hint=f"connect as {name}",
        )
    raise Refused(
        f"the schema zanith belongs to {name}",
        detail="its owner could change code that runs as you",
        hint=f"run zanith init as {name}. Do not drop the schema: it has the records of every drop",
    )


async def _require_able(connection: Connection) -> None:
    """Raise NotPermitted where this role may not replace what is installed."""
    owner = await connection.fetchrow(SQL["owner"])
    if owner is not None and not owner["able"]:
        name = quote(owner["name"])
        raise NotPermitted(
            f"Zanith in this database belongs to {name}",
            detail=f"{quote(owner['installer'])} may not change it",
            hint=f"run zanith init as {name} or as a superuser",
        )


async def _apply(connection: Connection, rows: list[Installed]) -> list[str]:
    state = compare(files(), rows)
    _refuse_newer(state)
    have = {row.file: row for row in rows}
    done: list[str] = []
    for file in files():
        row = have.get(file.path)
        if row is not None and file.numbered and row.hash != file.hash:
            raise Refused(
                f"{file.path} was edited after it was applied",
                hint="numbered files are append-only: put the change into a new one",
            )
        if not _is_pending(file, row):
            continue
        if file.numbered:
            await _run(connection, file)
        else:
            elsewhere = {n for other in files() if other is not file for n in other.functions}
            await _replace(connection, file, row, elsewhere)
        await connection.execute(SQL["record"], file.path, file.hash, file.functions, VERSION)
        done.append(file.path)
    declared = {name for file in files() for name in file.functions}
    for row in rows:
        if row.file not in {file.path for file in files()}:
            await _remove(connection, set(row.functions) - declared)
            await connection.execute(SQL["forget"], row.file)
            done.append(row.file)
    return done


async def _renew_scripts(connection: Connection) -> list[str]:
    """Render each script anew: those of earlier versions are not as careful as they are now."""
    return [
        f"the recovery_sql of {row['object']} is still that of an earlier version: {row['why']}"
        for row in await connection.fetch(SQL["renew_scripts"])
    ]


async def _run(connection: Connection, file: SchemaFile) -> None:
    try:
        await connection.execute(file.text)
    except asyncpg.PostgresError as exc:
        error = translate(exc)
        if isinstance(error, NotPermitted):
            raise NotPermitted(
                error.message,
                detail=f"while installing {file.path}",
                hint="zanith init needs a role that may CREATE in this database",
                sqlstate=error.sqlstate,
            ) from exc
        raise type(error)(
            f"{file.path}: {error.message}",
            detail=error.detail,
            hint=error.hint,
            sqlstate=error.sqlstate,
        ) from exc


async def _replace(
    connection: Connection, file: SchemaFile, row: Installed | None, elsewhere: set[str]
) -> None:
    """Run a function file; what it no longer makes goes, and grants move to what took its place.

    What moved to another file, whose names are `elsewhere`, is that one's to replace.
    """
    before = await _functions(connection)
    recorded = set(row.functions) - elsewhere if row else set()
    old = [function for function in before if function.name in recorded]
    try:
        async with connection.transaction():
            await connection.execute(file.text)
    except asyncpg.InvalidFunctionDefinitionError:
        await _drop(connection, [function for function in old if not function.needed])
        await _run(connection, file)
    except asyncpg.PostgresError:
        await _run(connection, file)  # fails again, and says which file it was
    versions = {function.oid: function.version for function in before}
    after = await _functions(connection)
    made = [function for function in after if versions.get(function.oid) != function.version]
    still = {function.oid for function in after}
    made_oids = {function.oid for function in made}
    replaced = [function for function in old if function.oid not in made_oids]
    await _drop(connection, [function for function in replaced if function.oid in still])
    for function in made:
        former = [was for was in replaced if was.name == function.name]
        if function.oid not in versions and former:
            await _inherit(connection, former[0], function)


async def _functions(connection: Connection) -> list[_Function]:
    rows: list[Any] = await connection.fetch(SQL["functions"])
    return [
        _Function(
            row["oid"],
            row["version"],
            row["name"],
            row["signature"],
            row["owner"],
            row["has_acl"],
            tuple(row["grantees"]),
            row["needed"],
        )
        for row in rows
    ]


async def _drop(connection: Connection, functions: list[_Function]) -> None:
    for function in functions:
        await connection.execute(f"DROP ROUTINE {function.signature}")


async def _remove(connection: Connection, names: set[str]) -> None:
    await _drop(connection, [f for f in await _functions(connection) if f.name in names])


async def _inherit(connection: Connection, old: _Function, new: _Function) -> None:
    """Give the new function the owner and the grants of the one whose place it takes."""
    for statement in inherited_grants(old, new.signature):
        await connection.execute(statement)
    if new.owner != old.owner:
        await connection.execute(f"ALTER ROUTINE {new.signature} OWNER TO {quote(old.owner)}")


def inherited_grants(old: _Function, signature: str) -> list[str]:
    """Return the statements that give a function the grants of an earlier one.

    A grantee is a role's name, "" for PUBLIC, with a final "*" where it may grant on.
    """
    if not old.has_acl:
        return []
    statements = [f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC"]
    for grantee in old.grantees:
        name = grantee.removesuffix("*")
        role = quote(name) if name else "PUBLIC"
        option = " WITH GRANT OPTION" if grantee.endswith("*") else ""
        statements.append(f"GRANT EXECUTE ON FUNCTION {signature} TO {role}{option}")
    return statements


def _refuse_newer(state: Status) -> None:
    if state.newer:
        raise Refused(
            "this database needs a newer version of Zanith",
            detail=f"it has {', '.join(state.newer)}; this is version {VERSION}",
            hint="upgrade zanith",
        )


async def require_installed(db: Database) -> None:
    """Raise NotInstalled where ``zanith init`` has something to do, Refused where it is too old.

    Refused too where its functions belong to a role that this one has no reason to trust.
    """
    async with db.acquire() as connection:
        if await connection.fetchval(SQL["is_superuser"]):
            await _require_own(connection)
        try:
            state = await status(connection)
        except asyncpg.InsufficientPrivilegeError as exc:
            raise NotPermitted(
                f"the role {db.server.role} may not use Zanith in this database",
                hint=f"an administrator runs zanith init --grant {quote(db.server.role)}",
                sqlstate=exc.sqlstate,
            ) from exc
    if not state.installed:
        raise NotInstalled(
            f"Zanith is not installed in the database {db.server.database}", hint=_HOW
        )
    _refuse_newer(state)
    if state.pending:
        raise NotInstalled(
            f"Zanith in the database {db.server.database} is older than this command",
            detail=f"files to apply: {len(state.pending)}, first {state.pending[0]}",
            hint=_HOW,
        )


def print_sql() -> str:
    """Return one psql script that installs everything into a database without Zanith."""
    parts = [
        f"-- Zanith {VERSION}: what zanith init installs into a database without it.",
        "\\set ON_ERROR_STOP on",
        "\\set SHOW_CONTEXT never",
        "BEGIN;",
        *set_locally().replace(";", ";\n").splitlines(),
        "SET LOCAL check_function_bodies = off;",
        SQL["lock"] + ";",
        SQL["create_table"] + ";",
    ]
    for file in files():
        names = ", ".join(f"'{name}'" for name in file.functions)
        parts += [
            f"\n-- ---- {file.path}",
            file.text.strip(),
            "INSERT INTO zanith._zanith_schema (file, hash, functions, engine) "  # noqa: S608
            f"VALUES ('{file.path}', '{file.hash}', ARRAY[{names}]::text[], '{VERSION}');",
        ]
    parts.append(f"\n-- ---- settings of the functions\n{fill(SQL['fix_settings'])};")
    return "\n".join([*parts, "\nCOMMIT;", ""])


async def uninstall(connection: Connection) -> list[str]:
    """Remove everything and return what went.

    Refused while artifacts, parked objects or rules for approvals exist.
    """
    try:
        async with connection.transaction():
            await connection.execute(SQL["lock"])
            if not await connection.fetchval(SQL["exists"]):
                raise NotInstalled("Zanith is not installed in this database")
            await _refuse_leftovers(connection)
            await _refuse_rules(connection)
            tables = [row[0] for row in await connection.fetch(SQL["tables"])]
            functions = [function.signature for function in await _functions(connection)]
            for (trigger,) in await connection.fetch(SQL["guard_triggers"]):
                await connection.execute(f"DROP EVENT TRIGGER {trigger}")
            await drop_truncate_triggers(connection)
            for (statement,) in await connection.fetch(SQL["drop_pins"]):
                await connection.execute(statement)
            await connection.execute("DROP SCHEMA IF EXISTS _zanith_shadow")
            # Functions take rows of the tables, and triggers of the tables call functions.
            for name, table in await connection.fetch(SQL["own_triggers"]):
                await connection.execute(f"DROP TRIGGER {name} ON {table}")
            for (view,) in await connection.fetch(SQL["views"]):
                await connection.execute(f"DROP VIEW {view}")
            await connection.execute(f"DROP ROUTINE {', '.join(functions)}")
            await connection.execute(f"DROP TABLE {', '.join(tables)}")
            await connection.execute("DROP SCHEMA zanith")
            return [*tables, *functions]
    except (asyncpg.PostgresError, OSError) as exc:
        raise translate(exc) from exc


async def _refuse_rules(connection: Connection) -> None:
    """Raise Refused where a second person must approve first: `zanith init` would begin without."""
    kinds = []
    if await connection.fetchval(SQL["has_rules"]):
        kinds = [row[0] for row in await connection.fetch(SQL["rules"])]
    if kinds:
        raise Refused(
            f"this database requires approvals of {', '.join(kinds)}",
            detail="without Zanith, and after zanith init, it would not require them any more",
            hint="ask a second person to end that first: zanith approvals lift"
            f" {','.join(kinds)} --reason TEXT",
        )


async def _refuse_leftovers(connection: Connection) -> None:
    count = await connection.fetchval(SQL["artifacts"])
    if count:
        raise Refused(
            f"there are artifacts: {count}",
            detail="without Zanith there is no record of their parked objects",
            hint="zanith recover list shows them: restore or export what may be needed. Then"
            " zanith recover purge deletes one artifact for good",
        )
    leftovers = [row[0] for row in await connection.fetch(SQL["shadow_leftovers"])]
    if leftovers:
        raise Refused(
            "the schema _zanith_shadow is not empty",
            detail=", ".join(leftovers),
            hint="find out what they are: they may hold the only copy of dropped rows. Move them to"
            " another schema: ALTER TABLE … SET SCHEMA …",
        )
