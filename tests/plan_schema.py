"""docs/plan.schema.json, against which tests check the plans that the commands print."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

FILE = Path(__file__).parents[1] / "docs" / "plan.schema.json"


@cache
def load() -> dict[str, Any]:
    """Return the schema."""
    found: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
    return found


@cache
def validator() -> Any:
    """Return what checks a document."""
    return jsonschema_rs.Draft202012Validator(load())


def check(document: dict[str, Any]) -> dict[str, Any]:
    """Return the plan, which the schema describes; AssertionError with the place if not."""
    wrong = [
        f"{list(one.instance_path)}: {one.message}" for one in validator().iter_errors(document)
    ]
    assert not wrong, wrong
    return document
