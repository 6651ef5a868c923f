"""A baseline: what it adopts, and what not."""

from rich.console import Group, RenderableType
from rich.text import Text

from app.cli.humanize import printable
from app.cli.render.layout import aside, heading, marked
from app.migrate.apply.baseline import Baseline
from app.text import ago


def baseline_view(found: Baseline) -> RenderableType:
    """What a baseline would adopt, and what not."""
    title = f"Applied by {found.tool}" + (f", as {found.table} says" if found.table else "")
    parts: list[RenderableType] = [heading(printable(title))]
    for one in found.adopted:
        line = Text(printable(one.migration.id), style="name")
        line.append(f"  {ago(one.at)}" if one.at else "", "quiet")
        parts.append(marked(Text("✓", style="good"), line))
    for words, names in (
        ("recorded already", found.recorded),
        ("pending", found.pending),
    ):
        if names:
            parts.append(aside(f"{words}: {printable(', '.join(names))}", 0))
    for words, names in (
        ("failed with that tool", found.failed),
        ("applied, without a file", found.unknown),
    ):
        parts += [marked(Text("!", style="bad"), f"{words}: {name}") for name in names]
    return Group(*parts)
