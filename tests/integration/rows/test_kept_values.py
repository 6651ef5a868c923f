"""What putting rows back overwrote: its CSV and its SQL have each value as it was."""

from __future__ import annotations

import io

import pytest

from app.recovery.db.database import Database
from app.recovery.restore.overwritten import find_overwritten
from app.recovery.restore.rows_plan import copy_rows
from app.recovery.rows import copies
from tests.integration.rows.putting import DBA, plan_for, put_back
from tests.online import fetchval
from tests.sessions import client_of

HOSTILE = {
    "NULL": None,
    "the empty text": "",
    "the word NULL": "NULL",
    "spaces": "  a  ",
    "every byte of ASCII": "".join(map(chr, range(1, 128))),
    "every character of Latin-1": "".join(map(chr, range(128, 256))),
    "the end of COPY": "\\.",
    "the end of COPY on a line": "a\n\\.\nb",
    "NULL of COPY's text": "\\N",
    "quotes": """it's a "quoted" 'text'""",
    "a quote alone": '"',
    "backslashes": "a\\b\\\\",
    "a quote behind a backslash": "\\'; DROP TABLE t; --",
    "line breaks": "a\r\nb\rc\nd",
    "a line break at the end": "a\n",
    "a formula": '=HYPERLINK("http://a.example")',
    "a formula of a plus": "+1+1",
    "a formula of a minus": "-1",
    "a formula of an at sign": "@SUM(A1)",
    "a formula behind a tab": "\t=1",
    "a variable of psql": ":name :'name' :\"name\" :{?name}",
    "a command of psql": "\\! echo 1\n\\q\n",
    "dollar quotes": "$$ a $x$ b",
    "comments": "-- a /* b",
    "an end of a statement": "'); DROP TABLE t; SELECT ('",
    "commas": "a,b,,",
    "emoji": "\U0001f9e8 \u202e\u200b",
    "a long text": "x'\\" * 3000,
}
NAMES = ("k", 'v "of" it;\n\\.')


async def made(db: Database, keyed: bool) -> tuple[str, str]:
    """Make a table whose values are hostile, or its keys, and return it and the column."""
    key = 'k "of" it;' if keyed else "k"
    names = [f'"{name.replace(chr(34), chr(34) * 2)}"' for name in (key, NAMES[1])]
    rows = [
        (value, str(number)) if keyed else (str(number), f"archived {number}")
        for number, value in enumerate(HOSTILE.values())
        if not keyed or value is not None
    ]
    async with client_of(db) as connection:
        await connection.execute(f"CREATE TABLE t ({names[0]} text PRIMARY KEY, {names[1]} text)")
        # an index cannot have a key of many bytes
        await connection.executemany(
            "INSERT INTO t VALUES ($1, $2)", [(key[:2000], value) for key, value in rows]
        )
    return names[0], names[1]


async def content(db: Database, names: tuple[str, str]) -> list[tuple[str, str | None]]:
    async with client_of(db) as connection:
        found = await connection.fetch(f'SELECT * FROM t ORDER BY {names[0]} COLLATE "C"')
    return [tuple(row) for row in found]


def run_script(database, text: str, strings: str) -> None:
    """Run a script with psql, under either meaning of a backslash."""
    database.psql(f"SET standard_conforming_strings = {strings};\n{text}")


@pytest.mark.each_version
@pytest.mark.parametrize("strings", ["on", "off"])
async def test_overwritten_values_come_back_through_psql(db, database, strings):
    names = await made(db, keyed=False)
    column = NAMES[1]
    async with client_of(db) as connection:
        artifact = await connection.fetchval("SELECT zanith.archive_column('t', $1)", column)
        await connection.execute(f"ALTER TABLE t ADD {names[1]} text")
        await connection.executemany(
            f"UPDATE t SET {names[1]} = $2 WHERE k = $1",
            [(str(number), value) for number, value in enumerate(HOSTILE.values())],
        )
    before = await content(db, names)
    assert sorted(value or "" for _, value in before) == sorted(v or "" for v in HOSTILE.values())
    done = await put_back(db, await plan_for(db, artifact, "k >= '0'"))
    assert (done.rows, done.left) == (len(HOSTILE), ())
    kept = await find_overwritten(db, done.job_id, DBA)
    async with client_of(db) as connection:
        await connection.execute("CREATE TEMP TABLE copied (k text, v text)")
        await connection.copy_to_table(
            "copied", source=io.BytesIO(kept.as_csv().encode()), format="csv", header=True
        )
        copied = await connection.fetch('SELECT k, v FROM copied ORDER BY k COLLATE "C"')
    assert [tuple(row) for row in copied] == before
    run_script(database, kept.as_sql(), strings)
    assert await content(db, names) == before


@pytest.mark.each_version
@pytest.mark.parametrize("strings", ["on", "off"])
async def test_inserted_rows_go_through_psql(db, database, strings):
    names = await made(db, keyed=True)
    before = await content(db, names)
    artifact = await fetchval(db, "SELECT zanith.archive_table('t')")
    async with client_of(db) as connection:
        await connection.execute(f"CREATE TABLE t ({names[0]} text PRIMARY KEY, {names[1]} text)")
        await connection.execute("INSERT INTO t VALUES ('mine', 'stays')")
    plan = await plan_for(db, artifact, f"{names[0]} IS NOT NULL")
    refs = [row.row.ref for row in plan.rows]
    done = await put_back(db, plan)
    assert (done.rows, done.left) == (len(before), ())
    mine = [("mine", "stays")]
    assert sorted(await content(db, names)) == sorted(before + mine)
    kept = await find_overwritten(db, done.job_id, DBA)
    run_script(database, kept.as_sql(), strings)
    assert await content(db, names) == mine
    run_script(database, await copy_rows(db, artifact, refs, DBA, "sql"), strings)
    assert sorted(await content(db, names)) == sorted(before + mine)


def test_a_key_that_is_null_is_not_the_empty_text():
    keys = [["", "1"], [None, "2"]]
    assert copies.as_csv(("a", "b"), keys) == 'a,b\n"",1\n,2\n'
    assert copies.updates("t", ("a", "b"), "c", [[*key, "x"] for key in keys]) == (
        """UPDATE t SET c = 'x' WHERE a = '' AND b = '1';\n"""
        """UPDATE t SET c = 'x' WHERE a IS NULL AND b = '2';\n"""
    )
    assert copies.deletes("t", ("a", "b"), keys) == (
        """DELETE FROM t WHERE a = '' AND b = '1';\n"""
        "-- row 2 has NULL in its key: find it and delete it yourself\n"
    )
