"""The order of statements: what an object needs comes first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from app.migrate.schema.model import Key, Schema

# The kinds in the order in which they are usually made; what an object needs precedes it anyway.
_RANKS = {
    kind: rank
    for rank, kind in enumerate(
        (
            "schema", "language", "extension", "access_method", "collation", "shell_type",
            "base_type", "enum", "composite_type", "range", "domain", "domain_constraint",
            "foreign_data_wrapper", "server", "user_mapping", "sequence", "table", "foreign_table",
            "column", "default", "function", "procedure", "aggregate", "operator",
            "operator_family", "operator_class", "cast", "transform", "conversion",
            "text_search_parser", "text_search_template", "text_search_dictionary",
            "text_search_configuration", "view", "materialized_view", "index", "constraint",
            "statistics", "trigger", "rule", "policy", "publication", "publication_schema",
            "publication_table", "event_trigger", "subscription", "default_privileges",
        )
    )
}  # fmt: skip


def rank(key: Key) -> tuple[int, Key]:
    """Return what sorts kinds as they are usually made."""
    return _RANKS[key.kind], key


def direct_needs(schema: Schema, key: Key) -> set[Key]:
    """Return what must exist before the object: what it depends on, and what it is a part of."""
    one = schema.objects[key]
    found = {need for need in one.needs if need in schema.objects}
    above = schema.parent(key)
    if key.kind == "sequence":
        # a table whose default names the sequence comes after it, and owns it later
        found = {need for need in found if need.kind != "column"}
        above = None if not one.get("identity_of") else above
    if above is not None and above in schema.objects:
        found.add(above)
    for name in ("partition_of", "inherits"):
        found.update(_tables(schema, key, name))
    if len(key.name) > 1 and key.kind not in ("cast", "transform", "user_mapping"):
        where = Key("schema", key.name[:1])
        if where in schema.objects:
            found.add(where)
    found.discard(key)
    return found


def _tables(schema: Schema, key: Key, name: str) -> Iterable[Key]:
    value = schema.objects[key].get(name)
    if not value:
        return
    for parts in [value] if name == "partition_of" else value:
        found = (
            Key("index", tuple(parts))
            if key.kind == "index"
            else schema.relations.get(tuple(parts))
        )
        if found is not None and found in schema.objects:
            yield found


def dependents(schema: Schema) -> Mapping[Key, set[Key]]:
    """Return the objects that need each one."""
    found: dict[Key, set[Key]] = {}
    for key in schema.objects:
        for need in direct_needs(schema, key):
            found.setdefault(need, set()).add(key)
    return found


def in_order(
    keys: Iterable[Key],
    needs: Callable[[Key], Iterable[Key]],
    places: Callable[[Key], tuple[int, ...]],
) -> list[Key]:
    """Return the keys so that those that one needs come before it, as far as that is possible.

    `places` sorts keys of the same rank that do not need each other.
    """
    wanted = set(keys)
    done: set[Key] = set()
    ordered: list[Key] = []
    for first in sorted(wanted, key=lambda key: (_RANKS[key.kind], places(key), key)):
        stack: list[tuple[Key, bool]] = [(first, False)]
        while stack:
            key, ready = stack.pop()
            if ready:
                ordered.append(key)
            elif key not in done:
                done.add(key)
                stack.append((key, True))
                below = [need for need in needs(key) if need in wanted and need not in done]
                below.sort(key=lambda one: (_RANKS[one.kind], places(one), one), reverse=True)
                stack += [(need, False) for need in below]
    return ordered
