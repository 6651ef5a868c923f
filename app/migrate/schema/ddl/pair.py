"""What an object is altered from and to, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.migrate.schema.model import Key, Object, Schema

Changes = Mapping[str, tuple[Any, Any]]


@dataclass
class Change:
    """What changes an object: statements; or it is dropped and created again.

    `missing` names attributes that nothing here changes.
    """

    statements: list[str] = field(default_factory=list)
    recreate: bool = False
    missing: list[str] = field(default_factory=list)


@dataclass
class Pair:
    """An object before and after, what changed in it, and the schemas that it is in."""

    old: Object
    new: Object
    changes: Changes
    before: Schema
    after: Schema

    @property
    def key(self) -> Key:
        """Return the kind and the name, which are the same in both."""
        return self.new.key

    def among(self, *names: str) -> list[str]:
        """Return those of the changes that are not among the names."""
        return sorted(set(self.changes) - set(names))


def recreate(_pair: Pair) -> Change:
    """Drop it and create it again."""
    return Change(recreate=True)
