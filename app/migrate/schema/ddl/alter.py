"""The statements that change an object into another of the same kind and name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.migrate.schema.ddl.create import body_of, identity_clause
from app.migrate.schema.ddl.create_types import publication_options
from app.migrate.schema.ddl.words import (
    change_foreign_options,
    last,
    literal,
    named,
    set_options,
    settings,
    table_of,
    text_of,
)
from app.migrate.schema.model import Key, Object, Schema
from app.recovery.core.names import quote

Changes = Mapping[str, tuple[Any, Any]]

# Attributes that other statements change: those of the object's parent, or those of every kind.
ELSEWHERE = frozenset(
    {"comment", "grants", "owner", "security_labels", "extensions", "inherited", "local"}
)


@dataclass
class Change:
    """What changes an object: statements; or it is dropped and created again.

    `missing` names attributes that nothing here changes.
    """

    statements: list[str] = field(default_factory=list)
    recreate: bool = False
    missing: list[str] = field(default_factory=list)


def alter(old: Object, new: Object, changes: Changes, before: Schema, after: Schema) -> Change:
    """Return what turns the old object into the new one."""
    own = {name: pair for name, pair in changes.items() if name not in ELSEWHERE}
    if _is_local_no_more(old, new, after):
        return Change(missing=["local"])
    if not own:
        return Change()
    change = _ALTERS.get(old.key.kind)
    if change is None:
        return Change(missing=sorted(own))
    return change(_Pair(old, new, own, before, after))


def _is_local_no_more(old: Object, new: Object, after: Schema) -> bool:
    """Whether a part becomes only inherited, which no statement does but one that creates it."""
    if new.key.kind not in ("column", "constraint") or not new.get("inherited") or new.get("local"):
        return False
    table = after.objects[after.relations[new.key.name[:2]]]
    return not table.get("partition_of") and (not old.get("inherited") or bool(old.get("local")))


@dataclass
class _Pair:
    old: Object
    new: Object
    changes: Changes
    before: Schema
    after: Schema

    @property
    def key(self) -> Key:
        return self.new.key

    def among(self, *names: str) -> list[str]:
        """Return those of the changes that are not among the names."""
        return sorted(set(self.changes) - set(names))


def _recreate(_pair: _Pair) -> Change:
    return Change(recreate=True)


# ------------------------------------------------------------------------------------------ tables

_IN_TABLES = (
    "unlogged", "access_method", "tablespace", "options", "replica_identity", "row_security",
    "force_row_security", "inherits", "partition_of", "bound", "of_type", "foreign_options",
)  # fmt: skip


def _table(pair: _Pair) -> Change:
    missing = pair.among(*_IN_TABLES)
    if "access_method" in pair.changes and pair.new.get("access_method") is None:
        missing.append("access_method")
    kind = "FOREIGN TABLE" if pair.key.kind == "foreign_table" else "TABLE"
    head = f"ALTER {kind} {pair.key.text}"
    actions = [f"{head} {action}" for action in _table_actions(pair)]
    return Change([*_detached(pair), *actions], missing=missing)


def _table_actions(pair: _Pair) -> Iterator[str]:
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


def _linked_actions(pair: _Pair) -> Iterator[str]:
    changes, new = pair.changes, pair.new
    if "of_type" in changes:
        yield f"OF {new['of_type']}" if new.get("of_type") else "NOT OF"
    if "foreign_options" in changes:
        yield change_foreign_options(*changes["foreign_options"])
    old_parents, new_parents = changes.get("inherits", (None, None))
    for parent in new_parents or []:
        if parent not in (old_parents or []):
            yield f"INHERIT {text_of(parent)}"


def _detached(pair: _Pair) -> Iterator[str]:
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


def _column(pair: _Pair) -> Change:
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


def _generated_otherwise(pair: _Pair) -> list[str]:
    """The changes of a generated column that PostgreSQL has no statement for."""
    if "generated" in pair.changes and pair.new.get("generated"):
        return ["generated"]
    if "expression" in pair.changes and pair.new.get("expression"):
        return [] if pair.after.version >= 170000 else ["expression"]
    return []


def _follows_parent(pair: _Pair, parent: Key) -> bool:
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


def _typed_actions(pair: _Pair) -> Iterator[str]:
    changes, new = pair.changes, pair.new
    if "type" in changes or "collation" in changes:
        collation = f" COLLATE {new['collation']}" if "collation" in new.attributes else ""
        using = ""
        if pair.after.relations[pair.key.name[:2]].kind == "table" and not new.get("generated"):
            using = f" USING {last(pair.key)}::{new['type']}"
        yield f"TYPE {new['type']}{collation}{using}"
    if "not_null" in changes and not _by_constraint(pair):
        yield "SET NOT NULL" if new.get("not_null") else "DROP NOT NULL"


def _by_constraint(pair: _Pair) -> bool:
    """Whether a constraint with a name says it, which has statements of its own."""
    return pair.key.name in pair.after.not_nulls or pair.key.name in pair.before.not_nulls


def _stored_actions(pair: _Pair) -> Iterator[str]:
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


def _default_storage(pair: _Pair) -> str:
    """The word for the storage of the column's type: PostgreSQL 15 has no DEFAULT for it."""
    if pair.after.version >= 160000:
        return "DEFAULT"
    return "MAIN" if str(pair.new["type"]).split("(")[0] in _MAIN else "EXTENDED"


