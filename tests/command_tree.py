"""The commands of the tree, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def leaves(tree: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each command that is no group, after the words that name it."""
    if not hasattr(tree, "commands"):
        yield words, tree
    for name, child in getattr(tree, "commands", {}).items():
        yield from leaves(child, (*words, name))
