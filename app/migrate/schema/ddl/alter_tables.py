"""The statements that change a table and what belongs to it: columns, constraints and indexes."""

from __future__ import annotations

from collections.abc import Iterator

from app.migrate.schema.ddl.create import identity_clause
from app.migrate.schema.ddl.pair import Change, Pair
from app.migrate.schema.ddl.words import (
    change_foreign_options,
    last,
    set_options,
    table_of,
    text_of,
)
from app.migrate.schema.model import Key, Object
from app.recovery.core.names import quote

_IN_TABLES = (
    "unlogged", "access_method", "tablespace", "options", "replica_identity", "row_security",
    "force_row_security", "inherits", "partition_of", "bound", "of_type", "foreign_options",
)  # fmt: skip


def alter_table(pair: Pair) -> Change:
    """Return what changes a table or a foreign table."""
    missing = pair.among(*_IN_TABLES)
    if "access_method" in pair.changes and pair.new.get("access_method") is None:
        missing.append("access_method")
    kind = "FOREIGN TABLE" if pair.key.kind == "foreign_table" else "TABLE"
    head = f"ALTER {kind} {pair.key.text}"
    actions = [f"{head} {action}" for action in table_actions(pair)]
    return Change([*_detached(pair), *actions], missing=missing)


def table_actions(pair: Pair) -> Iterator[str]:
    """Return the actions of ALTER TABLE for what the table itself has, and not its columns."""
    changes, new = pair.changes, pair.new
    if "unlogged" in changes:
        yield "SET UNLOGGED" if new.get("unlogged") else "SET LOGGED"
    if "access_method" in changes and new.get("access_method"):
        yield f"SET ACCESS METHOD {quote(new['access_method'])}"
    if "tablespace" in changes:
        yield f"SET TABLESPACE {quote(new.get('tablespace') or 'pg_default')}"
    if "options" in changes:
        yield from set_options(*changes["options"])
    if "row_security" in changes:
        yield f"{'ENABLE' if new.get('row_security') else 'DISABLE'} ROW LEVEL SECURITY"
    if "force_row_security" in changes:
        yield f"{'' if new.get('force_row_security') else 'NO '}FORCE ROW LEVEL SECURITY"
    yield from _linked_actions(pair)


def _linked_actions(pair: Pair) -> Iterator[str]:
    changes, new = pair.changes, pair.new
    if "of_type" in changes:
        yield f"OF {new['of_type']}" if new.get("of_type") else "NOT OF"
    if "foreign_options" in changes:
        yield change_foreign_options(*changes["foreign_options"])
    old_parents, new_parents = changes.get("inherits", (None, None))
    for parent in new_parents or []:
        if parent not in (old_parents or []):
            yield f"INHERIT {text_of(parent)}"


def _detached(pair: Pair) -> Iterator[str]:
    name = pair.key.text
    old_parents, new_parents = pair.changes.get("inherits", (None, None))
    for parent in old_parents or []:
        if parent not in (new_parents or []):
            yield f"ALTER TABLE {name} NO INHERIT {text_of(parent)}"
    if ("partition_of" in pair.changes or "bound" in pair.changes) and pair.old.get("partition_of"):
        yield f"ALTER TABLE {text_of(pair.old['partition_of'])} DETACH PARTITION {name}"


def attach(one: Object) -> str:
    """Return the statement that makes a table or an index a partition."""
    if one.key.kind == "index":
        return f"ALTER INDEX {text_of(one['partition_of'])} ATTACH PARTITION {one.key.text}"
    parent = text_of(one["partition_of"])
    return f"ALTER TABLE ONLY {parent} ATTACH PARTITION {one.key.text} {one['bound']}"


_IN_COLUMNS = (
    "type", "collation", "not_null", "identity", "generated", "expression", "storage",
    "compression", "statistics", "options", "foreign_options",
)  # fmt: skip


