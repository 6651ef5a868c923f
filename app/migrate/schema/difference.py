"""What two snapshots differ in: objects created, dropped and changed, attribute by attribute."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from app.migrate.schema.model import Key, Object, Schema, canonical

OWNERSHIP = frozenset({"owner", "grants"})
"""What a schema that another role loaded differs in: leave it out to compare the rest."""

_FEW_PAIRS = 25
# What is renamed often, and what must be equal for a dropped and a created object to be alike.
_RENAMED: tuple[str, ...] = (
    "schema",
    "table",
    "view",
    "materialized_view",
    "column",
    "sequence",
    "constraint",
)
_RENAMED += ("index", "function", "procedure", "trigger", "policy", "enum", "domain")
# A definition has the name in it, and the others follow the name.
_WITH_NAME = frozenset(
    {"definition", "comment", "grants", "security_labels", "constraint", "owned_by"}
)


@dataclass(frozen=True)
class Rename:
    """A dropped and a created object that are alike: a rename perhaps. Nobody decides it here."""

    before: Key
    after: Key


@dataclass(frozen=True)
class Difference:
    """What turns one snapshot into another."""

    before: Schema
    after: Schema
    created: tuple[Key, ...]
    dropped: tuple[Key, ...]
    changed: Mapping[Key, Mapping[str, tuple[Any, Any]]]
    ignored: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.created or self.dropped or self.changed)

    @property
    def whole(self) -> tuple[list[Key], list[Key]]:
        """What was created and what was dropped, without the parts of what is listed too."""
        return _outermost(self.created, self.after), _outermost(self.dropped, self.before)

    @property
    def renames(self) -> list[Rename]:
        """The pairs of a dropped and a created object that may be one, renamed.

        Where more than a few are alike, as partitions are, they are paired in the order of their
        names: all pairs together would say nothing.
        """
        sides = (self.before, self.dropped), (self.after, self.created)
        places: list[set[Hashable]] = [
            {_place(key) for key in keys if key.kind in _RENAMED} for _, keys in sides
        ]
        alike: dict[Hashable, tuple[list[Key], list[Key]]] = defaultdict(lambda: ([], []))
        for side, (schema, keys) in enumerate(sides):
            for key in keys:
                if key.kind in _RENAMED and _place(key) in places[1 - side]:
                    alike[_but_its_name(schema, key)][side].append(key)
        found: list[tuple[Key, Key]] = []
        for old, new in alike.values():
            few = len(old) * len(new) <= _FEW_PAIRS
            found += product(old, new) if few else zip(old, new, strict=False)
        return [Rename(*pair) for pair in sorted(found)]

    def to_json(self) -> dict[str, Any]:
        """Return the difference as JSON."""
        return {
            "equal": not self,
            "before": self.before.hash,
            "after": self.after.hash,
            "created": [_described(self.after.objects[key]) for key in self.created],
            "dropped": [_described(self.before.objects[key]) for key in self.dropped],
            "changed": [
                {
                    "kind": key.kind,
                    "name": list(key.name),
                    "object": str(key),
                    "attributes": {
                        name: {"before": old, "after": new} for name, (old, new) in changes.items()
                    },
                }
                for key, changes in self.changed.items()
            ],
            "renames": [
                {"kind": one.before.kind, "before": one.before.text, "after": one.after.text}
                for one in self.renames
            ],
        }


def _outermost(keys: tuple[Key, ...], schema: Schema) -> list[Key]:
    listed = set(keys)
    return [key for key in keys if schema.parent(key) not in listed]


def _described(one: Object) -> dict[str, Any]:
    described = one.to_json()
    del described["needs"]
    return {**described, "object": str(one.key)}


def difference(before: Schema, after: Schema, ignored: frozenset[str] = frozenset()) -> Difference:
    """Return what turns one snapshot into the other.

    `ignored` names attributes that do not count. Without grants, default privileges do not either.
    """
    old, new = _counted(before, ignored), _counted(after, ignored)
    created = tuple(sorted(key for key in new if key not in old))
    dropped = tuple(sorted(key for key in old if key not in new))
    changed = {}
    for key in sorted(old.keys() & new.keys()):
        if old[key].attributes is new[key].attributes:
            continue
        changes = dict(_changes(old[key], new[key], ignored))
        if changes:
            changed[key] = changes
    return Difference(before, after, created, dropped, changed, ignored)


def _counted(schema: Schema, ignored: frozenset[str]) -> Mapping[Key, Object]:
    if "grants" not in ignored:
        return schema.objects
    return {key: one for key, one in schema.objects.items() if key.kind != "default_privileges"}


def _changes(
    old: Object, new: Object, ignored: frozenset[str]
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for name in sorted({*old.attributes, *new.attributes} - ignored):
        pair = old.get(name), new.get(name)
        if pair[0] == pair[1]:
            continue
        if name == "columns" and in_order(*pair):
            continue  # the columns that were created and dropped say it
        yield name, pair


def in_order(old: list[str] | None, new: list[str] | None) -> bool:
    """Whether adding and dropping columns gives the new order: what is added comes last."""
    kept = [name for name in old or [] if name in (new or [])]
    return (new or [])[: len(kept)] == kept


def _place(key: Key) -> Hashable:
    """Return the kind, and the part of the name that a rename leaves as it is."""
    if key.kind in ("column", "constraint", "trigger", "policy"):
        return key.kind, key.name[:2]
    return key.kind, key.name[2:3] if key.kind in ("function", "procedure") else ()


def _but_its_name(schema: Schema, key: Key) -> Hashable:
    """Return what is equal for two objects that differ in nothing but their names."""
    if key.kind == "schema":
        return _place(key), frozenset(_members(schema, key))
    return _place(key), canonical(_comparable(schema.objects[key]))


def _members(schema: Schema, key: Key) -> set[tuple[str, ...]]:
    return {
        (one.kind, *one.name[1:])
        for one in schema.objects
        if len(one.name) > 1 and one.name[0] == key.name[0]
    }


def _comparable(one: Object) -> dict[str, Any]:
    """The attributes without those that name the object; a definition without the name."""
    found = {key: value for key, value in one.attributes.items() if key not in _WITH_NAME}
    definition = one.get("definition")
    if definition is not None:
        name = Key(
            "name", (one.key.name[1 if one.key.kind in ("index", "function", "procedure") else -1],)
        )
        found["definition"] = str(definition).replace(name.text, "")
    return found
