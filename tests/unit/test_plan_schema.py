"""docs/plan.schema.json: the same lists as the code, every key of a plan, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.migrate.preflight.findings import Finding, Kind, Outcome, Place, preflight_to_json
from app.migrate.read.migrations import Layout, Migration, Script
from app.migrate.review.plan import Gates, plan_migrations
from app.migrate.risk import By, Level, Mode, Reason
from tests.migrate.documented import EXAMPLES
from tests.plan_schema import check, load, validator

ENTRIES: dict[str, dict[str, Any]] = load()["$defs"]
GATES = Gates(max_risk=15, fail_on=frozenset({Reason.SCANS}))


def planned() -> dict[str, Any]:
    """Return a plan with one migration for each example, with findings."""
    texts = [f"-- zanith: reason x\n\n{text}" for text in EXAMPLES]
    migrations = [
        Migration(str(number), Script(Path(f"{number}.sql"), text.encode()))
        for number, text in enumerate(texts)
    ]
    place = Place("1", "1.sql", 1, 1, 0)
    findings = [Finding(place, kind, "t", outcome, "m") for kind in Kind for outcome in Outcome]
    plan = plan_migrations(Layout.FILE, migrations, GATES).to_json()
    return {**plan, "preflight": preflight_to_json(findings)}


PLAN = planned()


def test_the_lists_are_those_of_the_code():
    assert ENTRIES["level"]["enum"] == [one.word for one in Level]
    assert ENTRIES["score"]["enum"] == [one.value for one in Level]
    assert ENTRIES["reason"]["enum"] == [one.value for one in Reason]
    assert ENTRIES["mode"]["enum"] == [one.word for one in Mode]
    assert ENTRIES["layout"]["enum"] == [one.value for one in Layout]
    assert ENTRIES["recovery"]["properties"]["by"]["enum"] == [one.value for one in By]
    assert ENTRIES["finding"]["properties"]["kind"]["enum"] == [one.value for one in Kind]
    assert ENTRIES["finding"]["properties"]["outcome"]["enum"] == [one.value for one in Outcome]


def test_plans_of_all_examples():
    check(PLAN)
    check({key: value for key, value in PLAN.items() if key != "preflight"})
    gates = {failure["gate"] for failure in PLAN["failures"]}
    assert gates <= set(ENTRIES["failure"]["properties"]["gate"]["enum"])
    assert {"max_risk", "fail_on", "destructive"} <= gates


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of each key, in the first item of each list."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield (*path, key)
            yield from places(value, (*path, key))
    elif isinstance(node, list) and node:
        yield from places(node[0], (*path, 0))


def without(place: tuple[Any, ...]) -> dict[str, Any]:
    changed = copy.deepcopy(PLAN)
    node: Any = changed
    for key in place[:-1]:
        node = node[key]
    del node[place[-1]]
    return changed


@pytest.mark.parametrize("place", [one for one in places(PLAN) if one != ("preflight",)], ids=str)
def test_a_plan_without_a_key_is_refused(place):
    assert not validator().is_valid(without(place))


def test_each_entry_has_no_other_keys_and_is_used():
    text = str(load())
    for name, entry in ENTRIES.items():
        assert f"#/$defs/{name}'" in text, name
        assert entry["description"].endswith("."), name
        assert "enum" in entry or entry["additionalProperties"] is False, name
    assert load()["additionalProperties"] is False
