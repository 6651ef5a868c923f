"""The statements that create an object, without its comment, owner and grants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from app.migrate.schema.ddl.create_types import ALONE, create_composite, create_domain
from app.migrate.schema.ddl.words import (
    foreign_options,
    joined,
    last,
    settings,
    table_of,
    text_of,
)
from app.migrate.schema.model import Key, Object, Schema
from app.recovery.core.names import quote


@dataclass(frozen=True)
class Inline:
    """What CREATE TABLE of a table writes itself, instead of a statement for each."""

    columns: list[Object] = field(default_factory=list)
    defaults: dict[str, Object] = field(default_factory=dict)
    constraints: list[Object] = field(default_factory=list)
    identities: dict[str, Object] = field(default_factory=dict)


def create(one: Object, schema: Schema, inline: Inline | None = None) -> list[str] | None:
    """Return the statements; None if this version does not generate such an object."""
    if one.key.kind in ("table", "foreign_table"):
        return [_table(one, inline or Inline())]
    if one.key.kind == "default_privileges":
        return []  # its grants are all of it
    if one.key.kind in _IN_SCHEMA:
        return list(_IN_SCHEMA[one.key.kind](one, schema))
    maker = _ALONE.get(one.key.kind) or ALONE.get(one.key.kind)
    return None if maker is None else list(maker(one))


# ------------------------------------------------------------------------------------------ tables


def _table(one: Object, inline: Inline) -> str:
    parts = [column_definition(column, inline) for column in inline.columns]
    parts += [
        f"CONSTRAINT {last(constraint.key)} {constraint['definition']}"
        for constraint in inline.constraints
        if constraint["type"] != "not null"
    ]
    of_type = one.get("of_type")
    if of_type:
        body = f"OF {of_type}" + (f" ({', '.join(parts)})" if parts else "")
    else:
        body = "(\n    " + ",\n    ".join(parts) + "\n)" if parts else "()"
    parents = [text_of(parent) for parent in one.get("inherits") or []]
    kind = "FOREIGN TABLE" if one.key.kind == "foreign_table" else "TABLE"
    return joined(
        (
            f"CREATE {'UNLOGGED ' if one.get('unlogged') else ''}{kind} {one.key.text} {body}",
            f"INHERITS ({', '.join(parents)})" if parents else None,
            f"PARTITION BY {one['partition_key']}" if one.get("partition_key") else None,
            f"USING {quote(one['access_method'])}"
            if one.get("access_method", "heap") != "heap"
            else None,
            f"SERVER {quote(one['server'])}" if one.get("server") else None,
            foreign_options(one.get("foreign_options")),
            f"WITH ({settings(one['options'])})" if one.get("options") else None,
            f"TABLESPACE {quote(one['tablespace'])}" if one.get("tablespace") else None,
        )
    )


def column_definition(column: Object, inline: Inline) -> str:
    """Return a column as CREATE TABLE and ADD COLUMN write it."""
    name = column.key.name[2]
    default = inline.defaults.get(name)
    typed = inline.constraints
    not_null = next(
        (one for one in typed if one["type"] == "not null" and one["column"] == name), None
    )
    identity = inline.identities.get(name)
    return joined(
        (
            quote(name),
            column["type"],
            f"STORAGE {column['storage']}" if "storage" in column.attributes else None,
            f"COMPRESSION {column['compression']}" if "compression" in column.attributes else None,
            foreign_options(column.get("foreign_options")),
            f"COLLATE {column['collation']}" if "collation" in column.attributes else None,
            f"DEFAULT {default['expression']}" if default else None,
            f"GENERATED ALWAYS AS ({column['expression']}) {column['generated']}"
            if "generated" in column.attributes
            else None,
            f"CONSTRAINT {last(not_null.key)} {_not_null(not_null)}" if not_null else None,
            "NOT NULL" if not not_null and column.get("not_null") and not identity else None,
            identity_clause(column, identity) if identity else None,
        )
    )


def _not_null(constraint: Object) -> str:
    definition: str = constraint["definition"]
    return "NOT NULL" + (" NO INHERIT" if definition.endswith(" NO INHERIT") else "")


def identity_clause(column: Object, sequence: Object) -> str:
    """Return GENERATED … AS IDENTITY with the sequence's name and options."""
    options = joined((f"SEQUENCE NAME {sequence.key.text}", _sequence_options(sequence)))
    return f"GENERATED {column['identity']} AS IDENTITY ({options})"


def _sequence_options(one: Object) -> str:
    return joined(
        (
            f"START WITH {one['start']} INCREMENT BY {one['increment']}",
            f"MINVALUE {one['minimum']} MAXVALUE {one['maximum']} CACHE {one['cache']}",
            "CYCLE" if one.get("cycle") else None,
        )
    )


def _column(one: Object, schema: Schema) -> Iterator[str]:
    parent = schema.relations[one.key.name[:2]]
    if parent.kind == "composite_type":
        collation = f" COLLATE {one['collation']}" if "collation" in one.attributes else ""
        yield f"ALTER TYPE {parent.text} ADD ATTRIBUTE {last(one.key)} {one['type']}{collation}"
    elif parent.kind in ("table", "foreign_table") and not (
        one.get("inherited") and not one.get("local")
    ):
        sequence = schema.identities.get(one.key.name)
        inline = Inline(
            constraints=named_not_null(one, schema),
            identities={one.key.name[2]: sequence} if sequence else {},
            defaults={one.key.name[2]: found}
            if (found := schema.objects.get(Key("default", one.key.name)))
            else {},
        )
        yield f"{_alter(parent)} ADD COLUMN {column_definition(one, inline)}"


