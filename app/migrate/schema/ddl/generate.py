"""The difference of two snapshots as ordered statements, and what is not generated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from app.migrate.schema.ddl.about import about
from app.migrate.schema.ddl.alter import alter, enable, set_target
from app.migrate.schema.ddl.alter_tables import attach
from app.migrate.schema.ddl.create import create
from app.migrate.schema.ddl.drop import drop, goes_along
from app.migrate.schema.ddl.inlines import Inlines
from app.migrate.schema.ddl.order import dependents, direct_needs, in_order, rank
from app.migrate.schema.ddl.pair import Change
from app.migrate.schema.ddl.words import last, table_of
from app.migrate.schema.difference import Difference
from app.migrate.schema.model import RELATIONS, ROUTINES, TYPES, Key, Object, Schema
from app.recovery.core.names import quote

# What is dropped and created again loses nothing: it has no rows, and what it computes is the same.
_STATELESS = frozenset(
    (
        *ROUTINES, "view", "materialized_view", "default", "constraint", "index", "trigger",
        "policy", "rule", "statistics", "domain_constraint", "cast", "operator", "operator_class",
        "operator_family", "transform", "collation", "conversion", "text_search_parser",
        "text_search_template", "text_search_dictionary", "text_search_configuration",
        "event_trigger", "publication", "publication_table", "publication_schema",
    )
)  # fmt: skip
# What ALTER COLUMN … TYPE does not change along with the column.
_OF_TYPE: tuple[str, ...] = (
    "view",
    "materialized_view",
    "rule",
    "policy",
    "trigger",
    "function",
    "procedure",
)
_OF_TYPE += ("publication_table",)
_CHECKING = "SET LOCAL check_function_bodies = off"


@dataclass(frozen=True)
class Statement:
    """One statement, the object that it is for, and whether it creates, changes or drops it."""

    sql: str
    key: Key
    action: str


@dataclass(frozen=True)
class Missing:
    """What is not generated: an object, and the attributes or the action."""

    key: Key
    what: str

    def __str__(self) -> str:
        return f"{self.key}: {self.what}"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"kind": self.key.kind, "name": list(self.key.name), "what": self.what}


@dataclass
class Ddl:
    """The statements in their order, and what is not generated."""

    statements: list[Statement] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)

    @property
    def sql(self) -> str:
        """Return the statements as text, each with its semicolon; names first what is missing."""
        lines = [f"-- not generated: {printable_comment(str(one))}" for one in self.missing]
        lines += [f"{one.sql};" for one in self.statements]
        return "\n".join(lines) + ("\n" if lines else "")


def printable_comment(text: str) -> str:
    """Return a text for a comment of one line."""
    return "".join(" " if character in "\r\n" else character for character in text)


def generate(found: Difference) -> Ddl:
    """Return the statements that turn the first snapshot into the second."""
    return _Generator(found).generate()


def described(found: Difference, ddl: Ddl) -> dict[str, Any]:
    """Return a difference with its statements as JSON."""
    return {
        **found.to_json(),
        "statements": [one.sql for one in ddl.statements],
        "not_generated": [one.to_json() for one in ddl.missing],
    }


class _Generator:
    def __init__(self, found: Difference) -> None:
        self.found = found
        self.before, self.after = found.before, found.after
        self.ddl = Ddl()
        self.created = set(found.created)
        self.dropped = set(found.dropped)
        self.changes: dict[Key, Change] = {}
        self.again: set[Key] = set()
        self.early: set[Key] = set()
        self.needed_by = dependents(self.before)
        self._gone: set[Key] = set()

    def generate(self) -> Ddl:
        self._rename_not_nulls()
        self._change()
        self._close()
        self.inlines = Inlines(self.after, self.created)
        made = {*self.created, *self.again}
        if any(key.kind in ROUTINES for key in {*made, *self.changes}):
            self._say(_CHECKING, Key("schema", ("pg_catalog",)), "set")
        self._drop(self.early)
        late = {key for key in {*made, *self.changes} if self._follows_attach(key)}
        self._make(made - late, self.changes.keys() - late)
        self._attach(made)
        self._make(made & late, self.changes.keys() & late)
        self._late(made)
        self._drop(self.dropped - self.early)
        return self.ddl

    def _say(self, sql: str, key: Key, action: str) -> None:
        self.ddl.statements.append(Statement(sql, key, action))

    # ------------------------------------------------------------------------------- what is done

    def _rename_not_nulls(self) -> None:
        """A column has one NOT NULL constraint: one of another name is renamed."""
        for column, new in self.after.not_nulls.items():
            old = self.before.not_nulls.get(column)
            if old is None or old.key == new.key or old.key not in self.dropped:
                continue
            self.dropped.discard(old.key)
            self.created.discard(new.key)
            if new.get("inherited") and not new.get("local"):
                continue
            table = table_of(new.key)
            self._say(
                f"ALTER TABLE {table} RENAME CONSTRAINT {last(old.key)} TO {last(new.key)}",
                new.key,
                "change",
            )
            if old["definition"] != new["definition"]:
                self.ddl.missing.append(Missing(new.key, "definition"))

    def _change(self) -> None:
        for key in self.before.objects.keys() & self.after.objects.keys():
            parent = self.before.parent(key)
            if parent is not None and parent in self.dropped:
                self.dropped.add(key)  # the part of another object now, such as a view
                self.created.add(key)
        for key, changes in self.found.changed.items():
            if key in self.created:
                continue
            old, new = self.before.objects[key], self.after.objects[key]
            change = alter(old, new, changes, self.before, self.after)
            if change.missing:
                self.ddl.missing.append(Missing(key, ", ".join(change.missing)))
            if change.recreate:
                self.again.add(key)
            else:
                self.changes[key] = change

    def _close(self) -> None:
        """Find what else must be dropped first, and created again if it is still wanted."""
        needed_by = self.needed_by
        names = {space for new in self.created for space in _spaces(new)}
        parents = {
            tuple(parent)
            for new in {*self.created, *self.changes}
            if new.kind == "table" and (parent := self.after.objects[new].get("partition_of"))
        }
        self.early |= {key for key in self.dropped if self._in_the_way(key, names, parents)}
        work = [*self.again, *self.early]
        for key in self.changes:
            if key.kind != "column":
                continue
            if {"type", "collation", "generated"} & {*self.found.changed[key]}:
                near = needed_by.get(key, set())
                work += self._touch(one for one in near if one.kind in _OF_TYPE)
                work += self._touch(
                    one for one in near if one.kind == "default" and one.name == key.name
                )
            default = Key("default", key.name)
            if default in self.dropped and {"identity", "generated"} & {*self.found.changed[key]}:
                self.early.add(default)
        self.early |= self.again
        while work:
            work += self._touch(needed_by.get(work.pop(), ()))
        self.early |= self.again

    def _touch(self, keys: Iterable[Key]) -> list[Key]:
        """Mark objects that must be dropped first; return those that were not yet."""
        fresh = []
        for key in keys:
            if key in self.early or key in self.again:
                continue
            if key in self.dropped:
                self.early.add(key)
            elif key.kind in _STATELESS or self._is_part(key):
                self.again.add(key)
                self.changes.pop(key, None)
            else:
                self.ddl.missing.append(
                    Missing(key, "it depends on an object that is created again")
                )
                continue
            fresh.append(key)
        return fresh

    def _is_part(self, key: Key) -> bool:
        """Whether it is a column of a view, which is created again with it."""
        parent = self.before.parent(key)
        return (
            key.kind == "column"
            and parent is not None
            and parent.kind in ("view", "materialized_view")
        )

    def _in_the_way(
        self, key: Key, names: Set[tuple[str, ...]], parents: Set[tuple[str, ...]]
    ) -> bool:
        """Whether a dropped object has a name, or a place, that a created one needs."""
        one = self.before.objects[key]
        if key.kind == "constraint" and one["type"] == "primary key":
            return True
        if key.kind == "event_trigger":
            return True
        if key.kind == "table" and one.get("partition_of"):
            return tuple(one["partition_of"]) in parents
        return not names.isdisjoint(_spaces(key))

    # ----------------------------------------------------------------------------------- creation

    def _follows_attach(self, key: Key) -> bool:
        """Whether it needs complete partitions: a foreign key, and the state of their triggers."""
        one = self.after.objects[key]
        if key.kind == "trigger":
            return bool(one.get("inherited"))
        return key.kind == "constraint" and one["type"] == "foreign key"

    def _attach(self, made: set[Key]) -> None:
        """Attach partitions once their indexes are there: PostgreSQL makes those that lack."""
        for kinds in (("table", "foreign_table"), ("index",)):
            for key in sorted({*made, *self.changes}, key=rank):
                one = self.after.objects[key]
                changed = {"partition_of", "bound"} & {*self.found.changed.get(key, ())}
                if key.kind in kinds and one.get("partition_of") and (key in made or changed):
                    self._say(attach(one), key, "change")

    def _make(self, made: set[Key], changed: set[Key]) -> None:
        units = self.inlines.units
        members: dict[Key, set[Key]] = {}
        for key, unit in units.items():
            members.setdefault(unit, set()).add(key)

        def needs(key: Key) -> Iterator[Key]:
            for one in {key, *members.get(key, ())}:
                for need in direct_needs(self.after, one):
                    unit = units.get(need, need)
                    if unit != key:
                        yield unit

        wanted = {key for key in {*made, *changed} if key not in units}
        for key in in_order(wanted, needs, self._place):
            if key in made:
                self._create(key, members.get(key, ()))
            else:
                for sql in self.changes[key].statements:
                    self._say(sql, key, "change")
                self._about(self.before.objects[key], key)

    def _place(self, key: Key) -> tuple[int, ...]:
        """The order of columns is that of their table."""
        if key.kind != "column":
            return (0,)
        table = self.after.objects[self.after.relations[key.name[:2]]]
        return (table["columns"].index(key.name[2]),)

    def _create(self, key: Key, members: Iterable[Key]) -> None:
        one = self.after.objects[key]
        statements = create(one, self.after, self.inlines.of.get(key))
        if statements is None:
            self.ddl.missing.append(Missing(key, "its creation"))
            return
        for sql in [*statements, *_afterwards(one)]:
            self._say(sql, key, "create")
        self._about(None, key)
        for member in sorted(members, key=rank):
            for sql in _column_storage(self.after.objects[member], self.after):
                self._say(sql, member, "create")
            self._about(None, member)

    def _about(self, old: Object | None, key: Key) -> None:
        if key.kind == "index" and key not in self.found.changed and old is not None:
            return
        for sql in about(old, self.after.objects[key], self.after, self.found.ignored):
            self._say(sql, key, "change" if old else "create")

    # --------------------------------------------------------------------------------------- late

    def _late(self, made: set[Key]) -> None:
        """What names an object that was made after its own."""
        for key in sorted({*made, *self.changes}, key=rank):
            one = self.after.objects[key]
            changed: Mapping[str, Any] = self.found.changed.get(key, {})
            if (
                key.kind == "sequence"
                and one.get("owned_by")
                and (key in made or "owned_by" in changed)
            ):
                column = quote(one["owned_by"])
                self._say(f"ALTER SEQUENCE {key.text} OWNED BY {column}", key, "change")
        self._replica_identities(made)
        self._clusters(made)

    def _tables_of(self, made: set[Key], name: str) -> Iterator[Key]:
        """The tables whose choice of an index is another one than before."""
        before, after = _chosen(self.before, name), _chosen(self.after, name)
        for key in sorted(self.after.relations.values()):
            if key.kind not in RELATIONS:
                continue
            old, new = before.get(key.name), after.get(key.name)
            if old != new or (new is not None and new in made):
                yield key

    def _replica_identities(self, made: set[Key]) -> None:
        chosen = _chosen(self.after, "replica_identity")
        other = {
            key
            for key in {*made, *self.changes}
            if key.kind == "table"
            and (
                "replica_identity" in self.found.changed.get(key, {})
                or (key in made and self.after.objects[key].get("replica_identity"))
            )
        }
        for key in sorted({*other, *self._tables_of(made, "replica_identity")}):
            index = chosen.get(key.name)
            how = self.after.objects[key].get("replica_identity") or "DEFAULT"
            text = f"USING INDEX {last(index)}" if index else how
            self._say(f"ALTER TABLE {key.text} REPLICA IDENTITY {text}", key, "change")

    def _clusters(self, made: set[Key]) -> None:
        chosen = _chosen(self.after, "clustered")
        for key in self._tables_of(made, "clustered"):
            kind = "MATERIALIZED VIEW" if key.kind == "materialized_view" else "TABLE"
            index = chosen.get(key.name)
            text = f"CLUSTER ON {last(index)}" if index else "SET WITHOUT CLUSTER"
            self._say(f"ALTER {kind} {key.text} {text}", key, "change")

    # -------------------------------------------------------------------------------------- drops

    def _drop(self, keys: set[Key]) -> None:
        gone = {*self.early, *self.dropped}

        def needs(key: Key) -> Iterable[Key]:
            return direct_needs(self.before, key)

        ordered = in_order(keys, needs, lambda _: (0,))
        together = set(ordered)
        for key in reversed(ordered):
            if self._goes_along(key, gone):
                continue
            if key.kind in ("subscription", "base_type"):
                self.ddl.missing.append(Missing(key, "its drop"))
                continue
            self._drop_references(key, together)
            self._gone.add(key)
            for sql in drop(self.before.objects[key], self.before, self.after):
                self._say(sql, key, "drop")

    def _drop_references(self, table: Key, dropped: set[Key]) -> None:
        """Drop the foreign keys of tables that are dropped later, which refer to this one."""
        if table.kind != "table":
            return
        parts = [
            one for one in self.needed_by.get(table, ()) if one.kind in ("column", "constraint")
        ]
        for key in sorted(
            {ref for part in [table, *parts] for ref in self.needed_by.get(part, ())}
        ):
            owner = self.before.parent(key)
            one = self.before.objects[key]
            if key.kind != "constraint" or one["type"] != "foreign key" or owner == table:
                continue
            if owner in dropped and owner not in self._gone and key not in self._gone:
                self._gone.add(key)
                self._say(drop(one, self.before, self.after)[0], key, "drop")

    def _goes_along(self, key: Key, gone: set[Key]) -> bool:
        if goes_along(key, self.before, gone):
            return True
        parent = self.before.parent(key)
        if (
            key.kind == "column"
            and parent is not None
            and parent.kind in ("view", "materialized_view")
        ):
            return True
        if key.kind == "sequence" and self.before.objects[key].get("identity_of"):
            return True  # DROP IDENTITY drops it
        if key.kind == "constraint" and self.before.objects[key]["type"] == "not null":
            return False
        return key.kind == "index" and bool(self.before.objects[key].get("constraint"))


def _chosen(schema: Schema, name: str) -> dict[tuple[str, ...], Key]:
    """The index that each table has chosen: as its replica identity, or to be clustered by."""
    return {
        tuple(one["table"]): key
        for key, one in schema.objects.items()
        if key.kind == "index" and one.get(name)
    }


def _spaces(key: Key) -> frozenset[tuple[str, ...]]:
    """The namespaces in which an object has its name, each with the name."""
    if key.kind in ROUTINES:
        return frozenset({("routine", *key.name)})
    if key.kind in (*RELATIONS, "composite_type"):
        return frozenset({("relation", *key.name), ("type", *key.name)})
    if key.kind in ("index", "sequence"):
        return frozenset({("relation", *key.name)})
    if key.kind in TYPES:
        return frozenset({("type", *key.name)})
    return frozenset()


def _afterwards(one: Object) -> Iterator[str]:
    """What CREATE does not say of the object itself."""
    key = one.key
    if key.kind in ("table", "foreign_table"):
        if one.get("row_security"):
            yield f"ALTER TABLE {key.text} ENABLE ROW LEVEL SECURITY"
        if one.get("force_row_security"):
            yield f"ALTER TABLE {key.text} FORCE ROW LEVEL SECURITY"
    elif key.kind in ("trigger", "rule", "event_trigger") and one.get("enabled"):
        yield enable(one)
    elif key.kind == "statistics" and "target" in one.attributes:
        yield set_target(one)
    elif key.kind == "index":
        for place, target in sorted((one.get("statistics") or {}).items()):
            yield f"ALTER INDEX {key.text} ALTER COLUMN {place} SET STATISTICS {target}"


def _column_storage(one: Object, schema: Schema) -> Iterator[str]:
    """What a column has that CREATE TABLE has no word for."""
    if one.key.kind != "column":
        return
    parent = schema.relations[one.key.name[:2]]
    if parent.kind not in ("table", "foreign_table"):
        return
    head = f"ALTER TABLE ONLY {parent.text} ALTER COLUMN {last(one.key)}"
    if "statistics" in one.attributes:
        yield f"{head} SET STATISTICS {one['statistics']}"
    if one.get("options"):
        yield f"{head} SET ({', '.join(one['options'])})"
