"""What is to be captured, and how."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from app.recovery.core.actor import LONGEST_NAME, LONGEST_REASON
from app.recovery.core.durations import format_duration, parse_duration
from app.recovery.core.errors import WrongUsage
from app.recovery.core.names import quote
from app.recovery.core.options import option
from app.recovery.core.strategies import CAPTURES, DROPS, OF_COLUMNS

DEPENDENTS = ("refuse", "keep", "cascade")


@dataclass(frozen=True)
class CaptureRequest:
    """What to capture and how.

    ``table`` is SQL text for a table's name, ``column`` an exact name; ``expires_in`` None is
    never, "default" what the database's zanith.retention says.
    """

    strategy: str
    table: str
    column: str | None = None
    migration_id: str | None = option(
        "The migration that this capture belongs to.",
        label="Migration or ticket",
        metavar="ID",
        longest=LONGEST_NAME,
    )
    expires_in: timedelta | str | None = option(
        "How long to keep the artifact, such as 30d, 12h or never. A cleanup may purge it "
        "afterwards. Default: ZANITH_RETENTION, else zanith.retention, else 30d.",
        default="default",
        label="Keep it for",
        metavar="30d|never",
        longest=40,
        read=parse_duration,
        write=format_duration,
    )
    reason: str | None = option(
        "The reason. The artifact and the audit log show it.",
        label="Reason, for the audit log",
        longest=LONGEST_REASON,
    )
    on_dependents: str = option(
        "refuse: fail as DROP does. keep: keep dependents if a rename allows it. cascade: record "
        "and drop them.",
        default="refuse",
        label="Dependents",
        words=DEPENDENTS,
    )
    published_ok: bool = option(
        "Continue although a publication includes the table.",
        default=False,
        label="Allow a published table",
    )
    keep_rows: bool = option(
        "Copy the rows too, so that they can be exported.", default=False, label="Keep the rows"
    )
    online: bool = option(
        "Work in batches, with short locks, while reads and writes go on.",
        default=False,
        label="Online",
        group="Online",
    )

    def to_json(self) -> dict[str, Any]:
        """Return the request as a job keeps it; its expiry in seconds."""
        expires_in = self.expires_in
        if isinstance(expires_in, timedelta):
            expires_in = str(expires_in.total_seconds())
        return {**asdict(self), "expires_in": expires_in}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> CaptureRequest:
        """Return the request that :meth:`to_json` gave."""
        expires_in = data["expires_in"]
        if expires_in not in {None, "default"}:
            expires_in = timedelta(seconds=float(expires_in))
        return cls(**{**data, "expires_in": expires_in})

    @property
    def object_name(self) -> str:
        """What it is about, as it was named."""
        return self.table if self.column is None else f"{self.table}.{quote(self.column)}"


def check_request(request: CaptureRequest) -> None:
    """Raise WrongUsage where the request is not valid."""
    if request.strategy not in CAPTURES:
        raise WrongUsage(f"there is no strategy {request.strategy!r}", hint=", ".join(CAPTURES))
    if (request.column is not None) != (request.strategy in OF_COLUMNS):
        raise WrongUsage(
            f"{request.strategy} takes {'a' if request.column is None else 'no'} column"
        )
    if request.on_dependents not in DEPENDENTS:
        raise WrongUsage(
            f"on_dependents cannot be {request.on_dependents!r}", hint=", ".join(DEPENDENTS)
        )
    if request.online and request.strategy != "archive_column":
        raise WrongUsage(
            f"{request.strategy} has no online form: it is as fast on a large table"
            if request.strategy in DROPS
            else f"{request.strategy} has no online form",
            hint="leave --online out",
        )
    if isinstance(request.expires_in, str) and request.expires_in != "default":
        raise WrongUsage(f"expires_in cannot be {request.expires_in!r}")
