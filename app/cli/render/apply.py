"""Applied migrations: what an up did, the state of each file, and the history."""

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.cli.humanize import printable, shorten
from app.cli.render.layout import aside, heading, marked, safe
from app.migrate.apply.history import PastRun, Step
from app.migrate.apply.status import Entry, State, Status
from app.migrate.apply.up import UpReport
from app.migrate.risk import Level
from app.recovery.core.names import signed
from app.text import ago, instant, plural, took

_STYLES = {"good": "good", "waiting": "warn", "running": "warn", "bad": "bad"}
_OUTCOMES = {
    "applied": "good",
    "failed": "bad",
    "running": "warn",
    "interrupted": "bad",
    "reverted": "quiet",
    "replaced": "quiet",
}


def applied(report: UpReport) -> RenderableType:
    """Each migration that ran, and what is left."""
    parts: list[RenderableType] = []
    for one in report.ran:
        words = Text(printable(one.id), style="name")
        tries = f", {plural(one.tries, 'try', 'tries')}" if one.tries > 1 else ""
        words.append(
            f"  {plural(one.statements, 'statement')}, {took(one.elapsed)}{tries}", "quiet"
        )
        parts.append(marked(Text("✓", style="good"), words))
        parts += [aside(printable(note)) for note in one.notes]
    if not report.ran:
        parts.append(marked(Text("✓", style="good"), "no migration is pending"))
    if report.pending:
        parts.append(aside(f"still pending: {plural(len(report.pending), 'migration')}"))
    return Group(*parts)


def captures_of(report: UpReport) -> RenderableType:
    """The captures that would run instead of drops, in a dry run."""
    if not report.captures:
        return Group()
    parts: list[RenderableType] = [heading("Captures instead of drops")]
    for path, line, text in report.captures:
        parts.append(safe(f"{shorten(path, 60)}:{line}: {text}"))
    return Group(*parts)


def status_list(status: Status) -> RenderableType:
    """Each migration with its state; of an edited one the lines."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("Migration", overflow="fold")
    table.add_column("State", no_wrap=True)
    table.add_column("Applied", no_wrap=True)
    table.add_column("By", overflow="fold")
    notes: list[RenderableType] = []
    for entry in status.entries:
        words, style = entry.state.words, _STYLES[entry.state.mark]
        run = entry.run if entry.run and entry.run.applied else None
        table.add_row(
            Text(printable(entry.id), style="name"),
            Text(words, style=style),
            ago(run.applied_at) if run else "",
            printable(signed(run.applied_by, run.applied_by_role)) if run else "",
        )
        notes += _notes(entry)
    parts: list[RenderableType] = [table, *notes]
    if status.holder is not None:
        who = status.holder.describe(query=False)
        parts.append(marked(Text("!", style="warn"), f"migrations run now: {printable(who)}"))
    count = len(status.pending)
    parts.append(Text(f"\n{plural(count, 'migration')} pending", style="quiet"))
    return Group(*parts)


def _notes(entry: Entry) -> list[RenderableType]:
    if entry.state is State.EDITED:
        lines = [f"{entry.path}:{edit.line}: {edit.now or '(removed)'}" for edit in entry.edits[:5]]
        return [marked(Text("!", style="bad"), f"edited: {line}") for line in lines]
    if entry.state is State.FAILED and entry.run is not None and entry.run.error:
        said = str(entry.run.error.get("message"))
        return [marked(Text("!", style="bad"), f"{entry.id}: {said}")]
    if entry.state is State.VANISHED:
        return [marked(Text("!", style="bad"), f"{entry.id}: its file does not exist any more")]
    return []


def history_list(runs: Sequence[PastRun], steps: Sequence[Step], *, busy: bool) -> RenderableType:
    """Runs, newest first; with steps, each statement of them.

    `busy` is whether somebody runs migrations now.
    """
    if not runs:
        return Text("no migration ran", style="quiet")
    parts: list[RenderableType] = []
    for run in runs:
        line = Text(f"{instant(run.began_at)}  ", style="quiet")
        line.append(printable(run.id), "name")
        outcome = run.outcome_while(busy=busy)
        down = "down, " if run.direction == "down" else ""
        line.append(f"  {down}{outcome}", _OUTCOMES[outcome])
        line.append(f"  {took(run.elapsed)}" if run.elapsed is not None else "")
        parts.append(line)
        parts.append(aside(printable(_details(run))))
        if run.error and run.outcome == "failed":
            parts.append(aside(printable(str(run.error.get("message")))))
        parts += [_step(step) for step in steps if step.run == run.run]
    return Group(*parts)


def _details(run: PastRun) -> str:
    said = [f"by {signed(run.applied_by, run.applied_by_role)}"]
    if run.origin != "zanith":
        said.append(f"adopted from {run.origin}")
    if run.statements:
        said.append(plural(run.statements, "statement"))
    if run.score is not None:
        said.append(f"risk {Level(run.score).word}")
    if run.tries > 1:
        said.append(plural(run.tries, "try", "tries"))
    if run.recoverable:
        said.append(f"{plural(run.recoverable, 'object')} recoverable")
    return ", ".join(said)


def _step(step: Step) -> RenderableType:
    what = f"{step.kind} {step.object}" if step.object else step.kind
    words = f"line {step.line}: {what}, {step.status}"
    if step.elapsed is not None:
        words += f", {took(step.elapsed)}"
    locks = (step.observed or {}).get("locks") or []
    said = "; ".join(f"{lock['mode']} on {lock['table']}" for lock in locks)
    lines = [words, *([f"locks: {said}"] if said else [])]
    if step.error:
        lines.append(str(step.error.get("message")))
    return aside(Group(*(safe(line, "quiet") for line in lines)), 4)
