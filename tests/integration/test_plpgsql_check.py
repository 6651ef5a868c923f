"""The extension plpgsql_check reads every function in PL/pgSQL, also branches that rarely run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

FUNCTIONS = Path(__file__).parents[2] / "migrations" / "functions"
# What the check cannot know: a function of version 18, and one that is made when it is called.
UNKNOWN = ("pg_get_sequence_data", "pg_temp._zanith_run")
FINDINGS = """
SELECT COALESCE(json_agg(json_build_object('function', f.oid::regprocedure::text, 'line', c.lineno,
    'level', c.level, 'message', c.message, 'query', COALESCE(c.query, ''))), '[]')
FROM pg_proc f
JOIN pg_language l ON l.oid = f.prolang AND l.lanname = 'plpgsql'
LEFT JOIN LATERAL (SELECT tgrelid FROM pg_trigger WHERE tgfoid = f.oid LIMIT 1) t ON true
CROSS JOIN LATERAL plpgsql_check_function_tb(f.oid, COALESCE(t.tgrelid, 0), fatal_errors => false,
    extra_warnings => true, security_warnings => false, performance_warnings => false) c
WHERE f.pronamespace = 'zanith'::regnamespace
    AND (f.prorettype <> 'trigger'::regtype OR t.tgrelid IS NOT NULL)
"""
# Assignments that convert a text to jsonb or a number are meant; so are the columns of a result
# that dynamic SQL fills.
MEANT = (
    "target type is different type than source type",
    "is maybe unmodified",
    "reserved keyword",
)


def errors_of_ours() -> str:
    """Return the sources: the check runs calls with constants, which then raise what they say."""
    return "".join(file.read_text("utf-8") for file in FUNCTIONS.rglob("*.sql"))


@pytest.fixture
def checked(database):
    """A database with the extension; only PostgreSQL from Debian's packages has it."""
    available = "SELECT count(*) FROM pg_available_extensions WHERE name = 'plpgsql_check'"
    if database.psql(available).strip() == "0":
        pytest.skip("this PostgreSQL has no plpgsql_check: install postgresql-15-plpgsql-check")
    database.psql("CREATE EXTENSION plpgsql_check")
    return database


@pytest.mark.each_version
def test_no_function_has_an_error_or_an_unused_variable(checked):
    found = json.loads(checked.psql(FINDINGS))
    functions = checked.psql(
        "SELECT count(*) FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang"
        " WHERE l.lanname = 'plpgsql' AND pronamespace = 'zanith'::regnamespace"
    )
    assert int(functions) > 200
    ours = errors_of_ours()
    assert [
        item
        for item in found
        if not any(name in item["message"] + item["query"] for name in UNKNOWN)
        and not any(words in item["message"] for words in MEANT)
        and not (item["level"] == "error" and f"'{item['message']}'" in ours)
    ] == []


@pytest.mark.each_version
def test_a_typo_in_a_branch_that_never_runs_is_found(checked):
    checked.psql(
        "CREATE FUNCTION zanith.f() RETURNS int LANGUAGE plpgsql"
        " AS $$ BEGIN IF false THEN RETURN no_such_column FROM pg_class; END IF; RETURN 1; END $$"
    )
    found = json.loads(checked.psql(FINDINGS))
    assert [item["level"] for item in found if item["function"] == "zanith.f()"] == ["error"]
