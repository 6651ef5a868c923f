"""The difference of the live schema and a declared one, which a shadow has loaded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from app.migrate.generate.files import Draft
from app.migrate.generate.safe import divide
from app.migrate.read.migrations import Script
from app.migrate.read.scripts import read_script
from app.migrate.schema.ddl.generate import Ddl, generate
from app.migrate.schema.ddl.words import last, table_of
from app.migrate.schema.difference import OWNERSHIP, Difference, Rename, difference
from app.migrate.schema.model import Schema
from app.migrate.schema.read import read_schema
from app.migrate.shadow.model import Live, Pattern
from app.migrate.shadow.provision import provision
from app.migrate.shadow.replay import is_of_each_database
from app.recovery.core.errors import NotFound, WrongUsage
from app.recovery.core.names import parse_name
from app.recovery.core.translate import translate
from app.recovery.db.connections import Connection

# psql commands with which pg_dump begins and ends its text
_RESTRICT = re.compile(rb"(?m)^\\(?:un)?restrict .*$")
_DATA = ("table", "column")
"""The kinds whose rename is a question: a drop and a creation would lose the rows."""


@dataclass(frozen=True)
class Generated:
    """The migrations that make the declared schema, and what they leave out."""

    drafts: Sequence[Draft]
    difference: Difference
    ddl: Ddl
    renames: Sequence[Rename] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Return what was found as JSON."""
        return {
            "equal": not self.difference and not self.renames,
            "renames": [
                {"kind": one.before.kind, "before": one.before.text, "after": one.after.text}
                for one in self.renames
            ],
            "not_generated": [one.to_json() for one in self.ddl.missing],
        }


@dataclass(frozen=True)
class Answers:
    """What somebody said of possible renames: the pairs that are one, and names that are none."""

    renamed: Sequence[tuple[tuple[str, ...], tuple[str, ...]]] = ()
    dropped: Sequence[tuple[str, ...]] = ()

    @classmethod
    def of(cls, renamed: Iterable[str], dropped: Iterable[str]) -> Answers:
        """Return the answers of the options; WrongUsage if one is no OLD=NEW."""
        pairs = []
        for text in renamed:
            old, equals, new = text.partition("=")
            if not equals:
                raise WrongUsage(f"{text!r} is not OLD=NEW", hint="write public.a.x=public.a.y")
            pairs.append((parse_name(old), parse_name(new)))
        return cls(pairs, [parse_name(text) for text in dropped])


async def generate_from(
    live: Schema,
    at: Live,
    declared: Path,
    answers: Answers,
    *,
    pattern: Pattern,
    url: str | None = None,
    ask: Callable[[Rename], bool] | None = None,
    tell: Callable[[str], None] = lambda _text: None,
) -> Generated:
    """Return the migrations that turn the live schema into the declared one.

    Owners, grants and default privileges do not count: another role loads the declared schema.
    """
    script = _read(declared)
    async with provision(pattern, at, url, tell=tell) as shadow:
        connection = await shadow.connect()
        try:
            await _check_version(connection, live)
            empty = await read_schema(connection)
            wanted = await _load(connection, script, declared)
            first = difference(live, wanted, OWNERSHIP)
            renames = _decide(first, answers, ask)
            statements = [rename(one) for one in renames]
            before = await _renamed(connection, empty, live, statements) if renames else live
        finally:
            await connection.close(timeout=5)
    found = difference(before, wanted, OWNERSHIP)
    ddl = generate(found)
    return Generated(divide(found, ddl, statements), found, ddl, renames)


def _read(path: Path) -> Script:
    try:
        return Script(path, _RESTRICT.sub(lambda found: b" " * len(found[0]), path.read_bytes()))
    except FileNotFoundError:
        raise NotFound(f"{path} does not exist", hint="name the declared schema") from None
    except OSError as error:
        raise WrongUsage(f"{path} cannot be read: {error.strerror}", hint="check it") from None


