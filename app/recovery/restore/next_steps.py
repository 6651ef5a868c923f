"""What is left to do after a restore: one list for the terminal, the pages and the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.recovery.core.names import quote


@dataclass(frozen=True)
class NextStep:
    """One thing to do, why, and the statement or command for it.

    ``artifact_id`` is the artifact on whose restore page the studio does it; None where it cannot.
    ``analyzes`` is the artifact whose table the studio can analyze with one button.
    """

    what: str
    why: str
    command: str | None
    artifact_id: str | None = None
    analyzes: str | None = None


def find_next(report: Mapping[str, Any]) -> list[NextStep]:
    """Return what is left to do, of a report as JSON has it; nothing after a rehearsal."""
    if report.get("rehearsed") or report.get("already_restored"):
        return []
    artifact = report["artifact"]
    found: list[NextStep] = []
    losses = [(loss["code"], loss["message"]) for loss in report.get("losses") or ()]
    table = quote([artifact["source_schema"], artifact["source_table"]])
    for code, message in losses:
        if code == "not_validated":
            command = f"zanith recover restore {artifact['id']}"
            found.append(NextStep("Validate what is left", message, command, artifact["id"]))
        elif code == "planner_statistics":
            analyze = f"ANALYZE {table};"
            found.append(NextStep(f"Analyze {table}", message, analyze, analyzes=artifact["id"]))
        elif code == "subscribers":
            command = "ALTER SUBSCRIPTION name REFRESH PUBLICATION;"
            found.append(NextStep("Refresh the subscribers", message, command))
        elif code == "cluster_order":
            found.append(NextStep(f"Cluster {table}", message, f"CLUSTER {table};"))
    for one in report.get("companions") or ():
        why = "it was captured with this object and is still parked"
        command = f"zanith recover restore {one['id']}"
        found.append(NextStep(f"Restore {one['object']}", why, command, one["id"]))
    return found
