"""The plan of migrations never says less than PostgreSQL does.

A part of the forms: `python -m tests.migrate --versions 15,18` takes all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from postgast import pg_query_pb2 as pg

from app.migrate.review.alter_table_facts import ALTER_TABLE
from app.migrate.risk import Mode
from tests.clusters import Server
from tests.migrate.__main__ import judge_on
from tests.migrate.forms import forms
from tests.migrate.schema import SHAPES

PARTS = 8


@pytest.fixture
def judged(server: Server, request: pytest.FixtureRequest) -> Iterator[tuple[Server, str]]:
    """A server, and the beginning of the names of its databases; it has no tablespace of ours."""
    prefix = f"judged_{abs(hash(request.node.nodeid)) % 10**8}"
    yield server, prefix
    for shape in SHAPES:
        server.psql("postgres", f"DROP DATABASE IF EXISTS {prefix}_{shape}")


@pytest.mark.each_version
@pytest.mark.parametrize("part", range(PARTS))
async def test_the_plan_never_says_less_than_postgresql_does(judged, part):
    server, prefix = judged
    chosen = list(forms())[part::PARTS]
    found = await judge_on(server, chosen, prefix)
    print(found.report())
    assert found.under == []
    assert found.missed == []
    assert found.observed == len(chosen) * len(SHAPES)
    # a form that no shape accepts judges nothing; each version lacks some
    assert len(found.never) < len(chosen) / 10, found.never


@pytest.mark.newest
@pytest.mark.parametrize(
    ("subtype", "less", "form", "fault"),
    [
        (pg.AT_SetNotNull, {"mode": Mode.SHARE}, "ALTER COLUMN a SET NOT NULL", "lock ACCESS"),
        (pg.AT_SetNotNull, {"scans": False}, "ALTER COLUMN a SET NOT NULL", "scan of"),
        (pg.AT_SetNotNull, {"reasons": frozenset()}, "ALTER COLUMN a SET NOT NULL", "failure"),
        (pg.AT_SetLogged, {"rewrites": False}, "SET UNLOGGED", None),
        (pg.AT_SetUnLogged, {"rewrites": False}, "SET UNLOGGED", "rewrite of"),
        (pg.AT_DropColumn, {"reasons": frozenset()}, "DROP COLUMN z", "drop of "),
        (pg.AT_AddColumn, {"children": False}, "ADD COLUMN new int", "t_1"),
    ],
)
async def test_the_judge_finds_a_plan_that_says_less(
    judged, monkeypatch, subtype, less, form, fault
):
    server, prefix = judged
    monkeypatch.setitem(ALTER_TABLE, subtype, replace(ALTER_TABLE[subtype], **less))
    if "children" in less:
        monkeypatch.setattr("app.migrate.review.operations.CHILDREN", "")
    found = await judge_on(server, [f"ALTER TABLE t {form}"], prefix)
    assert any(fault in one for one in found.under) if fault else not found.under, found.under