async def _check_version(connection: Connection, live: Schema) -> None:
    version = int(await connection.fetchval("SHOW server_version_num"))
    if version // 10000 != live.version // 10000:
        raise WrongUsage(
            f"the shadow is PostgreSQL {version // 10000}, the database {live.version // 10000}:"
            " the two print definitions in different ways",
            hint="use --shadow same-server, or --shadow-url with a server of the same version",
        )


async def _load(connection: Connection, script: Script, path: Path) -> Schema:
    """Load the declared schema in a transaction that is undone, and return it."""
    block = connection.transaction()
    await block.start()
    try:
        for steered in read_script(script).statements:
            if is_of_each_database(steered):
                continue
            statement = steered.statement
            try:
                await connection.execute(script.data[statement.start : statement.end].decode())
            except asyncpg.PostgresError as error:
                failed = translate(error)
                failed.message = f"{path}:{statement.line}: {failed.message}"
                raise failed from error
        return await read_schema(connection)
    finally:
        await block.rollback()


async def _renamed(
    connection: Connection, empty: Schema, live: Schema, statements: Sequence[str]
) -> Schema:
    """Return the live schema after the renames, which run in the shadow."""
    ddl = generate(difference(empty, live, OWNERSHIP))
    if ddl.missing:
        names = ", ".join(str(one) for one in ddl.missing)
        raise WrongUsage(
            f"the renames cannot be tried on a shadow: it has no {names}",
            hint="write the renames as a migration of their own, and apply it first",
        )
    block = connection.transaction()
    await block.start()
    try:
        await connection.execute(ddl.sql)
        for sql in statements:
            await connection.execute(sql)
        return await read_schema(connection)
    except asyncpg.PostgresError as error:
        raise translate(error) from error
    finally:
        await block.rollback()


def rename(one: Rename) -> str:
    """Return the statement that renames."""
    if one.before.kind == "column":
        table = table_of(one.before)
        return f"ALTER TABLE {table} RENAME COLUMN {last(one.before)} TO {last(one.after)}"
    return f"ALTER TABLE {one.before.text} RENAME TO {last(one.after)}"


def _decide(
    found: Difference, answers: Answers, ask: Callable[[Rename], bool] | None
) -> list[Rename]:
    """Return the renames that somebody named or confirmed; WrongUsage if one is open."""
    chosen: list[Rename] = []
    candidates = [one for one in found.renames if one.before.kind in _DATA and _top(found, one)]
    for old, new in answers.renamed:
        match = [
            one
            for one in (*candidates, *_any_pair(found, old, new))
            if (one.before.name, one.after.name) == (old, new)
        ]
        if not match:
            raise WrongUsage(
                f"{'.'.join(old)} was not renamed to {'.'.join(new)}: the first must be in the"
                " database only, and the second in the declared schema only",
                hint="zanith migrate generate --check lists what differs",
            )
        chosen.append(match[0])
    for one in candidates:
        taken = {key for pair in chosen for key in (pair.before, pair.after)}
        if one.before in taken or one.after in taken or one.before.name in answers.dropped:
            continue
        if ask is None:
            raise WrongUsage(
                f"{one.before} may have been renamed to {one.after.text}",
                hint=f"say --rename '{one.before.text}={one.after.text}', or"
                f" --drop '{one.before.text}'",
            )
        if ask(one):
            chosen.append(one)
    return chosen


def _top(found: Difference, one: Rename) -> bool:
    """Whether it is the object itself, and not a part of one that is dropped with it."""
    return found.before.parent(one.before) not in found.dropped


def _any_pair(found: Difference, old: tuple[str, ...], new: tuple[str, ...]) -> list[Rename]:
    return [
        Rename(one, other)
        for one in found.dropped
        for other in found.created
        if one.kind == other.kind
        and one.kind in _DATA
        and (one.name, other.name) == (old, new)
        and one.name[: len(one.name) - 1] == other.name[: len(other.name) - 1]
    ]
