"""The drops of a migration as captures: `DROP TABLE t` becomes `SELECT zanith.archive_table('t')`.

Nothing else in the text changes, not by a byte. What cannot become a capture is named with the
reason, since it would still be lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from postgast import pg_query_pb2 as pg

from app.migrate.read.statements import Statement, Token, read_statements, read_tokens
from app.recovery.core.names import quote

Strategy = Literal["archive", "soft_drop"]
OPENING, CLOSING = ("ASCII_40", "ASCII_91"), ("ASCII_41", "ASCII_93")  # ( [ and ) ]
COMMA, DOT, STAR = "ASCII_44", "ASCII_46", "ASCII_42"
ONLY = (
    "ONLY leaves the column in inheritance children, and a capture takes it from them",
    "write the capture without ONLY where the table has no children",
)
# What a cascade from these can drop of a table. A cascade from a view drops views.
CASCADING = {
    pg.OBJECT_TYPE: "type",
    pg.OBJECT_DOMAIN: "domain",
    pg.OBJECT_EXTENSION: "extension",
    pg.OBJECT_FUNCTION: "function",
    pg.OBJECT_PROCEDURE: "procedure",
    pg.OBJECT_ROUTINE: "routine",
    pg.OBJECT_AGGREGATE: "aggregate",
    pg.OBJECT_OPERATOR: "operator",
    pg.OBJECT_OPCLASS: "operator class",
    pg.OBJECT_OPFAMILY: "operator family",
    pg.OBJECT_COLLATION: "collation",
    pg.OBJECT_FOREIGN_SERVER: "foreign server",
    pg.OBJECT_FDW: "foreign data wrapper",
    pg.OBJECT_ACCESS_METHOD: "access method",
    pg.OBJECT_LANGUAGE: "language",
    pg.OBJECT_CAST: "cast",
}
WHOLE = {
    "drop_owned_stmt": ("DROP OWNED drops tables of every schema", "capture each table first"),
    "dropdb_stmt": ("DROP DATABASE drops every table", "take a backup with pg_dump first"),
    "truncate_stmt": ("TRUNCATE deletes the rows", "copy the rows first: CREATE TABLE … AS TABLE"),
}
# The table that a statement creates.
MAKES_TABLE: dict[str, Callable[[Any], Any]] = {
    "create_stmt": lambda node: node.relation,
    "create_table_as_stmt": lambda node: node.into.rel,
    "select_stmt": lambda node: node.into_clause.rel,
}
DROPS_INSIDE = re.compile(r"^(DROP|TRUNCATE)$")


@dataclass(frozen=True)
class Change:
    """A statement that became one or more captures, and the line where it begins."""

    line: int
    was: str
    now: str

    def to_json(self) -> dict[str, Any]:
        return {"line": self.line, "statement": self.was, "replacement": self.now}


@dataclass(frozen=True)
class Left:
    """A statement that still loses something: why it did not become a capture, and what to do."""

    line: int
    statement: str
    reason: str
    hint: str

    def to_json(self) -> dict[str, Any]:
        return {
            "line": self.line,
            "statement": self.statement,
            "reason": self.reason,
            "hint": self.hint,
        }


@dataclass(frozen=True)
class Rewriting:
    """The bytes after the changes, the changes, and the statements that were left."""

    data: bytes
    changes: tuple[Change, ...] = ()
    left: tuple[Left, ...] = ()


@dataclass
class _Reader:
    """What the statements so far say: temporary tables are dropped as they are."""

    data: bytes
    strategy: Strategy
    migration_id: str | None
    temporary: set[str] = field(default_factory=set)

    def text(self, start: int, end: int) -> str:
        return self.data[start:end].decode("utf-8")

    def capture(self, kind: str, arguments: str, cascade: bool) -> str:
        options = [f"migration_id => {literal(self.migration_id)}"] if self.migration_id else []
        options += ["on_dependents => 'cascade'"] if cascade else []
        return f"zanith.{self.strategy}_{kind}({', '.join([arguments, *options])})"


def rewrite(
    data: bytes,
    strategy: Strategy = "archive",
    migration_id: str | None = None,
    name: str = "the text",
) -> Rewriting:
    """Return a migration with its drops as captures of the strategy.

    `migration_id` is written into each capture; `name` is the file's, for errors. Raises Unreadable
    where the text is not SQL.
    """
    reader = _Reader(data, strategy, migration_id)
    changes: list[Change] = []
    left: list[Left] = []
    parts: list[bytes] = []
    at = 0
    for statement in read_statements(data, name):
        was = reader.text(statement.start, statement.end)
        found = _judge(reader, statement)
        if isinstance(found, str):
            parts += [data[at : statement.start], found.encode()]
            at = statement.end
            changes.append(Change(statement.line, was, found))
        elif found:
            left.append(Left(statement.line, was, *found))
        _note_temporary(reader, statement)
    return Rewriting(b"".join([*parts, data[at:]]), tuple(changes), tuple(left))


def literal(text: str) -> str:
    """Return a text as a constant that standard_conforming_strings = off reads alike."""
    quoted = "'" + text.replace("'", "''").replace("\\", "\\\\") + "'"
    return f"E{quoted}" if "\\" in text else quoted


# ----------------------------------------------------------------------------- what a statement is


def _judge(reader: _Reader, statement: Statement) -> str | tuple[str, str] | None:
    """Return the captures instead of a statement, why it was left, or None: it loses nothing."""
    if statement.kind == "drop_stmt":
        return _judge_drop(reader, statement.node)
    if statement.kind == "alter_table_stmt":
        return _judge_alter(reader, statement)
    if statement.kind in ("do_stmt", "create_function_stmt"):
        return _judge_body(statement)
    return WHOLE.get(statement.kind)


def _judge_drop(reader: _Reader, node: Any) -> str | tuple[str, str] | None:
    cascade = node.behavior == pg.DROP_CASCADE
    if node.remove_type == pg.OBJECT_TABLE:
        names = [[item.string.sval for item in one.list.items] for one in node.objects]
        gone = [parts for parts in names if not _is_temporary(reader, parts)]
        if not gone:
            return None
        if len(gone) < len(names):
            return (
                "one DROP names temporary tables and others",
                "drop the temporary tables in a statement of their own",
            )
        return "; ".join(_drop_table(reader, parts, node.missing_ok, cascade) for parts in names)
    if node.remove_type == pg.OBJECT_SCHEMA and cascade:
        return "DROP SCHEMA … CASCADE drops its tables", "capture each table of the schema first"
    if cascade and node.remove_type in CASCADING:
        kind = CASCADING[node.remove_type]
        return (
            f"DROP {kind.upper()} … CASCADE can drop columns that depend on the {kind}",
            "capture these columns first, and leave out CASCADE",
        )
    return None


def _drop_table(reader: _Reader, parts: list[str], missing_ok: bool, cascade: bool) -> str:
    name = literal(quote(parts))
    if not missing_ok:
        return f"SELECT {reader.capture('table', name, cascade)}"
    call = reader.capture("table", "t.oid", cascade)
    return f"SELECT {call} FROM pg_catalog.to_regclass({name}) t(oid) WHERE t.oid IS NOT NULL"


def drops_column(statement: Statement) -> bool:
    """Whether a statement is an ALTER TABLE that drops a column."""
    if statement.kind != "alter_table_stmt":
        return False
    subtypes = {item.alter_table_cmd.subtype for item in statement.node.cmds}
    return pg.AT_DropColumn in subtypes


def _judge_alter(reader: _Reader, statement: Statement) -> str | tuple[str, str] | None:
    node = statement.node
    commands = [item.alter_table_cmd for item in node.cmds]
    dropped = [command.subtype == pg.AT_DropColumn for command in commands]
    if node.objtype == pg.OBJECT_TYPE and any(dropped):
        return (
            "DROP ATTRIBUTE drops values in every column of the type",
            "capture these columns first",
        )
    if node.objtype != pg.OBJECT_TABLE or _is_temporary(reader, _parts_of(node.relation)):
        return None
    if any(dropped):
        if not node.relation.inh:
            return ONLY
        return _drop_columns(reader, statement, commands, dropped)
    if any(command.subtype == pg.AT_AlterColumnType for command in commands):
        return (
            "ALTER COLUMN … TYPE can change the values",
            "keep the old values: add a column of the new type, fill it, and capture the old one",
        )
    return None


def _drop_columns(
    reader: _Reader, statement: Statement, commands: Sequence[Any], dropped: Sequence[bool]
) -> str | tuple[str, str]:
    node = statement.node
    segments = _split_actions(statement)
    if len(segments) != len(commands):
        return "its actions could not be told apart", "write each DROP COLUMN in its own statement"
    relation = literal(quote(_parts_of(node.relation)))
    # PostgreSQL drops first, whatever the order of the actions
    calls = [
        _drop_column(reader, relation, command, node.missing_ok)
        for command, goes in zip(commands, dropped, strict=True)
        if goes
    ]
    kept = [
        reader.text(segment[0].start, segment[-1].end)
        for segment, goes in zip(segments, dropped, strict=True)
        if not goes
    ]
    if kept:
        header = reader.text(statement.start, segments[0][0].start)
        calls.append(header + ", ".join(kept))
    return "; ".join(calls)


def _drop_column(reader: _Reader, relation: str, command: Any, table_may_miss: bool) -> str:
    cascade = command.behavior == pg.DROP_CASCADE
    column = literal(command.name)
    if not command.missing_ok and not table_may_miss:
        return f"SELECT {reader.capture('column', f'{relation}, {column}', cascade)}"
    call = reader.capture("column", "a.attrelid, a.attname", cascade)
    oid = (
        f"pg_catalog.to_regclass({relation})"
        if table_may_miss
        else f"{relation}::pg_catalog.regclass"
    )
    if not command.missing_ok:  # a table that exists has to have the column
        call = reader.capture("column", f"t.oid, {column}", cascade)
        return f"SELECT {call} FROM {oid} t(oid) WHERE t.oid IS NOT NULL"
    return (
        f"SELECT {call} FROM pg_catalog.pg_attribute a WHERE a.attrelid = {oid}"
        f" AND a.attname = {column} AND NOT a.attisdropped"
    )


def _split_actions(statement: Statement) -> list[list[Token]]:
    """Return the tokens of each action of ALTER TABLE."""
    segments: list[list[Token]] = [[]]
    depth = 0
    for token in _after_the_name(statement):
        if token.kind == COMMA and depth == 0:
            segments.append([])
            continue
        depth += (token.kind in OPENING) - (token.kind in CLOSING)
        segments[-1].append(token)
    return segments if all(segments) else []


def _after_the_name(statement: Statement) -> Iterable[Token]:
    tokens = list(statement.tokens)
    at = next(
        n for n, token in enumerate(tokens) if token.start == statement.node.relation.location
    )
    while at + 2 < len(tokens) and tokens[at + 1].kind == DOT:
        at += 2
    at += 1
    if tokens[at].kind == STAR:
        at += 1
    return tokens[at:]


def _judge_body(statement: Statement) -> tuple[str, str] | None:
    """Return why a DO block or a function was left: what its text drops only PostgreSQL knows."""
    node = statement.node
    options = node.args if statement.kind == "do_stmt" else node.options
    for body in bodies(options):
        if any(DROPS_INSIDE.match(token.kind) for token in read_tokens(body)):
            where = "a DO block" if statement.kind == "do_stmt" else "a function"
            return f"{where} drops something", "write the captures into its body"
    return None


def bodies(options: Iterable[Any]) -> Iterator[str]:
    """Yield the text of a DO block or of a function."""
    for option in options:
        element = option.def_elem
        if element.defname == "as":
            if element.arg.WhichOneof("node") == "string":
                yield element.arg.string.sval
            yield from (item.string.sval for item in element.arg.list.items)


# -------------------------------------------------------------------------------- temporary tables


def _parts_of(relation: Any) -> list[str]:
    return [part for part in (relation.catalogname, relation.schemaname, relation.relname) if part]


def _is_temporary(reader: _Reader, parts: Sequence[str]) -> bool:
    return parts[0] == "pg_temp" if len(parts) > 1 else parts[0] in reader.temporary


def _note_temporary(reader: _Reader, statement: Statement) -> None:
    if statement.kind not in MAKES_TABLE:
        return
    relation = MAKES_TABLE[statement.kind](statement.node)
    if relation.relpersistence == "t":
        reader.temporary.add(relation.relname)
