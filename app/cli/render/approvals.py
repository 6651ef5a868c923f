"""Requests for approvals: one line each, and one in full beside what its change would do now."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.cli.humanize import printable
from app.cli.render.layout import facts, heading, listing, marked, safe
from app.cli.render.plan import conflicts
from app.cli.render.steps import steps
from app.recovery.approvals.looking import Review
from app.recovery.core.names import signed
from app.recovery.jobs.approvals import Approval
from app.text import ago, count, instant

_STYLES = {"requested": "warn", "approved": "good", "rejected": "bad"}


def approval_list(approvals: Sequence[Approval], required: Sequence[str]) -> RenderableType:
    """A table of requests, and what needs an approval here."""
    words = "No change needs an approval here."
    if required:
        words = f"Needs an approval here: {', '.join(required)}"
    said = Text(words, style="quiet")
    if not approvals:
        return Group(Text("No requests.", style="quiet"), said)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("ID", no_wrap=True, style="name")
    table.add_column("Change", overflow="fold")
    table.add_column("State", no_wrap=True)
    table.add_column("Asked", overflow="fold")
    for one in approvals:
        reason = [Text(f"“{printable(one.reason)}”", style="quiet")] if one.reason else []
        asked = f"{ago(one.requested_at)} by {signed(one.requested_by, one.requested_by_role)}"
        table.add_row(
            one.id, Group(safe(one.title), *reason), state(one.state), Text(printable(asked))
        )
    return Group(table, said)


def state(word: str) -> Text:
    """The state of a request, in its colour."""
    return Text(word, style=_STYLES.get(word, "quiet"))


def approval_review(looked: Review) -> RenderableType:
    """Everything of a request: who, why, what its change does now, and what is different."""
    one = looked.approval
    stale = one.live and looked.changed
    parts: list[RenderableType] = [
        Text.assemble(
            (printable(one.title), "name"), "  ", state("lapsed" if stale else one.state)
        ),
        facts(
            [
                ("request", one.id),
                ("asked by", _who(one.requested_by, one.requested_by_role, one.requested_at)),
                ("reason", one.reason),
                ("decided by", _who(one.decided_by, one.decided_by_role, one.decided_at)),
                ("decision", one.decision_reason),
                ("lapses" if one.live else "ended", instant(one.ended_at or one.expires_at)),
                ("job", one.job_id),
                *((str(label).lower(), _value(value)) for label, value in one.facts if value),
                *((key, _value(value)) for key, value in one.params.get("choices", {}).items()),
            ]
        ),
    ]
    if stale:
        why = looked.gone or "the change is no longer the one that was asked for"
        parts.append(marked(Text("!", style="bad"), f"This request lapsed: {why}."))
        lines = [
            f"{each.label.lower()}: {_value(each.then)}, now {_value(each.now)}"
            for each in looked.differences
        ]
        parts += listing("Different now", "~", "warn", lines)
    if looked.now is not None:
        losses = [loss.message for loss in looked.now.losses]
        parts += listing("Will not come back exactly", "~", "warn", losses)
        parts += conflicts(looked.now.stops)
        if looked.now.steps:
            parts += [heading("Steps"), steps(looked.now.steps)]
    return Group(*parts)


def _who(name: str | None, role: str | None, at: Any) -> str | None:
    return f"{signed(name, role)}, {instant(at)}" if name else None


def _value(value: Any) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
