"""What the engine says of its SQL arguments is said as options on the command line."""

from __future__ import annotations

import pytest

from app.cli.words import on_command


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Use on_dependents => 'keep' to", "Use --on-dependents keep to"),
        (
            "Use soft_drop_column, or on_dependents => 'cascade'.",
            "Use --strategy soft, or --on-dependents cascade.",
        ),
        ("or soft_drop_column with 'keep'.", "or --strategy soft with --on-dependents keep."),
        ("published_ok => true (--published-ok)", "--published-ok"),
        ("which archive_column does not support", "which --strategy archive does not support"),
        ("Use a positive interval, or NULL for never.", "Use a positive interval, or never."),
        # names stay as they are
        ("public.archive_column is a view", "public.archive_column is a view"),
        ('"archive_column" is a view', '"archive_column" is a view'),
        ("SELECT zanith.archive_column(…)", "SELECT zanith.archive_column(…)"),
        ("my_archive_column_2", "my_archive_column_2"),
    ],
)
def test_words_of_the_command_line(said, shown):
    assert on_command(said) == shown
