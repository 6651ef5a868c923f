"""Asking before something that cannot be taken for granted: the object's name, typed."""

import sys

from rich.text import Text

from app.cli.console import Terminal
from app.cli.humanize import printable
from app.recovery.errors import Refused, WrongUsage
from app.recovery.names import parse_name, quote


def require_person(terminal: Terminal, *, yes: bool, dry_run: bool = True) -> None:
    """Refused where something must be confirmed and there is nobody to ask."""
    if not yes and not terminal.interactive:
        raise Refused(
            "not confirmed: there is no terminal to ask on",
            hint="pass --yes to confirm"
            + (", or --dry-run to see what would happen" if dry_run else ""),
        )


def confirm_name(terminal: Terminal, name: str, *, verb: str, yes: bool) -> None:
    """Ask for the object's name, whole or its last part; Refused when it does not come.

    `yes` answers in advance. Without a terminal there is nobody to ask, so it refuses.
    """
    if yes:
        return
    answer = _ask(terminal, f"Type {printable(name)} to {verb}: ")
    if not names_match(answer, name):
        raise Refused(
            "not confirmed: nothing was changed",
            detail=f"typed: {printable(answer)}" if answer else None,
            hint=f"type the name of the object, {printable(name)}, or its last part",
        )


def confirm_word(terminal: Terminal, word: str, *, why: str, yes: bool) -> None:
    """Ask for a word that says what one is about to do, such as the number of artifacts."""
    if yes:
        return
    answer = _ask(terminal, f"Type {printable(word)} {why}: ")
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


def _ask(terminal: Terminal, question: str) -> str:
    require_person(terminal, yes=False)
    # On stderr, so that stdout stays the result alone.
    terminal.err.print(Text(f"\n{question}", style="head"), end="", soft_wrap=True)
    try:
        return sys.stdin.readline().strip()
    except UnicodeDecodeError:
        return ""
