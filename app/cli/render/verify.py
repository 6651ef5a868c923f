"""A verification on a shadow: what each statement was observed to do, and the verdict."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from app.cli.humanize import printable
from app.cli.render.layout import aside, heading, marked
from app.migrate.shadow.findings import Verdict
from app.migrate.shadow.report import lock_words, shorten, where_words
from app.migrate.shadow.run import Statement
from app.migrate.shadow.verify import Verification, Verified

_STYLES = {
    Verdict.OK: ("✓", "good"),
    Verdict.DRIFT: ("✗", "bad"),
    Verdict.FAILED: ("✗", "bad"),
    Verdict.INCONCLUSIVE: ("?", "warn"),
}


def observed(found: Verification) -> RenderableType:
    """Each migration with its statements: predicted and observed."""
    parts: list[RenderableType] = []
    for migration in found.migrations:
        parts.append(_title(migration))
        for statement in migration.statements:
            parts += _statement(statement)
    return Group(*parts)


def _title(migration: Verified) -> Text:
    line = heading(printable(migration.id))
    if migration.down is not None:
        words = "down part takes all back" if migration.down else "down part does not take all back"
        line.append(f"  {words}", "good" if migration.down else "bad")
    return line


def _statement(statement: Statement) -> Iterator[RenderableType]:
    bad = bool(statement.under)
    line = Text(printable(shorten(statement.text, 60)), style="name")
    line.append(f"  line {statement.line}", "quiet")
    yield marked(Text("✗" if bad else "✓", style="bad" if bad else "good"), line)
    yield from (aside(words) for words in _details(statement))


def _details(statement: Statement) -> Iterator[str]:
    seen = statement.observed
    locks = [printable(words) for words in lock_words(statement)]
    if locks:
        yield f"locks: {'; '.join(locks)}"
    for word, tables in (("rewrites", seen.rewritten), ("scans", seen.scanned)):
        if tables:
            yield f"{word}: {', '.join(sorted(printable(one.name) for one in tables))}"
    for one in seen.unobserved:
        yield f"not observed: {one}"
    for fault in statement.under:
        yield f"not in the plan: {printable(fault)}"


def verdict(found: Verification) -> RenderableType:
    """The findings, what a shadow cannot show, and the verdict."""
    parts: list[RenderableType] = []
    for one in found.findings:
        mark, style = _STYLES[one.kind.verdict]
        place = f"{one.place}: " if one.path else ""
        parts.append(marked(Text(mark, style=style), printable(f"{place}{one.message}")))
        if one.hint:
            parts.append(aside(f"→ {printable(one.hint)}"))
    parts += [aside(printable(note)) for note in found.notes]
    if found.address:
        parts.append(aside(f"the shadow was kept: {printable(found.address)}"))
    mark, style = _STYLES[found.verdict]
    words = f"{found.verdict.value}: {where_words(found)}"
    parts.append(marked(Text(mark, style=style), words))
    return Group(*parts)
