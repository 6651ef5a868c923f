"""Options that several commands share, declared once."""

from enum import StrEnum
from typing import Annotated

import typer

from app.cli.complete import complete_artifact
from app.recovery.durations import parse_duration
from app.recovery.errors import WrongUsage
from app.recovery.pace import Limits

DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        "--dbname",
        "-d",
        metavar="URL",
        help="A URL, host=… dbname=…, or a database's name; else ZANITH_DATABASE_URL, else the "
        "PG* variables.",
        rich_help_panel="Everywhere",
    ),
]
Jobs = Annotated[
    int,
    typer.Option(
        "--jobs",
        "-j",
        metavar="N",
        min=1,
        max=8,
        help="Read with N connections in parallel; the bytes are the same.",
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON document on stdout and nothing else there; errors as well.",
        rich_help_panel="Everywhere",
    ),
]
Yes = Annotated[
    bool,
    typer.Option("--yes", "-y", help="Confirm in advance; needed without a terminal."),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        "-n",
        help="Show the plan without running it; exit 4 if it is blocked.",
    ),
]
Reason = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
]
Reference = Annotated[
    str,
    typer.Argument(
        metavar="ARTIFACT",
        help="An id, a unique prefix of one (4 characters or more), or the name of what "
        "was dropped: its latest artifact.",
        autocompletion=complete_artifact,
    ),
]

OptionalReference = Annotated[
    str | None,
    typer.Argument(
        metavar="ARTIFACT",
        help="An id, a unique prefix of one (4 characters or more), or the name of what "
        "was dropped: its latest artifact.",
        autocompletion=complete_artifact,
    ),
]

# --------------------------------------------------------------------------------------- capture

MigrationId = Annotated[
    str | None,
    typer.Option(
        "--migration-id", metavar="ID", help="The migration that this capture belongs to."
    ),
]
ExpiresIn = Annotated[
    str | None,
    typer.Option(
        "--expires-in",
        metavar="30d|never",
        help="When cleanup --expired may take it; else ZANITH_RETENTION (30d).",
    ),
]


class OnDependents(StrEnum):
    """What happens to views and other objects that depend on what is dropped."""

    REFUSE = "refuse"
    KEEP = "keep"
    CASCADE = "cascade"


OnDependentsOption = Annotated[
    OnDependents,
    typer.Option(
        "--on-dependents",
        help="refuse as DROP does; keep them where a rename allows it; or record and drop them.",
    ),
]
PublishedOk = Annotated[
    bool,
    typer.Option("--published-ok", help="Continue although a publication includes the table."),
]


class Parking(StrEnum):
    """Rename in place, or copy (columns) or move (tables) to the shadow schema."""

    SOFT = "soft"
    ARCHIVE = "archive"


Strategy = Annotated[
    Parking,
    typer.Option(
        "--strategy",
        help="soft: rename, instant at any size. archive: move it out of the live schema, sealed.",
    ),
]

# ---------------------------------------------------------------------------------------- online

Online = Annotated[
    bool,
    typer.Option(
        "--online",
        help="Work in batches, with short locks, while reads and writes go on. The same "
        "command resumes a run that ended.",
        rich_help_panel="Online",
    ),
]
BatchTime = Annotated[
    str | None,
    typer.Option(
        "--batch-time",
        metavar="50ms",
        help="How long one batch should take. Default: 500ms for an archive, 50ms for a restore.",
        rich_help_panel="Online",
    ),
]
MaxRate = Annotated[
    int | None,
    typer.Option(
        "--max-rate",
        metavar="ROWS",
        help="The largest number of rows a second.",
        rich_help_panel="Online",
    ),
]
MaxLag = Annotated[
    str,
    typer.Option(
        "--max-lag",
        metavar="10s|never",
        help="Pause while a streaming replica is further behind. never: ignore replication lag.",
        rich_help_panel="Online",
    ),
]


def limits(batch_time: str | None, max_rate: int | None, max_lag: str) -> Limits:
    """Return how hard work in batches may press; WrongUsage for what is no duration or rate."""
    seconds, lag = parse_duration(batch_time) if batch_time else None, parse_duration(max_lag)
    if batch_time and seconds is None:
        raise WrongUsage(
            "--batch-time cannot be never", hint="write a duration, such as --batch-time 100ms"
        )
    found = Limits(
        seconds.total_seconds() if seconds else None, max_rate, lag.total_seconds() if lag else None
    )
    found.check()
    return found


# --------------------------------------------------------------------------------------- restore

As = Annotated[
    str | None,
    typer.Option(
        "--as", metavar="NAME", help="Restore under this name, if another object has the old one."
    ),
]
Fill = Annotated[
    str | None,
    typer.Option(
        "--fill",
        metavar="VALUE|default",
        help="For rows inserted since the drop: this value, or the column's default.",
    ),
]
AllowNull = Annotated[
    bool,
    typer.Option(
        "--allow-null", help="Restore without NOT NULL if rows inserted since have no value."
    ),
]
NotValid = Annotated[
    bool,
    typer.Option(
        "--not-valid",
        help="Restore constraints as NOT VALID if current rows violate them.",
    ),
]
SearchPath = Annotated[
    str | None,
    typer.Option(
        "--search-path",
        metavar="SCHEMAS",
        help="The search_path of the owner's functions, such as 'app, public'. Default: that "
        "of the session that dropped it.",
    ),
]
Without = Annotated[
    list[str] | None,
    typer.Option(
        "--without",
        metavar="WHAT",
        help="Leave out a part that cannot come back, such as 'foreign key orders_customer_fkey' "
        "or 'grants to reporting'; the plan says what. Can be given several times.",
    ),
]
CurrentOwner = Annotated[
    bool,
    typer.Option(
        "--current-owner",
        help="Restore a table that was given to another role meanwhile for that role.",
    ),
]
AsText = Annotated[
    bool,
    typer.Option(
        "--as-text",
        help="Restore an archived column as text, where its type was dropped or changed.",
    ),
]
Unverified = Annotated[
    bool,
    typer.Option(
        "--unverified",
        help="Restore without checking the archive against its seal. Asks again; audited.",
    ),
]
Detach = Annotated[
    bool,
    typer.Option(
        "--detach",
        help="Queue it for a worker (zanith worker or the studio) and return. zanith jobs "
        "shows how far it is.",
        rich_help_panel="Online",
    ),
]
FireTriggers = Annotated[
    bool,
    typer.Option(
        "--fire-triggers",
        help="Fire triggers for the rows that the backfill updates.",
        rich_help_panel="Online",
    ),
]
Rehearse = Annotated[
    bool,
    typer.Option(
        "--rehearse",
        help="Run every step and roll it back. Show how long each took, and what would differ. "
        "Takes the same locks.",
    ),
]
FromArtifact = Annotated[
    str | None,
    typer.Option(
        "--artifact",
        metavar="ID",
        help="This artifact instead of the latest recoverable one.",
        autocompletion=complete_artifact,
    ),
]
