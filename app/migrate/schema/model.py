"""What a snapshot holds: each object of a schema by its kind and name, with its attributes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from app.recovery.core.errors import WrongUsage
from app.recovery.core.names import quote

FORMAT = 1
"""The format of the JSON; a reader refuses another one."""

RELATIONS = ("table", "foreign_table", "view", "materialized_view")
TYPES = ("enum", "domain", "range", "composite_type", "base_type", "shell_type")
ROUTINES = ("function", "procedure", "aggregate")
# The kinds whose name has types in it, which are SQL already, and how their names are written.
_NAMES: dict[str, Callable[[tuple[str, ...]], str]] = {
    **dict.fromkeys(ROUTINES, lambda name: f"{quote(name[:2])}({name[2]})"),
    **dict.fromkeys(
        ("operator_class", "operator_family"),
        lambda name: f"{quote(name[:2])} USING {quote(name[2])}",
    ),
    "operator": lambda name: f"{quote(name[0])}.{name[1]} ({', '.join(name[2:])})",
    "cast": lambda name: f"({' AS '.join(name)})",
    "user_mapping": lambda name: f"{name[1]} of {quote(name[0])}",
    "transform": lambda name: f"{name[0]} for {quote(name[1])}",
}
_OF_RELATIONS = ("default", "constraint", "trigger", "policy", "rule")


class Key(NamedTuple):
    """What an object is called: its kind, and its name in parts, as the catalog has them."""

    kind: str
    name: tuple[str, ...]

    @property
    def label(self) -> str:
        """The kind in words."""
        return self.kind.replace("_", " ")

    @property
    def text(self) -> str:
        """The name as SQL writes it; it begins with the schema if there is one."""
        written = _NAMES.get(self.kind)
        return written(self.name) if written else quote(part for part in self.name if part)

    def __str__(self) -> str:
        return f"{self.label} {self.text}"


@dataclass(frozen=True)
class Object:
    """One object. `needs` names what must exist before it; the hash does not count it."""

    key: Key
    attributes: Mapping[str, Any]
    needs: tuple[Key, ...] = ()

    def __getitem__(self, name: str) -> Any:
        return self.attributes[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute, or the default if the object has none of this name."""
        return self.attributes.get(name, default)

    def to_json(self) -> dict[str, Any]:
        """Return the object as JSON."""
        return {
            "kind": self.key.kind,
            "name": list(self.key.name),
            "attributes": dict(self.attributes),
            "needs": [[need.kind, *need.name] for need in self.needs],
        }


