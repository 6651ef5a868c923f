"""A verification as Markdown, for a pull request."""

from __future__ import annotations

from collections.abc import Iterator

from app.migrate.review.report import plain
from app.migrate.shadow.findings import Finding, Verdict
from app.migrate.shadow.run import Statement
from app.migrate.shadow.verify import Verification, Verified
from app.text import plural

MARKS = {
    Verdict.OK: "🟢",
    Verdict.DRIFT: "🟠",
    Verdict.FAILED: "🔴",
    Verdict.INCONCLUSIVE: "🟡",
}


def to_markdown(found: Verification) -> str:
    """Return the verdict, the findings, and what each statement was observed to do."""
    lines = [f"### Verified on a shadow: {MARKS[found.verdict]} {found.verdict.value}", ""]
    lines += [f"- {MARKS[one.kind.verdict]} {_finding(one)}" for one in found.findings]
    if found.findings:
        lines.append("")
    for migration in found.migrations:
        rows = list(_rows(migration))
        if rows:
            lines += [f"**{plain(migration.id)}**", "", _HEAD, _RULE, *rows, ""]
    lines += [f"{where_words(found)}.", ""]
    lines += [f"- {plain(note)}" for note in found.notes]
    return "\n".join([*lines, ""])


_HEAD = "| line | statement | locks | scans | rewrites |"
_RULE = "| --- | --- | --- | --- | --- |"


def where_words(found: Verification) -> str:
    """Return what ran, and where."""
    pending = plural(len(found.migrations), "pending migration")
    if len(found.migrations) < found.pending:
        pending = f"{len(found.migrations)} of {plural(found.pending, 'pending migration')}"
    server = f"PostgreSQL {found.server}" if found.server else "no server"
    after = f" after {plural(found.replayed, 'applied one')}" if found.replayed else ""
    return f"{pending}{after}, on {server} ({found.pattern.value})"


def lock_words(statement: Statement) -> list[str]:
    """Return the observed locks, the strongest first."""
    locks = sorted(statement.observed.locks.items(), key=lambda item: (-item[1], item[0].names))
    return [f"{mode.word} on {table.name}" for table, mode in locks]


def _rows(migration: Verified) -> Iterator[str]:
    for one in migration.statements:
        observed = one.observed
        locks = lock_words(one)
        if not (locks or observed.scanned or observed.rewritten):
            continue
        cells = (
            str(one.line),
            plain(shorten(one.text)),
            "<br>".join(plain(words) for words in locks),
            "<br>".join(plain(table.name) for table in sorted(observed.scanned, key=str)),
            "<br>".join(plain(table.name) for table in sorted(observed.rewritten, key=str)),
        )
        yield f"| {' | '.join(cells)} |"


def shorten(text: str, length: int = 80) -> str:
    """Return a statement in one line, cut if it is long."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def _finding(one: Finding) -> str:
    place = f"{plain(one.place)}: " if one.path else ""
    hint = f" {plain(one.hint)}." if one.hint else ""
    return f"`{one.kind.value}` {place}{plain(one.message)}.{hint}"
