"""`zanith recover diff`: an artifact beside what has its name now."""

from typing import Annotated

import typer

from app.cli.options import DatabaseUrl, Json, Reference
from app.cli.progress import watching
from app.cli.render.diff import compared, sample
from app.cli.session import Session, run
from app.recovery.core.errors import WrongUsage
from app.recovery.inspection.definitions import read_definitions
from app.recovery.rows.compare import CLASSES, PAGE, Class, count_differences, sample_differences

app = typer.Typer()

# In the words of the command line.
_SHOWN: dict[str, Class] = {kind.replace("_", "-"): kind for kind in CLASSES}


@app.command("diff")
def diff_command(
    reference: Reference,
    show: Annotated[
        str | None,
        typer.Option("--show", metavar="CLASS", help=f"Also show rows: {', '.join(_SHOWN)}."),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option("--column", metavar="COLUMN", help="Show rows that differ in this column."),
    ] = None,
    limit: Annotated[
        int,
        typer.Option(
            "--limit", metavar="N", min=1, max=1000, help="The maximum number of rows to show."
        ),
    ] = PAGE,
    offset: Annotated[
        int, typer.Option("--offset", metavar="N", min=0, help="Leave out the first N rows.")
    ] = 0,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Compare an artifact with the object that has its name now.

    It shows the lines in which the definitions differ, and counts the values
    that are the same, changed, only archived and only live. --show adds rows
    by their key; the audit log records who looked at them.

    Example:

    $ zanith recover diff orders
    $ zanith recover diff orders.status --show changed
    $ zanith recover diff orders --show changed --column total
    $ zanith recover diff orders --json | jq .values.changed
    """
    if show is not None and show not in _SHOWN:
        raise WrongUsage(f"--show takes no {show}", hint=f"choose one of {', '.join(_SHOWN)}")
    kind = _SHOWN[show] if show else "changed" if column else None

    async def body(session: Session) -> None:
        db, actor = session.db, session.actor
        artifact, definitions = await read_definitions(db, reference)
        with watching(session.terminal, "Counting"):
            counted = await count_differences(db, artifact.id, actor)
        session.terminal.show(compared(artifact, definitions, counted))
        found = None
        if kind is not None:
            found = await sample_differences(
                db, artifact.id, actor, kind, column=column, limit=limit, offset=offset
            )
            session.terminal.show(sample(found))
        if as_json:
            session.terminal.emit(
                {
                    "artifact": artifact,
                    "definition": definitions.to_json(),
                    "values": counted.to_json(),
                    "sample": found.to_json() if found else None,
                }
            )

    run(body, url=database_url, json=as_json)
