"""Errors for people and for scripts: message, detail, hint, and never a traceback."""

from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from app.cli.console import Terminal
from app.cli.humanize import printable_block
from app.cli.render.plan import capture_plan, restore_plan
from app.cli.render.steps import steps
from app.cli.words import error_document, on_command
from app.recovery.capture.planning import CapturePlan
from app.recovery.core.errors import ZanithError
from app.recovery.plan.model import Plan


def report(error: ZanithError, terminal: Terminal) -> None:
    """Print the error: on stderr, or with --json as the one document on stdout.

    A plan that is another than the confirmed one is shown as it is now.
    """
    plan = getattr(error, "plan", None)
    if terminal.json:
        said = error_document(error.as_dict())
        terminal.emit({"error": said} | ({"plan": plan.to_json()} if plan else {}))
        return
    if plan is not None and not getattr(plan, "blocked", ()):  # it can run, and is another
        terminal.say(_shown(plan))
    terminal.err.print(
        Text.assemble(("error: ", "bad"), _said(error.message)),
        soft_wrap=not terminal.err.is_terminal,  # a line stays whole for grep
    )
    if error.detail:
        terminal.err.print(Padding(Text(_said(error.detail)), (0, 0, 0, 2), expand=False))
    if error.hint:
        terminal.err.print(Text.assemble(("hint: ", "flag"), _said(error.hint)))


def _shown(plan: Any) -> RenderableType:
    if isinstance(plan, Plan):
        return restore_plan(plan)
    return capture_plan(plan) if isinstance(plan, CapturePlan) else steps(plan.steps)


def _said(text: str) -> str:
    return printable_block(on_command(text.strip()))
