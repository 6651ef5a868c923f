"""SQL text as statements, by PostgreSQL's own parser, each with its place in the bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import postgast

from app.migrate.read.parser import TooDeep, deepest, parse
from app.recovery.core.errors import WrongUsage

PSQL_HINT = (
    "psql commands, psql variables and data of COPY are not SQL: send the statement by itself"
)

_PLACEHOLDERS = "Zanith does not replace placeholders: write their values into the file first"

COPY_HINT = "write the rows as INSERT; pg_dump --inserts writes them so"
# Only the statement right before the place: its data begin where the parser stops.
_COPY = re.compile(r"\bCOPY\b[^;]*\bFROM\s+stdin\b[^;]*;\s*(\S[^;]*)?\Z", re.IGNORECASE)


class Token(NamedTuple):
    """A token of a statement: its kind as the parser names it, and its place in bytes."""

    kind: str
    start: int
    end: int


_KINDS = {
    number: name
    for name, number in postgast.pg_query_pb2.Token.items()
    if name not in ("SQL_COMMENT", "C_COMMENT")
}


@dataclass(frozen=True)
class Statement:
    """A statement without the comments before it and without its semicolon.

    `node` is the parse tree below RawStmt, in the messages of libpg_query, and `kind` the name of
    its field there, such as "drop_stmt". `start` and `end` are offsets in bytes.
    """

    kind: str
    node: Any
    tokens: tuple[Token, ...]
    line: int

    @property
    def start(self) -> int:
        return self.tokens[0].start

    @property
    def end(self) -> int:
        return self.tokens[-1].end


class Unreadable(WrongUsage):
    """The text is not SQL that PostgreSQL's parser accepts."""

    line: int = 1
    column: int = 1


def read_statements(data: bytes, name: str = "the text") -> list[Statement]:
    """Return the statements of a text in their order.

    Raises Unreadable, with the line and the column, where the text is not UTF-8 or not SQL.
    """
    text = _decode(data, name)
    tokens = read_tokens(text)
    kinds = [token.kind for token in tokens]
    try:
        parsed = parse(text, kinds)
    except postgast.PgQueryError as error:
        raise _unreadable(text, error, name) from None
    except TooDeep as error:
        _, first = deepest(kinds)
        before = text.encode()[: tokens[first].start].decode()
        raise refuse(name, before, error.message, error.hint or "") from None
    return [statement for statement in _place(data, text, parsed, tokens) if statement.tokens]


def read_tokens(text: str) -> list[Token]:
    """Return the tokens of a text without its comments; [] where the scanner does not accept it."""
    try:
        scanned = postgast.scan(text).tokens
    except postgast.PgQueryError:
        return []
    found = ((_KINDS.get(token.token), token.start, token.end) for token in scanned)
    return [Token(kind, start, end) for kind, start, end in found if kind is not None]


def _decode(data: bytes, name: str) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        raise refuse(name, before, "the file is not UTF-8", "convert it: iconv -t UTF-8") from None
    if "\0" in text:
        before = text[: text.index("\0")]
        raise refuse(name, before, "the text holds a zero byte", "it is not a SQL file")
    # the scanner knows no byte order mark: three blanks keep every offset
    return "   " + text[1:] if text.startswith("\ufeff") else text


def _place(data: bytes, text: str, parsed: Any, tokens: list[Token]) -> Iterator[Statement]:
    size = len(text.encode())
    at = 0
    for raw in parsed.stmts:
        first = raw.stmt_location
        last = first + raw.stmt_len if raw.stmt_len else size
        while at < len(tokens) and tokens[at].start < first:
            at += 1
        mine: list[Token] = []
        while at < len(tokens) and tokens[at].end <= last:
            if tokens[at].kind != "ASCII_59" or mine:  # a semicolon
                mine.append(tokens[at])
            at += 1
        while mine and mine[-1].kind == "ASCII_59":
            mine.pop()
        kind = raw.stmt.WhichOneof("node") or ""
        line = data[: mine[0].start].count(b"\n") + 1 if mine else 1
        yield Statement(kind, getattr(raw.stmt, kind), tuple(mine), line)


def _unreadable(text: str, error: postgast.PgQueryError, name: str) -> Unreadable:
    place = max((error.cursorpos or 1) - 1, 0)
    before, rest = text[:place], text[place:]
    data = _COPY.search(before)
    if rest.startswith("\\"):
        word = rest.split(maxsplit=1)[0]
        return refuse(name, before, f"{word} is a psql command, not SQL", "leave it out")
    if data is not None:
        return refuse(
            name, before, f"{error.message}: COPY … FROM stdin has data after it", COPY_HINT
        )
    if rest.startswith("${"):
        word = rest.partition("}")[0]
        return refuse(name, before, f"{word}}} is a placeholder, not SQL", _PLACEHOLDERS)
    psql = rest[:1] in (":", "@")
    return refuse(name, before, error.message, PSQL_HINT if psql else "correct the statement")


def refuse(name: str, before: str, what: str, hint: str) -> Unreadable:
    """Return the error at a place: `before` is the text before it."""
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1) + 1
    error = Unreadable(f"{name}:{line}:{column}: {what}", hint=hint)
    error.line, error.column = line, column
    return error
