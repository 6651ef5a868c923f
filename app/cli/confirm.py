"""Asking before something that cannot be taken for granted: the object's name, typed."""

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from rich.text import Text

from app.cli.console import Terminal
from app.cli.humanize import printable
from app.recovery.core.errors import Refused
from app.recovery.core.names import names_object

_TRIES = 3
_NO = frozenset({"", "n", "no", "q", "quit"})


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
    terminal: Terminal,
    name: str,
    artifact_id: str | None = None,
    *,
    verb: str,
    yes: bool,
    repeat: bool = True,
) -> None:
    """Ask for the object's name, as `names_object` has it; Refused when it does not come.

    `yes` answers in advance. Without a terminal there is nobody to ask, so it refuses. Without
    `repeat` nothing says what was typed.
    """
    if not yes:
        _ask_until(
            terminal,
            f"Type {printable(name)} to {verb}: ",
            lambda answer: names_object(answer, name, artifact_id),
            hint=f"type the name of the object, {printable(name)}, or its last part",
            repeat=repeat,
        )


def confirm_word(terminal: Terminal, word: str, *, why: str, yes: bool) -> None:
    """Ask for a word that says what one is about to do, such as the number of artifacts."""
    if not yes:
        _ask_until(
            terminal,
            f"Type {printable(word)} {why}: ",
            lambda answer: answer == word,
            hint=f"the word asked for is {printable(word)}",
        )


def _ask_until(
    terminal: Terminal,
    question: str,
    fits: Callable[[str], bool],
    *,
    hint: str,
    repeat: bool = True,
) -> None:
    """Ask until the answer fits; Refused after a few typos, and at once where it is none or no."""
    typed = None
    for number in range(_TRIES):
        answer = (ask(terminal, question if number else f"\n{question}") or "").strip()
        if fits(answer):
            return
        typed = f"typed: {printable(answer)}" if answer and repeat else None
        if answer.lower() in _NO:
            break
        if number < _TRIES - 1:
            said = f"{printable(answer)} is something else." if repeat else "That does not match."
            terminal.err.print(Text(f"{said} Nothing was changed. Enter alone stops."))
    raise Refused("not confirmed: nothing was changed", detail=typed, hint=hint)


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
