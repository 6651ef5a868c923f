"""Webhooks: receivers by host, what waits, and what they answered."""

from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.cli.humanize import printable
from app.cli.render.layout import heading, marked, safe
from app.recovery.webhooks.model import Overview
from app.text import ago, plural

_STATES = {
    "delivered": ("delivered", "good"),
    "waiting": ("waiting", "warn"),
    "given_up": ("did not arrive", "bad"),
}


def webhook_list(found: Overview) -> RenderableType:
    """Return the receivers, and the newest messages; or how to set a receiver."""
    if not found.receivers:
        how = "No receiver yet. Set ZANITH_WEBHOOK_URL for the studio or the worker."
        return Text(how, style="quiet")
    shown: list[RenderableType] = [heading("Receivers")]
    for one in found.receivers:
        words = Text.assemble(
            (printable(one.host), "name"),
            (f" {one.short_id}", "quiet"),
            f"  {one.delivered} delivered, {one.waiting} waiting, {one.given_up} did not arrive",
        )
        lines: list[RenderableType] = [words]
        if one.stopped_at:
            lines.append(safe(f"answered 410 {ago(one.stopped_at)}: nothing is sent", "bad"))
        elif one.last_error and (one.waiting or one.given_up):
            lines.append(safe(f"{ago(one.last_failed_at)}: {one.last_error}", "warn"))
        if not one.here:
            lines.append(safe(f"not in the settings here; seen {ago(one.seen_at)}", "quiet"))
        good = not (one.waiting or one.given_up or one.stopped_at)
        mark = Text("✓", style="good") if good else Text("!", style="warn")
        shown.append(marked(mark, Group(*lines)))
    if found.deliveries:
        shown += [heading("Messages"), _messages(found)]
    if found.waiting or found.given_up:
        shown.append(Text("\nzanith webhooks retry sends again now", style="quiet"))
    return Group(*shown)


def _messages(found: Overview) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("Message", overflow="fold")
    table.add_column("State", no_wrap=True)
    table.add_column("Attempts", justify="right", no_wrap=True)
    for one in found.deliveries:
        about = f"{one.event.type} to {one.host}, {ago(one.event.at)}"
        table.add_row(
            Group(Text(printable(one.message)), Text(printable(about), style="quiet")),
            Text(*_STATES[one.state]),
            str(one.attempts),
        )
    return table


def answers(found: list[dict[str, Any]]) -> RenderableType:
    """Return what each receiver answered to a test."""
    lines: list[RenderableType] = []
    for one in found:
        if one["delivered"]:
            words = f"{printable(one['host'])} answered {one['status']}"
            lines.append(marked(Text("✓", style="good"), words))
        else:
            words = f"{printable(one['host'])}: {printable(one['error'])}"
            lines.append(marked(Text("✗", style="bad"), words))
    return Group(*lines)


def retried(number: int) -> str:
    """Return what comes of a retry."""
    if not number:
        return "nothing waits, and everything arrived"
    return f"{plural(number, 'message')} due now; zanith webhooks list shows what came of it"
