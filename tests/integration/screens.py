"""What the tests of the studio's words share: a studio, and how to read a page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import pytest
from rich.console import Console

from app.cli.console import THEME
from app.cli.render.plan import restore_plan
from tests.studios import (
    Running,
    capture_orders,
    run_studio,
    wait_for_seals,
)

STAFF, VIEWER = "the-token-of-staff", "the-token-of-viewer"
NOTHING = "There is no conflict"


@pytest.fixture
def artifacts(database) -> dict[str, str]:
    return capture_orders(database)


@pytest.fixture
def open_studio(database) -> Iterator[Running]:
    tokens = {"auth_token": f"ana:{STAFF}", "read_only_auth_token": f"vic:{VIEWER}"}
    with run_studio(database.tcp_url, **tokens) as running:
        wait_for_seals(database)
        yield running


def words(html: str) -> str:
    """Return what a page says: its text on one line."""
    text = re.sub(r"<(script|style).*?</\1>", "", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", text))).strip()


def in_terminal(plan) -> str:
    """Return what the command line says of a plan."""
    console = Console(width=200, color_system=None, theme=THEME)
    with console.capture() as said:
        console.print(restore_plan(plan))
    return re.sub(r"\s+", " ", said.get())


def badges(html: str) -> dict[str, str]:
    """Return the class of each badge by its word."""
    found = re.findall(r'<span class="badge ([a-z]*)"[^>]*>([^<]+)</span>', html)
    return {word.strip(): colour for colour, word in found}


DAMAGE = "UPDATE _zanith_shadow.{table} SET code = 'other' WHERE id = 7"


def field(html: str, name: str) -> str:
    """Return the element of a field."""
    (found,) = re.findall(rf'<input[^>]* name="{name}"[^>]*>', html)
    return unescape(found)


def hidden(html: str, action: str) -> dict[str, str]:
    """Return the hidden fields of a form, as a browser sends them: with its own line breaks."""
    form = html.split(f'method="post" action="{action}"', 1)[1].split("</form>", 1)[0]
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form)
    return {name: unescape(value).replace("\n", "\r\n") for name, value in found}
