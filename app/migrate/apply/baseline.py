"""`zanith migrate baseline`: the migrations that another tool applied, as its own table says."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import PurePath
from typing import Any

from app.migrate.apply import history
from app.migrate.apply.contents import checksum_of, kept_text
from app.migrate.apply.history import read_newest
from app.migrate.apply.session import open_session
from app.migrate.read.migrations import Layout, Migration, find_named
from app.migrate.read.scripts import read_script
from app.recovery.core.actor import Actor
from app.recovery.core.errors import NotFound, Refused, WrongUsage
from app.recovery.core.names import quote
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.transactions import transaction
from app.recovery.queries import fill, load

SQL = load("baseline")


class Tool(StrEnum):
    """Whose table says what is applied. The values are part of the public interface."""

    ALEMBIC = "alembic"
    DJANGO = "django"
    PRISMA = "prisma"
    GOLANG_MIGRATE = "golang-migrate"
    RAILS = "rails"
    """Also dbmate: one row for each version."""
    SUPABASE = "supabase"
    FLYWAY = "flyway"
    GOOSE = "goose"
    DRIZZLE = "drizzle"
    KNEX = "knex"
    SEQUELIZE = "sequelize"


@dataclass(frozen=True)
class _Table:
    """The table of a tool: the columns that tell it from others of its name, and its query."""

    named: str
    columns: frozenset[str]
    query: str
    schema: str | None = None


# The first that fits a table decides.
_TABLES: dict[Tool, _Table] = {
    Tool.ALEMBIC: _Table("alembic_version", frozenset({"version_num"}), "alembic"),
    Tool.DJANGO: _Table("django_migrations", frozenset({"id", "app", "name", "applied"}), "django"),
    Tool.PRISMA: _Table(
        "_prisma_migrations",
        frozenset({"migration_name", "started_at", "finished_at", "rolled_back_at"}),
        "prisma",
    ),
    Tool.SUPABASE: _Table(
        "schema_migrations", frozenset({"version"}), "versions", "supabase_migrations"
    ),
    Tool.GOLANG_MIGRATE: _Table(
        "schema_migrations", frozenset({"version", "dirty"}), "golang_migrate"
    ),
    Tool.RAILS: _Table("schema_migrations", frozenset({"version"}), "versions"),
    Tool.FLYWAY: _Table(
        "flyway_schema_history",
        frozenset({"installed_rank", "version", "script", "type", "success", "installed_on"}),
        "flyway",
    ),
    Tool.GOOSE: _Table(
        "goose_db_version", frozenset({"id", "version_id", "is_applied", "tstamp"}), "goose"
    ),
    Tool.DRIZZLE: _Table("__drizzle_migrations", frozenset({"hash", "created_at"}), "drizzle"),
    Tool.KNEX: _Table("knex_migrations", frozenset({"id", "name", "migration_time"}), "knex"),
    Tool.SEQUELIZE: _Table("SequelizeMeta", frozenset({"name"}), "names"),
}
_SPOKEN = {Tool.RAILS: "Rails or dbmate"}
HISTORIES = frozenset(
    {
        *(table.named for table in _TABLES.values()),
        *("ar_internal_metadata", "knex_migrations_lock", "pgmigrations"),
    }
)
"""The tables in which tools keep their history: no migration of theirs creates them."""


def begins_empty(migration: Migration) -> str | None:
    """Return a warning for SQL that creates the history table of a tool, as from the first on."""
    for steered in read_script(migration.up).statements:
        statement = steered.statement
        if statement.kind == "create_stmt" and statement.node.relation.relname in HISTORIES:
            return (
                f"line {statement.line} creates {statement.node.relation.relname}, the history"
                " table of a migration tool: this SQL begins with an empty database, so that every"
                " table counts as new. Print only what is pending, as alembic upgrade FROM:head"
                " --sql does"
            )
    return None


@dataclass(frozen=True)
class Adopted:
    """A migration that is applied, and when, if the tool knows it."""

    migration: Migration
    at: datetime | None

    def to_json(self) -> dict[str, Any]:
        when = self.at.isoformat() if self.at else None
        return {"id": self.migration.id, "path": str(self.migration.up.path), "applied_at": when}


@dataclass(frozen=True)
class Baseline:
    """What would be adopted, and what not.

    `failed` are migrations that the tool could not finish, `unknown` those without a file,
    `recorded` those that the history has already.
    """

    tool: str
    table: str | None
    adopted: tuple[Adopted, ...]
    pending: tuple[str, ...]
    failed: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    recorded: tuple[str, ...] = ()
    done: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "tool": self.tool,
            "table": self.table,
            "adopted": [one.to_json() for one in self.adopted],
            "pending": list(self.pending),
            "failed": list(self.failed),
            "unknown": list(self.unknown),
            "recorded": list(self.recorded),
            "done": self.done,
        }


async def plan_baseline(
    db: Database, migrations: Sequence[Migration], tool: Tool | None = None, to: str | None = None
) -> Baseline:
    """Return what a baseline would adopt; it reads only.

    With `to`, all migrations up to that one count as applied, whatever a tool says. NotFound if no
    table of a tool is there; Refused if there are several, or if the tool says that the database is
    in the middle of a migration.
    """
    async with db.acquire() as connection, connection.transaction(readonly=True):
        known = {run.id for run in (await read_newest(connection)).values() if run.applied}
        if to is not None:
            return _up_to(migrations, to, known)
        found, where = await _find(connection, tool)
        table = quote(where)
        rows = await connection.fetch(fill(SQL[_TABLES[found].query], table=table))
    return _match(found, table, migrations, rows, known)


async def adopt(
    db: Database,
    layout: Layout,
    migrations: Sequence[Migration],
    actor: Actor,
    tool: Tool | None = None,
    to: str | None = None,
    wait: timedelta | None = None,
) -> Baseline:
    """Record the applied migrations, all in one transaction, and return them."""
    async with open_session(db, wait):
        found = await plan_baseline(db, migrations, tool, to)
        async with db.acquire() as connection, transaction(connection):
            for one in found.adopted:
                described = _describe(one, layout, found.tool, actor)
                await connection.fetchval(history.SQL["record"], described, [])
    return Baseline(**{**vars(found), "done": True})


def _describe(one: Adopted, layout: Layout, tool: str, actor: Actor) -> dict[str, Any]:
    contents = kept_text(one.migration.up)
    return {
        "id": one.migration.id,
        "origin": tool,
        "layout": layout.value,
        "path": str(one.migration.up.path),
        "repeatable": one.migration.repeatable,
        "transactional": one.migration.transaction,
        "checksum": checksum_of(contents),
        "contents": contents,
        "outcome": "applied",
        "applied_at": one.at.isoformat() if one.at else None,
        "applied_by": actor.name,
    }


def _up_to(migrations: Sequence[Migration], to: str, known: Iterable[str]) -> Baseline:
    ordered = [one for one in migrations if not one.repeatable]
    ids = [one.id for one in ordered]
    found = find_named(to, ids)
    if found is None:
        raise NotFound(f"no migration is named {to}", hint="name one by its id or its version")
    place = ids.index(found) + 1
    adopted = [Adopted(one, None) for one in ordered[:place] if one.id not in known]
    recorded = [one.id for one in ordered[:place] if one.id in known]
    return Baseline(
        "baseline",
        None,
        tuple(adopted),
        tuple(one.id for one in ordered[place:]),
        recorded=tuple(recorded),
    )


async def find_other_history(db: Database) -> str | None:
    """Return a warning if a tool has a history here, and Zanith has none; else None."""
    async with db.acquire() as connection:
        if any(run.applied for run in (await read_newest(connection)).values()):
            return None
        found = await _tables(connection, None)
    if not found:
        return None
    tool, where = found[0]
    return (
        f"{quote(where)} is a history table of {_SPOKEN.get(tool, tool.value)}:"
        " zanith migrate baseline adopts what is applied, so that up runs only the rest"
    )


async def _tables(connection: Connection, tool: Tool | None) -> list[tuple[Tool, tuple[str, str]]]:
    """Return the history tables of tools, or of one."""
    rows = await connection.fetch(SQL["find"], sorted({one.named for one in _TABLES.values()}))
    found: list[tuple[Tool, tuple[str, str]]] = []
    for row in rows:
        fits = [
            kind
            for kind, table in _TABLES.items()
            if table.named == row["name"]
            and table.columns <= set(row["columns"])
            and table.schema in {None, row["schema"]}
        ]
        if tool in fits or (tool is None and fits):
            found.append((tool or fits[0], (row["schema"], row["name"])))
    return found


async def _find(connection: Connection, tool: Tool | None) -> tuple[Tool, tuple[str, str]]:
    found = await _tables(connection, tool)
    if not found:
        whose = f"of {tool}" if tool else "of a tool that Zanith knows"
        raise NotFound(
            f"there is no table of applied migrations {whose}",
            detail="this role must be able to read it; row-level security must be off",
            hint="name the newest applied migration with --to ID",
        )
    if len(found) > 1:
        listed = ", ".join(f"{kind}: {quote(where)}" for kind, where in found)
        raise Refused(
            "several tables say which migrations are applied",
            detail=listed,
            hint="choose one with --tool, or name the newest applied migration with --to ID",
        )
    return found[0]


# ------------------------------------------------------------------------------ rows and files


def _match(
    tool: Tool,
    table: str,
    migrations: Sequence[Migration],
    rows: Iterable[Any],
    known: Iterable[str],
) -> Baseline:
    """Return which files the rows of a tool mean, by the tool's own rules."""
    at: dict[str, datetime | None] = {}
    failed: list[str] = []
    unknown: list[str] = []
    for row in rows:
        name, state = row["name"], row["state"]
        if state == "dirty":
            raise Refused(
                f"{table} says that version {name} is dirty: it failed in the middle",
                hint="repair the database, set the version with the tool (force), and try again",
            )
        if state == "none":
            continue
        meant = _find_file(migrations, name, by_hash=state == "hash")
        if state == "failed":
            failed.append(name)
        elif meant is None:
            if state != "undone":
                unknown.append(name)
        elif state == "undone":
            at.pop(meant.id, None)
        elif state in {"head", "up to"}:
            at.update(dict.fromkeys(_until(migrations, meant), row["at"]))
        else:
            at[meant.id] = row["at"]
    done = set(known)
    return Baseline(
        tool.value,
        table,
        tuple(Adopted(one, at[one.id]) for one in migrations if one.id in at.keys() - done),
        tuple(one.id for one in migrations if one.id not in at.keys() | done),
        tuple(failed),
        tuple(unknown),
        tuple(one.id for one in migrations if one.id in at and one.id in done),
    )


