"""The guard: whether it acts and how, and what it would do with statements."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from app.cli.humanize import printable, shorten
from app.cli.render.layout import aside, facts, heading, marked
from app.recovery.core.durations import format_duration
from app.recovery.core.names import quote
from app.recovery.guard.rules import Guard, Rule
from app.recovery.guard.trial import Verdict
from app.text import count, plural

_STATES = {
    "on": ("✓", "good", "the guard is on"),
    "off": ("○", "warn", "the guard is off: a plain DROP deletes for good"),
    "damaged": ("✗", "bad", "event triggers of the guard are missing or disabled: zanith guard on"),
}
_OUTCOMES = {
    "passes": ("·", "quiet", "passes: it deletes no data"),
    "captured": ("✓", "good", "captured"),
    "deleted": ("✗", "bad", "would delete for good"),
    "refused": ("✗", "bad", "refused"),
    "failed": ("✗", "bad", "PostgreSQL refuses it"),
    "skipped": ("?", "warn", "not tried"),
}


def described(found: Guard) -> RenderableType:
    """The state first, then the rules, then the roles that may not capture."""
    sign, style, words = _STATES[found.state]
    if found.state == "off" and found.pins:
        words += f", except of {plural(len(found.pins), 'pinned table')}"
    parts: list[RenderableType] = [marked(Text(sign, style=style), words)]
    if not found.available:
        parts.append(aside("it needs a superuser as the owner of Zanith, and the owner is none"))
    parts += [aside(_rule(rule)) for rule in found.rules]
    rows: list[tuple[str | Text, str | Text | None]] = [
        ("captured", plural(found.captured, "artifact")),
        ("deleted", f"{plural(found.deleted, 'object')} with a warning, or with the guard off"),
    ]
    rows.append(("database", f"DROP DATABASE {'is refused' if found.database_kept else 'passes'}"))
    rows.append(("truncate", _truncated(found)))
    rows.append(("pins", _pinned(found)))
    parts.append(aside(facts(rows)))
    for pinned in found.pins:
        if pinned.lacking or pinned.without:
            parts.append(heading(f"Of the pinned table {printable(pinned.table)} a DROP deletes"))
            parts += [aside(f"column {printable(name)}") for name in pinned.lacking]
            parts += [aside(printable(name)) for name in pinned.without]
            option = "" if pinned.columns else " --table-only"
            parts.append(aside(f"→ zanith guard pin {printable(pinned.table)}{option}"))
    for table in found.truncated:
        if table.without:
            parts.append(heading(f"Parts of {printable(table.table)} whose TRUNCATE passes"))
            parts += [aside(printable(name)) for name in table.without]
            parts.append(aside(f"→ zanith guard truncate {printable(table.table)}"))
    if found.may_not_capture:
        parts.append(heading("May not capture: their drops are refused"))
        parts += [
            aside(f"{printable(quote(name))}: {plural(tables, 'table')}")
            for name, tables in found.may_not_capture.items()
        ]
        parts.append(aside("→ zanith init --grant ROLE, or zanith guard on --public"))
    return Group(*parts)


def _truncated(found: Guard) -> str:
    names = ", ".join(printable(table.table) for table in found.truncated)
    return f"the guard keeps the rows of {names}" if names else "TRUNCATE passes"


def _pinned(found: Guard) -> str:
    names = ", ".join(
        printable(one.table) + ("" if one.columns else " (table only)") for one in found.pins
    )
    return f"a plain DROP fails: {names}" if names else "none"


def still_pinned(found: Guard) -> RenderableType:
    """Say that pins stay when the guard is turned off."""
    first = printable(found.pins[0].table)
    return aside(
        f"{plural(len(found.pins), 'table')} still pinned: a plain DROP fails"
        f"\n→ zanith guard pin {first} --off"
    )


def _rule(rule: Rule) -> str:
    words = f"{printable(rule.scope)}: {rule.mode.value}"
    if rule.expires_in is not None:
        words += f", artifacts expire after {format_duration(rule.expires_in)}"
    if rule.may_turn_off is False:
        words += ", cannot be turned off for a transaction"
    return words


def tried(verdicts: Sequence[Verdict]) -> RenderableType:
    """Each statement, what the guard would do with it, and why."""
    parts: list[RenderableType] = []
    for verdict in verdicts:
        sign, style, words = _OUTCOMES[verdict.outcome]
        one_line = " ".join(verdict.statement.split())
        parts.append(marked(Text(sign, style=style), shorten(one_line, 100)))
        if verdict.outcome == "passes" and verdict.message:
            words = "passes"
        parts.append(aside(words + (f": {printable(verdict.message)}" if verdict.message else "")))
        parts += [
            aside(f"  {printable(found['object'])} ({found['strategy']})")
            for found in verdict.captured
        ]
        parts += [aside(f"  {printable(name)}") for name in verdict.deleted]
        parts += [aside(shorten(verdict.detail, 200))] if verdict.detail else []
        parts += [aside(f"→ {printable(verdict.hint)}")] if verdict.hint else []
    parts.append(aside(f"{count(len(verdicts))} statements, rolled back"))
    return Group(*parts)
