"""Promise 3 for columns: after recovery_sql, by psql alone, pg_dump prints what it did before."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.shapes.columns import TYPES, VALUES
from tests.acceptance.shapes.constraints import CONSTRAINTS, INDEXES, KEYS
from tests.acceptance.shapes.dependents import BESIDE, VIEWS
from tests.acceptance.shapes.families import CASCADES, PARTITIONED_COLUMNS
from tests.acceptance.shapes.names import NAMES, WIDE
from tests.conftest import Database
from tests.oracle.judges import Shape, run_round_trips

STRATEGIES = ["soft_drop_column", "archive_column"]
FAMILIES = {
    "values": VALUES,
    "constraints": CONSTRAINTS,
    "indexes": INDEXES,
    "keys": KEYS,
    "views": VIEWS,
    "beside": BESIDE,
    "families": PARTITIONED_COLUMNS,
    "cascades": CASCADES,
}
SAME_EVERYWHERE: dict[str, dict[str, Shape]] = {"types": TYPES, "names": NAMES, "wide": WIDE}


@pytest.mark.each_version
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_columns_come_back(
    strategy: str,
    family: str,
    database: Database,
    twin_database: Database,
    roles: dict[str, str],
    tmp_path: Path,
) -> None:
    """Whatever a column was, all of it comes back, and what hung on it; between, it was gone."""
    twin = twin_database if strategy == "archive_column" else None
    run_round_trips(database, strategy, FAMILIES[family], roles, tmp_path, twin)


@pytest.mark.newest
@pytest.mark.parametrize("family", SAME_EVERYWHERE)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_columns_of_any_type_and_name_come_back(
    strategy: str,
    family: str,
    database: Database,
    twin_database: Database,
    roles: dict[str, str],
    tmp_path: Path,
) -> None:
    """The same, for what does not hang on PostgreSQL's version."""
    twin = twin_database if strategy == "archive_column" else None
    run_round_trips(database, strategy, SAME_EVERYWHERE[family], roles, tmp_path, twin)
