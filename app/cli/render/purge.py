"""Purge and cleanup: everything that one should have read before something is final."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.cli.humanize import printable, shorten
from app.cli.render.health import verified
from app.cli.render.layout import facts, listing, safe
from app.recovery.artifacts.model import Artifact
from app.recovery.artifacts.tombstones import Purged
from app.recovery.core.names import signed
from app.recovery.purge.cleanup import CleanupResult
from app.recovery.purge.purge import PurgeReview
from app.text import ago, count, instant, plural, size


def review(looked: PurgeReview) -> RenderableType:
    """What would be deleted, and how well it is proved and copied."""
    artifact = looked.artifact
    none = Text("never", style="warn")
    rows = "–" if artifact.row_count is None else count(artifact.row_count)
    parts: list[RenderableType] = [
        Text.assemble(
            ("Purge ", "bad"),
            f"the {artifact.purged_part} of " if artifact.purged_part else "",
            (printable(artifact.object_name), "name"),
            " for good",
        ),
        facts(
            [
                ("artifact", f"{artifact.id}  {artifact.artifact_type}, {artifact.status}"),
                ("restored", _restored(artifact)),
                ("stays", artifact.stays),
                ("rows", rows),
                ("size", size(looked.size_bytes)),
                ("sha256", looked.checksum_recorded or Text("not sealed", style="warn")),
                ("verified", verified(artifact) or none),
                ("exported", exported(looked.last_export) or none),
                ("hold", safe(artifact.held_reason or "yes", "warn") if looked.held else None),
            ]
        ),
    ]
    dependents = [f"{item['kind']} {item['name']}" for item in looked.dependents]
    parts += listing("Dependents", "•", "warn", dependents)
    return Group(*parts, Text())


def _restored(artifact: Artifact) -> str | None:
    """When and by whom it was restored; None where it was not."""
    if artifact.restored_at is None:
        return None
    by = signed(artifact.restored_by, artifact.restored_by_role)
    again = ", and dropped again since" if artifact.gone_again else ""
    return f"{ago(artifact.restored_at)}, {instant(artifact.restored_at)} by {by}{again}"


def exported(last: Mapping[str, Any] | None) -> str | None:
    """When and by whom the last export was made; None where there is none."""
    if not last:
        return None
    by = printable(signed(last["by"], last.get("by_role")))
    return f"{ago(datetime.fromisoformat(last['at']))} by {by}"


def candidates(
    plan: Sequence[tuple[Artifact, str | None]],
    width: int,
    exports: Mapping[str, dict[str, Any]],
) -> RenderableType:
    """What cleanup would take and what it would leave, with why; how each is proved and copied."""
    if not plan:
        return Text("Nothing to clean up: no artifact matches.", style="quiet")
    table = _table("Would be", width)
    for artifact, reason in plan:
        word = Text("purged", style="bad") if reason is None else safe(_kept(reason), "quiet")
        number, name, *rest = _cells(artifact, width)
        proof = _proof(artifact, exports.get(artifact.id))
        if artifact.purged_part:
            words = f"restored: only its {artifact.purged_part} would go, "
            proof = Text.assemble((words, "quiet"), proof)
        table.add_row(number, Group(name, proof), *rest, word)
    going = [artifact for artifact, reason in plan if reason is None]
    freed = sum(artifact.size_bytes or 0 for artifact in going)
    words = f"{plural(len(going), 'artifact')} to purge, {size(freed)} to free"
    early = [reason for _, reason in plan if reason and reason.startswith("kept until")]
    more = "--before-expiry also takes those that are kept until their expiry date"
    return Group(table, Text(words, style="head"), *([Text(more, style="quiet")] if early else []))


def _kept(reason: str) -> str:
    return reason if reason.startswith("kept") else f"kept: {reason}"


def _proof(artifact: Artifact, last_export: dict[str, Any] | None) -> Text:
    """The checksum of one, what its last verification found, and its last export."""
    words: list[tuple[str, str]] = []
    if artifact.checksum is None:
        sealed = artifact.artifact_type == "soft_drop_column" or not artifact.holds_rows
        words.append(("no seal" if sealed else "not sealed", "quiet" if sealed else "warn"))
    else:
        words.append((f"sha256 {artifact.checksum[:12]}", "quiet"))
        if artifact.verified_at is None:
            words.append(("never verified", "quiet"))
        elif artifact.seal_broken:
            words.append(("MISMATCH", "bad"))
        else:
            words.append((f"matched {ago(artifact.verified_at)}", "quiet"))
    if last_export is not None:
        unequal = last_export.get("equals_seal") is False
        at = ago(datetime.fromisoformat(str(last_export["at"])))
        words.append((f"exported {at}" + ", NOT the seal" * unequal, "bad" if unequal else "quiet"))
    elif artifact.holds_rows:
        words.append(("never exported", "warn"))
    return Text(", ", style="quiet").join(Text(text, style=style) for text, style in words)


def outcomes(results: Sequence[CleanupResult], width: int) -> RenderableType:
    """What cleanup did with each."""
    if not results:
        return Text("Nothing to clean up: no artifact matches.", style="quiet")
    styles = {"purged": "good", "skipped": "warn", "failed": "bad"}
    table = _table("Outcome", width)
    for result in results:
        word = Text(result.outcome, style=styles.get(result.outcome, ""))
        if result.why:
            word.append_text(safe(f": {result.why}", "quiet"))
        table.add_row(*_cells(result.artifact, width), word)
    return table


def purged_list(items: Sequence[Purged], width: int, *, filtered: bool) -> RenderableType:
    """What is gone for good: when, by whom and why."""
    if not items:
        words = "No purged artifact matches." if filtered else "Nothing has been purged yet."
        return Text(words, style="quiet")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("ID", no_wrap=True, style="name")
    table.add_column("Object", overflow="fold")
    table.add_column("Size", justify="right", no_wrap=True)
    table.add_column("Purged", justify="right", no_wrap=True)
    table.add_column("By", overflow="fold")
    table.add_column("Why", overflow="fold")
    for item in items:
        stone = item.tombstone
        table.add_row(
            stone.artifact_id,
            shorten(stone.object, 2 * max(28, width - 52)),
            size(stone.size_bytes),
            ago(item.at),
            printable(signed(stone.purged_by, stone.purged_by_role)),
            printable(stone.reason or item.action),
        )
    return table


def tombstone(purged: Purged) -> RenderableType:
    """What is left of one artifact: what it was, and who purged it, when and why."""
    stone, row = purged.tombstone, purged.tombstone.row
    by = signed(stone.purged_by, stone.purged_by_role)
    number = row.get("row_count")
    created = datetime.fromisoformat(row["created_at"]) if row.get("created_at") else None
    dropped = signed(row.get("created_by"), row.get("created_by_role"))
    proved = datetime.fromisoformat(row["verified_at"]) if row.get("verified_at") else None
    matched = "MISMATCH" if row.get("verified_ok") is False else "matched"
    title = Text.assemble((printable(stone.object), "name"), "  ", ("purged", "bad"))
    meaning = "deleted for good; the audit log keeps this record"
    return Group(
        title,
        Text(meaning, style="quiet"),
        facts(
            [
                ("artifact", f"{stone.artifact_id}  {row.get('artifact_type') or ''}".rstrip()),
                ("purged", f"{ago(purged.at)}, {instant(purged.at)} by {by}"),
                ("reason", stone.reason or ("a cleanup" if purged.action == "cleanup" else "–")),
                (
                    "dropped",
                    f"{ago(created)}, {instant(created)} by {dropped}" if created else None,
                ),
                ("dropped for", row.get("reason")),
                ("migration", row.get("migration_id")),
                ("rows", None if number is None else f"{number:,}"),
                ("freed", size(stone.size_bytes)),
                ("sha256", row.get("checksum") or "never sealed"),
                ("verified", f"{matched} {ago(proved)}" if proved else "never"),
                ("exported", exported(stone.last_export) or "never"),
            ]
        ),
    )


def _table(last: str, width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    table.add_column("ID", no_wrap=True, style="name")
    table.add_column("Object", overflow="fold", max_width=max(28, width - 52))
    table.add_column("Size", justify="right", no_wrap=True)
    table.add_column("Age", justify="right", no_wrap=True)
    table.add_column(last, overflow="fold")
    return table


def _cells(artifact: Artifact, width: int) -> list[RenderableType]:
    return [
        artifact.id,
        shorten(artifact.object_name, 2 * max(28, width - 52)),
        size(artifact.size_bytes),
        ago(artifact.created_at).removesuffix(" ago"),
    ]
