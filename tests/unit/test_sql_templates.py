"""Our own templates are filled in one pass: what is put in is never taken for a place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.recovery.queries import fill

ENGINE = Path(__file__).parents[2] / "app"


def test_what_is_put_in_is_not_looked_at():
    parts = {"a": "{b}", "b": "{a}{c}\\1"}
    assert fill("SELECT {a}, {b}, {a}", **parts) == "SELECT {b}, {a}{c}\\1, {b}"


@pytest.mark.parametrize("parts", [{}, {"b": ""}, {"a": "", "b": ""}])
def test_a_missing_or_unknown_part_is_an_error(parts):
    with pytest.raises(ValueError, match="the template takes"):
        fill("SELECT {a}", **parts)


def test_no_sql_is_made_by_search_and_replace():
    """A block of SQL that is edited by str.replace or str.format would take a name for a place."""
    found = [
        f"{file.name}: {line.strip()}"
        for file in ENGINE.rglob("*.py")
        for line in file.read_text(encoding="utf-8").splitlines()
        if re.search(r"(SQL|STREAM|BLOCKS|SEAL)\[[^]]*\]\.(replace|format)\(", line)
        or re.search(r"\.replace\(\s*[\"']\{(?!count)", line)
    ]
    assert found == []
