"""What came of it: a capture, a restore with its fidelity, an export, a purge, a cleanup."""

import json
import shlex
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from app.cli.humanize import printable, shorten
from app.cli.render.layout import aside, facts, listing, marked
from app.cli.render.plan import to_restore_next
from app.recovery.artifacts.companions import Companion
from app.recovery.artifacts.model import Artifact
from app.recovery.restore.next_steps import find_next
from app.recovery.restore.report import RestoreReport, RowCounts
from app.recovery.rows.leftover import LeftOver
from app.text import count, left, plural, size
from app.text import took as timed


def done(words: Text | str) -> RenderableType:
    """A line that says it worked."""
    return marked(Text("✓", style="good"), words)


def captured(artifact: Artifact, companions: Sequence[Companion] = ()) -> RenderableType:
    """Where it went, what went with it, and how to bring it back."""
    expiry = left(artifact.expires_at)
    verb = "restore-column" if artifact.source_column is not None else "restore-table"
    back = f"zanith recover {verb} {shlex.quote(printable(artifact.object_name))}"
    forensic = artifact.artifact_type == "rebuild_table"
    return Group(
        done(Text.assemble("captured ", (printable(artifact.object_name), "name"))),
        aside(
            facts(
                [
                    ("artifact", f"{artifact.id}  {artifact.artifact_type}"),
                    ("rows", None if artifact.row_count is None else count(artifact.row_count)),
                    ("sha256", artifact.checksum),
                    ("expires", expiry if artifact.expires_at is None else f"in {expiry}"),
                    ("back with", None if forensic else Text(back, style="flag")),
                ]
            )
        ),
        *listing("Captured with it", "•", "quiet", [f"{x.id}  {x.object}" for x in companions]),
    )


def exported(place: str, result: dict[str, Any]) -> RenderableType:
    """How much went where, and whether it is what was sealed."""
    words = f"{place}: {plural(result['rows'], 'row')}, {size(result['bytes'])}"
    equals = result.get("equals_seal")
    seal = Text(_why_no_seal(result.get("manifest") or {}), style="quiet")
    if equals is not None:
        seal = Text("matches", style="good") if equals else Text("DIFFERS", style="bad")
    of_file = result.get("file_checksum")
    compressed = of_file if of_file != result["checksum"] else None
    finished = done(printable(words))
    if equals is False:
        finished = marked(Text("·", style="quiet"), printable(words))
    return Group(
        finished,
        aside(
            facts(
                [
                    ("sha256", result["checksum"]),
                    ("file sha256", compressed),
                    ("seal", seal),
                ]
            )
        ),
        *job((result.get("manifest") or {}).get("export")),
    )


def _why_no_seal(manifest: dict[str, Any]) -> str:
    if manifest.get("format") != "csv":
        return "not compared: only CSV has a seal"
    if manifest.get("artifact_type") == "soft_drop_column":
        return "none: a soft-dropped column has no seal"
    return f"not sealed yet: zanith recover seal {manifest.get('artifact', '')}"


_GIVEN = {
    "null": "NULL",
    "default": "the column's default",
    "value": "the value that was chosen",
}


def counts(found: RowCounts | None, keys: LeftOver | None = None) -> list[RenderableType]:
    """How many rows were filled, were given something else, and what was left without a row."""
    if found is None:
        return []
    left = f"{plural(found.left, 'archived value')} without a row"
    given = f"{plural(found.given, 'row')} inserted since the capture"
    parts: list[RenderableType] = [
        aside(f"{plural(found.filled, 'row')} with the archived value"),
        aside(f"{given}: {_GIVEN[found.given_what]}" if found.given else given),
        aside(f"{left}, in the archive still" if found.left else left),
    ]
    if keys is not None and keys.keys:
        shown = "; ".join(map(printable, keys.keys))
        parts.append(aside(f"  by key: {shown}{'; …' if keys.more else ''}"))
    return parts