# The built-in types of variable length that are not EXTENDED.
_MAIN = frozenset({"numeric", "inet", "cidr"})


def _identity_before(pair: _Pair) -> Iterator[str]:
    if "identity" in pair.changes and not pair.new.get("identity"):
        yield "DROP IDENTITY"
    if "generated" in pair.changes and not pair.new.get("generated"):
        yield "DROP EXPRESSION"


def _identity_after(pair: _Pair) -> Iterator[str]:
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


def _attribute(pair: _Pair, parent: Key) -> Change:
    collation = f" COLLATE {pair.new['collation']}" if "collation" in pair.new.attributes else ""
    statement = f"ALTER TYPE {parent.text} ALTER ATTRIBUTE {last(pair.key)} TYPE {pair.new['type']}"
    return Change([f"{statement}{collation}"], missing=pair.among("type", "collation"))


def _default(pair: _Pair) -> Change:
    parent = pair.after.relations[pair.key.name[:2]]
    verb = {"view": "VIEW", "foreign_table": "FOREIGN TABLE"}.get(parent.kind, "TABLE ONLY")
    action = f"ALTER COLUMN {last(pair.key)} SET DEFAULT {pair.new['expression']}"
    return Change([f"ALTER {verb} {parent.text} {action}"])


def _constraint(pair: _Pair) -> Change:
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


def _index(pair: _Pair) -> Change:
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


def _detaches(pair: _Pair) -> bool:
    """Whether the table of the index is detached, so that PostgreSQL detaches the index too."""
    table = Key("table", tuple(pair.new["table"]))
    old, new = pair.before.objects.get(table), pair.after.objects.get(table)
    if old is None or new is None:
        return False
    return bool(old.get("partition_of")) and old.get("partition_of") != new.get("partition_of")


_OF_SEQUENCES = {
    "type": "AS {}", "start": "START WITH {}", "increment": "INCREMENT BY {}",
    "minimum": "MINVALUE {}", "maximum": "MAXVALUE {}", "cache": "CACHE {}",
}  # fmt: skip


def _sequence(pair: _Pair) -> Change:
    missing = pair.among(*_OF_SEQUENCES, "cycle", "owned_by", "unlogged", "owner")
    parts = [
        text.format(pair.new[name]) for name, text in _OF_SEQUENCES.items() if name in pair.changes
    ]
    if "type" in pair.changes:  # a type changes the bounds with it
        parts += [f"MINVALUE {pair.new['minimum']}", f"MAXVALUE {pair.new['maximum']}"]
        parts = list(dict.fromkeys(parts))
    if "cycle" in pair.changes:
        parts.append("CYCLE" if pair.new.get("cycle") else "NO CYCLE")
    statements = [f"ALTER SEQUENCE {pair.key.text} {' '.join(parts)}"] if parts else []
    if "unlogged" in pair.changes:
        how = "UNLOGGED" if pair.new.get("unlogged") else "LOGGED"
        statements.append(f"ALTER SEQUENCE {pair.key.text} SET {how}")
    if "owned_by" in pair.changes and not pair.new.get("owned_by"):
        statements.append(f"ALTER SEQUENCE {pair.key.text} OWNED BY NONE")
    return Change(statements, missing=missing)


