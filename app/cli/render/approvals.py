"""Requests for approvals: one line each, and one in full beside what its change would do now."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.cli.humanize import printable
from app.cli.render.layout import aside, facts, heading, listing, marked, safe
from app.cli.render.outcome import done
from app.cli.render.plan import conflicts
from app.cli.render.steps import steps
from app.recovery.approvals.looking import Review
from app.recovery.approvals.several import Outcome
from app.recovery.approvals.standing import Standing
from app.recovery.core.names import signed
from app.recovery.jobs.approvals import Approval, how_to_ask
from app.text import ago, count, instant, relative

_STYLES = {"requested": "warn", "approved": "good", "rejected": "bad"}


def approval_list(approvals: Sequence[Approval], required: Sequence[str]) -> RenderableType:
    """A table of requests, and what needs an approval here."""
    words = "No change needs an approval here."
    if required:
        words = f"Needs an approval here: {', '.join(required)}"
    said = Text(words, style="quiet")
    if not approvals:
        return Group(Text("No requests.", style="quiet"), said)
    return Group(approval_table(approvals), said)


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


def standing(found: Standing, artifact_id: str) -> list[RenderableType]:
    """Whether a change needs an approval, and how far it has come; nothing where it needs none."""
    if not found.needed:
        return []
    asked = found.found
    if asked is None:
        words = "It needs the approval of a second person, and nobody asked for it yet."
        if found.last is not None and found.last.state != "used":
            words = f"It needs the approval of a second person. {_last(found.last)}"
        how = how_to_ask(found.change, artifact_id)
    elif found.approved is None:
        by = signed(asked.requested_by, asked.requested_by_role)
        words = (
            f"It waits for the approval of a second person. {by} asked {ago(asked.requested_at)}."
        )
        how = f"zanith approvals approve {asked.id}"
    else:
        by = signed(asked.decided_by, asked.decided_by_role)
        lapses = relative(asked.expires_at)
        words = f"{by} approved it in the request {asked.id}, which lapses {lapses}."
        return [heading("Approval"), marked(Text("✓", style="good"), words)]
    return [heading("Approval"), marked(Text("!", style="warn"), words), aside(Text(how, "flag"))]


def _last(last: Approval) -> str:
    if last.live:
        return f"The request {last.id} is of another plan."
    ended = {"lapsed": "lapsed", "rejected": "was rejected", "withdrawn": "was withdrawn"}
    return f"The request {last.id} {ended[last.state]}."


def outcomes(items: Sequence[Outcome], word: str) -> RenderableType:
    """What became of each of several requests."""
    lines: list[RenderableType] = []
    for item in items:
        if item.approval is not None:
            lines.append(done(Text(f"{word} the ").append(printable(item.approval.title), "name")))
            continue
        assert item.error is not None  # noqa: S101 - one or the other
        lines.append(marked(Text("✗", style="bad"), f"{item.reference}: {item.error.message}"))
        lines += [aside(text) for text in (item.error.detail, item.error.hint) if text]
    return Group(*lines)


def approval_table(approvals: Sequence[Approval]) -> Table:
    """A table of requests: what, in which state, who asked and why."""
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
    return table


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
