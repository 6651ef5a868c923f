"""An erasure: how many rows match, what would run, and what it does not reach."""

from rich.console import Group, RenderableType
from rich.text import Text

from app.cli.humanize import printable
from app.cli.render.layout import aside, marked
from app.cli.render.plan import conflicts
from app.cli.render.steps import steps
from app.recovery.artifacts.model import Artifact
from app.recovery.purge.erase import ErasurePlan
from app.text import count, plural


def erasure_plan(artifact: Artifact, plan: ErasurePlan) -> RenderableType:
    """What would be erased; the values are not in it, `$1` and `$2` stand for them."""
    head = Text.assemble(("Erase rows of ", "bad"), (printable(artifact.object_name), "name"))
    head.append(" for good", style="bad")
    of = "" if artifact.row_count is None else f" of {count(artifact.row_count)}"
    verb = "matches" if plan.rows == 1 else "match"
    keys = ", ".join(printable(column) for column in plan.columns)
    parts: list[RenderableType] = [head]
    if plan.rows is not None:
        parts.append(Text(f"{plural(plan.rows, 'row')}{of} {verb} by {keys}", style="head"))
    parts += [
        aside("The parked copy is first compared with its seal. $1, $2 stand for the values."),
        steps(plan.steps),
        *conflicts(plan.conflicts),
        marked(
            Text("!", style="warn"),
            "This changes only the parked copy, not exports, backups or the write-ahead log.",
        ),
    ]
    return Group(*parts)
