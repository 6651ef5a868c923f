"""The one shape of every JSON document that a command prints."""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

FORMAT_VERSION = 1
"""Grows when a key changes its meaning or goes away; a new key leaves it as it is."""

COMMAND: ContextVar[str] = ContextVar("command", default="")
"""The words of the command that runs, such as `recover list`."""

_AS_RECORDED = frozenset({"definition", "definition_now", "fidelity", "row"})
"""Keys whose values have the names of the user's objects as keys."""

_NAMES = {"rows": "row_count", "db_role": "actor_role"}
"""Keys of the engine that the command line calls as it calls the same thing elsewhere."""


def document(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a result: its format, the command, and the result's own keys."""
    return {"format_version": FORMAT_VERSION, "command": COMMAND.get(), **_named(result)}


def command_words(tree: Any, arguments: list[str]) -> str:
    """Return the words of the arguments that name a command, as far as there is one."""
    words: list[str] = []
    for word in arguments:
        commands = getattr(tree, "commands", {})
        if word in commands:
            words.append(word)
            tree = commands[word]
        elif not word.startswith("-"):
            break
    return " ".join(words)


def is_group(tree: Any, words: list[str]) -> bool:
    """Whether the words name a group of commands rather than one."""
    for word in words:
        tree = tree.commands[word]
    return bool(getattr(tree, "commands", None))


def _named(value: Any) -> Any:
    """The value with one name for a number of rows and for a role, at every depth."""
    if hasattr(value, "to_json"):
        value = value.to_json()
    if isinstance(value, Mapping):
        return {
            _name(str(key), inner): inner if key in _AS_RECORDED else _named(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_named(inner) for inner in value]
    return value


def _name(key: str, value: Any) -> str:
    return key if isinstance(value, Mapping | list | tuple) else _NAMES.get(key, key)
