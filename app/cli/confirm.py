"""Asking before something that cannot be taken for granted: the object's name, typed."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from rich.text import Text

from app.cli.console import Terminal
from app.cli.humanize import printable
from app.recovery.errors import Refused, WrongUsage
from app.recovery.names import parse_name, quote


def require_person(
    terminal: Terminal, *, yes: bool, dry_run: bool = True, how: str = "--yes"
) -> None:
    """Refused where something must be confirmed and there is nobody to ask."""
    if not yes and not terminal.interactive:
        raise Refused(
            "not confirmed: there is no terminal to ask on",
            hint=f"pass {how} to confirm"
            + (", or --dry-run to see what would happen" if dry_run else ""),
        )


def confirm_name(
    terminal: Terminal, name: str, *, verb: str, yes: bool, repeat: bool = True
) -> None:
    """Ask for the object's name, whole or its last part; Refused when it does not come.

    `yes` answers in advance. Without a terminal there is nobody to ask, so it refuses. Without
    `repeat` the error does not say what was typed.
    """
    if yes:
        return
    answer = (ask(terminal, f"\nType {printable(name)} to {verb}: ") or "").strip()
    if not names_match(answer, name):
        raise Refused(
            "not confirmed: nothing was changed",
            detail=f"typed: {printable(answer)}" if answer and repeat else None,
            hint=f"type the name of the object, {printable(name)}, or its last part",
        )


def confirm_word(terminal: Terminal, word: str, *, why: str, yes: bool) -> None:
    """Ask for a word that says what one is about to do, such as the number of artifacts."""
    if yes:
        return
    answer = (ask(terminal, f"\nType {printable(word)} {why}: ") or "").strip()
    if answer != word:
        raise Refused("not confirmed: nothing was changed", hint=f"the word asked for is {word}")


def names_match(answer: str, name: str) -> bool:
    """Whether what was typed names the object: whole or its last part, quoted or as it reads."""
    parts = parse_name(name)
    if answer in {name, quote(parts[-1]), parts[-1], ".".join(parts)}:
        return True
    try:
        typed = parse_name(answer)
    except WrongUsage:
        return False
    return typed in {parts, parts[-1:]}


def ask(terminal: Terminal, question: str) -> str | None:
    """Ask a question and return the line that was typed, as it is; Refused with nobody to ask.

    None where the input ended instead, or was no text.
    """
    require_person(terminal, yes=False)
    try:
        with _ended_by_signals():
            # On stderr, so that stdout stays the result alone.
            terminal.err.print(Text(question, style="head"), end="", soft_wrap=True)
            line = sys.stdin.readline()
    except UnicodeDecodeError:
        return None
    return line.removesuffix("\n") if line else None


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the wait for a line: asyncio's own handlers wait for the loop."""

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt if number == signal.SIGINT else asyncio.CancelledError

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
