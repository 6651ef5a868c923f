"""A superuser's plain drops of a hostile owner's tables, with the guard on: nothing of the owner's runs as another.

PostgreSQL's own DROP runs no code of an owner. The capture that the guard makes of it may run none either.
"""

from __future__ import annotations

import pytest

from tests.clusters import CommandFailed
from tests.guard.twin import guard_truncate, turn_guard_on
from tests.hostile.tables import COLUMNS, TABLES
from tests.hostile.trap import Trap, describe
from tests.hostile.world import COPIES

pytestmark = pytest.mark.newest  # ZANITH_TEST_VERSIONS=15 asks an older one


@pytest.mark.parametrize("what", ["DROP COLUMN", "DROP TABLE", "TRUNCATE"])
def test_a_plain_drop_of_a_superuser_runs_nothing_of_an_owner(
    superusers_ground, cast, record_property, what
):
    ground, trap = superusers_ground, Trap(superusers_ground, cast.owner)
    turn_guard_on(ground)
    refused = {}
    tables = [table for table in (*TABLES, *COLUMNS) if table.since <= ground.server.version]
    for table in tables:
        if table.before:
            ground.psql(table.before, user=cast.owner)
        victim = table.within(COPIES[0])
        drop = f"ALTER TABLE {victim.full} DROP COLUMN {victim.column} CASCADE"
        if what == "DROP TABLE":
            drop = f"DROP TABLE {victim.full} CASCADE"
        elif what == "TRUNCATE":
            # PostgreSQL runs an owner's own triggers of TRUNCATE as the role that truncates
            ground.psql(f"ALTER TABLE {victim.full} DISABLE TRIGGER USER")
            guard_truncate(ground, victim.full)
            drop = f"TRUNCATE {victim.full} CASCADE"
        try:
            ground.psql(drop)
        except CommandFailed as error:
            refused[str(table)] = str(error).partition("ERROR:")[2].partition("\n")[0]
        escapes = trap.escapes()
        assert not escapes, f"{drop}: {describe(escapes)}"
    record_property("hostile operations", len(tables))
    captured = int(ground.psql("SELECT count(*) FROM zanith._zanith_migration_artifacts"))
    assert captured > len(tables) / 2, refused