# ------------------------------------------------------------------------------------------- views


def _view(pair: _Pair) -> Change:
    statements = []
    if "definition" in pair.changes:
        if not _extends(pair):
            return Change(recreate=True)
        options = pair.new.get("options")
        given = f" WITH ({settings(options)})" if options else ""
        statements.append(f"CREATE OR REPLACE VIEW {pair.key.text}{given} AS\n{body_of(pair.new)}")
    if "options" in pair.changes:
        actions = set_options(*pair.changes["options"])
        statements += [f"ALTER VIEW {pair.key.text} {action}" for action in actions]
    return Change(statements, missing=pair.among("definition", "options", "columns"))


def _extends(pair: _Pair) -> bool:
    """Whether CREATE OR REPLACE VIEW takes the new columns: the old ones, and more after them."""
    old, new = pair.old.get("columns", []), pair.new.get("columns", [])
    if new[: len(old)] != old:
        return False
    for name in old:
        key = Key("column", (*pair.key.name, name))
        one, other = pair.before.objects[key], pair.after.objects[key]
        if any(one.get(part) != other.get(part) for part in ("type", "collation")):
            return False
    return True


def _materialized_view(pair: _Pair) -> Change:
    if "definition" in pair.changes or "columns" in pair.changes:
        return Change(recreate=True)
    head = f"ALTER MATERIALIZED VIEW {pair.key.text}"
    statements = [f"{head} {action}" for action in _table_actions(pair)]
    return Change(statements, missing=pair.among("options", "tablespace", "access_method"))


# -------------------------------------------------------------------- functions, triggers, policies


def _routine(pair: _Pair) -> Change:
    fewer = (pair.new.get("defaults") or 0) < (pair.old.get("defaults") or 0)
    if fewer or set(pair.changes) - {"definition", "defaults"}:
        return Change(recreate=True)
    return Change([pair.new["definition"].rstrip().removesuffix(";")])


def _trigger(pair: _Pair) -> Change:
    if set(pair.changes) != {"enabled"}:
        return Change(recreate=True)
    return Change([enable(pair.new)])


def enable(one: Object) -> str:
    """Return the statement that puts a trigger, rule or event trigger into its state."""
    state = one.get("enabled") or "ENABLE"
    if one.key.kind == "event_trigger":
        return f"ALTER EVENT TRIGGER {one.key.text} {state}"
    kind = one.key.kind.upper()
    only = "ONLY " if kind == "TRIGGER" else ""
    return f"ALTER TABLE {only}{table_of(one.key)} {state} {kind} {last(one.key)}"


def _policy(pair: _Pair) -> Change:
    gone = [name for name in ("using", "check") if name not in pair.new.attributes]
    if pair.among("roles", "using", "check") or any(name in pair.changes for name in gone):
        return Change(recreate=True)
    parts = [f"ALTER POLICY {last(pair.key)} ON {table_of(pair.key)}"]
    if "roles" in pair.changes:
        parts.append(f"TO {', '.join(pair.new['roles'])}")
    if "using" in pair.changes:
        parts.append(f"USING ({pair.new['using']})")
    if "check" in pair.changes:
        parts.append(f"WITH CHECK ({pair.new['check']})")
    return Change([" ".join(parts)])


def _statistics(pair: _Pair) -> Change:
    if set(pair.changes) != {"target"}:
        return Change(recreate=True)
    return Change([set_target(pair.new)])


def set_target(one: Object) -> str:
    """Return the statement that sets the target of a statistics object."""
    return f"ALTER STATISTICS {one.key.text} SET STATISTICS {one.get('target', -1)}"


# ------------------------------------------------------------------------------------------- types


