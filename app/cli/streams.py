"""The three streams of the process, made usable whatever the command was started with."""

import codecs
import os
import stat
import sys
from pathlib import Path

from app.recovery.core.errors import WrongUsage

_FALLBACKS = dict(
    zip("–—·•…→×≤✓✗○◷⚠↩◐“”„‘’━─╭╮╰╯╸╺│", '---*~>x<+xo!!<%"""\'\'--------|', strict=True)
)
"""Our own marks in ASCII, each as wide as before."""

_closed: set[int] = set()


def prepare_streams() -> None:
    """Open the streams that were closed, and let no character end the command.

    A closed stream reads or writes nothing. What its encoding cannot print is shown in ASCII.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            _closed.add(number)
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    codecs.register_error("zanith", _fall_back)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="zanith")


def require_stdout() -> None:
    """WrongUsage where stdout was closed: what is written to it would be lost."""
    if 1 in _closed:
        raise WrongUsage("stdout is closed", hint="export to a file: --output FILE")


def takes_data() -> bool:
    """Whether stdout is a file or a pipe: no terminal, and not the null device."""
    try:
        kind = os.fstat(sys.stdout.fileno())
    except (OSError, ValueError):
        return False
    if stat.S_ISCHR(kind.st_mode):
        return not sys.stdout.isatty() and kind.st_rdev != Path(os.devnull).stat().st_rdev
    return True


def _fall_back(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_FALLBACKS.get(char) or _escape(char) for char in text), error.end


def _escape(char: str) -> str:
    return char.encode("ascii", "backslashreplace").decode()
