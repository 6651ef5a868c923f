"""docs/definition.schema.json: valid, used, closed, told in words, and the same as the code."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from app.recovery.capture import planning as capturing
from app.recovery.core.options import options_of
from app.recovery.plan import planning
from app.recovery.plan.model import LOCKS, Choices
from app.recovery.purge import purge
from tests.definitions import (
    FILE,
    check,
    check_definitions,
    load,
    refused_definitions,
    validator,
)

SCHEMA = load()
ENTRIES: dict[str, dict[str, Any]] = SCHEMA["$defs"]
SQL = Path(__file__).resolve().parents[2] / "migrations" / "functions"
WITH_KEYS = [name for name, entry in ENTRIES.items() if entry.get("additionalProperties") is False]
TEXTS = {  # one text for each pattern
    "^[0-9a-z]{8,24}$": "0123456789ab",
    "^[0-9]+$": "16384",
    "^-?[0-9]+/[0-9]+$": "7123456789/5",
    "^[0-9a-f]{64}$": "a" * 64,
    "^[1-9][0-9]*$": "1",
    "^(?!ONLY )": "public.orders",
}


def example(node: dict[str, Any], depth: int = 0) -> Any:
    """Return what a part of the schema takes: each key once, lists of one, down to a depth."""
    if "$ref" in node:
        return example(ENTRIES[node["$ref"].rpartition("/")[2]], depth)
    if "anyOf" in node:
        return example(node["anyOf"][0 if depth > 5 else -1], depth)
    if "const" in node or "enum" in node:
        return node["const"] if "const" in node else node["enum"][0]
    kind = node["type"] if isinstance(node["type"], str) else node["type"][0]
    if kind == "object":
        return _example_of_object(node, depth)
    if kind == "array":
        items = node.get("prefixItems", [node["items"]])
        return [example(x, depth + 1) for x in items if depth < 6 or "minItems" in node]
    text = TEXTS[node["pattern"]] if "pattern" in node else "text"
    return {"string": text, "integer": node.get("minimum", 1), "boolean": True, "null": None}[kind]


def _example_of_object(node: dict[str, Any], depth: int) -> dict[str, Any]:
    if "properties" in node:
        keys = {
            key: value for key, value in node["properties"].items() if "deprecated" not in value
        }
        keys = dict(list(keys.items())[: node.get("maxProperties", len(keys))])
        return {key: example(value, depth + 1) for key, value in keys.items()}
    if "patternProperties" in node:
        ((pattern, value),) = node["patternProperties"].items()
        return {TEXTS[pattern]: example(value, depth + 1)}
    value = node.get("additionalProperties")
    return {"name": example(value, depth + 1)} if value else {}


def parts(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every part of the schema that is an object."""
    if isinstance(node, dict):
        yield node
    for value in (
        node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    ):
        yield from parts(value)


def refs(node: Any) -> set[str]:
    return {
        part["$ref"].rpartition("/")[2] for part in parts(node) if isinstance(part.get("$ref"), str)
    }


# ---------------------------------------------------------------------------------- the schema


def test_schema_is_valid():
    jsonschema_rs.meta.validate(SCHEMA)


def test_every_entry_is_used_and_every_reference_has_an_entry():
    reached: set[str] = set()
    waiting = refs(SCHEMA["anyOf"])
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= refs(ENTRIES[name]) - reached
    assert reached == set(ENTRIES)


def test_every_key_is_described_in_one_sentence():
    described = {name: entry["description"] for name, entry in ENTRIES.items()}
    for name, entry in ENTRIES.items():
        for key, value in entry.get("properties", {}).items():
            if name != "definition":
                described[f"{name}.{key}"] = value["description"]
    odd = {
        name: text
        for name, text in described.items()
        if not text.endswith(".") or ". " in text or len(text.split()) > 25
    }
    assert not odd


def test_every_object_with_keys_is_closed():
    odd = [
        part["properties"]
        for part in parts(ENTRIES)
        if part.get("type") == "object"
        and isinstance(part.get("properties"), dict)
        and part.get("additionalProperties") is not False
    ]
    assert odd == [ENTRIES["definition"]["properties"]]


def test_keys_that_were_added_later_are_keys_and_not_required():
    for entry in ENTRIES.values():
        later, required = set(entry.get("addedLater", ())), set(entry.get("required", ()))
        assert later | required <= set(entry.get("properties", later | required))
        assert not later & required


# ------------------------------------------------------------------------ as the code has it


def said(pattern: str) -> set[str]:
    """Return what a pattern finds in the SQL."""
    texts = [file.read_text("utf-8") for file in SQL.rglob("*.sql")]
    return {found for text in texts for found in re.findall(pattern, text)}


