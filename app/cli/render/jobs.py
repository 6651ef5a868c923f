"""Jobs: one line each, and one in full."""

from collections.abc import Sequence
from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.cli.console import Terminal
from app.cli.humanize import printable
from app.cli.progress import figures
from app.cli.render.layout import aside, facts
from app.cli.render.outcome import done
from app.recovery.core.names import signed
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.model import Job
from app.text import ago, instant, plural, took

_STYLES = {
    "done": "good",
    "mismatch": "bad",
    "refused": "warn",
    "failed": "bad",
    "interrupted": "warn",
    "cancelled": "quiet",
}


def job_list(jobs: Sequence[Job], *, more: bool = False) -> RenderableType:
    """A table of jobs, or that there are none; and whether there are older ones."""
    if not jobs:
        return Text("No jobs.", style="quiet")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("ID", no_wrap=True, style="name")
    table.add_column("What", overflow="fold")
    table.add_column("State", no_wrap=True)
    table.add_column("Took", justify="right", no_wrap=True)
    for job in jobs:
        table.add_row(
            job.id,
            Group(Text(_what(job)), Text(_when(job), style="quiet")),
            _state(job),
            took(job.elapsed) if job.started_at else Text("–", style="quiet"),
        )
    words = f"the newest {plural(len(jobs), 'job')}; --all or --limit shows older ones"
    return Group(table, Text(words, style="quiet")) if more else table


def job_facts(job: Job) -> RenderableType:
    """Everything of one job that a person asks for."""
    error = job.error or {}
    return facts(
        [
            ("job", job.id),
            ("what", _what(job)),
            ("state", _state(job)),
            ("step", _step(job)),
            ("so far", None if job.ended else figures(job.progress) or None),
            ("asked by", f"{signed(job.actor, job.actor_role)}, {instant(job.created_at)}"),
            ("run by", job.worker),
            ("started", _moment(job.started_at)),
            ("ended", _moment(job.ended_at)),
            ("took", took(job.elapsed) if job.started_at else None),
            ("paused by", job.pause_requested_by if not job.ended else None),
            ("because", error.get("message")),
            ("hint", error.get("hint")),
        ]
    )


def handed_over(terminal: Terminal, job: Job) -> None:
    """Say that a job waits for a worker, and how to follow it."""
    terminal.show(done(f"{_what(job)} waits for a worker: zanith worker, or the studio"))
    terminal.show(aside(facts([("job", job.id), ("follow it", f"zanith jobs show {job.id}")])))
    if terminal.json:
        terminal.emit({"job": job.to_json()})


def _when(job: Job) -> str:
    by = f"by {printable(signed(job.actor, job.actor_role))}"
    if job.started_at is None:
        return f"asked for {ago(job.created_at)} {by}"
    return f"started {ago(job.started_at)} {by}"


def _moment(moment: datetime | None) -> str | None:
    return f"{ago(moment)}, {instant(moment)}" if moment else None


def _step(job: Job) -> str | None:
    step = job.progress.get("step")
    return str(step) if step and job.state != "done" else None


def _what(job: Job) -> str:
    online = "online " if job.params.get("online") else ""
    if job.kind is Kind.RESTORE_MIGRATION:
        return printable(f"restore of the migration {job.object}")
    return printable(f"{online}{job.kind.words}" + (f" of {job.object}" if job.object else ""))


def _state(job: Job) -> Text:
    words = job.state
    if not job.ended and job.pause_requested_by:
        words = "paused"
    return Text(words, style=_STYLES.get(job.state, ""))
