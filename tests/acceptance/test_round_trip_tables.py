"""Promise 3 for tables: after recovery_sql, by psql alone, pg_dump prints what it did before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance.shapes import CASCADE
from tests.acceptance.shapes.columns import VALUES
from tests.acceptance.shapes.constraints import CONSTRAINTS, INDEXES
from tests.acceptance.shapes.dependents import VIEWS
from tests.acceptance.shapes.families import INHERITED_TABLES
from tests.acceptance.shapes.names import NAMES
from tests.acceptance.shapes.partitions import PARTITIONS
from tests.acceptance.shapes.tables import TABLES
from tests.conftest import Database
from tests.oracle.judges import Shape, run_round_trips


def whole(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Return the tables of shapes of columns, to be captured whole with what hangs on them."""
    return {
        name: replace(shape, column=None, only=(), options=CASCADE, losses=())
        for name, shape in shapes.items()
        if "keep" not in shape.options
    }


STRATEGIES = ["soft_drop_table", "archive_table"]
FAMILIES = {"tables": TABLES, "partitions": PARTITIONS, "inherited": INHERITED_TABLES}
AS_COLUMNS = {
    "values": whole(VALUES),
    "constraints": whole(CONSTRAINTS),
    "indexes": whole(INDEXES),
    "views": whole(VIEWS),
    "names": whole(NAMES),
}


@pytest.mark.each_version
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_tables_come_back(
    strategy: str,
    family: str,
    database: Database,
    twin_database: Database,
    roles: dict[str, str],
    tmp_path: Path,
) -> None:
    """Whatever a table was, all of it comes back; an archived one left what DROP leaves."""
    twin = twin_database if strategy == "archive_table" else None
    run_round_trips(database, strategy, FAMILIES[family], roles, tmp_path, twin)


@pytest.mark.newest
@pytest.mark.parametrize("family", AS_COLUMNS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_tables_of_the_column_tests_come_back(
    strategy: str,
    family: str,
    database: Database,
    twin_database: Database,
    roles: dict[str, str],
    tmp_path: Path,
) -> None:
    """The shapes of columns, with the whole table captured."""
    twin = twin_database if strategy == "archive_table" else None
    run_round_trips(database, strategy, AS_COLUMNS[family], roles, tmp_path, twin)
