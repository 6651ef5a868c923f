"""Numbered steps of a plan: purpose, lock and SQL."""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.syntax import Syntax
from rich.text import Text

from app.cli.humanize import printable, printable_block
from app.cli.render.layout import aside, marked, safe
from app.recovery.plan.estimate import Estimate
from app.recovery.plan.model import Step
from app.text import about, plural, size

SQL: ContextVar[bool] = ContextVar("sql", default=False)
"""Whether every statement is shown, not only what it is for (--sql)."""

_PARTS = ("in one transaction", "in two parts", "in three parts")
_BETWEEN = "then, after the commit, each in its own transaction:"
BESIDE_TRAFFIC = {
    1: "then, in a short transaction:",
    2: "then, while traffic goes on:",
    3: "and at the end, in a short transaction:",
}
"""What stands between the parts of an online form, by the number of the one that follows."""


def steps(
    items: Sequence[Step],
    estimates: Sequence[Estimate | None] = (),
    between: Mapping[int, str] | None = None,
) -> RenderableType:
    """Every step in the order in which it runs, with words between two transactions."""
    between = between or {}
    costs = dict(zip(items, estimates, strict=False))
    items = sorted(items, key=lambda step: step.transaction)
    if not items:
        return Text("No steps: there is nothing to run.", style="quiet")
    several = len({step.transaction for step in items})
    parts: list[RenderableType] = [
        Text(f"{plural(len(items), 'step')} {_PARTS[several - 1]}", style="head")
    ]
    current = items[0].transaction
    for number, step in enumerate(items, 1):
        if step.transaction != current:
            current = step.transaction
            parts.append(aside(between.get(current, _BETWEEN), 4))
        parts.append(
            marked(Text(f"{number:>2}", style="head"), _purpose(step, costs.get(step)), width=2)
        )
        if SQL.get():
            parts.append(sql_block(step.sql))
    if not SQL.get():
        parts.append(aside("--sql shows every statement"))
    return Group(*parts)


def _purpose(step: Step, cost: Estimate | None) -> Text:
    line = safe(step.purpose)
    if step.lock:
        line.append(f"  {step.lock}", style="warn")
        if step.tables:
            line.append(
                f" on {', '.join(map(printable, dict.fromkeys(step.tables)))}", style="quiet"
            )
    if step.role:
        line.append(f"  as {printable(step.role)}", style="quiet")
    if step.path:
        line.append(f"  with the search path {printable(step.path)}", style="quiet")
    if step.grows:
        line.append(f"  (grows with the rows{_cost(cost)})", style="quiet")
    return line


def _cost(cost: Estimate | None) -> str:
    if cost is None:
        return ""
    disk = f" and {size(cost.disk_bytes)} of disk" if cost.disk_bytes else ""
    return f"; {about(cost.seconds)}{disk}"


def sql_block(sql: str, indent: int = 3) -> Padding:
    """A statement, highlighted where there is colour; long lines wrap instead of being cut."""
    code = Syntax(
        printable_block(sql.strip()),
        "postgresql",
        theme="ansi_dark",
        background_color="default",
        word_wrap=True,
    )
    return Padding(code, (0, 0, 0, indent), expand=False)
