"""A difference takes as many steps as there are objects, and not their square."""

from __future__ import annotations

import cProfile
import pstats

import pytest

from app.migrate.schema.ddl.generate import generate
from app.migrate.schema.difference import Difference, difference
from app.migrate.schema.read import read_schema

pytestmark = pytest.mark.newest

FEW, MANY = 25, 100
TABLES = """
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE parent (id int NOT NULL) PARTITION BY RANGE (id);
DO $$ BEGIN FOR n IN 1..{number} LOOP
    EXECUTE format(
        'CREATE TABLE t%1$s (id bigserial PRIMARY KEY, to_t bigint REFERENCES t%2$s, '
        'c text NOT NULL, e int UNIQUE CHECK (e > 0)); CREATE INDEX ON t%1$s (to_t); '
        'CREATE TRIGGER touch BEFORE UPDATE ON t%1$s FOR EACH ROW EXECUTE FUNCTION touch(); '
        'CREATE TABLE p%3$s PARTITION OF parent FOR VALUES FROM (%3$s) TO (%4$s)',
        lpad(n::text, 3, '0'), lpad(greatest(n - 1, 1)::text, 3, '0'), n, n + 1);
END LOOP; END $$;
"""
CHANGES = {
    "each renamed": "ALTER TABLE t%1$s RENAME TO r%1$s",
    "each changed": "ALTER TABLE t%1$s ADD f int, ALTER c DROP NOT NULL, DROP e",
    "each dropped": "DROP TABLE t%1$s CASCADE",
    "each partition replaced": "DROP TABLE p%2$s; CREATE TABLE q%2$s PARTITION OF parent"
    " FOR VALUES FROM (%3$s) TO (%4$s)",
}


async def _difference(database, number: int, change: str) -> Difference:
    async with database.connect() as connection:
        undone = connection.transaction()
        await undone.start()
        await connection.execute(TABLES.format(number=number))
        before = await read_schema(connection)
        await connection.execute(
            f"DO $$ BEGIN FOR n IN 1..{number} LOOP"
            f" EXECUTE format('{change}', lpad(n::text, 3, '0'), n, n + 1000, n + 1001);"
            " END LOOP; END $$"
        )
        after = await read_schema(connection)
        await undone.rollback()
    return difference(before, after)


@pytest.mark.parametrize("name", list(CHANGES))
async def test_it_does_not_grow_with_the_square(bare_database, name):
    calls = {}
    for number in (FEW, MANY):
        found = await _difference(bare_database, number, CHANGES[name])
        assert found
        profile = cProfile.Profile()
        profile.enable()
        found.to_json()
        generate(found)
        profile.disable()
        calls[number] = pstats.Stats(profile).total_calls  # type: ignore[attr-defined]
    assert calls[MANY] < calls[FEW] * MANY / FEW * 1.3


async def test_many_alike_objects_are_paired_in_the_order_of_their_names(bare_database):
    few = await _difference(bare_database, 3, CHANGES["each renamed"])
    many = await _difference(bare_database, 9, CHANGES["each renamed"])
    tables = [
        [
            (one.before.name[1], one.after.name[1])
            for one in found.renames
            if one.before.kind == "table"
        ]
        for found in (few, many)
    ]
    assert tables[0] == [(f"t00{old}", f"r00{new}") for old in (1, 2, 3) for new in (1, 2, 3)]
    assert tables[1] == [(f"t00{number}", f"r00{number}") for number in range(1, 10)]
