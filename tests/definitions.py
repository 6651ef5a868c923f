"""What Zanith records and returns as jsonb, checked against docs/definition.schema.json.

`conftest` checks the definitions of a test's database before it drops it, and every plan that the
engine reads. What this version writes has all keys, so those that rows of earlier versions lack
(`addedLater`) are required here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

FILE = Path(__file__).resolve().parent.parent / "docs" / "definition.schema.json"
MOST = 5  # how many faults of one document are told

# One JSON text a line; nothing where Zanith is not installed, or a test took its table away. A row
# that a test made up says so in captured_with.
DEFINITIONS = """
SELECT to_regclass('zanith._zanith_migration_artifacts') IS NOT NULL AS there \\gset
\\if :there
SELECT DISTINCT definition FROM zanith._zanith_migration_artifacts
WHERE captured_with LIKE 'zanith %';
\\endif
"""

# PostgreSQL looks for other sessions of a database every 100 ms: that of before has to be gone.
DROP = """
\\connect postgres
SELECT pg_sleep(0.005) AS slept \\gset
DROP DATABASE IF EXISTS {name} WITH (FORCE);
"""


def load() -> dict[str, Any]:
    """Return the schema."""
    found: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
    return found


@cache
def validator(name: str, *, of_this_version: bool = True) -> Any:
    """Return the validator of an entry of `$defs`; else it also takes rows of earlier versions."""
    schema = load()
    entries = schema["$defs"]
    if of_this_version:
        entries = {key: _with_all_keys(entry) for key, entry in entries.items()}
    return jsonschema_rs.Draft202012Validator(
        {"$schema": schema["$schema"], "$ref": f"#/$defs/{name}", "$defs": entries}
    )


def _with_all_keys(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an entry that requires what was added later, and takes nothing deprecated."""
    if "addedLater" not in entry:
        return entry
    known = entry["properties"].items()
    return {
        **entry,
        "properties": {key: value for key, value in known if not value.get("deprecated")},
        "required": [*entry.get("required", ()), *entry["addedLater"]],
    }


def faults(name: str, document: Any, *, of_this_version: bool = True) -> Iterator[str]:
    """Yield what is wrong with a document, each with its place."""
    for error in validator(name, of_this_version=of_this_version).iter_errors(document):
        place = "/".join(str(part) for part in error.instance_path)
        yield f"{name} /{place}: {error.message[:400]}"


def check(name: str, document: Any, *, of_this_version: bool = True) -> None:
    """Raise AssertionError where a document is not as the schema says."""
    found = list(faults(name, document, of_this_version=of_this_version))
    if found:
        raise AssertionError("\n".join([f"{FILE.name} refuses it:", *found[:MOST]]))


def check_definitions(lines: str, *, of_this_version: bool = True) -> None:
    """Check what `DEFINITIONS` printed."""
    for line in filter(None, lines.split("\n")):  # a name can hold other line separators
        check("definition", json.loads(line), of_this_version=of_this_version)


def refused_definitions(lines: str) -> Iterator[tuple[str, str]]:
    """Yield the schema of each table whose definition is refused, and why, of the same lines."""
    for line in filter(None, lines.split("\n")):  # a name can hold other line separators
        definition = json.loads(line)
        if found := list(faults("definition", definition)):
            yield definition["table"]["schema"], "; ".join(found[:MOST])


def check_plans(patch: pytest.MonkeyPatch) -> None:
    """Let the engine check what the planners return."""
    from app.recovery.capture import planning as capturing
    from app.recovery.plan import planning
    from app.recovery.purge import purge

    for module, parse, name in (
        (planning, "parse_plan", "restore_plan"),
        (capturing, "parse_capture_plan", "capture_plan"),
        (purge, "parse_purge_plan", "purge_plan"),
    ):
        patch.setattr(module, parse, _checking(getattr(module, parse), name))


def _checking(parse: Callable[..., Any], name: str) -> Callable[..., Any]:
    from tests.ways import check_conflicts

    def checked(data: dict[str, Any], *args: Any, **options: Any) -> Any:
        check(name, data)
        check_conflicts(data.get("conflicts") or [])
        return parse(data, *args, **options)

    return checked
