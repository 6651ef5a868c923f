"""The strategies: ways to capture. Each is an artifact type, and the name of a SQL function.

What is true of each is said in SQL, by zanith._strategies(), and here for what runs in Python; a
test compares both.
"""

from __future__ import annotations

from enum import StrEnum


class Strategy(StrEnum):
    """The ways to capture."""

    SOFT_DROP_COLUMN = "soft_drop_column"
    SOFT_DROP_TABLE = "soft_drop_table"
    ARCHIVE_COLUMN = "archive_column"
    ARCHIVE_TABLE = "archive_table"
    REBUILD_TABLE = "rebuild_table"
    ARCHIVE_ROWS = "archive_rows"
    ARCHIVE_VALUES = "archive_values"
    KEEP_DEFINITION = "keep_definition"


OF_COLUMNS = (Strategy.SOFT_DROP_COLUMN, Strategy.ARCHIVE_COLUMN, Strategy.ARCHIVE_VALUES)
"""It is of a column; the others are of a table."""

DROPS = (
    Strategy.SOFT_DROP_COLUMN,
    Strategy.ARCHIVE_COLUMN,
    Strategy.SOFT_DROP_TABLE,
    Strategy.ARCHIVE_TABLE,
)
"""What is captured is not in its place afterwards."""

VALUES = (Strategy.ARCHIVE_COLUMN, Strategy.ARCHIVE_VALUES)
"""It copies the values of a column, by a key."""

DEFINITION = (Strategy.KEEP_DEFINITION,)
"""It has neither rows nor values: only the definition is kept."""

CAPTURES = tuple(strategy for strategy in Strategy if strategy not in DEFINITION)
"""The names of the capture functions: of a table or a column."""

ARCHIVE = (*VALUES, Strategy.ARCHIVE_ROWS)
"""It always has a copy, which stays after the restore."""