def alter_column(pair: Pair) -> Change:
    """Return what changes a column of a table, or an attribute of a composite type."""
    parent = pair.after.relations[pair.key.name[:2]]
    if parent.kind == "composite_type":
        return _attribute(pair, parent)
    if parent.kind == "view":
        return Change()  # the definition of the view says it
    kind = {"foreign_table": "FOREIGN TABLE", "materialized_view": "MATERIALIZED VIEW"}
    head = f"ALTER {kind.get(parent.kind, 'TABLE')} {parent.text}"
    missing = pair.among(*_IN_COLUMNS)
    missing += _generated_otherwise(pair)
    column = f"ALTER COLUMN {last(pair.key)}"
    if parent.kind == "materialized_view":
        return Change([f"{head} {column} {one}" for one in _stored_actions(pair)])
    statements = [f"{head} {column} {one}" for one in _identity_before(pair)]
    if not _follows_parent(pair, parent):
        statements += [f"{head} {column} {one}" for one in _typed_actions(pair)]
    only = f"ALTER {kind.get(parent.kind, 'TABLE ONLY')} {parent.text}"
    statements += [f"{only} {column} {one}" for one in _stored_actions(pair)]
    statements += [f"{head} {column} {one}" for one in _identity_after(pair)]
    return Change(statements, missing=missing)


def _generated_otherwise(pair: Pair) -> list[str]:
    """The changes of a generated column that PostgreSQL has no statement for."""
    if "generated" in pair.changes and pair.new.get("generated"):
        return ["generated"]
    if "expression" in pair.changes and pair.new.get("expression"):
        return [] if pair.after.version >= 170000 else ["expression"]
    return []


def _follows_parent(pair: Pair, parent: Key) -> bool:
    """Whether the column is changed by the statement that changes it in the parent table."""
    table = pair.after.objects[parent]
    above = table.get("inherits") or ([table["partition_of"]] if table.get("partition_of") else [])
    for one in above:
        key = Key("column", (*one, pair.key.name[2]))
        new, old = pair.after.objects.get(key), pair.before.objects.get(key)
        if new is not None and old is not None and pair.new.get("inherited"):
            names = ("type", "collation", "not_null")
            changed = [name for name in names if name in pair.changes]
            return all(
                old.get(n) == pair.old.get(n) and new.get(n) == pair.new.get(n) for n in changed
            )
    return False


def _typed_actions(pair: Pair) -> Iterator[str]:
    changes, new = pair.changes, pair.new
    if "type" in changes or "collation" in changes:
        collation = f" COLLATE {new['collation']}" if "collation" in new.attributes else ""
        using = ""
        if pair.after.relations[pair.key.name[:2]].kind == "table" and not new.get("generated"):
            using = f" USING {last(pair.key)}::{new['type']}"
        yield f"TYPE {new['type']}{collation}{using}"
    if "not_null" in changes and not _by_constraint(pair):
        yield "SET NOT NULL" if new.get("not_null") else "DROP NOT NULL"


def _by_constraint(pair: Pair) -> bool:
    """Whether a constraint with a name says it, which has statements of its own."""
    return pair.key.name in pair.after.not_nulls or pair.key.name in pair.before.not_nulls


def _stored_actions(pair: Pair) -> Iterator[str]:
    changes, new = pair.changes, pair.new
    if "storage" in changes:
        yield f"SET STORAGE {new.get('storage') or _default_storage(pair)}"
    if "compression" in changes:
        yield f"SET COMPRESSION {new.get('compression') or 'default'}"
    if "statistics" in changes:
        yield f"SET STATISTICS {new.get('statistics', -1)}"
    if "options" in changes:
        yield from set_options(*changes["options"])
    if "foreign_options" in changes:
        yield change_foreign_options(*changes["foreign_options"])


def _default_storage(pair: Pair) -> str:
    """The word for the storage of the column's type: PostgreSQL 15 has no DEFAULT for it."""
    if pair.after.version >= 160000:
        return "DEFAULT"
    return "MAIN" if str(pair.new["type"]).split("(")[0] in _MAIN else "EXTENDED"


# The built-in types of variable length that are not EXTENDED.
_MAIN = frozenset({"numeric", "inet", "cidr"})


