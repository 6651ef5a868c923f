"""Durations as people write them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.recovery.durations import format_duration, parse_duration
from app.recovery.errors import WrongUsage


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30d", timedelta(days=30)),
        ("30", timedelta(days=30)),
        ("12h", timedelta(hours=12)),
        ("90m", timedelta(minutes=90)),
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


@pytest.mark.parametrize("text", ["", "soon", "-1d", "3y", "d", "1d2h", "9" * 30 + "d"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(WrongUsage):
        parse_duration(text)


@given(st.none() | st.integers(0, 10**12).map(lambda n: timedelta(milliseconds=n)))
def test_what_is_written_parses_back(duration):
    assert parse_duration(format_duration(duration)) == duration
