"""`zanith rewrite`: the drops of another tool's migration become captures."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.cli import options
from app.cli.console import Terminal
from app.cli.exits import Exit, stop
from app.cli.options import Json, Parking
from app.cli.render.rewrite import differences, summary, summary_of_text
from app.migrate.rewriting.files import find_files, rewrite_files, write_files
from app.migrate.rewriting.rewrite import Strategy, rewrite
from app.recovery.core.errors import WrongUsage

app = typer.Typer()

_FUNCTIONS: dict[Parking, Strategy] = {Parking.ARCHIVE: "archive", Parking.SOFT: "soft_drop"}


@app.command("rewrite")
def rewrite_command(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", help="SQL files, directories of them, or - for stdin."),
    ],
    *,
    in_place: Annotated[
        bool, typer.Option("--in-place", "-i", help="Write the files; do not print the difference.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Write nothing; exit 4 if a statement still drops or deletes data."
        ),
    ] = False,
    strategy: options.Strategy = Parking.ARCHIVE,
    migration_id: Annotated[
        str | None,
        typer.Option(
            "--migration-id",
            metavar="ID",
            help="The migration of the captures. Default: the file's name; none for stdin. "
            "Empty: none.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """
    Turn the drops of a migration into captures.

    DROP TABLE and DROP COLUMN become calls of Zanith's functions. No other
    byte of a file changes. The command names other statements that lose data,
    such as TRUNCATE, with the reason and the alternative. Without --in-place it
    prints the difference. For stdin (-) it prints the new text. If one file
    cannot be read, no file is written.

    Example:

    $ zanith rewrite migrations/
    $ zanith rewrite migrations/0042_drop_code.sql --in-place
    $ zanith rewrite migrations/ --check
    $ alembic upgrade FROM:head --sql | zanith rewrite - | psql -1 shop
    """
    terminal = Terminal(json=as_json)
    if Path("-") in paths:
        if len(paths) > 1 or in_place:
            raise WrongUsage("- is stdin, and takes no other path and no --in-place")
        _rewrite_stdin(terminal, _FUNCTIONS[strategy], migration_id, check=check)
        return
    files = rewrite_files(find_files(paths), _FUNCTIONS[strategy], migration_id)
    written = write_files(files) if in_place and not check else 0
    if not in_place and not check:
        terminal.page(differences(files))
    terminal.say(summary(files, written=written))
    if as_json:
        terminal.emit({"files": [file.to_json() for file in files], "written": written})
    if check and any(file.changed or file.result.left for file in files):
        stop(Exit.REFUSED)


def _rewrite_stdin(
    terminal: Terminal, strategy: Strategy, migration_id: str | None, *, check: bool
) -> None:
    data = sys.stdin.buffer.read()
    result = rewrite(data, strategy, migration_id, "stdin")
    if terminal.json:
        terminal.emit(
            {
                "text": result.data.decode("utf-8"),
                "changes": [change.to_json() for change in result.changes],
                "left": [left.to_json() for left in result.left],
            }
        )
    elif not check:
        sys.stdout.buffer.write(result.data)
        sys.stdout.flush()
    terminal.say(summary_of_text(result))
    if check and (result.changes or result.left):
        stop(Exit.REFUSED)
