"""Snapshots of the schema: a list, and what changed between two."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.cli.humanize import printable, shorten
from app.cli.render.layout import aside, heading, marked
from app.migrate.schema.ddl.generate import Ddl
from app.migrate.schema.difference import Difference
from app.migrate.schema.model import Key
from app.migrate.schema.snapshots import Snapshot
from app.text import count, instant, plural

_LONGEST = 200


def taken(snapshot: Snapshot) -> RenderableType:
    """The number of a new snapshot."""
    words = f"snapshot {snapshot.id}: {plural(snapshot.objects, 'object')}, {snapshot.hash}"
    return marked(Text("✓", style="good"), words)


def snapshot_list(found: Sequence[Snapshot]) -> RenderableType:
    """A table of snapshots, or that there are none."""
    if not found:
        return Text("No snapshots.", style="quiet")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("No.", justify="right", no_wrap=True, style="name")
    table.add_column("Taken", no_wrap=True)
    table.add_column("When", overflow="fold")
    table.add_column("Objects", justify="right", no_wrap=True)
    table.add_column("Hash", no_wrap=True)
    for one in found:
        when = f"{one.moment} {printable(one.migration_id)}" if one.migration_id else one.moment
        table.add_row(
            str(one.id),
            instant(one.taken_at),
            Group(Text(when), Text(f"by {printable(one.taken_by)}", style="quiet")),
            count(one.objects),
            Text(one.hash[:12], style="" if one.changed else "quiet"),
        )
    return table


def compared(found: Difference, ddl: Ddl) -> RenderableType:
    """Each object that was created, dropped or changed."""
    if not found:
        return marked(Text("✓", style="good"), "The schemas are equal.")
    parts: list[RenderableType] = []
    created, dropped = found.whole
    parts += [_line("+", "good", key) for key in created]
    parts += [_line("−", "bad", key) for key in dropped]
    for key, changes in found.changed.items():
        parts.append(_line("~", "warn", key))
        parts += [aside(words, 4) for words in _changes(changes)]
    if found.renames:
        parts.append(heading("Possible renames"))
        parts += [
            marked("?", f"{one.before.label} {one.before.text} → {one.after.text}")
            for one in found.renames
        ]
    if ddl.missing:
        parts.append(heading("Not generated as SQL"))
        parts += [marked(Text("✗", style="bad"), printable(str(one))) for one in ddl.missing]
    return Group(*parts)


def _line(mark: str, style: str, key: Key) -> RenderableType:
    line = Text(f"{key.label} ")
    line.append(printable(key.text), "name")
    return marked(Text(mark, style=style), line)


def _changes(changes: Any) -> Iterator[str]:
    for name, (old, new) in changes.items():
        yield f"{name.replace('_', ' ')}: {_value(old)} → {_value(new)}"


def _value(value: Any) -> str:
    if value is None:
        return "none"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return shorten(printable(" ".join(text.split())), _LONGEST)
