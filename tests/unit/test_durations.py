"""Durations as people write them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.recovery.core.durations import format_duration, parse_duration
from app.recovery.core.errors import WrongUsage
from app.text import span


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30d", timedelta(days=30)),
        ("30", timedelta(days=30)),
        ("12h", timedelta(hours=12)),
        ("90min", timedelta(minutes=90)),
        ("90 minutes", timedelta(minutes=90)),
        ("1mo", timedelta(days=30)),
        ("3 months", timedelta(days=90)),
        ("2y", timedelta(days=730)),
        ("1 day", timedelta(days=1)),
        ("2s", timedelta(seconds=2)),
        ("500ms", timedelta(milliseconds=500)),
        ("2w", timedelta(days=14)),
        ("0", timedelta()),
        (" 1.5H ", timedelta(minutes=90)),
        ("Never", None),
    ],
)
def test_parse(text, expected):
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", "soon", "-1d", "3m", "1 M", "d", "ds", "s", "3 moons", "1d2h", "9" * 30 + "d"]
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(WrongUsage):
        parse_duration(text)


def test_minutes_and_months_are_told_apart():
    with pytest.raises(WrongUsage) as refused:
        parse_duration("1m")
    assert refused.value.message == "'1m' could be minutes or months"
    assert refused.value.hint == "write 1min for minutes, or 1mo for months of 30 days"


@pytest.mark.parametrize("seconds", [42, 300, 7200, 86400 * 40, 86400 * 90, 86400 * 800])
def test_what_a_list_prints_can_be_typed(seconds):
    """The list prints `5min` and `3mo`: the same words are understood."""
    shown = parse_duration(span(seconds))
    assert abs(shown.total_seconds() - seconds) <= seconds / 4


@given(st.none() | st.integers(0, 10**12).map(lambda n: timedelta(milliseconds=n)))
def test_what_is_written_parses_back(duration):
    assert parse_duration(format_duration(duration)) == duration
