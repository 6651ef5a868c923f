"""The engine's statements name what PostgreSQL would look for along the session's path.

A function of any type, or of any number of arguments, is no exact match: a role that may create one
in `public` that fits better would have it run by the operator.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "app" / "recovery" / "queries"
ANY = "json_build_object|json_build_array|json_agg|array_agg|unnest|concat|concat_ws|format"
ANY += "|num_nulls|num_nonnulls|row_to_json|to_json|to_jsonb|array_position|array_length"
UNNAMED = re.compile(rf"(?<![\w.])(?:{ANY}|jsonb_build_object|jsonb_build_array|jsonb_agg)\(")


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.sql")), ids=lambda file: file.stem)
def test_functions_of_any_type_are_named_with_their_schema(file):
    found = [line for line in file.read_text(encoding="utf-8").splitlines() if UNNAMED.search(line)]
    assert found == []


def test_no_two_migrations_have_one_number():
    """Two of one number would run in an order that nobody chose."""
    numbers = [file.name[:4] for file in (FOLDER.parents[2] / "migrations").glob("[0-9]*.sql")]
    assert sorted(numbers) == [f"{number:04}" for number in range(1, len(numbers) + 1)]