def _until(migrations: Sequence[Migration], last: Migration) -> list[str]:
    """Return the migrations up to one; repeatable ones have no place among them."""
    ordered = [one.id for one in migrations if not one.repeatable]
    return ordered[: ordered.index(last.id) + 1]


def _find_file(migrations: Sequence[Migration], name: str, *, by_hash: bool) -> Migration | None:
    if by_hash:
        hashes = {hashlib.sha256(one.up.data).hexdigest(): one for one in migrations}
        return hashes.get(name)
    for one in migrations:
        if _bare(name) in {one.id, _bare(one.up.path.name)}:
            return one
    app, dot, rest = name.partition(".")
    for one in migrations:  # of Django: app.name
        if dot and one.id in {rest, f"{app}_{rest}", f"{app}-{rest}"}:
            return one
    number = _version(name, whole=True)
    versions = [one for one in migrations if number and _version(one.id) == number]
    if len(versions) == 1:
        return versions[0]
    heads = [one for one in migrations if name in re.split(r"[_.-]", one.id)]
    return heads[0] if len(heads) == 1 else None


def _bare(name: str) -> str:
    """Return a file's name without its endings."""
    stem = PurePath(name).name
    return re.sub(r"(\.up)?\.(sql|js|ts|cjs|mjs|py|rb|go)$", "", stem)


_NUMBER = re.compile(r"[VURvur]?(\d+(?:[._]\d+)*)(?=$|[_-]|__)")


def _version(text: str, *, whole: bool = False) -> tuple[int, ...]:
    """Return the version that a name begins with, or that it is as a whole; () if it has none."""
    match = _NUMBER.fullmatch(text) if whole else _NUMBER.match(text)
    if match is None:
        return ()
    parts = match[1] if whole else re.split(r"__|_(?=\D)|-", match[1])[0]
    numbers = [int(part) for part in re.split(r"[._]", parts) if part]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def require_found(found: Baseline) -> None:
    """Raise WrongUsage if there is nothing to adopt."""
    if not found.adopted and not found.recorded:
        raise WrongUsage(
            f"{found.table or found.tool} has no migration of these files",
            detail=f"without a file: {', '.join(found.unknown[:5])}" if found.unknown else None,
            hint="name the directory with --dir, and its layout with --layout",
        )
