"""The `zanith` command: parse, call the engine, show. It decides nothing and writes no SQL."""

import asyncio
import re
import sys
from collections.abc import Sequence

import typer

from app.cli.console import Terminal, leave_pipe
from app.cli.document import COMMAND, command_words, commands_named, is_group
from app.cli.exits import Exit, exit_for
from app.cli.failure import report
from app.cli.streams import prepare_streams
from app.recovery.core.errors import WrongUsage, ZanithError
from app.recovery.core.translate import translate
from app.server.logs import be_quiet

__all__ = ["main"]

_GO_ON = (
    "committed batches stay: run the same command again to resume;"
    " zanith recover doctor says how to undo them"
)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and end the process; no error leaves as a traceback."""
    prepare_streams()
    be_quiet()
    arguments = list(sys.argv[1:] if args is None else args)
    sys.exit(_run(arguments))


def _run(arguments: list[str]) -> int:
    from app.cli.tree import command

    tree = command(arguments)
    COMMAND.set(command_words(tree, arguments))
    if arguments == COMMAND.get().split() and is_group(tree, arguments):
        arguments = [*arguments, "--help"]
    try:
        code = tree.main(arguments, prog_name="zanith", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        return int(leave_pipe())
    except BaseException as exc:  # noqa: BLE001 - the last line before the user: all must be said
        return _end(exc, arguments)
    if code == Exit.INTERRUPTED:
        return _end(KeyboardInterrupt(), arguments)
    return int(code or Exit.DONE)


def _end(exc: BaseException, arguments: list[str]) -> int:
    interrupted = _Interrupted(hint=_GO_ON if "--online" in arguments else None)
    try:
        return _say(exc, _terminal(arguments), interrupted)
    except BrokenPipeError:
        return int(leave_pipe())
    except OSError:  # stdout takes no more, so that the JSON document cannot be written either
        return _say(exc, Terminal(), interrupted)


def _say(exc: BaseException, terminal: Terminal, interrupted: ZanithError) -> int:
    if isinstance(exc, SystemExit):
        return exc.code if isinstance(exc.code, int) else int(Exit.FAILED)
    if isinstance(exc, KeyboardInterrupt | typer.Abort | asyncio.CancelledError):
        report(interrupted, terminal)
        return int(Exit.TERMINATED if isinstance(exc, asyncio.CancelledError) else Exit.INTERRUPTED)
    error = _usage(exc) if isinstance(exc, typer.TyperException) else translate(exc)
    report(error, terminal)
    return int(exit_for(error))


class _Interrupted(ZanithError):
    """interrupted: what was not committed has not happened"""

    code = "interrupted"


def _usage(exc: typer.TyperException) -> ZanithError:
    """What the parser did not understand, with the help to look at."""
    context = getattr(exc, "ctx", None)
    path = context.command_path if context is not None else "zanith"
    message = exc.format_message().replace("Value error, ", "")
    unknown = re.match(r"No such command '([\w-]+)'", message)
    found = commands_named(context.command, unknown[1]) if unknown and context else []
    return WrongUsage(message, hint=" or ".join(found) or f"{path} --help")


def _terminal(arguments: list[str]) -> Terminal:
    """Where errors go, also for arguments that could not be parsed."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return Terminal(json="--json" in own)
