"""Exit codes: what a script may rely on, mapped from the engine's errors in this one place."""

from enum import IntEnum
from typing import NoReturn

import typer

from app.recovery.core.errors import ZanithError


class Exit(IntEnum):
    """What the process ends with; 0 to 6 are documented, the rest are the shell's habits."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    LOCKED = 5
    NOT_PERMITTED = 6
    INTERRUPTED = 130  # 128 + SIGINT
    TERMINATED = 143  # 128 + SIGTERM
    BROKEN_PIPE = 141  # 128 + SIGPIPE: the reader of our output has gone


_BY_CODE = {
    "failed": Exit.FAILED,
    "usage": Exit.USAGE,
    "not_found": Exit.NOT_FOUND,
    "refused": Exit.REFUSED,
    "approval_needed": Exit.REFUSED,
    "not_installed": Exit.REFUSED,
    "locked": Exit.LOCKED,
    "not_permitted": Exit.NOT_PERMITTED,
    "not_authenticated": Exit.NOT_PERMITTED,
}


def exit_for(error: ZanithError) -> Exit:
    """The exit code of an error; one that the table does not know is a failure."""
    return _BY_CODE.get(error.code, Exit.FAILED)


def stop(code: Exit) -> NoReturn:
    """End the command with this code, after it has said all that there is to say."""
    raise typer.Exit(int(code))
