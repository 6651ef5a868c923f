"""An artifact beside what has its name now: lines that differ, counts, and some rows."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.cli.humanize import printable, shorten
from app.cli.render.inspection import then_and_now
from app.cli.render.layout import aside, facts, heading, marked, safe
from app.recovery.artifacts.model import Artifact
from app.recovery.inspection.definitions import Definitions
from app.recovery.rows.compare import CLASSES, Comparison, Sample
from app.text import count

_LONGEST = 60
_WORDS = {
    "same": "the same",
    "changed": "changed",
    "only_archived": "only archived",
    "only_live": "only live",
}


def compared(artifact: Artifact, definitions: Definitions, found: Comparison) -> RenderableType:
    """The definition then and now, and how the values compare."""
    title = Text(printable(artifact.title), style="name", overflow="fold")
    parts: list[RenderableType] = [title, *then_and_now(definitions)]
    parts.append(heading("The values then and now"))
    if found.not_counted:
        parts.append(marked(Text("?", style="warn"), f"not counted: {found.not_counted}"))
    elif found.counts is None:
        parts.append(marked(Text("?", style="warn"), f"not compared: {found.reason}"))
        if found.archived is not None:
            both = f"{count(found.archived)} archived, {count(found.live or 0)} live"
            parts.append(aside(both))
    else:
        numbers = [(_WORDS[kind], getattr(found.counts, kind)) for kind in CLASSES]
        parts.append(aside(facts((name, count(number)) for name, number in numbers)))
        parts += _columns(found)
    for words, names in (("only archived", found.only_recorded), ("only live", found.only_now)):
        if names:
            parts.append(aside(f"columns {words}: {', '.join(map(printable, names))}"))
    return Group(*parts)


def _columns(found: Comparison) -> list[RenderableType]:
    """What is to be known of each column: where its type changed, or its text is compared."""
    lines = []
    for column in found.columns:
        told = []
        if column.changed and len(found.columns) > 1:
            told.append(f"{count(column.changed)} changed")
        if column.type_changed:
            told.append(f"its type was {column.recorded} and is {column.now}")
        if column.how == "text":
            told.append("compared as text")
        if told:
            lines.append((printable(column.name), "; ".join(told)))
    return [heading("By column"), aside(facts(lines))] if lines else []


def sample(found: Sample) -> RenderableType:
    """Rows by their key, one line a column."""
    title = heading(f"Rows that are {_WORDS[found.kind]}")
    if not found.rows:
        return Group(title, aside("none" if not found.offset else "no more rows"))
    grid = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in [*(found.key or ("row",)), "column", "archived", "live"]:
        grid.add_column(printable(name), header_style="quiet", overflow="fold")
    for row in found.rows:
        key = [_value(part) for part in row.key]
        for column, cell in zip(found.columns, row.cells, strict=True):
            if found.kind == "changed" and not cell.differs:
                continue
            if found.column is not None and column.name != found.column:
                continue
            then = Text("") if found.kind == "only_live" else _value(cell.then)
            now = Text("") if found.kind == "only_archived" else _value(cell.now)
            grid.add_row(*key, safe(column.name), then, now)
            key = [Text("")] * len(key)
    more = [aside(f"more: --offset {found.offset + len(found.rows)}")] if found.more else []
    return Group(title, aside(grid), *more)


def _value(text: str | None) -> Text:
    if text is None:
        return Text("NULL", style="quiet")
    return Text(shorten(printable(text), _LONGEST))
