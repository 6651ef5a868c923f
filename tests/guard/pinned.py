"""A pinned table, and what can be said of pins."""

from __future__ import annotations

import pytest

from tests.clusters import CommandFailed
from tests.conftest import Database, OperatorDatabase

NAME = "use_zanith_drop_not_cascade_or_zanith_guard_pin_off"
ORDERS = """
CREATE DOMAIN public.code AS varchar(20) CHECK (VALUE <> 'bad');
CREATE TABLE public.orders (id int PRIMARY KEY, code text, total numeric(10,2), d public.code,
    twice numeric GENERATED ALWAYS AS (total * 2) STORED, note varchar(20));
INSERT INTO public.orders (id, code, total, d) SELECT n, 'x' || n, n + 0.25, 'd' || n
FROM generate_series(1, 3) n;
"""
PARTS = """
CREATE TABLE public.parts (id int, k int, v text, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE public.p1 PARTITION OF public.parts FOR VALUES IN (1);
INSERT INTO public.parts VALUES (1, 1, 'a');
"""
PINNED = """
SELECT string_agg(format('%s %s', t.typrelid::regclass, (
    SELECT string_agg(a.attname, ',' ORDER BY a.attnum) FROM pg_depend d
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE d.objid = p.oid AND d.refclassid = 'pg_class'::regclass)), E'\\n' ORDER BY t.typrelid)
FROM pg_proc p JOIN pg_type t ON t.oid = p.proargtypes[0]
WHERE p.pronamespace = to_regnamespace('zanith_pin')
"""
ALL = "orders id,code,total,d,twice,note"


def pins(database: Database) -> str:
    """Return each pinned table with the columns that are pinned."""
    return database.psql(PINNED)


def rows(database: Database, table: str = "public.orders") -> str:
    return database.psql(f"SELECT to_jsonb(o) FROM {table} o ORDER BY id")


def fails(database: Database, sql: str) -> str:
    """Run SQL that PostgreSQL refuses, and return what it says."""
    with pytest.raises(CommandFailed) as failed:
        database.psql(sql)
    return str(failed.value)


def owner_of(database: Database) -> str:
    return database.owner if isinstance(database, OperatorDatabase) else "postgres"
