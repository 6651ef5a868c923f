"""The state of a database in a few lines."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from app.cli.humanize import printable
from app.cli.render.layout import facts
from app.recovery.artifacts.listing import Summary
from app.recovery.artifacts.model import Artifact
from app.recovery.core.names import signed
from app.recovery.core.version import VERSION
from app.recovery.db.database import ServerInfo
from app.recovery.jobs.model import Job
from app.text import ago, count, size


def status(
    server: ServerInfo, totals: Summary, live: Sequence[Job], newest: Sequence[Artifact]
) -> RenderableType:
    """The server, the parked objects, and the problems, each with the command for it."""
    where = f"{server.database} on {server.host}:{server.port} as {server.role}"
    standby = ", a standby" if server.standby else ""
    rows: list[tuple[str | Text, str | Text | None]] = [
        ("database", where),
        ("versions", f"PostgreSQL {server.version_text}{standby}, zanith {VERSION}"),
        ("artifacts", _artifacts(totals)),
        ("parked", size(totals.parked_bytes)),
        ("damaged", _look(totals.damaged, "bad", "zanith doctor")),
        ("unsealed", _look(totals.unsealed, "warn", "zanith recover seal --all")),
        ("expired", _look(totals.expired, "warn", "zanith recover cleanup --expired --dry-run")),
        ("expiring", _look(totals.expiring_soon, "", "within 7 days")),
        ("held", count(totals.held) if totals.held else None),
        ("jobs", _look(len(live), "", "zanith jobs list --live")),
        *(("last drop", _newest(artifact)) for artifact in newest),
    ]
    return Group(facts(rows))


def _artifacts(totals: Summary) -> str:
    if not totals.total:
        return "none: nothing has been dropped yet"
    recoverable, restored = count(totals.recoverable), count(totals.restored)
    return f"{count(totals.total)}: {recoverable} recoverable, {restored} restored"


def _look(number: int, style: str, command: str) -> Text | None:
    if not number:
        return None
    return Text.assemble((count(number), style), (f"  {command}", "quiet"))


def _newest(artifact: Artifact) -> str:
    by = signed(artifact.created_by, artifact.created_by_role)
    return printable(f"{artifact.title}, {ago(artifact.created_at)} by {by}")
