"""A plan of migrations: each operation with its level, reasons and locks, and the gates."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from app.cli.humanize import printable, shorten
from app.cli.render.layout import aside, heading, marked
from app.migrate.preflight.findings import Finding, Outcome
from app.migrate.review.plan import Gates, MigrationPlan, PlannedMigration, PlannedStatement
from app.migrate.review.report import lock_words, recovery_words
from app.migrate.risk import Level, Operation
from app.text import about, plural

_WIDTH = len(Level.DESTRUCTIVE.word)


def planned(plan: MigrationPlan) -> RenderableType:
    """Each migration with the operations of its statements."""
    parts: list[RenderableType] = []
    for migration in plan.migrations:
        parts.append(_title(migration))
        if not migration.statements:
            parts.append(aside("no statements"))
        for statement in migration.statements:
            parts += _statement(statement, plan.gates if plan.gates.catalog else None)
    return Group(*parts)


def _title(migration: PlannedMigration) -> Text:
    line = heading(printable(migration.id))
    line.append(f"  {migration.level.word} ({migration.level.value})", migration.level.tone)
    if not migration.transaction:
        line.append("  without a transaction", "quiet")
    return line


def _statement(statement: PlannedStatement, gates: Gates | None) -> Iterator[RenderableType]:
    for operation in statement.operations:
        level = Text(operation.level.word, style=operation.level.tone)
        line = Text(operation.kind, style="")
        if operation.object:
            line.append(" ").append(printable(operation.object), "name")
        line.append(f"  line {statement.line}", "quiet")
        yield marked(level, line, _WIDTH)
        yield from (aside(words, _WIDTH + 1) for words in _details(operation, gates))


def _details(operation: Operation, gates: Gates | None) -> Iterator[str]:
    if operation.reasons:
        codes = [
            f"{code} (allowed)" if code in operation.allowed else code for code in operation.codes
        ]
        yield ", ".join(codes)
    if operation.level >= Level.LOW:
        locks = [printable(words) for words in lock_words(operation)]
        if locks:
            yield f"locks: {'; '.join(locks)}"
    if operation.seconds is not None:
        yield f"takes {about(operation.seconds)}"
    yield from (printable(note) for note in operation.notes)
    if operation.reason:
        yield f"reason: {printable(operation.reason)}"
    recoverable = recovery_words(operation, gates)
    if recoverable:
        yield f"recoverable: {recoverable}"
    if operation.hint and operation.level >= Level.MEDIUM:
        yield f"→ {operation.hint}"


_MARKS = {
    Outcome.PASSED: Text("✓", style="good"),
    Outcome.FOUND: Text("✗", style="bad"),
    Outcome.NOT_CHECKED: Text("?", style="warn"),
}


def probed(findings: Sequence[Finding]) -> RenderableType:
    """What the rows of the database say; rows are named by their keys."""
    parts: list[RenderableType] = [heading("Preflight")]
    if not findings:
        parts.append(aside("no statement depends on the rows"))
    for finding in findings:
        place = f"{shorten(finding.place.path, 60)}:{finding.place.line}"
        words = printable(finding.message)
        parts.append(marked(_MARKS[finding.outcome], f"{printable(place)}: {words}"))
        if finding.reason:
            parts.append(aside(f"not checked: {printable(finding.reason)}"))
        parts += [aside(printable(example)) for example in finding.examples]
    return Group(*parts)


def summary(plan: MigrationPlan) -> RenderableType:
    """The total, and each operation that did not pass a gate."""
    operations = plan.operations
    counts = [
        f"{count} {level.word}"
        for level in sorted(Level, reverse=True)
        if (count := sum(one.level is level for one in operations))
    ]
    words = f"{plural(len(operations), 'operation')} in {plural(len(plan.migrations), 'migration')}"
    parts: list[RenderableType] = []
    parts += [marked(Text("!", style="warn"), printable(note)) for note in plan.notes]
    for failure in plan.failures:
        place = f"{shorten(str(failure.migration.path), 60)}:{failure.line}"
        parts.append(marked(Text("✗", style="bad"), f"{place}: {printable(failure.message)}"))
        parts.append(aside(f"→ {printable(failure.hint)}"))
    good = not plan.failures
    mark = Text("✓" if good else "✗", style="good" if good else "bad")
    if not plan.migrations:
        words = "nothing to plan"
    elif counts:
        words += f": {', '.join(counts)}"
    parts.append(marked(mark, words))
    return Group(*parts)
