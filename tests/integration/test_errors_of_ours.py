"""An error in a function of Zanith's is told from one in somebody's."""

from __future__ import annotations

import pytest

from app.recovery.core.errors import NotFound, Refused, WrongUsage, ZanithError
from app.recovery.db.database import Database

CAPTURES = {
    "soft_drop_column": "'public.t', 'nowhere'",
    "archive_column": "'public.t', 'nowhere'",
    "soft_drop_table": "'public.t', on_dependents => 'nonsense'",
    "archive_table": "'public.t', on_dependents => 'nonsense'",
    "rebuild_table": "'public.t', reason => repeat('x', 9999)",
    "archive_values": "'public.t', 'nowhere'",
    "archive_rows": "'public.t', reason => repeat('x', 9999)",
}


async def raised_by(db: Database, call: str) -> ZanithError:
    with pytest.raises(ZanithError) as raised:
        async with db.acquire() as connection:
            await connection.execute(f"SELECT {call}")
    return raised.value


@pytest.mark.parametrize("capture", CAPTURES)
async def test_a_capture_says_what_the_caller_got_wrong(database, capture):
    call = f"zanith.{capture}({CAPTURES[capture]})"
    database.psql(
        "CREATE TABLE public.t (id int PRIMARY KEY, c int);"
        "CREATE FUNCTION public.theirs() RETURNS text LANGUAGE plpgsql AS "
        f"$$ BEGIN RETURN {call}; END $$"
    )
    db = await Database.open(database.url)
    try:
        error = await raised_by(db, call)
        assert isinstance(error, NotFound | WrongUsage)
        assert not error.by_owner
        assert not error.withheld
        assert type(await raised_by(db, "public.theirs()")) is Refused
    finally:
        await db.close()
