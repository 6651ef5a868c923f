"""What a cascade does not take along has another way, which the refusal names and which works."""

from __future__ import annotations

import pytest

from app.recovery.capture import CaptureRequest, capture
from app.recovery.database import Actor, Database
from app.recovery.errors import Refused
from app.recovery.plan import Choices
from app.recovery.restore import restore

DBA = Actor("dba")
MADE = """
CREATE TABLE parent (id int PRIMARY KEY, note text); CREATE TABLE other (x int);
CREATE TABLE child (own int) INHERITS (parent); CREATE TABLE two () INHERITS (parent, other);
INSERT INTO parent VALUES (0, 'zero'); INSERT INTO child VALUES (1, 'one', 7);
INSERT INTO two VALUES (2, 'two', 8);
CREATE TABLE kind (a int, b text); CREATE TABLE odd (id int PRIMARY KEY, whole kind, list kind[]);
INSERT INTO odd VALUES (1, ROW(7, 'x'), ARRAY[ROW(8, 'y')::kind]);
"""
# What is captured in place of the cascade, in this order, and what the refusal says of it.
WAYS = {
    "parent": (
        "Capture public.child first, by itself",
        [("two", None, "refuse"), ("child", None, "refuse"), ("parent", None, "refuse")],
    ),
    "kind": (
        "Capture column whole of table public.odd, column list of table public.odd by"
        " soft_drop_column first, then this table with on_dependents => 'keep'",
        [("odd", "whole", "refuse"), ("odd", "list", "refuse"), ("kind", None, "keep")],
    ),
}


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


# A table that comes back before its parent does would have none.
@pytest.mark.parametrize(
    ("table", "backwards"), [("parent", True), ("kind", True), ("kind", False)]
)
async def test_the_way_that_a_refusal_names_works(database, db, table, backwards):
    """Schema and rows are as before, in whichever order the artifacts come back."""
    database.psql(MADE)
    before = database.pg_dump("--schema=public", "--inserts")
    hint, order = WAYS[table]
    with pytest.raises(Refused) as refusal:
        await capture(db, CaptureRequest("soft_drop_table", table, on_dependents="cascade"), DBA)
    assert hint in (refusal.value.hint or "")
    made = []
    for name, column, choice in order:
        strategy = "soft_drop_table" if column is None else "soft_drop_column"
        request = CaptureRequest(strategy, name, column, on_dependents=choice)
        made.append((await capture(db, request, DBA)).id)
    visible = database.psql(
        "SELECT string_agg(relname, ' ') FROM pg_class WHERE relkind = 'r'"
        " AND relnamespace = 'public'::regnamespace AND NOT starts_with(relname, '_zanith')"
    )
    assert table not in visible.split()
    for artifact in reversed(made) if backwards else made:
        await restore(db, artifact, Choices(), DBA)
    assert database.pg_dump("--schema=public", "--inserts") == before
