"""Numbers, times and names as the terminal shows them, and which code an error ends with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from app import text
from app.cli import humanize
from app.cli.exits import Exit, exit_for
from app.cli.render.outcome import difference
from app.cli.render.steps import steps
from app.recovery.core import errors
from app.recovery.plan.model import Step

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 kB"),
        (10_240, "10 kB"),
        (1_023_999, "1.0 MB"),
        (283_115_520, "270 MB"),
        (5 * 1024**4, "5.0 TB"),
        (10**18, "888 PB"),
    ],
)
def test_sizes(value, shown):
    assert text.size(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (0, "0"), (2_000_000, "2,000,000"), (20_400_000, "20.4 M"), (3 * 10**9, "3.0 G")],
)
def test_counts(value, shown):
    assert text.count(value) == shown


@pytest.mark.parametrize(
    ("passed", "shown"),
    [
        (timedelta(seconds=0.2), "just now"),
        (timedelta(seconds=42), "42s ago"),
        (timedelta(minutes=5), "5min ago"),
        (timedelta(hours=23, minutes=50), "24h ago"),
        (timedelta(days=45), "45d ago"),
        (timedelta(days=120), "4mo ago"),
        (timedelta(days=800), "2y ago"),
    ],
)
def test_ages(passed, shown):
    assert text.ago(NOW - passed, NOW) == shown


def test_what_is_left():
    assert text.left(None, NOW) == "never"
    assert text.left(NOW, NOW) == "expired"
    assert text.left(NOW + timedelta(days=29, hours=23), NOW) == "30d"


@given(st.text(max_size=80), st.integers(3, 60))
def test_shortened_names_fit_and_steer_nothing(name, width):
    shown = humanize.shorten(name, width)
    assert cell_len(shown) <= width
    assert shown.isprintable()


def test_control_characters_are_shown_and_not_sent():
    assert humanize.printable("a\x1b[31mb\nc\x9bd") == "a␛[31mb␊c\\x9bd"
    assert humanize.printable_block("a\nb\x07") == "a\nb␇"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.Failed, Exit.FAILED),
        (errors.WrongUsage, Exit.USAGE),
        (errors.NotFound, Exit.NOT_FOUND),
        (errors.Refused, Exit.REFUSED),
        (errors.NotInstalled, Exit.REFUSED),
        (errors.Cancelled, Exit.REFUSED),
        (errors.Locked, Exit.LOCKED),
        (errors.NotPermitted, Exit.NOT_PERMITTED),
        (errors.NotAuthenticated, Exit.NOT_PERMITTED),
    ],
)
def test_every_error_has_its_exit_code(error, code):
    assert exit_for(error()) is code


@pytest.mark.parametrize(
    ("recorded", "now", "words"),
    [
        (
            {"validated": True, "definition": "x"},
            {"validated": False, "definition": "x"},
            "validated: true → false",
        ),
        ({}, None, "set → not set"),
        ("integer", "bigint", "integer → bigint"),
        (["a"], ["b"], '["a"] → ["b"]'),
    ],
)
def test_a_difference_says_only_what_differs(recorded, now, words):
    assert difference(recorded, now) == words


def test_steps_after_the_commit_are_shown_as_transactions_of_their_own():
    console = Console(width=100)
    plan = [Step("SELECT 1", "Add", None, ()), Step("SELECT 2", "Check", None, (), transaction=2)]
    with console.capture() as shown:
        console.print(steps([*plan, plan[1]]))
    assert "3 steps in two parts" in shown.get()
    assert "after the commit, each in its own transaction:" in shown.get()
