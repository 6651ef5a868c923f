"""Coverage: the share, what it is of, and why the rest is not covered."""

from rich.console import Group, RenderableType
from rich.text import Text

from app.cli.humanize import printable
from app.cli.render.layout import aside, facts, heading, marked
from app.recovery.inspection.coverage import Coverage, Tally
from app.text import count, plural


def covered(found: Coverage) -> RenderableType:
    """The share first; what was not judged beside it, never in it."""
    drops = found.all
    parts: list[RenderableType] = []
    if drops.share is None:
        parts.append(marked(Text("?", style="warn"), "not counted: no drop was judged"))
    else:
        good = drops.not_covered == 0
        words = f"{drops.percent} of the drops that PostgreSQL would carry out are recoverable"
        parts.append(marked(Text("✓" if good else "○", style="good" if good else "warn"), words))
    rows: list[tuple[str | Text, str | Text | None]] = [
        ("columns", _line(found.of_columns)),
        ("tables", _line(found.of_tables)),
        ("refused", f"{plural(drops.refused, 'drop')} that PostgreSQL itself refuses"),
    ]
    rows += [
        ("not judged", f"{plural(gap.count, 'drop')}: {printable(gap.reason)}")
        for gap in found.not_judged
    ]
    parts.append(aside(facts(rows)))
    if found.gaps:
        parts.append(heading("Not covered"))
    for gap in found.gaps:
        parts.append(marked(Text("✗", style="bad"), f"{plural(gap.count, 'drop')}: {gap.reason}"))
        parts += [aside(f"{drop.words}: {drop.message}") for drop in gap.examples[:2]]
        if gap.examples[0].hint:
            parts.append(aside(f"→ {printable(gap.examples[0].hint)}"))
    return Group(*parts)


def _line(tally: Tally) -> str:
    if tally.share is None:
        return tally.percent
    return f"{count(tally.covered)} of {count(tally.carried_out)} drops, {tally.percent}"