def restored(report: RestoreReport, left: LeftOver | None = None) -> RenderableType:
    """What is back, what is not exactly as it was, and how long each step took.

    ``left`` are keys of archived values that have no row.
    """
    name = (printable(report.artifact.object_name), "name")
    if report.already_restored:
        return done(Text.assemble(name, " is restored already; nothing was done"))
    words = Text.assemble("restored ", name)
    if report.counts is None and report.rows is not None:
        words.append(f", {plural(report.rows, 'row')}")
    parts: list[RenderableType] = [done(words)]
    parts += counts(report.counts, left)
    parts += fidelity(report.fidelity)
    parts += listing("Did not come back exactly", "~", "warn", [x.message for x in report.losses])
    parts += held(report)
    parts += next_steps(report)
    parts += to_restore_next(report.companions)
    parts += job(report.job_id, f"zanith jobs show {report.job_id} --report")
    return Group(*parts)


def job(number: str | None, command: str | None = None) -> list[RenderableType]:
    """The id of the job that did it, and the command that shows more of it."""
    return [aside(f"job {number}: {command or f'zanith jobs show {number}'}")] if number else []


def held(report: RestoreReport) -> list[RenderableType]:
    """The strongest lock, and how long the restore held it, or would have."""
    if report.lock is None:
        return []
    on = printable(", ".join(report.lock.tables))
    verb = "would hold" if report.rehearsed else "held"
    return [aside(f"{verb} {report.lock.mode} on {on} for {timed(report.lock.seconds)}")]


def next_steps(report: RestoreReport) -> list[RenderableType]:
    """What is left to do, but for companions, which stand below."""
    others = {one.id for one in report.companions}
    found = [step for step in find_next(report.to_json()) if step.artifact_id not in others]
    words = [f"{printable(step.what)}: {printable(step.command or step.why)}" for step in found]
    return listing("What to do next", "•", "quiet", words)


def rehearsed(report: RestoreReport) -> RenderableType:
    """How long each step took before all was rolled back, and what would be back exactly."""
    seconds = sum(step.elapsed for step in report.steps)
    name = (printable(report.artifact.object_name), "name")
    took = [(timed(step.elapsed), printable(step.purpose)) for step in report.steps]
    parts: list[RenderableType] = [
        done(Text.assemble("rehearsed ", name, f" in {timed(seconds)}, and rolled back")),
        aside(facts(took)),
    ]
    parts += counts(report.counts)
    parts += fidelity(report.fidelity)
    parts += listing("Will not come back exactly", "~", "warn", [x.message for x in report.losses])
    parts += held(report)
    parts += to_restore_next(report.companions)
    return Group(*parts)


def fidelity(found: dict[str, Any] | None) -> list[RenderableType]:
    """The recorded definition beside the catalog: back exactly, different, could not come back."""
    if not found:
        return []
    exact = found.get("exact") or []
    parts: list[RenderableType] = []
    if exact:
        parts.append(aside(f"back exactly: {', '.join(printable(str(x)) for x in exact)}"))
    parts += listing(
        "Different from the record",
        "~",
        "warn",
        [
            f"{printable(x['what'])}: {difference(x['recorded'], x['now'])}"
            for x in found.get("different") or []
        ],
    )
    parts += listing(
        "Could not return",
        "✗",
        "bad",
        [f"{printable(x['what'])}: {_brief(x['recorded'])}" for x in found.get("missing") or []],
    )
    return parts


def difference(recorded: object, now: object) -> str:
    """What differs of two values, as `validated: true → false`; a key that is equal is left out."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        keys = [key for key in {**recorded, **now} if recorded.get(key) != now.get(key)]
        changes = [f"{key}: {_brief(recorded.get(key))} → {_brief(now.get(key))}" for key in keys]
        return printable(", ".join(changes))
    return f"{_brief(recorded)} → {_brief(now)}"


def _brief(value: object) -> str:
    if value is None:
        return "not set"
    if value == {}:
        return "set"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return shorten(text, 120)