def _alter(parent: Key) -> str:
    return f"ALTER {'FOREIGN TABLE' if parent.kind == 'foreign_table' else 'TABLE'} {parent.text}"


def named_not_null(column: Object, schema: Schema) -> list[Object]:
    """Return the NOT NULL constraint that the column is created with, if it has a name."""
    one = schema.not_nulls.get(column.key.name)
    if one is None or one["definition"].endswith("NOT VALID"):
        return []
    return [] if one.get("inherited") and not one.get("local") else [one]


def _default(one: Object, schema: Schema) -> Iterator[str]:
    parent = schema.relations[one.key.name[:2]]
    verb = {"view": "VIEW", "foreign_table": "FOREIGN TABLE"}.get(parent.kind, "TABLE ONLY")
    yield (
        f"ALTER {verb} {parent.text} ALTER COLUMN {last(one.key)} SET DEFAULT {one['expression']}"
    )


def _constraint(one: Object, schema: Schema) -> Iterator[str]:
    parent = schema.relations[one.key.name[:2]]
    if one.get("inherited") and not one.get("local") and not _own_index(one):
        return
    options = f" WITH ({settings(one['options'])})" if one.get("options") else ""
    space = f" USING INDEX TABLESPACE {quote(one['tablespace'])}" if one.get("tablespace") else ""
    definition: str = one["definition"]
    if options or space:
        for tail in (" DEFERRABLE", " NOT VALID"):
            head, found, rest = definition.partition(tail)
            if found:
                definition = f"{head}{options}{space}{found}{rest}"
                break
        else:
            definition += options + space
    only = "ONLY " if _own_index(one) else ""
    kind = "FOREIGN TABLE" if parent.kind == "foreign_table" else f"TABLE {only}".rstrip()
    yield f"ALTER {kind} {parent.text} ADD CONSTRAINT {last(one.key)} {definition}"


def _own_index(one: Object) -> bool:
    return one["type"] in ("primary key", "unique", "exclusion")


def _index(one: Object) -> Iterator[str]:
    if one.get("constraint"):
        return
    yield with_tablespace(one)


def with_tablespace(one: Object) -> str:
    """Return CREATE INDEX with the tablespace, which pg_get_indexdef leaves out."""
    definition: str = one["definition"]
    if not one.get("tablespace"):
        return definition
    head, where, rest = definition.rpartition(" WHERE ")
    space = f" TABLESPACE {quote(one['tablespace'])}"
    return f"{head}{space}{where}{rest}" if where else f"{definition}{space}"


def _sequence(one: Object) -> Iterator[str]:
    if one.get("identity_of"):
        return
    unlogged = "UNLOGGED " if one.get("unlogged") else ""
    yield f"CREATE {unlogged}SEQUENCE {one.key.text} AS {one['type']} {_sequence_options(one)}"


def _view(one: Object) -> Iterator[str]:
    options = f" WITH ({settings(one['options'])})" if one.get("options") else ""
    yield f"CREATE VIEW {one.key.text}{options} AS\n{body_of(one)}"


def body_of(one: Object) -> str:
    """Return the query of a view, without the semicolon at its end."""
    definition: str = one["definition"]
    return definition.removesuffix(";")


def _materialized_view(one: Object) -> Iterator[str]:
    yield joined(
        (
            f"CREATE MATERIALIZED VIEW {one.key.text}",
            f"USING {quote(one['access_method'])}" if one["access_method"] != "heap" else None,
            f"WITH ({settings(one['options'])})" if one.get("options") else None,
            f"TABLESPACE {quote(one['tablespace'])}" if one.get("tablespace") else None,
            f"AS\n{body_of(one)}",
        )
    )


def _defined(one: Object) -> Iterator[str]:
    definition = one.get("definition")
    if definition is not None:
        yield definition.rstrip().removesuffix(";")


def _policy(one: Object) -> Iterator[str]:
    yield joined(
        (
            f"CREATE POLICY {last(one.key)} ON {table_of(one.key)}",
            "AS RESTRICTIVE" if one.get("restrictive") else None,
            f"FOR {one['command']} TO {', '.join(one['roles'])}",
            f"USING ({one['using']})" if "using" in one.attributes else None,
            f"WITH CHECK ({one['check']})" if "check" in one.attributes else None,
        )
    )


_IN_SCHEMA: dict[str, Callable[[Object, Schema], Iterator[str]]] = {
    "column": _column,
    "default": _default,
    "constraint": _constraint,
    "composite_type": create_composite,
    "domain": create_domain,
}
_ALONE: dict[str, Callable[[Object], Iterator[str]]] = {
    "index": _index,
    "sequence": _sequence,
    "view": _view,
    "materialized_view": _materialized_view,
    "function": _defined,
    "procedure": _defined,
    "trigger": _defined,
    "rule": _defined,
    "statistics": _defined,
    "policy": _policy,
}
