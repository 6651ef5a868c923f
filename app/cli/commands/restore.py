"""`zanith recover restore-…`: bring a column, a table or a whole migration back."""

from typing import Annotated

import typer

from app.cli.complete import (
    complete_dropped_column,
    complete_migration,
    complete_parked_table,
)
from app.cli.derived import expanded, taking
from app.cli.options import DatabaseUrl, FromArtifact, Json, OptionalReference
from app.cli.restoring import (
    How,
    choices,
    how,
    how_many,
    how_online,
    restore_any,
    restore_migration,
    restore_object,
)
from app.cli.session import run
from app.recovery.plan.model import Choices
from app.recovery.restore.migration import OF_ONE

app = typer.Typer()


@app.command("restore-column")
@expanded
def restore_column(
    name: Annotated[
        str,
        typer.Argument(
            metavar="TABLE.COLUMN",
            help="The name of the dropped column.",
            autocompletion=complete_dropped_column,
        ),
    ],
    artifact: FromArtifact = None,
    *,
    wanted: Annotated[Choices, choices("current_owner")],
    way: Annotated[How, taking(how_online)],
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Restore a dropped column: its latest recoverable artifact, soft-dropped or
    archived.

    It first shows the plan, the changes of live traffic since the capture, and
    the options that resolve them. With --online an archived column is filled
    in batches, while reads and writes go on. If the column is restored already,
    the command changes nothing, and says so.

    Example:

    $ zanith recover restore-column orders.legacy_code --dry-run
    $ zanith recover restore-column orders.legacy_code --rehearse
    $ zanith recover restore-column orders.legacy_code --fill 'n/a' --yes
    $ zanith recover restore-column orders.legacy_code --online --batch-time 20ms
    """
    run(
        lambda session: restore_object(session, name, "column", artifact, wanted, way),
        url=database_url,
        json=as_json,
    )


@app.command("restore")
@expanded
def restore_command(
    reference: OptionalReference = None,
    last: Annotated[
        bool, typer.Option("--last", help="Restore the latest recoverable drop.")
    ] = False,
    *,
    wanted: Annotated[Choices, choices()],
    way: Annotated[How, taking(how_online)],
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Restore the column or table of one artifact.

    It takes the options of restore-column and restore-table. It first shows
    the plan, and asks for the name.

    Example:

    $ zanith recover restore orders.legacy_code
    $ zanith recover restore 7k2m --dry-run
    $ zanith recover restore --last
    """
    run(
        lambda session: restore_any(session, reference, last=last, wanted=wanted, way=way),
        url=database_url,
        json=as_json,
    )


@app.command("restore-table")
@expanded
def restore_table(
    name: Annotated[
        str,
        typer.Argument(
            metavar="TABLE",
            help="The name of the dropped table.",
            autocompletion=complete_parked_table,
        ),
    ],
    artifact: FromArtifact = None,
    *,
    wanted: Annotated[Choices, choices("as_text", "online", "fire_triggers")],
    way: Annotated[How, taking(how)],
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Restore a dropped table with its indexes, constraints, triggers, policies
    and grants.

    The command first shows the plan, and asks for the name. It checks a moved
    table against its seal first, and restores a changed one only with
    --unverified.

    Example:

    $ zanith recover restore-table public.carts --dry-run
    $ zanith recover restore-table gift_cards --as gift_cards_old --yes
    """
    run(
        lambda session: restore_object(session, name, "table", artifact, wanted, way),
        url=database_url,
        json=as_json,
    )


@app.command("restore-migration")
@expanded
def restore_migration_command(
    migration_id: Annotated[
        str,
        typer.Argument(
            metavar="MIGRATION_ID",
            help="The --migration-id of the captures.",
            autocompletion=complete_migration,
        ),
    ],
    *,
    wanted: Annotated[Choices, choices(*OF_ONE)],
    way: Annotated[How, taking(how_many)],
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Restore everything that one migration dropped, newest first.

    The command first shows the plans, and asks for the migration id. All
    objects are one job, and each is one transaction. It stops at the first
    that fails; the same command resumes.

    Example:

    $ zanith recover restore-migration 0042_cleanup --dry-run
    $ zanith recover restore-migration 0042_cleanup --yes
    """
    run(
        lambda session: restore_migration(session, migration_id, wanted, way),
        url=database_url,
        json=as_json,
    )
