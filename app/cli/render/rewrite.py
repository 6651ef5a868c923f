"""Rewriting: the difference of each file, and what became of its statements."""

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from app.cli.humanize import printable, printable_block
from app.cli.render.layout import aside, marked
from app.migrate.rewriting.files import Rewritten
from app.migrate.rewriting.rewrite import Rewriting
from app.text import plural

_STYLES = {"+": "good", "-": "bad"}


def differences(files: Iterable[Rewritten]) -> RenderableType:
    """A unified diff of the files that change."""
    lines = [line for file in files for line in file.diff.splitlines()]
    return Group(*(Text(printable_block(line), style=_STYLES.get(line[:1], "")) for line in lines))


def summary(files: Sequence[Rewritten], *, written: int) -> RenderableType:
    """What became a capture, what was left and why, and what was not read."""
    parts: list[RenderableType] = []
    for file in files:
        parts += _of_one(str(file.path), file.result)
        if file.skipped:
            parts.append(marked(Text("○", style="warn"), f"not read: {printable(file.skipped)}"))
    changed = [file for file in files if file.changed]
    captures = sum(len(file.result.changes) for file in files)
    words = f"{plural(captures, 'statement')} in {plural(len(changed), 'file')}"
    if not changed:
        parts.append(marked("○", f"nothing to change in {plural(len(files), 'file')}"))
    elif written:
        parts.append(marked(Text("✓", style="good"), f"rewrote {words}"))
    else:
        parts.append(marked("○", f"would rewrite {words}; --in-place writes"))
    return Group(*parts)


def summary_of_text(result: Rewriting) -> RenderableType:
    """The same of a text from stdin, on stderr beside the text."""
    parts = _of_one("stdin", result)
    parts.append(marked("○", f"rewrote {plural(len(result.changes), 'statement')}"))
    return Group(*parts)


def _of_one(name: str, result: Rewriting) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for left in result.left:
        parts.append(
            marked(
                Text("✗", style="bad"),
                f"{printable(name)}:{left.line}: not rewritten: {printable(left.reason)}",
            )
        )
        parts.append(aside(f"→ {printable(left.hint)}"))
    return parts
