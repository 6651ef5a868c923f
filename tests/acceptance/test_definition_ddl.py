"""A definition as SQL: what it says creates the object again, as pg_dump and Zanith see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.acceptance.shapes import CASCADE
from tests.acceptance.shapes.columns import TYPES, VALUES
from tests.acceptance.shapes.constraints import CONSTRAINTS, INDEXES, KEYS
from tests.acceptance.shapes.dependents import BESIDE, VIEWS
from tests.acceptance.shapes.families import CASCADES, INHERITED_TABLES, PARTITIONED_COLUMNS
from tests.acceptance.shapes.names import NAMES, WIDE
from tests.acceptance.shapes.partitions import PARTITIONS
from tests.acceptance.shapes.tables import TABLES
from tests.conftest import Database
from tests.oracle.judges import (
    Shape,
    Trial,
    any_order,
    capture_call,
    dump_entries,
    literal,
    open_session,
    quote,
    show_difference,
    without_place,
)

COLUMNS = {
    "types": TYPES,
    "values": VALUES,
    "names": NAMES,
    "wide": WIDE,
    "constraints": CONSTRAINTS,
    "indexes": INDEXES,
    "keys": KEYS,
    "views": VIEWS,
    "beside": BESIDE,
    "families": PARTITIONED_COLUMNS,
    "cascades": CASCADES,
}
STANDING = {"tables": TABLES, "partitions": PARTITIONS, "inherited": INHERITED_TABLES}
# What a definition does not record, or what the table refuses as it stands.
BEYOND = {
    "of_type": "the type of a table OF a type",
    "options": "the options of a TOAST table",
    "child_not_null_not_valid": "NOT NULL that is not valid, which came to a child after the child",
    "domain_in_a_catalog_table": "ADD COLUMN rewrites a user_catalog_table",
}

# A definition has no rows; those of the tables that stay would have no value for what comes back.
EMPTY = """
SET check_function_bodies = off;
SET session_replication_role = replica;
SELECT format('TRUNCATE %s CASCADE', string_agg(c.oid::regclass::text, ', ')) FROM pg_class c
WHERE c.relnamespace = {schema}::regnamespace AND c.relkind IN ('r', 'p') HAVING count(*) > 0 \\gexec
RESET session_replication_role;
"""


def without_keepers(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Return the shapes whose dependents are dropped too: what stays is in no definition."""
    return {
        name: shape
        for name, shape in shapes.items()
        if "keep" not in shape.options and name not in BEYOND
    }


def whole(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Return the tables of shapes of columns, with what hangs on them."""
    return {
        name: replace(shape, column=None, only=(), options=CASCADE)
        for name, shape in without_keepers(shapes).items()
    }


def run_ddl(
    database: Database, strategy: str, shapes: Mapping[str, Shape], roles: Mapping[str, str]
) -> None:
    """Archive all shapes, create each by its DDL, and fail with what is not as it was."""
    version = database.server.version
    chosen = {n: s for n, s in without_keepers(shapes).items() if s.takes(strategy, version)}
    trial = Trial.build(database, chosen, roles)
    before = dump_entries(database)
    artifacts: dict[str, str] = {}
    ddl: dict[str, str] = {}
    with open_session(database) as session:

        def capture_one(name: str, shape: Shape) -> None:
            relation = f"{quote(name)}.{quote(shape.table)}"
            artifacts[name] = session(capture_call(strategy, relation, shape.column, shape.options))

        def create_one(name: str, shape: Shape) -> None:
            ddl[name] = session(
                "SELECT zanith.definition_ddl(definition) FROM zanith._zanith_migration_artifacts"
                f" WHERE id = '{artifacts[name]}'"
            )
            database.psql(EMPTY.format(schema=literal(quote(name))) + ddl[name])

        def describe_one(name: str, shape: Shape) -> None:
            again = session(
                f"SELECT zanith.definition_ddl(zanith.describe_now('{artifacts[name]}'))"
            )
            if difference := show_difference(
                *(map(without_place, text.split("\n")) for text in (ddl[name], again))
            ):
                trial.faults[name] = f"the DDL of what it created:\n{difference}"

        trial.each("capture", capture_one)
        trial.each("DDL", create_one)
        after = dump_entries(database)
        order = any_order if strategy == "archive_column" else list
        trial.blame(
            "not as it was",
            {name: order(entries) for name, entries in before.items()},
            {name: order(entries) for name, entries in after.items()},
        )
        trial.each("describe", describe_one)
    for name, fault in trial.faults.items():
        trial.faults[name] = f"{fault}\n\n{ddl.get(name, '')}"
    if trial.faults:
        pytest.fail(trial.report(), pytrace=False)


@pytest.mark.each_version
@pytest.mark.parametrize("family", COLUMNS)
def test_the_ddl_of_a_column_creates_it_again(
    family: str, database: Database, roles: dict[str, str]
) -> None:
    """Columns with all that names them."""
    run_ddl(database, "archive_column", COLUMNS[family], roles)


@pytest.mark.each_version
@pytest.mark.parametrize("family", STANDING)
def test_the_ddl_of_a_table_creates_it_again(
    family: str, database: Database, roles: dict[str, str]
) -> None:
    """Tables with their partitions, children, and what hangs on them."""
    run_ddl(database, "archive_table", STANDING[family], roles)


@pytest.mark.newest
@pytest.mark.parametrize("family", ["values", "constraints", "indexes", "views", "names"])
def test_the_ddl_of_a_table_of_the_column_tests_creates_it_again(
    family: str, database: Database, roles: dict[str, str]
) -> None:
    """The shapes of columns, with the whole table."""
    run_ddl(database, "archive_table", whole(COLUMNS[family]), roles)
