"""Conditions of a search for rows: a column, an operator, and a value as text.

What somebody types is read here and becomes data. No text of theirs gets into a statement: the
database quotes the names, and the values are parameters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.recovery.core.errors import WrongUsage
from app.recovery.core.names import parse_name

MOST = 8
OPERATORS = ("=", "<>", "<", "<=", ">", ">=", "LIKE", "IS NULL", "IS NOT NULL")
WITHOUT_VALUE = ("IS NULL", "IS NOT NULL")
EXAMPLE = "write it such as: order_id = 4711 AND note LIKE 'gift%'"

_NAME = re.compile(r'\s*("(?:[^"\0]|"")+"|[A-Za-z_\u0080-\U0010ffff][\w$\u0080-\U0010ffff]*)')
_OPERATOR = re.compile(
    r"\s*(<>|!=|<=|>=|=|<|>|LIKE\b|IS\s+NOT\s+NULL\b|IS\s+NULL\b)", re.IGNORECASE
)
_TEXT = re.compile(r"\s*'((?:[^']|'')*)'")
_BARE = re.compile(r"\s*([^\s'\"();,]+)")
_AND = re.compile(r"\s+AND\b", re.IGNORECASE)


@dataclass(frozen=True)
class Condition:
    """One condition; ``value`` is None where the operator takes none."""

    column: str
    operator: str
    value: str | None = None


class WrongConditions(WrongUsage):
    """The search cannot be run as it is written.

    ``errors`` has the number of the condition, what is wrong with it, and what to write instead.
    """

    def __init__(self, errors: Sequence[tuple[int, str, str]], names: Sequence[str] = ()) -> None:
        number, message, hint = errors[0]
        name = f"{names[number]}: " if number < len(names) else ""
        super().__init__(f"{name}{message}", hint=hint)
        self.errors = tuple(errors)


def parse_conditions(texts: Iterable[str]) -> tuple[Condition, ...]:
    """Return the conditions that texts state, each one or several with AND between them.

    WrongUsage says where a text cannot be read, and what to write.
    """
    found: list[Condition] = []
    for text in texts:
        found += _parse(text)
    return check_number(found)


def check_number(conditions: Sequence[Condition]) -> tuple[Condition, ...]:
    """Return the conditions; WrongUsage where there are none or too many."""
    if not 0 < len(conditions) <= MOST:
        raise WrongUsage("say which rows", hint=f"give 1 to {MOST} conditions; {EXAMPLE}")
    return tuple(conditions)


def to_json(conditions: Sequence[Condition]) -> list[dict[str, Any]]:
    """Return them as the database takes them."""
    return [asdict(condition) for condition in conditions]


def _parse(text: str) -> list[Condition]:
    found, at = [], 0
    while True:
        name = _NAME.match(text, at)
        if name is None:
            raise _unread(text, at, "the name of a column")
        operator = _OPERATOR.match(text, name.end())
        if operator is None:
            raise _unread(text, name.end(), f"one of {', '.join(OPERATORS)}")
        (column,) = parse_name(name.group(1))
        said = " ".join(operator.group(1).upper().split()).replace("!=", "<>")
        at, value = operator.end(), None
        if said not in WITHOUT_VALUE:
            value, at = _value(text, at)
        found.append(Condition(column, said, value))
        if not text[at:].strip():
            return found
        joined = _AND.match(text, at)
        if joined is None:
            raise _unread(text, at, "AND, or the end; there is no OR")
        at = joined.end()


def _value(text: str, at: int) -> tuple[str, int]:
    quoted = _TEXT.match(text, at)
    if quoted is not None:
        return quoted.group(1).replace("''", "'"), quoted.end()
    bare = _BARE.match(text, at)
    if bare is None:
        raise _unread(text, at, "a value: a number, or a text in single quotes")
    if bare.group(1).upper() == "NULL":
        raise WrongUsage("nothing is equal to NULL", hint="write IS NULL or IS NOT NULL")
    return bare.group(1), bare.end()


def _unread(text: str, at: int, wanted: str) -> WrongUsage:
    """Return the error; it does not repeat the text, in which values of rows stand."""
    rest = text[at:].strip()
    where = f"at character {len(text) - len(rest) + 1}" if rest else "at its end"
    return WrongUsage(f"the condition cannot be read {where}: expected {wanted}", hint=EXAMPLE)
