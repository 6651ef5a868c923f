"""Options that several commands share, declared once."""

from enum import StrEnum
from typing import Annotated

import typer

from app.cli.complete import complete_artifact
from app.cli.derived import taking
from app.recovery.core.durations import parse_duration
from app.recovery.core.errors import WrongUsage
from app.recovery.jobs.throttle import Limits

COMMON_PANEL = "Common options"
"""Where help shows the options of every command; the man page lists them once."""

DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        "--dbname",
        "-d",
        metavar="URL",
        help="The database: a URL, host=… dbname=…, or a name. Default: ZANITH_DATABASE_URL, else "
        "the PG* variables.",
        rich_help_panel=COMMON_PANEL,
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
        help="Read with N connections in parallel, 1 to 8; the bytes are the same.",
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON document, also for an error, and nothing else on stdout.",
        rich_help_panel=COMMON_PANEL,
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
    str | None, typer.Option("--reason", metavar="TEXT", help="The reason, for the audit log.")
]
KeyColumns = Annotated[
    list[str],
    typer.Option(
        "--column", metavar="NAME", help="A column that identifies the rows; all must match."
    ),
]
ValuesFrom = Annotated[
    str | None,
    typer.Option(
        "--values-from",
        metavar="FILE|-",
        help="A file with one value on each line, in the order of --column. Default: ask in "
        "the terminal.",
    ),
]
Reference = Annotated[
    str,
    typer.Argument(
        metavar="ARTIFACT",
        help="An id, the beginning of one (4 characters or more), or the name of the dropped "
        "object. A name means the latest recoverable artifact, or the latest if none is.",
        autocompletion=complete_artifact,
    ),
]

OptionalReference = Annotated[
    str | None,
    typer.Argument(
        metavar="ARTIFACT",
        help="An id, the beginning of one (4 characters or more), or the name of the dropped "
        "object. A name means the latest recoverable artifact, or the latest if none is.",
        autocompletion=complete_artifact,
    ),
]

# --------------------------------------------------------------------------------------- capture


class Parking(StrEnum):
    """Rename in place, or copy (columns) or move (tables) to the shadow schema."""

    SOFT = "soft"
    ARCHIVE = "archive"


Strategy = Annotated[
    Parking,
    typer.Option(
        "--strategy",
        help="soft: rename it, instant at any size. archive: park it in the shadow schema.",
    ),
]

# ---------------------------------------------------------------------------------------- online

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
        help="The maximum number of rows per second.",
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


def limits(
    batch_time: BatchTime = None, max_rate: MaxRate = None, max_lag: MaxLag = "10s"
) -> Limits:
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


PACE = taking(limits)

Detach = Annotated[
    bool,
    typer.Option(
        "--detach",
        help="Queue the job for a worker (zanith worker or the studio) and return. zanith jobs "
        "shows its progress.",
        rich_help_panel="Online",
    ),
]

# --------------------------------------------------------------------------------------- restore

Rehearse = Annotated[
    bool,
    typer.Option(
        "--rehearse",
        help="Run every step, roll it back, and show the time of each and the differences. "
        "A rehearsal takes the same locks as the restore.",
    ),
]
FromArtifact = Annotated[
    str | None,
    typer.Option(
        "--artifact",
        metavar="ID",
        help="Restore this artifact instead of the latest recoverable one.",
        autocompletion=complete_artifact,
    ),
]
