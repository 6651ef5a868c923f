"""`zanith recover restore-…`: bring a column, a table or a whole migration back."""

from typing import Annotated

import typer

from app.cli.complete import (
    complete_dropped_column,
    complete_migration,
    complete_parked_table,
)
from app.cli.options import (
    AllowNull,
    As,
    AsText,
    BatchTime,
    CurrentOwner,
    DatabaseUrl,
    Detach,
    DryRun,
    Fill,
    FireTriggers,
    FromArtifact,
    Json,
    MaxLag,
    MaxRate,
    NotValid,
    Online,
    OptionalReference,
    Rehearse,
    SearchPath,
    Unverified,
    Without,
    Yes,
    limits,
)
from app.cli.restoring import choices, how, restore_any, restore_migration, restore_object
from app.cli.session import run

app = typer.Typer()


@app.command("restore-column")
def restore_column(
    name: Annotated[
        str,
        typer.Argument(
            metavar="TABLE.COLUMN",
            help="The column, as it was called.",
            autocompletion=complete_dropped_column,
        ),
    ],
    artifact: FromArtifact = None,
    as_name: As = None,
    fill: Fill = None,
    allow_null: AllowNull = False,
    not_valid: NotValid = False,
    unverified: Unverified = False,
    search_path: SearchPath = None,
    without: Without = None,
    as_text: AsText = False,
    online: Online = False,
    fire_triggers: FireTriggers = False,
    batch_time: BatchTime = None,
    max_rate: MaxRate = None,
    max_lag: MaxLag = "10s",
    detach: Detach = False,
    rehearse: Rehearse = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Bring back a dropped column: its latest recoverable artifact, soft-dropped
    or archived.

    The plan is shown first, with what live traffic changed since and the
    options that resolve it. With --online an archived column is filled in batches,
    while reads and writes go on. Restoring what is already back is a no-op that says
    so.

    Example:

    $ zanith recover restore-column orders.legacy_code --dry-run
    $ zanith recover restore-column orders.legacy_code --rehearse
    $ zanith recover restore-column orders.legacy_code --fill 'n/a' --yes
    $ zanith recover restore-column orders.legacy_code --online --batch-time 20ms
    """
    wanted = choices(
        *(as_name, fill, allow_null, not_valid, unverified),
        online=online,
        fire_triggers=fire_triggers,
        search_path=search_path,
        without=without,
        as_text=as_text,
    )
    pace = limits(batch_time, max_rate, max_lag)
    run(
        lambda session: restore_object(
            session,
            name,
            "column",
            artifact,
            wanted,
            how(dry_run, rehearse, yes, pace, detach=detach),
        ),
        url=database_url,
        json=as_json,
    )


@app.command("restore")
def restore_command(
    reference: OptionalReference = None,
    last: Annotated[
        bool, typer.Option("--last", help="What was dropped last, of what can come back.")
    ] = False,
    as_name: As = None,
    fill: Fill = None,
    allow_null: AllowNull = False,
    not_valid: NotValid = False,
    unverified: Unverified = False,
    search_path: SearchPath = None,
    without: Without = None,
    as_text: AsText = False,
    current_owner: CurrentOwner = False,
    online: Online = False,
    fire_triggers: FireTriggers = False,
    batch_time: BatchTime = None,
    max_rate: MaxRate = None,
    max_lag: MaxLag = "10s",
    detach: Detach = False,
    rehearse: Rehearse = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Bring back what one artifact holds, a column or a table.

    It takes the options of restore-column and restore-table. The plan is shown
    first, and the name is asked for.

    Example:

    $ zanith recover restore orders.legacy_code
    $ zanith recover restore 7k2m --dry-run
    $ zanith recover restore --last
    """
    wanted = choices(
        *(as_name, fill, allow_null, not_valid, unverified),
        online=online,
        fire_triggers=fire_triggers,
        search_path=search_path,
        without=without,
        as_text=as_text,
        current_owner=current_owner,
    )
    way = how(dry_run, rehearse, yes, limits(batch_time, max_rate, max_lag), detach=detach)
    run(
        lambda session: restore_any(session, reference, last=last, wanted=wanted, way=way),
        url=database_url,
        json=as_json,
    )


@app.command("restore-table")
def restore_table(
    name: Annotated[
        str,
        typer.Argument(
            metavar="TABLE",
            help="The table, as it was called.",
            autocompletion=complete_parked_table,
        ),
    ],
    artifact: FromArtifact = None,
    as_name: As = None,
    fill: Fill = None,
    allow_null: AllowNull = False,
    not_valid: NotValid = False,
    unverified: Unverified = False,
    search_path: SearchPath = None,
    without: Without = None,
    current_owner: CurrentOwner = False,
    rehearse: Rehearse = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Bring back a dropped table with its indexes, constraints, triggers, policies
    and grants.

    A moved table is checked against its seal first; a changed archive is never
    restored.

    Example:

    $ zanith recover restore-table public.carts --dry-run
    $ zanith recover restore-table gift_cards --as gift_cards_old --yes
    """
    wanted = choices(
        *(as_name, fill, allow_null, not_valid, unverified),
        search_path=search_path,
        without=without,
        current_owner=current_owner,
    )
    run(
        lambda session: restore_object(
            session, name, "table", artifact, wanted, how(dry_run, rehearse, yes)
        ),
        url=database_url,
        json=as_json,
    )


@app.command("restore-migration")
def restore_migration_command(
    migration_id: Annotated[
        str,
        typer.Argument(
            metavar="MIGRATION_ID",
            help="What the captures were given.",
            autocompletion=complete_migration,
        ),
    ],
    fill: Fill = None,
    allow_null: AllowNull = False,
    not_valid: NotValid = False,
    unverified: Unverified = False,
    search_path: SearchPath = None,
    without: Without = None,
    as_text: AsText = False,
    current_owner: CurrentOwner = False,
    rehearse: Rehearse = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Bring back everything that one migration dropped, newest first.

    Example:

    $ zanith recover restore-migration 0042_cleanup --dry-run
    $ zanith recover restore-migration 0042_cleanup --yes
    """
    wanted = choices(
        *(None, fill, allow_null, not_valid, unverified),
        search_path=search_path,
        without=without,
        as_text=as_text,
        current_owner=current_owner,
    )
    run(
        lambda session: restore_migration(
            session, migration_id, wanted, how(dry_run, rehearse, yes)
        ),
        url=database_url,
        json=as_json,
    )
