"""Health as symbol, word and colour: any one of the three is enough to read it."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from app.cli.humanize import printable
from app.cli.render.layout import aside, marked
from app.recovery.artifacts.model import DAMAGED, Artifact
from app.recovery.inspection.doctor import Diagnosis
from app.text import ago, instant, plural, size

_LOOKS = {
    "ok": ("✓", "good"),
    "unsealed": ("○", "warn"),
    "expired": ("◷", "warn"),
    "moved": ("⚠", "warn"),
    "missing": ("✗", "bad"),
    "changed": ("✗", "bad"),
    "restored": ("↩", "quiet"),
    "orphan": ("?", "warn"),
    "engine": ("✗", "bad"),
    "blocked": ("⚠", "warn"),
    "unfinished": ("◐", "warn"),
    "archiving": ("◐", "warn"),
    "restoring": ("◐", "warn"),
    "ceiling": ("⚠", "warn"),
    "webhook": ("⚠", "warn"),
}

MEANING = {
    "ok": "parked, and as it was recorded",
    "unsealed": "no checksum yet: zanith recover seal",
    "expired": "expired: cleanup --expired purges it",
    "moved": "name, schema or owner of the parked object differ from the record",
    "missing": "the parked object, or a part of it, is gone",
    "changed": "the parked object differs from its record: zanith recover doctor",
}

UNFINISHED = {
    "archiving": "the online archive is not finished: the column is parked in its table,"
    " and a restore takes it back from there",
    "restoring": "the online restore is not finished: the column is not back yet",
}
"""What is half done with an artifact; zanith recover doctor tells how to go on."""


def state(artifact: Artifact) -> Text:
    """The badge of an artifact: its damage, else what is half done, else restored, else health."""
    if artifact.health not in DAMAGED:
        if artifact.unfinished:
            return badge(artifact.unfinished)
        if artifact.status == "restored":
            return badge("restored")
    return badge(artifact.health)


def badge(health: str) -> Text:
    """`✓ ok` in green, `✗ changed` in bold red."""
    symbol, style = _look(health)
    return Text(f"{symbol} {health}", style=style, no_wrap=True)


def _look(health: str) -> tuple[str, str]:
    return _LOOKS.get(health, ("?", "warn"))


def verified(artifact: Artifact) -> Text | None:
    """When it was last verified, and that it did not match where it did not."""
    if artifact.verified_at is None:
        return None
    when = f"{ago(artifact.verified_at)}, {instant(artifact.verified_at)}"
    if artifact.seal_broken:
        return Text(f"{when}: it did NOT match its seal", style="bad")
    return Text(f"{when}: it matched its seal")


def diagnosis(found: Diagnosis) -> RenderableType:
    """Each finding with what mends it; then what was looked at, verified, and to be backed up."""
    parts: list[RenderableType] = []
    for finding in found.findings:
        words = Text.assemble(printable(finding.message), (f"  {finding.code}", "quiet"))
        symbol, style = _look(finding.kind)
        parts += [marked(Text(symbol, style=style), words), aside(f"→ {printable(finding.hint)}")]
    if not found.findings:
        parts.append(
            marked(Text("✓", style="good"), f"{plural(found.artifacts, 'artifact')}, nothing wrong")
        )
    return Group(*parts, *(aside(line) for line in _looked_at(found)))


def _looked_at(found: Diagnosis) -> Iterator[str]:
    if found.parked_bytes is not None:
        yield f"{plural(found.artifacts, 'artifact')}, {size(found.parked_bytes)} parked"
    if found.sealed:
        oldest = found.oldest_verification
        since = f", the first of them on {instant(oldest)}" if oldest else ""
        yield f"{plural(found.sealed, 'seal')}, {found.verified} of them verified{since}"
    if found.unverified:
        first = " ".join(found.unverified[:3]) + " …" * (len(found.unverified) > 3)
        words = f"{len(found.unverified)} never verified ({first})"
        yield f"{words}: zanith recover verify --all"
    if found.schemas:
        yield "if you back up schemas separately, include: " + ", ".join(
            map(printable, found.schemas)
        )
