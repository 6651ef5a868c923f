"""Output that is longer than the screen goes through a pager, as in psql and git."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType

DEFAULT = "less"
_OFF = frozenset({"", "cat"})


def page(console: Console, *parts: RenderableType) -> None:
    """Print the parts; through the pager where they are longer than the screen."""
    program = command()
    if program is None or not (console.is_terminal and sys.stdin.isatty()):
        for part in parts:
            console.print(part)
        return
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    text = captured.get()
    if text.count("\n") < console.height or not _run(program, text):
        console.file.write(text)
        console.file.flush()


def command() -> list[str] | None:
    """Return the pager of ZANITH_PAGER, else PAGER, else less; None where there shall be none."""
    chosen = os.environ.get("ZANITH_PAGER", os.environ.get("PAGER", DEFAULT)).strip()
    if chosen in _OFF:
        return None
    try:
        return shlex.split(chosen)
    except ValueError:  # an open quote
        return None


def _run(program: list[str], text: str) -> bool:
    """Let the pager show the text; False where there is no such program."""
    # less ends by itself for what fits, passes colours on and leaves the text on the screen
    environment = {"LESS": "FRX", "LV": "-c", **os.environ}
    try:
        with _interrupts_are_the_pagers():
            subprocess.run(  # noqa: S603 - the person's own setting, as for psql and git
                program, input=text, encoding="utf-8", errors="replace", env=environment,
                check=False,
            )  # fmt: skip
    except OSError:
        return False
    return True


@contextmanager
def _interrupts_are_the_pagers() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
