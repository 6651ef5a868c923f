"""What the comparisons leave out of account: all of it, each with its reason.

Nothing else is normalised away. A run prints this list.
"""

from __future__ import annotations

from typing import Any

REASONS = {
    "schemas zanith and _zanith_shadow": "the bookkeeping and the archives are ours, and not there "
    "where nothing was captured",
    "the order of lines within one entry of pg_dump": "only for archive_column, and where a cascade "
    "took generated columns along: a re-added column stands last in CREATE TABLE, and its grants and "
    "comments with it",
    "the order of columns in CREATE STATISTICS": "PostgreSQL lists them by their place in the table",
    "the order of rows": "PostgreSQL promises none, and dropped values make rows shorter",
    "rows of materialized views that are older than their tables": "a restore computes them again, "
    "and its plan says so: a database is refreshed before it is judged",
    "catalog rows that bear a parked name": "a rename keeps the object; promise 2 says "
    "so beforehand",
    "what a soft-dropped column shows in SELECT *": "it keeps its slot in the row: the probes name "
    "their columns",
    "the random token of pg_dump's \\restrict": "--restrict-key fixes it where the program has it",
}
PARKED = "_zanith_dropped_"


def without_parked(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return the rows of a catalog read that name nothing that is parked."""
    return [row for row in rows if not any(PARKED in str(value) for value in row)]