@pytest.mark.parametrize(
    ("entry", "key", "known"),
    [
        ("conflict", "code", said(r"_conflict\('([a-z_]+)'")),
        ("loss", "code", said(r"_loss\('([a-z_]+)'")),
        ("check", "kind", said(r"_check\('([a-z_]+)'")),
        ("step", "lock", {*LOCKS, None}),
        ("restore_plan", "choices", {option.key for option in options_of(Choices)}),
    ],
)
def test_enumerations_are_those_of_the_code(entry, key, known):
    """Codes that a condition chooses stand in no call; what tests meet of them is checked there."""
    node = ENTRIES[entry]["properties"][key]
    listed = set(node["items"]["enum"] if "items" in node else node["enum"])
    chosen = {"column_gone", "dependency_gone", "duplicates", "fill_value", "expression"}
    assert known
    assert known <= listed
    assert listed - known <= chosen


# -------------------------------------------------------------------------------- what it takes


@pytest.mark.parametrize("name", WITH_KEYS)
def test_an_entry_takes_its_keys_and_no_others(name):
    """Each key misspelt, each missing, each with a value of no type."""
    entry = ENTRIES[name]
    document = example(entry, 4)
    check(name, document)
    for key in document:
        misspelt = {f"{key}x" if k == key else k: value for k, value in document.items()}
        assert not validator(name).is_valid(misspelt), key
        assert not validator(name).is_valid({**document, key: 0.5}), key
        fewer = {k: value for k, value in document.items() if k != key}
        needed = key in {*entry.get("required", ()), *entry.get("then", {}).get("required", ())}
        if fewer:
            assert validator(name, of_this_version=False).is_valid(fewer) is not needed, key
        if key in entry.get("addedLater", ()):
            assert not validator(name).is_valid(fewer), key


KINDS = ("column_definition", "table_definition", "rebuild_definition")
MUTATIONS = [
    ("column_definition", "format", 2),
    ("column_definition", "strategy", "drop_column"),
    ("column_definition", "strategy", "soft_drop_table"),
    ("column_definition", "column/generate", None),
    ("column_definition", "column/identity", "always"),
    ("column_definition", "column/not_null/validate", True),
    ("column_definition", "column/sequences/0/lastvalue", 1),
    ("column_definition", "column/grants/0/privileges/0", "READ"),
    ("column_definition", "constraints/0/kind", "primary"),
    ("column_definition", "constraints/0/index/key", []),
    ("column_definition", "constraints/0/foreign_key/on_delete", "cascade"),
    ("column_definition", "indexes/0/parked/column", {}),
    ("column_definition", "renames/0/kind", "table"),
    ("column_definition", "kept/enums/enum/happy", "16384"),
    ("column_definition", "kept/labels", {"happy": "16384"}),
    ("column_definition", "numbers/name", 0),
    ("column_definition", "cascade/order/0/0", "triggers"),
    ("column_definition", "cascade/order/0/1", -1),
    ("column_definition", "cascade/views/0/materialised", True),
    ("column_definition", "cascade/columns/0/uses/call", "the column d"),
    ("column_definition", "database", "postgres"),
    ("table_definition", "members", []),
    ("table_definition", "members/0/definition/persistence", "t"),
    ("table_definition", "members/0/definition/partition_of/accept", "x"),
    ("table_definition", "members/0/definition/policies/0/using", 10),
    ("table_definition", "members/0/definition/triggers/0/enabled", "ENABLED"),
    ("table_definition", "members/0/definition/publications/0/filter", None),
    ("table_definition", "table/oid", 16384),
    ("table_definition", "column", None),
    ("rebuild_definition", "on_dependents", "refuse"),
    ("rebuild_definition", "parked/column", "c"),
]


@pytest.mark.parametrize("name", KINDS)
def test_a_whole_definition_is_taken(name):
    check("definition", example(ENTRIES[name]))


@pytest.mark.parametrize(("name", "place", "value"), MUTATIONS)
def test_a_definition_with_one_fault_is_refused(name, place, value):
    document = copy.deepcopy(example(ENTRIES[name]))
    *above, last = [int(part) if part.isdigit() else part for part in place.split("/")]
    node = document
    for part in above:
        node = node[part]
    node[last] = value
    with pytest.raises(AssertionError, match=re.escape(FILE.name)):
        check("definition", document)


def test_a_row_of_an_earlier_version_is_taken():
    document = example(ENTRIES["column_definition"])
    for key in ENTRIES["column_definition"]["addedLater"]:
        del document[key]
    check("definition", document, of_this_version=False)
    with pytest.raises(AssertionError, match="required property"):
        check("definition", document)


# ---------------------------------------------------------------------------- that it is asked


def test_what_a_database_records_is_checked():
    line = json.dumps({"strategy": "rebuild_table", "table": {"schema": "s"}})
    [(schema, text)] = refused_definitions(f"{line}\n")
    assert schema == "s"
    assert '"format" is a required property' in text
    with pytest.raises(AssertionError, match=re.escape(FILE.name)):
        check_definitions(line)


@pytest.mark.parametrize(
    ("module", "parse"),
    [
        (planning, "parse_plan"),
        (capturing, "parse_capture_plan"),
        (purge, "parse_purge_plan"),
    ],
)
def test_plans_are_checked_where_a_test_has_a_server(module, parse, checked_plans):
    with pytest.raises(AssertionError, match=re.escape(FILE.name)):
        getattr(module, parse)({})
