"""Statements that nest deeply are read, or refused with their place: none ends the process."""

from __future__ import annotations

from pathlib import Path

import pytest
from postgast import pg_query_pb2 as pg

from app.migrate.preflight.expressions import text_of
from app.migrate.read.migrations import Layout, Migration, Script
from app.migrate.read.parser import DEEPEST, SHALLOW, deepest
from app.migrate.read.statements import Unreadable, read_statements, read_tokens
from app.migrate.review.plan import plan_migrations
from app.migrate.review.world import messages_in
from app.migrate.rewriting.rewrite import rewrite

# a text of n parts: left chains, which only the stack limits, and brackets
FORMS = {
    "concatenation": lambda n: "SELECT " + " || ".join(["a"] * n),
    "sum": lambda n: "SELECT " + " + ".join(["1"] * n),
    "union": lambda n: " UNION ALL ".join(["SELECT 1, 2"] * n),
    "except": lambda n: " EXCEPT ".join(["VALUES (1), (2)"] * n),
    "joins": lambda n: "SELECT 1 FROM a" + " JOIN b ON b.i = 1 AND true" * n,
    "casts": lambda n: "SELECT 1" + "::int" * n,
    "tests": lambda n: "SELECT a " + "NOTNULL " * n,
    "time zones": lambda n: "SELECT a" + " AT TIME ZONE b" * n,
    "parentheses": lambda n: "SELECT " + "(" * n + "1" + ")" * n,
    "calls": lambda n: "SELECT " + "f(1, " * n + "1" + ")" * n,
    "subqueries": lambda n: "SELECT " + "(SELECT " * n + "1" + ")" * n,
    "arrays": lambda n: "SELECT " + "ARRAY[" * n + "1" + "]" * n,
    "cases": lambda n: "SELECT " + "CASE WHEN a THEN 1 ELSE " * n + "1" + " END" * n,
    "negations": lambda n: "SELECT " + "NOT " * n + "a",
    "in their lists": lambda n: "SELECT " + "a IN (1, a IN (" * n + "1" + "))" * n,
}


def planned(sql: str):
    migration = Migration("1_a", Script(Path("1_a.sql"), sql.encode()))
    return plan_migrations(Layout.FILE, [migration])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("parts", [24, 300])
def test_what_people_write_is_read(form, parts):
    sql = f"CREATE VIEW v AS {FORMS[form](parts)}; DROP TABLE t"
    assert len(planned(sql).migrations[0].statements) == 2
    assert len(rewrite(sql.encode()).changes) == 1


CHAINS = {
    "concatenation": 33_000,
    "sum": 33_000,
    "union": 66_000,
    "except": 66_000,
    "joins": 8_000,
    "casts": 33_000,
    "tests": 66_000,
    "time zones": 17_000,
}


@pytest.mark.parametrize("form", FORMS)
def test_what_cannot_be_read_is_refused_with_its_place(form):
    # brackets come to an end in the parser, at 10,000
    sql = f"SELECT 1;\n  {FORMS[form](CHAINS.get(form, 11_000))};\nSELECT 2"
    with pytest.raises(Unreadable, match=r"^1_a.sql:2:3: .* is nested too deeply$") as caught:
        read_statements(sql.encode(), "1_a.sql")
    assert "divide it" in caught.value.hint


@pytest.mark.parametrize("form", ["tests", "union"])
def test_what_the_stack_of_a_thread_is_too_small_for_is_read(form):
    [statement] = read_statements(FORMS[form](21_000).encode())
    assert sum(1 for _ in messages_in(statement.node, pg.Node)) > 21_000


def test_a_deep_expression_is_written_again():
    [statement] = read_statements(FORMS["sum"](8_000).encode())
    text = text_of(statement.node.target_list[0].res_target.val)
    assert text.count("+") == 7_999


@pytest.mark.parametrize(
    ("sql", "most"),
    [
        ("INSERT INTO t VALUES " + ", ".join(["(1, 'a', now())"] * 5_000), SHALLOW),
        ("SELECT 1 WHERE a IN (" + ", ".join(["1"] * 20_000) + ")", SHALLOW),
        ("CREATE TABLE t (" + ", ".join(["c int NOT NULL DEFAULT 1"] * 5_000) + ")", SHALLOW),
        ("SELECT 1 WHERE " + " OR ".join(["a = 1"] * 16_000), DEEPEST),
        ("INSERT INTO t VALUES (1);" * 5_000, SHALLOW),
    ],
)
def test_a_long_statement_is_not_a_deep_one(sql, most):
    kinds = [token.kind for token in read_tokens(sql)]
    assert deepest(kinds)[0] <= most


@pytest.mark.parametrize(
    ("sql", "depth"),
    [
        ("SELECT a", 3),
        ("SELECT a, b, c", 3),
        ("SELECT a, (b, c, d e) f", 5),
        ("SELECT 1 UNION SELECT 2", 4),
        ("SELECT ((1", 5),  # the parser refuses it
        ("SELECT 1))", 5),
        ("", 1),
    ],
)
def test_the_bound(sql, depth):
    assert deepest([token.kind for token in read_tokens(sql)])[0] == depth
