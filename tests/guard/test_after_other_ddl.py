"""A drop is captured after any other change in the same transaction.

PostgreSQL 15 to 18 refuse each change of the catalog in a subtransaction after ALTER DOMAIN … DROP
CONSTRAINT ("there are unprocessed inval messages"), and the guard rehearses a drop in one.
"""

from __future__ import annotations

import asyncpg
import pytest

from tests.guard.twin import turn_guard_on
from tests.migrate.changes import SETUP, changes_for

CHUNKS = 8
# The first drops the language of the guard's own functions. The guard refuses the others.
NOTHING_FOLLOWS = {
    "DROP EXTENSION plpgsql CASCADE",
    "ALTER TABLE ONLY app.base DROP COLUMN b",
}
VICTIMS = """
CREATE TABLE public.victim (id int PRIMARY KEY, x text, y text);
INSERT INTO public.victim VALUES (1, 'a', '01');
CREATE VIEW public.shown AS SELECT 1 AS one;
"""
DROPS = (
    "ALTER TABLE public.victim DROP COLUMN x",
    "ALTER TABLE public.victim ALTER COLUMN y TYPE int USING y::int",
    "DROP VIEW public.shown",
    "DROP TABLE public.victim",
)
COUNT = "SELECT count(*) FROM zanith._zanith_migration_artifacts"


async def _captured(connection: asyncpg.Connection, first: str) -> str | None:
    """Return what is wrong with the drops that follow a change; None if nothing is."""
    undone = connection.transaction()
    await undone.start()
    try:
        await connection.execute(first)
        for drop in DROPS:
            before = await connection.fetchval(COUNT)
            await connection.execute(drop)
            if await connection.fetchval(COUNT) == before:
                return f"{drop} is not captured"
    except asyncpg.PostgresError as error:
        # PostgreSQL 15 keeps a published column: that is another refusal
        return None if "cannot be captured" in f"{error}" else f"{error}"
    finally:
        await undone.rollback()
    return None


@pytest.mark.parametrize("chunk", range(CHUNKS))
async def test_it_is_captured(database, create_role, chunk):
    reader, owner = create_role("reader"), create_role("owner")

    def named(text: str) -> str:
        return text.replace("owner_1", owner).replace("reader", reader)

    database.psql(named(SETUP) + VICTIMS)
    turn_guard_on(database)
    wrong = {}
    async with database.connect() as connection:
        changes = changes_for(database.server.version)
        for change in [one for one in changes if one not in NOTHING_FOLLOWS][chunk::CHUNKS]:
            if found := await _captured(connection, named(change)):
                wrong[change] = found
    assert wrong == {}
