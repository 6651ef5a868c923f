"""Migrations that are reverted: how, and what cannot be."""

from rich.console import Group, RenderableType
from rich.text import Text

from app.cli.humanize import printable
from app.cli.render.layout import aside, marked, safe
from app.migrate.apply.down import DownReport
from app.text import took


def reversals(report: DownReport) -> RenderableType:
    """How each migration is reverted, and what cannot be."""
    parts: list[RenderableType] = []
    for one in report.reversals:
        how = "derived from what was recorded" if one.derived else "by its down part"
        parts.append(Text.assemble(("\n", ""), (printable(one.id), "name"), (f"  {how}", "quiet")))
        parts += [aside(safe(text)) for text in one.statements]
        parts += [aside(f"restore {printable(name)}") for name in one.restores]
        parts += [aside(safe(text)) for text in one.reverse.definitions]
        parts += [marked(Text("!", style="warn"), safe(text)) for text in one.reverse.untried]
        for problem in one.problems:
            parts.append(marked(Text("✗", style="bad"), safe(problem.message)))
            parts.append(aside(safe(problem.hint)))
    return Group(*parts)


def reverted(report: DownReport) -> RenderableType:
    """Each migration that was reverted."""
    parts: list[RenderableType] = []
    for one in report.ran:
        words = Text(printable(one.id), style="name")
        words.append(f"  reverted, {took(one.elapsed)}", "quiet")
        parts.append(marked(Text("✓", style="good"), words))
    return Group(*parts)