@dataclass(frozen=True)
class Schema:
    """All objects of a database that belong to its user, by kind and name.

    `defaults` has the privileges that an object of each kind begins with.
    """

    objects: Mapping[Key, Object]
    version: int = 0
    defaults: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)

    @cached_property
    def contents(self) -> str:
        """The canonical JSON of all kinds, names and attributes."""
        listed = [
            [key.kind, list(key.name), dict(self.objects[key].attributes)]
            for key in sorted(self.objects)
        ]
        return canonical(listed)

    @cached_property
    def hash(self) -> str:
        """The SHA-256 of the contents in UTF-8."""
        return hashlib.sha256(self.contents.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def needs(self) -> dict[str, Any]:
        """What is stored beside the contents: what each object depends on, and the defaults."""
        places = {key: place for place, key in enumerate(sorted(self.objects))}
        found = {
            str(places[key]): [places[need] for need in one.needs if need in places]
            for key, one in self.objects.items()
            if one.needs
        }
        return {"needs": found, "defaults": dict(self.defaults)}

    @staticmethod
    def stored(contents: str, needs: Mapping[str, Any], version: int) -> Schema:
        """Return the snapshot of contents and needs as they are stored."""
        listed = [
            (Key(kind, tuple(name)), attributes) for kind, name, attributes in json.loads(contents)
        ]
        found = needs["needs"]
        objects = {}
        for place, (key, attributes) in enumerate(listed):
            below = tuple(listed[number][0] for number in found.get(str(place), ()))
            objects[key] = Object(key, attributes, below)
        return Schema(objects, version, needs["defaults"])

    @cached_property
    def relations(self) -> dict[tuple[str, ...], Key]:
        """The key of each table, view and the like, by its name."""
        kinds = {*RELATIONS, "composite_type"}
        return {key.name: key for key in self.objects if key.kind in kinds}

    @cached_property
    def children(self) -> dict[tuple[str, ...], list[Key]]:
        """The tables that inherit from each table; a partition is not among them."""
        found: dict[tuple[str, ...], list[Key]] = {}
        for key, one in self.objects.items():
            if key.kind in ("table", "foreign_table"):
                for parent in one.get("inherits") or ():
                    found.setdefault(tuple(parent), []).append(key)
        return found

    @cached_property
    def identities(self) -> dict[tuple[str, ...], Object]:
        """The sequence of each identity column."""
        return {
            tuple(one["identity_of"]): one
            for key, one in self.objects.items()
            if key.kind == "sequence" and one.get("identity_of")
        }

    @cached_property
    def not_nulls(self) -> dict[tuple[str, ...], Object]:
        """The NOT NULL constraint of each column; it has a name since PostgreSQL 18."""
        return {
            (*key.name[:2], one["column"]): one
            for key, one in self.objects.items()
            if key.kind == "constraint" and one["type"] == "not null"
        }

    def parent(self, key: Key) -> Key | None:
        """Return the object that this one is a part of, so that it is dropped with it."""
        if key.kind == "default":
            return Key("column", key.name)
        if key.kind == "column" or key.kind in _OF_RELATIONS:
            return self.relations.get(key.name[:2])
        if key.kind == "domain_constraint":
            return Key("domain", key.name[:2])
        if key.kind in ("publication_table", "publication_schema"):
            return Key("publication", key.name[:1])
        return self._parent_by_attribute(key)

    def _parent_by_attribute(self, key: Key) -> Key | None:
        found = self.objects.get(key)
        if found is None:
            return None
        if key.kind == "index":
            table = tuple(found["table"])
            constraint = found.get("constraint")
            if constraint is not None:
                return Key("constraint", (*table, constraint))
            return self.relations.get(table)
        if key.kind == "sequence":
            column = found.get("identity_of") or found.get("owned_by")
            return Key("column", tuple(column)) if column else None
        return None

    def to_json(self) -> dict[str, Any]:
        """Return the snapshot as JSON, in the order of kinds and names."""
        return {
            "format": FORMAT,
            "version": self.version,
            "hash": self.hash,
            "defaults": dict(self.defaults),
            "objects": [self.objects[key].to_json() for key in sorted(self.objects)],
        }

    @staticmethod
    def from_json(data: Any) -> Schema:
        """Return the snapshot of such a JSON; WrongUsage if it is none, or was changed."""
        try:
            if data["format"] != FORMAT:
                raise WrongUsage(
                    f"the snapshot has format {data['format']}, and this version reads {FORMAT}",
                    hint="read it with the version of Zanith that wrote it",
                )
            objects = [_object(item) for item in data["objects"]]
            schema = Schema(
                {one.key: one for one in objects}, int(data["version"]), data["defaults"]
            )
            known = data["hash"]
        except (KeyError, TypeError, ValueError, AttributeError):
            raise WrongUsage(
                "this is no snapshot of a schema", hint="write one: zanith migrate snapshot show"
            ) from None
        if schema.hash != known:
            raise WrongUsage(
                f"the snapshot was changed: its hash is {schema.hash}, and it says {known}",
                hint="take it again: zanith migrate snapshot take",
            )
        return schema


def _object(item: Mapping[str, Any]) -> Object:
    key = Key(str(item["kind"]), tuple(map(str, item["name"])))
    needs = tuple(Key(str(need[0]), tuple(map(str, need[1:]))) for need in item["needs"])
    return Object(key, dict(item["attributes"]), needs)


def canonical(value: Any) -> str:
    """Return a value as JSON that is the same for equal values: sorted keys and no blanks."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
