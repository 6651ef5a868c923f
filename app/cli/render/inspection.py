"""One artifact, in one look: its story, what proves it, and how it would come back."""

import difflib
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from app.cli.humanize import printable, printable_block
from app.cli.render.health import MEANING, UNFINISHED, state, verified
from app.cli.render.layout import aside, facts, heading, listing, marked
from app.cli.render.plan import restore_plan
from app.recovery.artifacts.model import Artifact
from app.recovery.core.names import signed
from app.recovery.inspection.definitions import Definitions, lines_of
from app.recovery.inspection.inspect import Inspection
from app.recovery.jobs.audit import Activity
from app.recovery.jobs.model import Job
from app.text import ago, count, instant, left, size


def inspection(found: Inspection) -> RenderableType:
    """The artifact, its plan, its exports and what was done to it."""
    artifact = found.artifact
    parts: list[RenderableType] = [_title(artifact), _story(artifact)]
    dependents = [f"{item['kind']} {item['name']}" for item in found.dependents]
    parts += listing("Dependents of the parked object", "•", "warn", dependents)
    companions = [f"{item.id}  {item.object}, {item.status}" for item in found.companions]
    parts += listing("Captured with it", "•", "quiet", companions)
    if found.definition_now is not None:
        parts += then_and_now(found.definitions)
    back = artifact.status == "restored" and (found.plan is None or found.plan.blocked)
    if found.plan is not None and not back:
        parts += [heading("How it would come back"), restore_plan(found.plan)]
    elif found.plan_error is not None and not back:
        parts += [heading("How it would come back"), aside(found.plan_error.message)]
    parts += listing("Exports", "•", "quiet", [_export(item) for item in found.exports])
    parts += listing("Activity", "•", "quiet", [_entry(item) for item in found.activity])
    if found.recovery_sql and not back and artifact.artifact_type != "rebuild_table":
        lines = found.recovery_sql.count("\n") + 1
        command = f"zanith recover inspect {artifact.id} --json | jq -r .recovery_sql"
        parts.append(heading("Restore with psql"))
        parts.append(marked(" ", f"a psql script of {lines} lines restores it:"))
        parts.append(aside(Text(command, style="flag")))
    return Group(*parts)


def _title(artifact: Artifact) -> RenderableType:
    line = Text(printable(artifact.title), style="name", overflow="fold")
    line.append("  ").append_text(state(artifact))
    meaning = MEANING.get(artifact.health)
    if artifact.status == "restored" and artifact.health in {"ok", "expired"}:
        meaning = _is_back(artifact)
    elif artifact.kept_kind is not None and artifact.health == "ok":
        meaning = "its definition is kept"
    elif artifact.unfinished:
        meaning = UNFINISHED[artifact.unfinished]
    return Group(line, Text(meaning, style="quiet")) if meaning else line


def _story(artifact: Artifact) -> RenderableType:
    dropped = f"{ago(artifact.created_at)}, {instant(artifact.created_at)}"
    rows: list[tuple[str, str | Text | None]] = [
        ("artifact", Text.assemble((artifact.id, "head"), f"  {artifact.artifact_type}")),
        ("dropped", f"{dropped} by {signed(artifact.created_by, artifact.created_by_role)}"),
        ("migration", artifact.migration_id),
        ("captured with", artifact.cascade_of),
        ("reason", artifact.reason),
        ("parked as", _place(artifact)),
        ("rows", None if artifact.row_count is None else f"{artifact.row_count:,}"),
        ("size", _size(artifact.size_bytes)),
        ("sha256", artifact.checksum),
        ("sealed", _moment(artifact.sealed_at)),
        ("verified", verified(artifact)),
        ("expires", _expiry(artifact)),
        ("hold", Text(printable(hold_facts(artifact)), "name") if artifact.held else None),
        ("restored", _restored(artifact)),
    ]
    return facts(rows)


def _is_back(artifact: Artifact) -> str:
    """What a restore leaves: the archive of a column or of rows stays until it is purged."""
    if artifact.keeps_archive:
        return "restored; its archive stays until it is purged"
    return "restored; none of its data is parked any more"


def _place(artifact: Artifact) -> str | None:
    if artifact.status == "restored" and not artifact.keeps_archive:
        return None
    names = (artifact.physical_schema, artifact.physical_name)
    return ".".join(name for name in names if name) or None


def _size(value: int | None) -> str | None:
    if value is None:
        return None
    return size(value) if value < 1024 else f"{size(value)}, {value:,} bytes"


def _moment(moment: Any) -> str | None:
    return None if moment is None else f"{ago(moment)}, {instant(moment)}"


def _expiry(artifact: Artifact) -> str:
    word = left(artifact.expires_at)
    if artifact.expires_at is None:
        return word
    exact = instant(artifact.expires_at)
    return f"{word}, {exact}" if word == "expired" else f"in {word}, {exact}"


def hold_facts(artifact: Artifact) -> str:
    """Who holds it, and why: `by ana as dba: legal, case 2214`."""
    by = f"by {signed(artifact.held_by, artifact.held_by_role)}"
    return f"{by}: {artifact.held_reason}" if artifact.held_reason else by


def _restored(artifact: Artifact) -> str | None:
    moment = _moment(artifact.restored_at)
    by = signed(artifact.restored_by, artifact.restored_by_role)
    if moment is None:
        return None
    return f"{moment} by {by}" + (", and dropped again since" if artifact.gone_again else "")


def _export(job: Job) -> str:
    result = job.result or {}
    line = f"{instant(job.created_at)}  {job.params.get('format', '')} {job.state}"
    line += f" by {signed(job.actor, job.actor_role)}"
    if result.get("rows") is not None:
        line += f", {count(result['rows'])} rows"
    if result.get("equals_seal") is not None:
        line += ", equals the seal" if result["equals_seal"] else ", DIFFERS from the seal"
    return line


def _entry(entry: Activity) -> str:
    by = signed(entry.actor, entry.db_role)
    return f"{instant(entry.at)}  {entry.action} {entry.outcome} by {by}"


def then_and_now(found: Definitions) -> list[RenderableType]:
    """The definition as recorded against the one of today, as a diff of their SQL."""
    parts: list[RenderableType] = [heading("The definition then and now")]
    if found.now is None:
        return [*parts, aside("nothing has the name now")]
    old, new = lines_of(found.then), lines_of(found.now)
    lines = list(difflib.unified_diff(old, new, "as captured", "now", lineterm="", n=1))
    if not lines:
        return [*parts, aside("unchanged")]
    styles = {"+": "good", "-": "bad", "@": "quiet"}
    return parts + [
        aside(Text(printable_block(line), style=styles.get(line[:1], ""))) for line in lines[2:]
    ]
