"""Drop-equivalence: the same statements where the object was captured and where it was dropped.

The statements are made from the catalog as it was before, so they work on any schema: reads, writes
with and without the column, cascades from parents, new objects under every old name, catalog reads
and privileges, as the owner and as others.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext

import asyncpg

from tests.oracle.judges import literal, quote
from tests.oracle.normalise import without_parked

RELATIONS = """
SELECT c.relname::text AS name, c.relkind::text AS kind,
       COALESCE(array_agg(a.attname::text ORDER BY a.attname) FILTER (
           WHERE a.attgenerated = '' AND a.attidentity <> 'a'), '{}') AS columns
FROM pg_class c LEFT JOIN pg_attribute a
     ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    AND c.relkind IN ('r', 'p', 'v', 'm')
WHERE c.relnamespace = $1::text::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'i', 'I')
GROUP BY c.oid ORDER BY c.relname COLLATE "C"
"""
NAMES = """
SELECT 'constraint' AS kind, k.conname::text AS name FROM pg_constraint k
WHERE k.conrelid = to_regclass($1) AND k.contype <> 'n'
UNION SELECT 'trigger', g.tgname::text FROM pg_trigger g
WHERE g.tgrelid = to_regclass($1) AND NOT g.tgisinternal
UNION SELECT 'policy', p.polname::text FROM pg_policy p WHERE p.polrelid = to_regclass($1)
UNION SELECT 'statistics', s.stxname::text FROM pg_statistic_ext s
WHERE s.stxnamespace = $2::text::regnamespace
ORDER BY 1, 2
"""
CATALOG = """
SELECT table_name, column_name, is_nullable, data_type, column_default IS NOT NULL
FROM information_schema.columns WHERE table_schema = {schema} ORDER BY 1, 2;
SELECT c.relname, k.conname, k.contype, k.convalidated FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid WHERE c.relnamespace = {schema}::regnamespace
ORDER BY 1, 2, 3;
SELECT tablename, indexname FROM pg_indexes WHERE schemaname = {schema} ORDER BY 1, 2;
SELECT c.relname, g.tgname, g.tgenabled FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
WHERE c.relnamespace = {schema}::regnamespace AND NOT g.tgisinternal ORDER BY 1, 2;
SELECT tablename, policyname, cmd FROM pg_policies WHERE schemaname = {schema} ORDER BY 1, 2;
SELECT viewname FROM pg_views WHERE schemaname = {schema} ORDER BY 1;
SELECT proname FROM pg_proc WHERE pronamespace = {schema}::regnamespace ORDER BY 1;
SELECT pubname, tablename FROM pg_publication_tables WHERE schemaname = {schema} ORDER BY 1, 2;
SELECT statistics_schemaname, statistics_name FROM pg_stats_ext_exprs WHERE false
"""


async def make_statements(
    connection: asyncpg.Connection,
    schema: str,
    table: str,
    column: str | None,
    roles: list[str],
    near: set[str] | None = None,
) -> list[str]:
    """Return the statements for a table, or a column of it, while it is there; "@role …" as it.

    `near` names the relations to try beside it; all of its schema where nobody says.
    """
    target = f"{quote(schema)}.{quote(table)}"
    found = await connection.fetch(RELATIONS, quote(schema))
    relations = [row for row in found if near is None or row["name"] in near]
    names = await connection.fetch(NAMES, target, quote(schema))
    made = [statement.strip().format(schema=literal(schema)) for statement in CATALOG.split(";")]
    made += _on_target(target, relations, table, column, roles)
    for relation in relations:
        name = f"{quote(schema)}.{quote(relation['name'])}"
        if relation["kind"] in "rp" and relation["name"] != table:
            made += [
                f"SELECT count(*) FROM {name}",
                *(f"UPDATE {name} SET {quote(c)} = {quote(c)}" for c in relation["columns"][:2]),
                *(f"UPDATE {name} SET {quote(c)} = NULL" for c in relation["columns"][-1:]),
                f"DELETE FROM {name}",
            ]
        elif relation["kind"] in "vm":
            made += [f"SELECT * FROM {name}", f"@{roles[0]} SELECT count(*) FROM {name}"]
    made += [f"INSERT INTO {target} DEFAULT VALUES", f"TRUNCATE {target} CASCADE"]
    made += [f"CREATE TABLE {quote(schema)}.{quote(r['name'])} ()" for r in relations]
    made += [f"CREATE TYPE {quote(schema)}.{quote(table)} AS ENUM ('x')"]
    made += [_create(row["kind"], row["name"], target, schema) for row in names]
    if column is not None:
        made += [
            f"ALTER TABLE {target} ADD {quote(column)} text DEFAULT 'new' NOT NULL",
            f"SELECT {quote(column)} FROM {target}",
            f"@{roles[1]} SELECT {quote(column)} FROM {target}",
        ]
    return [*made, f"DROP TABLE {target} CASCADE"]


def _create(kind: str, name: str, target: str, schema: str) -> str:
    return {
        "constraint": f"ALTER TABLE {target} ADD CONSTRAINT {quote(name)} CHECK (true)",
        "trigger": f"CREATE TRIGGER {quote(name)} AFTER UPDATE ON {target} "
        f"EXECUTE FUNCTION {quote(schema)}.note()",
        "policy": f"CREATE POLICY {quote(name)} ON {target} USING (true)",
        "statistics": f"CREATE STATISTICS {quote(schema)}.{quote(name)} (ndistinct) "
        f"ON tableoid, ctid FROM {target}",
    }[kind]


def _on_target(
    target: str, relations: list[asyncpg.Record], table: str, column: str | None, roles: list[str]
) -> list[str]:
    columns: list[str] = next((r["columns"] for r in relations if r["name"] == table), [])
    others = [quote(name) for name in columns if name != column]
    listed = ", ".join(others)
    made = []
    if others:
        key = next((c for c in others if "id" in c.lower() or "primary" in c), others[0])
        moved = ", ".join(f"{c} + 1000" if c == key else c for c in others)
        made = [
            f"SELECT {listed} FROM {target} ORDER BY {listed}"
            if not column
            else f"SELECT {key} FROM {target} ORDER BY 1",
            f"INSERT INTO {target} ({listed}) SELECT {listed} FROM {target} ORDER BY {key} LIMIT 1",
            f"INSERT INTO {target} ({listed}) SELECT {moved} FROM {target} ORDER BY {key}",
            f"INSERT INTO {target} ({key}) VALUES (5000)",
            f"INSERT INTO {target} ({key}) VALUES (5001), (5002)",
            f"INSERT INTO {target} ({key}) VALUES (5001) ON CONFLICT DO NOTHING",
            *(f"UPDATE {target} SET {c} = {c}" for c in others),
            *(f"UPDATE {target} SET {c} = NULL WHERE {key} = 1002" for c in others),
            f"UPDATE {target} SET {key} = {key} + 1 WHERE {key} = 5002",
            f"DELETE FROM {target} WHERE {key} IN (1, 1003)",
            f"SELECT count(*) FROM {target}",
            *(f"@{role} SELECT {key} FROM {target} ORDER BY 1" for role in roles),
            *(f"@{role} UPDATE {target} SET {key} = {key}" for role in roles),
            f"@{roles[0]} SELECT {listed} FROM {target}",
        ]
    if column is not None:
        name = quote(column)
        made += [
            f"SELECT {name} FROM {target}",
            f"UPDATE {target} SET {name} = NULL",
            f"INSERT INTO {target} ({name}) VALUES (NULL)",
            *(f"@{role} SELECT {name} FROM {target}" for role in roles),
            f"CREATE INDEX ON {target} ({name})",
        ]
    return made


def savepoint(connection: asyncpg.Connection) -> AbstractAsyncContextManager[object]:
    """Return what keeps a failing statement from ending the transaction, where there is one."""
    return connection.transaction() if connection.is_in_transaction() else nullcontext()


async def play(connection: asyncpg.Connection, statements: list[str]) -> list[str]:
    """Run statements one after another, and return how each ended: rows, a count or a SQLSTATE."""
    ended = []
    await connection.execute("SET lock_timeout = '5s'; SET client_min_messages = error")
    for statement in statements:
        role, _, sql = (
            statement[1:].partition(" ") if statement.startswith("@") else ("", "", statement)
        )
        if role:
            await connection.execute(f"SET ROLE {quote(role)}")
        try:
            async with savepoint(connection):
                if sql.startswith("SELECT"):
                    # as text: not every value of PostgreSQL's has one in Python
                    rows = await connection.fetch(f"SELECT q::text FROM ({sql}) q")
                    ended.append(str(sorted(without_parked([tuple(row) for row in rows]))))
                else:
                    ended.append(await connection.execute(sql))
        except asyncpg.PostgresError as error:
            ended.append(error.sqlstate or "")
        if role:
            await connection.execute("RESET ROLE")
    return ended


PARKED_COLUMN = """
SELECT a.attname::text FROM pg_attribute a
WHERE a.attrelid = $1::text::regclass AND a.attname LIKE '\\_zanith\\_dropped\\_%' AND NOT a.attisdropped
"""


async def look_at_parked(
    connection: asyncpg.Connection, target: str, key: str, roles: list[str]
) -> str | None:
    """Return how a parked column still shows: a value in a new row, or somebody who may read it.

    A role that may read the whole table sees it: that is in the nature of a rename. Nothing stays.
    """
    parked = await connection.fetchval(PARKED_COLUMN, target)
    transaction = connection.transaction()
    await transaction.start()
    try:
        new = f"INSERT INTO {target} ({key}) VALUES (7000)"
        if await play(connection, [new]) == ["INSERT 0 1"]:
            value = await connection.fetchval(
                f"SELECT {quote(parked)}::text FROM {target} WHERE {key} = 7000"
            )
            if value is not None:
                return f"{new} gave the parked column {value!r}"
        for role in roles:
            whole = "SELECT has_table_privilege($1, $2::text::regclass, 'SELECT')"
            if not await connection.fetchval(whole, role, target):
                ended = await play(connection, [f"@{role} SELECT {quote(parked)} FROM {target}"])
                if ended != ["42501"]:
                    return f"{role} reads the parked column: {ended}"
    finally:
        await transaction.rollback()
    return None
