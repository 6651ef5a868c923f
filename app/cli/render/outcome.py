"""What came of it: a capture, a restore with its fidelity, an export, a purge, a cleanup."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.cli.humanize import count, left, plural, printable, shorten
from app.cli.render.layout import aside, facts, listing, marked
from app.recovery.artifacts import Artifact
from app.recovery.restore import RestoreReport

RESTORE_VERB = {True: "restore-column", False: "restore-table"}


def done(words: Text | str) -> RenderableType:
    """A line that says it worked."""
    return marked(Text("✓", style="good"), words)


def captured(artifact: Artifact) -> RenderableType:
    """Where it went, and how to bring it back."""
    what = Text.assemble("captured ", (printable(artifact.object_name), "name"))
    parts: list[RenderableType] = [
        done(what),
        aside(_facts(artifact)),
    ]
    if artifact.artifact_type != "rebuild_table":
        verb = RESTORE_VERB[artifact.source_column is not None]
        back = Text.assemble(
            ("back with  ", "quiet"), (f"zanith recover {verb} {artifact.object_name}", "flag")
        )
        parts.append(aside(back))
    return Group(*parts)


def _facts(artifact: Artifact) -> Table:
    """The artifact in a few lines."""
    checksum = artifact.checksum or (
        "none: its rows stay live" if artifact.artifact_type == "soft_drop_column" else "not sealed"
    )
    expiry = left(artifact.expires_at)
    return facts(
        [
            ("artifact", Text.assemble((artifact.id, "name"), f"  {artifact.artifact_type}")),
            ("rows", None if artifact.row_count is None else count(artifact.row_count)),
            ("sha256", checksum),
            ("expires", expiry if expiry == "never" else f"in {expiry}"),
        ]
    )


def restored(report: RestoreReport) -> RenderableType:
    """What is back, what is not exactly as it was, and how long each step took."""
    name = (printable(report.artifact.object_name), "name")
    if report.already_restored:
        return done(Text.assemble(name, " is restored already; nothing was done"))
    words = Text.assemble("restored ", name)
    if report.rows is not None:
        words.append(f", {plural(report.rows, 'row')}")
    parts: list[RenderableType] = [done(words)]
    parts += fidelity(report.fidelity)
    parts += listing("Did not come back exactly", "~", "warn", [x.message for x in report.losses])
    return Group(*parts)


def fidelity(found: dict[str, Any] | None) -> list[RenderableType]:
    """The recorded definition beside the catalog: back exactly, different, could not return."""
    if not found:
        return []
    exact = found.get("exact") or []
    parts: list[RenderableType] = []
    if exact:
        parts.append(aside(f"back exactly: {', '.join(map(str, exact))}"))
    parts += listing(
        "Different from the record",
        "~",
        "warn",
        [
            f"{x['what']}: was {_brief(x['recorded'])}, is {_brief(x['now'])}"
            for x in found.get("different") or []
        ],
    )
    parts += listing(
        "Could not return",
        "✗",
        "bad",
        [f"{x['what']}: {_brief(x['recorded'])}" for x in found.get("missing") or []],
    )
    return parts


def _brief(value: object) -> str:
    return shorten(str(value), 120)