def _enum(pair: _Pair) -> Change:
    old, new = pair.changes["labels"]
    kept = [label for label in new if label in old]
    if kept != old:
        return Change(missing=["labels"])
    statements = []
    for place, label in enumerate(new):
        if label not in old:
            where = f"AFTER {literal(new[place - 1])}" if place else None
            if where is None and len(old):
                where = f"BEFORE {literal(old[0])}"
            statements.append(
                f"ALTER TYPE {pair.key.text} ADD VALUE {literal(label)}"
                + (f" {where}" if where else "")
            )
    return Change(statements)


def _domain(pair: _Pair) -> Change:
    head, statements = f"ALTER DOMAIN {pair.key.text}", []
    if "default" in pair.changes:
        default = pair.new.get("default")
        statements.append(f"{head} SET DEFAULT {default}" if default else f"{head} DROP DEFAULT")
    if "not_null" in pair.changes and pair.after.version < 170000:
        verb = "SET" if pair.new.get("not_null") else "DROP"
        statements.append(f"{head} {verb} NOT NULL")
    return Change(statements, missing=pair.among("default", "not_null"))


def _domain_constraint(pair: _Pair) -> Change:
    if pair.old["definition"] == f"{pair.new['definition']} NOT VALID":
        domain = table_of(pair.key)
        return Change([f"ALTER DOMAIN {domain} VALIDATE CONSTRAINT {last(pair.key)}"])
    return Change(recreate=True)


def _operator(pair: _Pair) -> Change:
    if pair.among("restrict", "join"):
        return Change(recreate=True)
    parts = [f"{name.upper()} = {pair.new.get(name) or 'NONE'}" for name in sorted(pair.changes)]
    signature = f"{quote(pair.key.name[0])}.{pair.key.name[1]} ({', '.join(pair.key.name[2:])})"
    return Change([f"ALTER OPERATOR {signature} SET ({', '.join(parts)})"])


# ------------------------------------------------------------------------------------ the database


def _extension(pair: _Pair) -> Change:
    statements = []
    if "schema" in pair.changes:
        statements.append(f"ALTER EXTENSION {pair.key.text} SET SCHEMA {quote(pair.new['schema'])}")
    if "version" in pair.changes:
        version = literal(pair.new["version"])
        statements.append(f"ALTER EXTENSION {pair.key.text} UPDATE TO {version}")
    return Change(statements)


def _event_trigger(pair: _Pair) -> Change:
    return Change([enable(pair.new)]) if set(pair.changes) == {"enabled"} else Change(recreate=True)


def _with_options(pair: _Pair) -> Change:
    statements = []
    if "version" in pair.changes:
        version = pair.new.get("version")
        text = literal(version) if version else "NULL"
        statements.append(f"ALTER {named(pair.key)} VERSION {text}")
    if "options" in pair.changes:
        options = change_foreign_options(*pair.changes["options"])
        statements.append(f"ALTER {named(pair.key)} {options}")
    return Change(statements, missing=pair.among("version", "options"))


def _publication(pair: _Pair) -> Change:
    if "all_tables" in pair.changes:
        return Change(recreate=True)
    statement = f"ALTER PUBLICATION {pair.key.text} SET ({publication_options(pair.new)})"
    if pair.changes.get("generated_columns", (None, None))[0]:
        statement = statement.removesuffix(")") + ", publish_generated_columns = none)"
    return Change([statement])


_ALTERS: dict[str, Callable[[_Pair], Change]] = {
    "table": _table,
    "foreign_table": _table,
    "column": _column,
    "default": _default,
    "constraint": _constraint,
    "index": _index,
    "sequence": _sequence,
    "view": _view,
    "materialized_view": _materialized_view,
    "function": _routine,
    "procedure": _routine,
    "aggregate": _recreate,
    "trigger": _trigger,
    "rule": _trigger,
    "policy": _policy,
    "statistics": _statistics,
    "enum": _enum,
    "domain": _domain,
    "domain_constraint": _domain_constraint,
    "operator": _operator,
    "extension": _extension,
    "event_trigger": _event_trigger,
    "foreign_data_wrapper": _with_options,
    "server": _with_options,
    "publication": _publication,
    **dict.fromkeys(
        (
            "operator_family", "operator_class", "cast", "transform", "collation", "conversion",
            "text_search_parser", "text_search_template", "text_search_dictionary",
            "text_search_configuration", "publication_table",
        ),
        _recreate,
    ),
}  # fmt: skip