def _identity_before(pair: Pair) -> Iterator[str]:
    if "identity" in pair.changes and not pair.new.get("identity"):
        yield "DROP IDENTITY"
    if "generated" in pair.changes and not pair.new.get("generated"):
        yield "DROP EXPRESSION"


def _identity_after(pair: Pair) -> Iterator[str]:
    old, new = pair.changes.get("identity", (None, None))
    if new and not old:
        yield f"ADD {identity_clause(pair.new, pair.after.identities[pair.key.name])}"
    elif new:
        yield f"SET GENERATED {new}"
    if (
        "expression" in pair.changes
        and pair.new.get("expression")
        and not _generated_otherwise(pair)
    ):
        yield f"SET EXPRESSION AS ({pair.new['expression']})"


def _attribute(pair: Pair, parent: Key) -> Change:
    collation = f" COLLATE {pair.new['collation']}" if "collation" in pair.new.attributes else ""
    statement = f"ALTER TYPE {parent.text} ALTER ATTRIBUTE {last(pair.key)} TYPE {pair.new['type']}"
    return Change([f"{statement}{collation}"], missing=pair.among("type", "collation"))


def alter_default(pair: Pair) -> Change:
    """Return what changes a default."""
    parent = pair.after.relations[pair.key.name[:2]]
    verb = {"view": "VIEW", "foreign_table": "FOREIGN TABLE"}.get(parent.kind, "TABLE ONLY")
    action = f"ALTER COLUMN {last(pair.key)} SET DEFAULT {pair.new['expression']}"
    return Change([f"ALTER {verb} {parent.text} {action}"])


def alter_constraint(pair: Pair) -> Change:
    """Return what changes a constraint: its deferral, or it is created again."""
    old, new = pair.old["definition"], pair.new["definition"]
    if set(pair.changes) != {"definition"}:
        return Change(recreate=True)
    head = f"ALTER TABLE {table_of(pair.key)}"
    if old == f"{new} NOT VALID":
        return Change([f"{head} VALIDATE CONSTRAINT {last(pair.key)}"])
    if pair.new["type"] == "foreign key" and _without_timing(old) == _without_timing(new):
        timing = new[len(_without_timing(new)) :].removesuffix(" NOT VALID") or " NOT DEFERRABLE"
        return Change([f"{head} ALTER CONSTRAINT {last(pair.key)}{timing}"])
    return Change(recreate=True)


def _without_timing(definition: str) -> str:
    head = definition.removesuffix(" NOT VALID")
    head = head.removesuffix(" INITIALLY DEFERRED").removesuffix(" DEFERRABLE")
    return head if " NOT VALID" not in definition else f"{head} NOT VALID"


def alter_index(pair: Pair) -> Change:
    """Return what changes an index."""
    # the table says which index clusters it, and which is its replica identity
    left = pair.among("clustered", "replica_identity", "statistics", "tablespace", "partition_of")
    if left:
        return Change(recreate=True)
    name, statements = pair.key.text, []
    if "statistics" in pair.changes:
        old, new = (value or {} for value in pair.changes["statistics"])
        statements += [
            f"ALTER INDEX {name} ALTER COLUMN {place} SET STATISTICS {new.get(place, -1)}"
            for place in sorted({*old, *new})
            if old.get(place) != new.get(place)
        ]
    if "tablespace" in pair.changes:
        space = quote(pair.new.get("tablespace") or "pg_default")
        statements.append(f"ALTER INDEX {name} SET TABLESPACE {space}")
    if "partition_of" in pair.changes and pair.old.get("partition_of") and not _detaches(pair):
        return Change(recreate=True)
    return Change(statements)


def _detaches(pair: Pair) -> bool:
    """Whether the table of the index is detached, so that PostgreSQL detaches the index too."""
    table = Key("table", tuple(pair.new["table"]))
    old, new = pair.before.objects.get(table), pair.after.objects.get(table)
    if old is None or new is None:
        return False
    return bool(old.get("partition_of")) and old.get("partition_of") != new.get("partition_of")
