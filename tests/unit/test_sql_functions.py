"""What is planned once a session and not at every call.

Before 18 PostgreSQL plans a function in SQL anew whenever it is called, where it cannot be made
part of the query around it; one in PL/pgSQL keeps its plans.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "migrations" / "functions"
FUNCTION = re.compile(
    r"^CREATE OR REPLACE FUNCTION zanith\.(?P<name>\w+)\((?P<arguments>[^$]*?)\)\s+"
    r"RETURNS (?P<returns>(?:(?!LANGUAGE)[^$])+?)\s+LANGUAGE (?P<language>\w+)"
    r"(?P<settings>[^$]*)AS \$\$(?P<body>.*?)\$\$;",
    re.MULTILINE | re.DOTALL,
)
NO_CODE = re.compile(r"--[^\n]*|'(?:[^']|'')*'")


@pytest.mark.parametrize("file", sorted(FOLDER.rglob("*.sql")), ids=lambda file: file.stem)
def test_what_reads_a_table_and_returns_one_value_keeps_its_plan(file):
    functions = list(FUNCTION.finditer(file.read_text(encoding="utf-8")))
    planned_anew = [
        found["name"]
        for found in functions
        if found["language"] == "sql"
        # rows can be made part of the query
        and not re.match(r"SETOF|TABLE", found["returns"])
        and "VOLATILE" not in found["settings"]
        and re.search(r"\bFROM\b", NO_CODE.sub("", found["body"]))
    ]
    assert functions
    assert planned_anew == []


@pytest.mark.parametrize("file", sorted(FOLDER.rglob("*.sql")), ids=lambda file: file.stem)
def test_a_function_in_sql_becomes_part_of_the_query_around_it(file):
    """Its line in the context of an error would have no schema, so it would pass for somebody's."""
    called = [
        found["name"]
        for found in FUNCTION.finditer(file.read_text(encoding="utf-8"))
        if found["language"] == "sql"
        and re.search(r"VOLATILE|SECURITY DEFINER|STRICT|\bSET\b", found["settings"])
    ]
    assert called == []


def test_no_two_functions_have_one_name():
    """The doctor and an upgrade know the file of a function by its name."""
    texts = [file.read_text(encoding="utf-8") for file in FOLDER.rglob("*.sql")]
    names = Counter(found["name"] for text in texts for found in FUNCTION.finditer(text))
    assert len(names) > 300
    assert [name for name, count in names.items() if count > 1] == []
