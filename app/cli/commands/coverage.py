"""`zanith coverage`: of the drops that PostgreSQL would carry out, which share is recoverable."""

from typing import Annotated

import typer

from app.cli.exits import Exit, stop
from app.cli.options import DatabaseUrl, Json
from app.cli.progress import watching
from app.cli.render.coverage import covered
from app.cli.session import Session, run
from app.recovery.inspection.coverage import measure_coverage

app = typer.Typer()


@app.command("coverage")
def coverage_command(
    fail_under: Annotated[
        float | None,
        typer.Option(
            "--fail-under",
            metavar="PERCENT",
            min=0,
            max=100,
            help="Exit 4 below this share, or if no drop was judged.",
        ),
    ] = None,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Show the share of all drops in this database that Zanith can undo, and the
    reasons for the others.

    It checks every table and every column, with CASCADE and without, and
    counts the drops that PostgreSQL would carry out. It only reads the
    catalog. A drop is not judged if another role owns the table, or if its
    check ended with a temporary error.

    Example:

    $ zanith coverage
    $ zanith coverage --json | jq '.drops.share, .gaps[].reason'
    """

    async def body(session: Session) -> None:
        with watching(session.terminal, "Judging drops") as follow:
            found = await measure_coverage(session.db, on_progress=follow)
        session.terminal.page(covered(found))
        if as_json:
            session.terminal.emit(found.to_json())
        share = found.all.share
        if fail_under is not None and (share is None or share * 100 < fail_under):
            stop(Exit.REFUSED)

    run(body, url=database_url, json=as_json, read_only=True)
