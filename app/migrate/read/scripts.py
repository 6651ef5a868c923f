"""The statements of a migration's script, with the comments that steer them."""

from __future__ import annotations

import re
import threading
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from weakref import WeakKeyDictionary

import postgast

from app.migrate.read.migrations import Script
from app.migrate.read.statements import COPY_HINT, Statement, Unreadable, read_statements, refuse
from app.migrate.risk import Reason

_STEER = re.compile(r"--[ \t]*zanith:[ \t]*(?P<word>[\w-]*)[ \t]*(?P<rest>.*?)\s*", re.IGNORECASE)
_WORDS = "no-transaction, strategy archive|soft, allow CODE, reason TEXT, down"
_STRATEGIES = ("archive", "soft")


@dataclass(frozen=True)
class Steering:
    """What comments say of a statement or file: `-- zanith: allow truncates_table`."""

    transaction: bool = True
    strategy: str | None = None
    allowed: frozenset[Reason] = frozenset()
    reason: str | None = None

    def over(self, other: Steering) -> Steering:
        """Return these words, and the other's where these say nothing."""
        return Steering(
            self.transaction and other.transaction,
            self.strategy or other.strategy,
            self.allowed | other.allowed,
            self.reason or other.reason,
        )


@dataclass(frozen=True)
class Steered:
    """A statement, its text, its column, and what comments say of it."""

    statement: Statement
    text: str
    column: int
    steering: Steering


@dataclass(frozen=True)
class Source:
    """A script as statements. `steering` is what comments say of the whole file."""

    statements: tuple[Steered, ...]
    steering: Steering = field(default_factory=Steering)

    def under(self, whole: Steering) -> Source:
        """Return the same with what another part of the file says of the whole file."""
        statements = tuple(
            replace(one, steering=one.steering.over(whole)) for one in self.statements
        )
        return Source(statements, self.steering.over(whole))


_read_already: WeakKeyDictionary[Script, Source] = WeakKeyDictionary()
_reading = threading.Lock()


def read_script(script: Script) -> Source:
    """Return the statements of a script in their order; they are kept as long as the script.

    Raises Unreadable, with file, line and column, for a text that is not SQL, a psql command, data
    of COPY, and a comment for Zanith that it does not know.
    """
    found = _read_already.get(script)
    if found is not None:
        return found
    with _reading:  # one at a time
        found = _read_already.get(script)
        if found is None:
            found = _read_already[script] = _read_script(script)
        return found


def _read_script(script: Script) -> Source:
    name = str(script.path)
    reader = _Reader(name, script.data)
    statements = read_statements(script.data, name)
    for statement in statements:
        node = statement.node
        if statement.kind == "copy_stmt" and node.is_from and not node.filename:
            raise reader.refuse(statement.start, "COPY … FROM stdin reads data", COPY_HINT)
    whole, each = _steer(reader, statements)
    found = []
    for statement, own in zip(statements, each, strict=True):
        text = script.data[statement.start : statement.end].decode("utf-8")
        found.append(Steered(statement, text, reader.column(statement.start), own.over(whole)))
    return Source(tuple(found), whole)


class _Reader:
    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self.data = data

    def column(self, place: int) -> int:
        start = self.data.rfind(b"\n", 0, place) + 1
        return len(self.data[start:place].decode("utf-8")) + 1

    def refuse(self, place: int, what: str, hint: str) -> Unreadable:
        return refuse(self.name, self.data[:place].decode("utf-8"), what, hint)

    @cached_property
    def comments(self) -> list[tuple[int, int]]:
        """The places of the comments to the end of the line."""
        if b"zanith:" not in self.data.lower():
            return []
        tokens = postgast.scan(self.data.decode("utf-8")).tokens
        kind = postgast.pg_query_pb2.Token.Value("SQL_COMMENT")
        return [(token.start, token.end) for token in tokens if token.token == kind]


def _steer(reader: _Reader, statements: Sequence[Statement]) -> tuple[Steering, list[Steering]]:
    """Return what comments say of the file, and of each statement.

    A comment steers the statement after it, or that which ends in its line. It steers the file if
    an empty line separates it from the first statement, or no statement follows.
    """
    whole = Steering()
    each = [Steering() for _ in statements]
    starts = [statement.start for statement in statements]
    for start, end in reader.comments:
        match = _STEER.fullmatch(reader.data[start:end].decode("utf-8"))
        if match is None:
            continue
        said = _read(reader, start, match["word"].lower(), match["rest"])
        place = _place(reader.data, start, end, statements, starts)
        if place is None or not said.transaction:
            whole = said.over(whole)
        else:
            each[place] = said.over(each[place])
    return whole, each


def _place(
    data: bytes, start: int, end: int, statements: Sequence[Statement], starts: Sequence[int]
) -> int | None:
    after = bisect_right(starts, start)
    if after and b"\n" not in data[statements[after - 1].start : start].rsplit(b";", 1)[-1]:
        return after - 1
    if after and start < statements[after - 1].end:  # inside of it
        return after - 1
    if after == len(statements):
        return None
    between = data[end : starts[after]].replace(b"\r", b"")
    return None if after == 0 and re.search(rb"\n[ \t]*\n", between) else after


def _read(reader: _Reader, place: int, word: str, rest: str) -> Steering:
    said = Steering()
    if word == "no-transaction":
        return replace(said, transaction=False)
    if word == "strategy" and rest in _STRATEGIES:
        return replace(said, strategy=rest)
    if word == "reason" and rest:
        return replace(said, reason=rest)
    if word == "allow":
        codes = re.split(r"[,\s]+", rest.strip())
        unknown = [code for code in codes if code not in set(Reason)]
        if not unknown:
            return replace(said, allowed=frozenset(Reason(code) for code in codes))
        raise reader.refuse(
            place,
            f"{unknown[0]!r} is not a reason code" if unknown[0] else "allow names no reason code",
            f"name one of: {', '.join(Reason)}",
        )
    raise reader.refuse(
        place, f"{f'{word} {rest}'.strip()!r} is not a comment for Zanith", f"write: {_WORDS}"
    )
