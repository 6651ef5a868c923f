"""The definition that a plain drop leaves, as SQL: what it says creates the object again."""

from __future__ import annotations

import pytest

from tests.conftest import Database
from tests.guard.definitions import build, names
from tests.guard.test_definitions import ARTIFACTS
from tests.oracle.judges import any_order, dump_entries, show_difference

DDL = "SELECT zanith.definition_ddl(definition) FROM zanith._zanith_migration_artifacts WHERE id ="


@pytest.mark.each_version
def test_the_ddl_of_a_kept_definition_creates_it_again(
    guarded: Database, roles: dict[str, str]
) -> None:
    """Views, routines, indexes, constraints, types and all else that is kept without rows."""
    chosen = build(guarded, roles)
    before = dump_entries(guarded)
    for schema, case in chosen.items():
        guarded.psql(f"SET search_path = {schema}; {names(case.drops, roles, schema)}")
    # one that was dropped as a whole is created by the restore, and is in no definition
    guarded.psql("".join(f"CREATE SCHEMA IF NOT EXISTS {schema};" for schema in chosen))
    faults = []
    for artifact in guarded.psql(ARTIFACTS).split():
        ddl = guarded.psql(f"{DDL} '{artifact}'")
        guarded.psql(f"SET check_function_bodies = off;\n{ddl}")
    after = dump_entries(guarded)
    for schema in chosen:
        one, other = any_order(before.get(schema, [])), any_order(after.get(schema, []))
        if difference := show_difference(one, other):
            faults.append(f"{schema}:\n{difference}")
    assert not faults, "\n\n".join(faults)
