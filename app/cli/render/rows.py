"""Some rows of an artifact: archived and live values side by side, and what happens to each."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.cli.humanize import printable, shorten
from app.cli.render.layout import aside, marked
from app.cli.render.plan import conflicts
from app.cli.render.steps import steps
from app.recovery.artifacts.model import Artifact
from app.recovery.restore.rows_plan import WORDS, PlannedRow, RowsPlan
from app.recovery.restore.some_rows import RestoredRows
from app.recovery.rows.search import Cell
from app.text import about, plural

WIDEST = 24
_STYLES = {"changes": "warn", "insert": "warn", "same": "good", "unknown": "quiet"}


def rows_plan(artifact: Artifact, plan: RowsPlan) -> RenderableType:
    """What would be put back, row by row."""
    head = Text.assemble(("Put rows of ", "head"), (printable(artifact.object_name), "name"))
    if plan.target:
        head.append(f" back into {printable(plan.target)}", style="head")
    parts: list[RenderableType] = [head, aside(_table(plan))]
    for outcome, number in plan.counts.items():
        style = _STYLES.get(outcome, "bad")
        parts.append(marked(Text("•", style=style), f"{plural(number, 'row')}: {WORDS[outcome]}"))
    parts += [steps(plan.steps), *conflicts(plan.conflicts)]
    if plan.steps:
        parts.append(aside("Each row is a transaction of its own. $1, $2 stand for the values."))
    if plan.triggers:
        verb = "UPDATE" if plan.form == "update" else "INSERT"
        names = ", ".join(map(printable, plan.triggers))
        words = f"Triggers of the table fire, as for any {verb}: {names}"
        parts.append(marked(Text("!", style="warn"), words))
    if plan.unverified:
        words = "The parked rows are not compared with their seal."
        parts.append(marked(Text("!", style="warn"), words))
    elif plan.verification is not None:
        words = "The archive is checked against its seal first, which reads all of its rows"
        words += f" ({about(plan.verification)} by estimate)."
        parts.append(aside(words))
    return Group(*parts)


def _table(plan: RowsPlan) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="quiet")
    names = list(plan.key)
    shown = [plan.column or ""] if plan.form == "update" else list(plan.written or names)
    for name in names:
        table.add_column(_cut(name), no_wrap=True)
    for name in shown:
        if plan.form == "update" or name not in names:
            table.add_column(f"{_cut(name)}, archived")
            table.add_column("live", overflow="fold")
    table.add_column("what happens")
    for row in plan.rows:
        table.add_row(*_cells(plan, row, names, shown))
    return table


def _cells(plan: RowsPlan, row: PlannedRow, names: list[str], shown: list[str]) -> list[Text]:
    cells = [Text(_cut(value or "")) for value in row.key]
    for name in shown:
        if plan.form == "update" or name not in names:
            cells.append(_value(plan.archived(row, name)))
            if row.live is None or name not in plan.written:
                cells.append(Text("-", style="quiet"))
            else:
                cells.append(_value(row.live[plan.written.index(name)]))
    return [*cells, Text(row.outcome, style=_STYLES.get(row.outcome, "bad"))]


def _value(cell: Cell | None) -> Text:
    if cell is None:
        return Text("NULL", style="quiet")
    return Text(_cut(cell.text)) if cell.text else Text("empty", style="quiet")


def _cut(text: str) -> str:
    return shorten(text, WIDEST)


def restored_rows(outcome: RestoredRows) -> RenderableType:
    """What came of it, and where the old values are."""
    verb = "inserted" if outcome.form == "insert" else "put back"
    words = Text(f"{verb} {plural(outcome.rows, 'row')} of ")
    words.append(printable(outcome.artifact.object_name), style="name")
    if outcome.same:
        words.append(f"; {outcome.same:,} the same already")
    parts: list[RenderableType] = [marked(Text("✓", style="good"), words)]
    parts += [
        marked(Text("!", style="warn"), f"row {row.number:,} of the plan: {row.why}")
        for row in outcome.left
    ]
    undo = f"zanith recover restore-rows --undo {outcome.job_id}"
    parts.append(aside(f"{undo} prints the SQL that undoes it"))
    return Group(*parts)
