"""PostgreSQL's parser, called so that no text ends the process, however deeply it nests.

libpg_query writes and reads a tree by recursion in C, at up to 256 bytes of stack a level, and does
not check the stack: a chain of 30,000 `||` in a thread of 8 MB ended the process. PostgreSQL
refuses such statements by max_stack_depth, 2 MB unless it is raised: with that, it takes a chain of
about 5,000 operators. What is read here goes further than that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import postgast
from google._upb import _message
from google.protobuf.message import DecodeError, EncodeError

from app.recovery.core.errors import WrongUsage

Given = TypeVar("Given")
Result = TypeVar("Result")

# protobuf reads 100 levels unless large messages are allowed, which makes it 65,535. A chain of
# operators takes two levels for each.
_message.SetAllowOversizeProtos(True)

SHALLOW = 1_000
"""Levels for which the stack of any thread is enough."""
DEEPEST = 65_535
"""Levels that are read at most. More would take minutes: the time grows with their square."""
STACK = 128 * 1024**2
"""Of a thread for deep statements, in bytes: the system gives memory to what is used of it."""
_SMALL = 8_192
_SETS = frozenset({"UNION", "INTERSECT", "EXCEPT"})
_OPEN = frozenset({"ASCII_40", "ASCII_91"})
_CLOSE = frozenset({"ASCII_41", "ASCII_93"})
_COMMA = "ASCII_44"
_SEMICOLON = "ASCII_59"
_starting = threading.Lock()


class TooDeep(WrongUsage):
    """A statement nests more deeply than its tree can be read."""

    def __init__(self) -> None:
        super().__init__(
            "the statement is nested too deeply",
            hint="divide it, or put parts of a long chain of operators into parentheses",
        )


def parse(text: str, kinds: Sequence[str]) -> Any:
    """Return the parse tree of a text with tokens of these kinds.

    Raises postgast.PgQueryError for what is not SQL, and TooDeep.
    """
    depth, _ = deepest(kinds)
    if depth > DEEPEST:
        raise TooDeep
    try:
        return postgast.parse(text) if depth <= SHALLOW else _with_stack(postgast.parse, text)
    except DecodeError:
        raise TooDeep from None
    except postgast.PgQueryError as error:
        if error.message.startswith("memory exhausted"):  # the parser's own limit: 10,000
            raise TooDeep from None
        raise


def deparse(tree: Any) -> str:
    """Return a parse tree as SQL text. Raises TooDeep."""
    size = tree.ByteSize()
    try:
        return str(
            postgast.deparse(tree) if size <= _SMALL else _with_stack(postgast.deparse, tree)
        )
    except (DecodeError, EncodeError):
        raise TooDeep from None


def deepest(kinds: Sequence[str]) -> tuple[int, int]:
    """Return a bound of the levels of a text's deepest statement, and that one's first token.

    A token adds levels to the element of a list that it is in, and to no other. A set operation
    adds one to all of its brackets, whatever commas are in its queries.
    """
    most, where, first = 0, 0, 0
    groups = [_Group()]
    for place, kind in enumerate(kinds):
        group = groups[-1]
        if kind in _OPEN:
            groups.append(_Group())
        elif kind in _CLOSE and len(groups) > 1:
            inner = groups.pop().depth
            groups[-1].inner = max(groups[-1].inner, inner)
        elif kind == _SEMICOLON and len(groups) == 1:
            if group.depth > most:
                most, where = group.depth, first
            groups, first = [_Group()], place + 1
        elif kind in _SETS:
            group.end_element()
            group.sets += 1
        elif kind in (_COMMA, _SEMICOLON):
            group.end_element()
        else:
            group.tokens += 1
    depth = sum(group.depth for group in groups)
    return (depth, first) if depth > most else (most, where)


class _Group:
    """What stands in brackets, up to some token of it."""

    __slots__ = ("inner", "longest", "sets", "tokens")

    def __init__(self) -> None:
        self.tokens = self.inner = self.sets = self.longest = 0

    @property
    def depth(self) -> int:
        return max(self.longest, self.tokens + self.inner) + self.sets + 1

    def end_element(self) -> None:
        self.longest = max(self.longest, self.tokens + self.inner)
        self.tokens = self.inner = 0


def _with_stack(work: Callable[[Given], Result], given: Given) -> Result:
    """Do some work in a thread that has a large stack."""
    with ThreadPoolExecutor(1, "zanith-parser") as pool:
        with _starting:  # the size is that of all threads that start now
            before = threading.stack_size(STACK)
            try:
                found = pool.submit(work, given)
            except RuntimeError:  # there is no room for such a stack
                raise TooDeep from None
            finally:
                threading.stack_size(before)
        return found.result()
