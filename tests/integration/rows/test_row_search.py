"""A search says what is wrong with a condition, and how far it came."""

from __future__ import annotations

import pytest

from app.recovery.rows.conditions import Condition, WrongConditions
from app.recovery.rows.search import find_rows
from tests.integration.rows.putting import (
    DBA,
)
from tests.online import execute, fetchval


@pytest.mark.newest
async def test_a_wrong_condition_says_what_to_write(db):
    await execute(
        db,
        "CREATE TABLE t (id int PRIMARY KEY, at date, doc json, ok bool, words tsvector,"
        " deep jsonb, ids int[]); INSERT INTO t VALUES (1, NULL, '{}')",
    )
    artifact = await fetchval(db, "SELECT zanith.archive_table('t')")
    for condition, message, hint in (
        (("id", "=", "x"), "id: this is not a value of type integer", "whole number"),
        (("at", "<", "2026-02-30"), "at: this is not a value of type date", "2026-01-31"),
        (("ok", "=", "maybe"), "ok: this is not a value of type boolean", "true or false"),
        (("doc", "<", "{}"), "doc: values of type json have no order here", "LIKE"),
        (("nix", "=", "1"), "nix: the rows have no column nix", "id, at, doc, ok, words"),
        (("words", "=", "'a"), "words: this is not a value of type tsvector", "as in the rows"),
        (("deep", "=", "[" * 50_000), "deep: this is not a value of type jsonb", "as in the rows"),
        (("ids", "=", "{" * 9), "ids: this is not a value of type integer", "{1,2}"),
        (("doc", "LIKE", "{}\\\\\\"), "doc: the pattern ends with a backslash", "Write two"),
        (("id", "~", "1"), "id: ~ is not an operator of a search", "IS NULL"),
        (("id", "=", None), "id: = needs a value", "IS NULL"),
    ):
        with pytest.raises(WrongConditions, match=message) as caught:
            await find_rows(db, artifact, [Condition(*condition)], DBA)
        assert hint in caught.value.hint
        assert caught.value.errors[0][0] == 0


@pytest.mark.newest
async def test_a_search_without_an_index_says_how_far_it_came(db):
    await execute(
        db,
        "CREATE TABLE t (id int PRIMARY KEY, note text);"
        " INSERT INTO t SELECT n, repeat('x', 500) || n FROM generate_series(1, 20000) n",
    )
    artifact = await fetchval(db, "SELECT zanith.archive_table('t')")
    slow = [Condition("note", "LIKE", "%x20000")]
    found = await find_rows(db, artifact, slow, DBA, seconds=0.001)
    assert found.out_of_time
    assert "the time limit" in found.limit_reached
    pages, rounds = [0], 0
    while not found.complete:
        found = await find_rows(db, artifact, slow, DBA, page=found.next_page or 0, seconds=0.1)
        pages.append(found.next_page or found.pages)
        rounds += 1
        assert rounds < 100
    assert pages == sorted(pages)
    assert len(found.rows) == 1
    more = await find_rows(db, artifact, [Condition("note", "LIKE", "%x1%")], DBA, limit=7)
    assert (len(more.rows), more.more, more.complete) == (7, True, False)
    by_key = await find_rows(db, artifact, [Condition("id", "=", "4711")], DBA)
    assert (by_key.indexed, len(by_key.rows), by_key.complete) == (True, 1, True)
