"""Which functions and types a statement defines: probes that use them cannot run before it."""

from __future__ import annotations

import pytest

from app.migrate.preflight.statements import defined_by
from app.migrate.read.statements import read_statements

DEFINED = {
    "CREATE FUNCTION s.f(a int) RETURNS int LANGUAGE sql AS 'SELECT a'": ["f"],
    "ALTER FUNCTION s.f(int) IMMUTABLE": ["f"],
    "CREATE DOMAIN s.d AS pg_catalog.int4 CHECK (value > 0)": ["d"],
    "ALTER DOMAIN s.d ADD CHECK (value < 9)": ["d"],
    "CREATE TYPE s.e AS ENUM ('a')": ["e"],
    "ALTER TYPE s.e ADD VALUE 'b'": ["e"],
    "CREATE TYPE s.r AS RANGE (subtype = int4)": ["r"],
    "CREATE TYPE s.c AS (a int)": ["c"],
    "CREATE TYPE s.shell": ["shell"],
    "CREATE AGGREGATE s.g (int) (sfunc = f, stype = int)": ["g"],
    "CREATE OPERATOR s.+ (leftarg = int, rightarg = int, function = f)": ["+"],
    "CREATE CAST (text AS s.e) WITH FUNCTION s.f(text)": ["f"],
    "CREATE CAST (text AS s.e) WITH INOUT": [],
    "CREATE EXTENSION citext": [],
    "CREATE TABLE s.t (a int)": [],
}


@pytest.mark.parametrize("text", DEFINED)
def test_what_a_statement_defines(text):
    (statement,) = read_statements(text.encode(), "x.sql")
    assert list(defined_by(statement)) == DEFINED[text]
