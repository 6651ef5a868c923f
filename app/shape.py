"""The one shape of JSON, on the command line and over HTTP: the same thing has the same key."""

from collections.abc import Mapping
from typing import Any

FORMAT_VERSION = 1
"""Grows when a key changes its meaning or goes away; a new key leaves it as it is."""

_AS_RECORDED = frozenset({"definition", "definition_now", "fidelity", "row"})
"""Keys whose values have the names of the user's objects as keys."""

_NAMES = {"rows": "row_count", "db_role": "actor_role"}
"""Keys of the engine, and what the same thing is called elsewhere."""


def document(result: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return the document of a result: its format, what else is said of it, and its own keys."""
    return {"format_version": FORMAT_VERSION, **more, **named(result)}


def named(value: Any) -> Any:
    """Return the value with one name for a number of rows and for a role, at every depth."""
    if hasattr(value, "to_json"):
        value = value.to_json()
    if isinstance(value, Mapping):
        return {
            _name(str(key), inner): inner if key in _AS_RECORDED else named(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [named(inner) for inner in value]
    return value


def _name(key: str, value: Any) -> str:
    return key if isinstance(value, Mapping | list | tuple) else _NAMES.get(key, key)
