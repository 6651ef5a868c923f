"""Values are compared byte by byte, whatever the type's own = thinks of them."""

from __future__ import annotations

import asyncpg
import pytest

pytestmark = pytest.mark.each_version

VALUES = {
    "text": ["", "a", "A", " a", "ä", None],
    "varchar(20)": ["a", "a ", None],
    "character(4)": ["a", "ab", None],
    "bigint": ["1", "-1", None],
    "boolean": ["t", "f", None],
    "date": ["2024-01-01", "infinity", None],
    "timestamptz": ["2024-01-01 00:00+00", "2024-01-01 01:00+01", "-infinity", None],
    "uuid": ["00000000-0000-0000-0000-000000000000", None],
    "bytea": ["", "\\x00", "\\x0000", None],
    "numeric": ["1.0", "1.00", "NaN", None],
    "double precision": ["0", "-0", "NaN", None],
    "interval": ["1 day", "24 hours", None],
    "jsonb": ['{"a": 1.0}', '{"a": 1.00}', "null", None],
    "json": ['{"a":1}', '{"a": 1}', None],
    "xml": ["<a/>", "<a></a>", None],
    "point": ["(1,2)", "(1,2.0000000001)", None],
    "inet": ["10.0.0.1", "10.0.0.1/32", "10.0.0.1/24", None],
    "integer[]": ["{}", "{1}", "[0:0]={1}", "{NULL}", None],
    "pair": ["(,)", "(1,a)", "(1,A)", None],
    "alike": ["a", "A", None],
}


@pytest.fixture
async def connection(database):
    opened = await asyncpg.connect(database.url)
    await opened.execute("CREATE TYPE pair AS (n int, t text)")
    yield opened
    await opened.close()


@pytest.mark.parametrize("kind", VALUES)
async def test_two_values_differ_where_a_byte_does(connection, kind):
    try:
        cast = await make_values(connection, kind)
    except asyncpg.FeatureNotSupportedError as exc:
        pytest.skip(f"this server was built without what {kind} needs: {exc}")
    differ = await connection.fetchval("SELECT zanith._differ($1, 'one', 'other')", cast)
    rows = await connection.fetch(
        f"SELECT COALESCE({differ}, false) AS told, ROW(one)::record *<> ROW(other)::record AS so,"
        " one::text, other::text FROM v"
    )
    assert [dict(row) for row in rows if row["told"] != row["so"]] == []
    assert any(row["so"] for row in rows)
    assert not all(row["so"] for row in rows)


async def make_values(connection, kind):
    """Fill a table with every pair of values and return what their type is called."""
    cast = named = kind
    if kind == "alike":
        cast, named = "text", "text COLLATE alike"
        await connection.execute(
            "CREATE COLLATION alike"
            " (provider = icu, locale = 'und-u-ks-level1', deterministic = false)"
        )
    await connection.execute(f"CREATE TABLE v (one {named}, other {named})")
    for one in VALUES[kind]:
        for other in VALUES[kind]:
            await connection.execute(
                f"INSERT INTO v VALUES ($1::text::{cast}, $2::text::{cast})", one, other
            )
    return cast
