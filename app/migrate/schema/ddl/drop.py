"""The statements that drop an object."""

from __future__ import annotations

from app.migrate.schema.ddl.about import without_default_privileges
from app.migrate.schema.ddl.words import last, named, table_of
from app.migrate.schema.model import Key, Object, Schema
from app.recovery.core.names import quote

_KINDS = {
    "foreign_table": "FOREIGN TABLE",
    "view": "VIEW",
    "materialized_view": "MATERIALIZED VIEW",
}


def drop(one: Object, schema: Schema, after: Schema) -> list[str]:
    """Return the statements that drop the object."""
    key = one.key
    if key.kind in ("column", "default", "constraint"):
        return [_part(one, schema, after)]
    if key.kind == "domain_constraint":
        return [f"ALTER DOMAIN {table_of(key)} DROP CONSTRAINT {last(key)}"]
    if key.kind in ("publication_table", "publication_schema"):
        what = "TABLE" if key.kind == "publication_table" else "TABLES IN SCHEMA"
        return [f"ALTER PUBLICATION {quote(key.name[0])} DROP {what} {quote(key.name[1:])}"]
    if key.kind == "default_privileges":
        return list(without_default_privileges(one))
    return [f"DROP {named(key)}"]


def _part(one: Object, schema: Schema, after: Schema) -> str:
    parent = schema.relations[one.key.name[:2]]
    if parent.kind == "composite_type":
        return f"ALTER TYPE {parent.text} DROP ATTRIBUTE {last(one.key)}"
    only = " ONLY" if _children_keep(one.key, schema, after) else ""
    head = f"ALTER {_KINDS.get(parent.kind, 'TABLE')}{only} {parent.text}"
    if one.key.kind == "default":
        only = _KINDS.get(parent.kind, "TABLE ONLY")
        return f"ALTER {only} {parent.text} ALTER COLUMN {last(one.key)} DROP DEFAULT"
    return f"{head} DROP {'COLUMN' if one.key.kind == 'column' else 'CONSTRAINT'} {last(one.key)}"


def _children_keep(key: Key, schema: Schema, after: Schema) -> bool:
    """Whether a child of the table keeps its column or constraint of this name."""
    return any(
        Key(key.kind, (*table.name, key.name[2])) in after.objects
        for table in schema.children.get(key.name[:2], ())
    )


def goes_along(key: Key, schema: Schema, dropped: set[Key]) -> bool:
    """Whether PostgreSQL drops the object with another one of those that are dropped."""
    one = schema.objects[key]
    above = schema.parent(key)
    while above is not None and above in schema.objects:
        if above in dropped:
            return True
        above = schema.parent(above)
    if key.kind == "trigger" and one.get("inherited"):
        return True
    if key.kind in ("column", "constraint") and _with_parents(key, schema, dropped):
        return True
    if key.kind == "index" and one.get("partition_of"):
        return _index_goes(Key("index", tuple(one["partition_of"])), schema, dropped)
    return key.kind == "constraint" and _constraint_goes(key, schema, dropped)


def _constraint_goes(key: Key, schema: Schema, dropped: set[Key]) -> bool:
    one = schema.objects[key]
    if one.get("column") and Key("column", (*key.name[:2], one["column"])) in dropped:
        return True  # NOT NULL of a column
    index = schema.objects.get(Key("index", (key.name[0], key.name[2])))
    if index is not None and index.get("constraint") and index.get("partition_of"):
        return _index_goes(Key("index", tuple(index["partition_of"])), schema, dropped)
    return False


def _index_goes(key: Key, schema: Schema, dropped: set[Key]) -> bool:
    return key in schema.objects and (key in dropped or goes_along(key, schema, dropped))


def _with_parents(key: Key, schema: Schema, dropped: set[Key]) -> bool:
    part = schema.objects[key]
    if not part.get("inherited") or part.get("local"):
        return False
    one = schema.objects[schema.relations[key.name[:2]]]
    above = one.get("inherits") or ([one["partition_of"]] if one.get("partition_of") else [])
    parents = [Key(key.kind, (*parent, key.name[2])) for parent in above]
    return any(
        parent in dropped or (parent in schema.objects and goes_along(parent, schema, dropped))
        for parent in parents
    )
