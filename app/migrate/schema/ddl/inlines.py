"""What CREATE TABLE and ADD COLUMN create along with the table and the column."""

from __future__ import annotations

from collections.abc import Set

from app.migrate.schema.ddl.create import Inline
from app.migrate.schema.model import TYPES, Key, Object, Schema


class Inlines:
    """The columns, defaults, identities and constraints that another object's CREATE creates.

    `of` has what the CREATE of each table says. `units` has the object with which each of these
    is created.
    """

    def __init__(self, after: Schema, created: Set[Key]) -> None:
        self.after = after
        self.of: dict[Key, Inline] = {}
        self.units: dict[Key, Key] = {}
        self._prepare(created)

    def _prepare(self, created: Set[Key]) -> None:
        for key in created:
            if key.kind in ("table", "foreign_table"):
                self._prepare_table(key)
            if key.kind == "composite_type":
                for name in self.after.objects[key].get("columns") or []:
                    self._inline(Key("column", (*key.name, name)), key)
        for key in created:
            if key.kind == "column" and key not in self.units:
                self._prepare_column(key)

    def _prepare_table(self, key: Key) -> None:
        table = self.after.objects[key]
        inline = Inline()
        for name in table.get("columns") or []:
            column = self.after.objects[Key("column", (*key.name, name))]
            self._inline(column.key, key)
            inherited = column.get("inherited") and not column.get("local")
            if (inherited and not table.get("partition_of")) or table.get("of_type"):
                continue
            inline.columns.append(column)
            default = self.after.objects.get(Key("default", column.key.name))
            if default is not None and self._is_simple(default):
                inline.defaults[name] = default
                self._inline(default.key, key)
            self._inline_identity(column, key, inline)
            self._inline_not_null(column, key, inline, partition=bool(table.get("partition_of")))
        if table.get("partition_of"):
            for one in self.after.objects.values():
                if (
                    one.key.kind == "constraint"
                    and one.key.name[:2] == key.name
                    and one["type"] == "check"
                ):
                    inline.constraints.append(one)
                    self._inline(one.key, key)
        self.of[key] = inline

    def _inline_identity(self, column: Object, unit: Key, inline: Inline) -> None:
        sequence = self.after.identities.get(column.key.name)
        table = self.after.objects[unit] if unit.kind == "table" else None
        if sequence is None or (table is not None and table.get("partition_of")):
            return
        inline.identities[column.key.name[2]] = sequence
        self._inline(sequence.key, unit)

    def _inline_not_null(
        self, column: Object, unit: Key, inline: Inline, *, partition: bool
    ) -> None:
        one = self.after.not_nulls.get(column.key.name)
        if one is None or one["definition"].endswith("NOT VALID"):
            return
        if one.get("inherited") and not one.get("local") and not partition:
            return
        inline.constraints.append(one)
        self._inline(one.key, unit)

    def _prepare_column(self, key: Key) -> None:
        column = self.after.objects[key]
        inline = Inline()
        default = self.after.objects.get(Key("default", key.name))
        parent = self.after.relations[key.name[:2]]
        if parent.kind in ("table", "foreign_table"):
            if default is not None:
                self._inline(default.key, key)
            self._inline_identity(column, key, inline)
            self._inline_not_null(column, key, inline, partition=False)

    def _inline(self, key: Key, unit: Key) -> None:
        self.units[key] = unit

    def _is_simple(self, default: Object) -> bool:
        kinds = {"column", "sequence", "schema", *TYPES}
        return all(
            need.kind in kinds and (need.kind != "column" or need.name == default.key.name)
            for need in default.needs
        )
