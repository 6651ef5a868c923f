"""Errors for people and for scripts: message, detail, hint, and never a traceback."""

from rich.padding import Padding
from rich.text import Text

from app.cli.console import Terminal
from app.cli.humanize import printable_block
from app.recovery.errors import ZanithError


def report(error: ZanithError, terminal: Terminal) -> None:
    """Print the error: on stderr, or with --json as the one document on stdout."""
    if terminal.json:
        terminal.emit({"error": error.as_dict()})
        return
    terminal.err.print(Text.assemble(("error: ", "bad"), _sentence(error.message)), soft_wrap=True)
    if error.detail:
        terminal.err.print(Padding(Text(printable_block(error.detail)), (0, 0, 0, 2), expand=False))
    if error.hint:
        terminal.err.print(Text.assemble(("hint: ", "flag"), printable_block(error.hint)))


def _sentence(message: str) -> str:
    return printable_block(message.strip())
