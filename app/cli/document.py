"""The JSON document that a command prints, and the words of the command in it."""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from app import shape

COMMAND: ContextVar[str] = ContextVar("command", default="")
"""The words of the command that runs, such as `recover list`."""


def document(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a result: its format, the command, and the result's own keys."""
    return shape.document(result, command=COMMAND.get())


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


def commands_named(tree: Any, word: str) -> list[str]:
    """Return the commands of groups that end with the word, as `zanith recover purge`."""
    return [
        f"{tree.name or 'zanith'} {name} {word}"
        for name, group in getattr(tree, "commands", {}).items()
        if word in getattr(group, "commands", {})
    ]
