"""The report of a restore that ended, and whether the audit log has the same digest."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from app.cli.humanize import printable
from app.cli.render.layout import aside, facts, heading, listing
from app.cli.render.outcome import fidelity
from app.recovery.core.names import signed
from app.recovery.jobs.model import Job
from app.recovery.restore.document import Checked, digest_of, name_of
from app.recovery.restore.next_steps import find_next
from app.text import instant, number, took


def job_report(job: Job, document: Mapping[str, Any], checks: Sequence[Checked]) -> RenderableType:
    """All of it: who, when and why, the SQL that ran, the lock, losses, and what to do next."""
    parts: list[RenderableType] = [
        facts(
            [
                ("job", job.id),
                ("by", printable(signed(job.actor, job.actor_role))),
                ("when", instant(job.created_at)),
                ("digest", digest_of(document)),
                *(("log", _checked(each, alone=len(checks) == 1)) for each in checks),
            ]
        )
    ]
    for report in document["reports"]:
        parts += _one(report)
    return Group(*parts)


def _checked(found: Checked, *, alone: bool) -> Text:
    name = "" if alone else f"{printable(found.object)}: "
    if found.recorded is None:
        return Text(f"{name}the audit log has no digest of this report", style="warn")
    if found.matches:
        return Text(f"{name}matches entry {found.entry}", style="good")
    return Text(f"{name}DIFFERS from entry {found.entry}: {found.recorded}", style="bad")


def _one(report: Mapping[str, Any]) -> list[RenderableType]:
    artifact = report["artifact"]
    lock = report.get("lock")
    held = (
        f"{lock['mode']} on {', '.join(lock['tables'])}, {took(lock['seconds'])}" if lock else None
    )
    parts: list[RenderableType] = [
        Text(),
        heading(printable(name_of(artifact))),
        aside(
            facts(
                [
                    ("artifact", artifact["id"]),
                    ("reason", printable(artifact.get("reason") or "") or None),
                    ("migration", printable(artifact.get("migration_id") or "") or None),
                    (
                        "rows",
                        number(report["row_count"])
                        if report.get("row_count") is not None
                        else None,
                    ),
                    ("sha256", artifact.get("checksum")),
                    ("seal", "verified" if report.get("verified") else "not verified"),
                    ("longest lock", printable(held) if held else "none on a table in use"),
                ]
            )
        ),
        aside(
            facts((took(step["elapsed"]), printable(step["purpose"])) for step in report["steps"])
        ),
    ]
    parts += fidelity(report.get("fidelity"))
    losses = [printable(loss["message"]) for loss in report.get("losses") or ()]
    parts += listing("Did not come back exactly", "~", "warn", losses)
    steps = [f"{printable(s.what)}: {printable(s.command or s.why)}" for s in find_next(report)]
    return parts + listing("What to do next", "•", "quiet", steps)
