"""The statements that change an object into another of the same kind and name."""

from __future__ import annotations

from collections.abc import Callable

from app.migrate.schema.ddl.alter_tables import (
    alter_column,
    alter_constraint,
    alter_default,
    alter_index,
    alter_table,
    table_actions,
)
from app.migrate.schema.ddl.create import body_of
from app.migrate.schema.ddl.create_types import publication_options
from app.migrate.schema.ddl.pair import Change, Changes, Pair, recreate
from app.migrate.schema.ddl.words import (
    change_foreign_options,
    last,
    literal,
    named,
    set_options,
    settings,
    table_of,
)
from app.migrate.schema.model import Key, Object, Schema
from app.recovery.core.names import quote

# Attributes that other statements change: those of the object's parent, or those of every kind.
ELSEWHERE = frozenset(
    {"comment", "grants", "owner", "security_labels", "extensions", "inherited", "local"}
)


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
    return change(Pair(old, new, own, before, after))


def _is_local_no_more(old: Object, new: Object, after: Schema) -> bool:
    """Whether a part becomes only inherited, which no statement does but one that creates it."""
    if new.key.kind not in ("column", "constraint") or not new.get("inherited") or new.get("local"):
        return False
    table = after.objects[after.relations[new.key.name[:2]]]
    return not table.get("partition_of") and (not old.get("inherited") or bool(old.get("local")))


_OF_SEQUENCES = {
    "type": "AS {}", "start": "START WITH {}", "increment": "INCREMENT BY {}",
    "minimum": "MINVALUE {}", "maximum": "MAXVALUE {}", "cache": "CACHE {}",
}  # fmt: skip


def _sequence(pair: Pair) -> Change:
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


def _view(pair: Pair) -> Change:
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


def _extends(pair: Pair) -> bool:
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


def _materialized_view(pair: Pair) -> Change:
    if "definition" in pair.changes or "columns" in pair.changes:
        return Change(recreate=True)
    head = f"ALTER MATERIALIZED VIEW {pair.key.text}"
    statements = [f"{head} {action}" for action in table_actions(pair)]
    return Change(statements, missing=pair.among("options", "tablespace", "access_method"))


# -------------------------------------------------------------------- functions, triggers, policies


def _routine(pair: Pair) -> Change:
    fewer = (pair.new.get("defaults") or 0) < (pair.old.get("defaults") or 0)
    if fewer or set(pair.changes) - {"definition", "defaults"}:
        return Change(recreate=True)
    return Change([pair.new["definition"].rstrip().removesuffix(";")])


def _trigger(pair: Pair) -> Change:
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


def _policy(pair: Pair) -> Change:
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


def _statistics(pair: Pair) -> Change:
    if set(pair.changes) != {"target"}:
        return Change(recreate=True)
    return Change([set_target(pair.new)])


def set_target(one: Object) -> str:
    """Return the statement that sets the target of a statistics object."""
    return f"ALTER STATISTICS {one.key.text} SET STATISTICS {one.get('target', -1)}"


# ------------------------------------------------------------------------------------------- types


def _enum(pair: Pair) -> Change:
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


def _domain(pair: Pair) -> Change:
    head, statements = f"ALTER DOMAIN {pair.key.text}", []
    if "default" in pair.changes:
        default = pair.new.get("default")
        statements.append(f"{head} SET DEFAULT {default}" if default else f"{head} DROP DEFAULT")
    if "not_null" in pair.changes and pair.after.version < 170000:
        verb = "SET" if pair.new.get("not_null") else "DROP"
        statements.append(f"{head} {verb} NOT NULL")
    return Change(statements, missing=pair.among("default", "not_null"))


def _domain_constraint(pair: Pair) -> Change:
    if pair.old["definition"] == f"{pair.new['definition']} NOT VALID":
        domain = table_of(pair.key)
        return Change([f"ALTER DOMAIN {domain} VALIDATE CONSTRAINT {last(pair.key)}"])
    return Change(recreate=True)


def _operator(pair: Pair) -> Change:
    if pair.among("restrict", "join"):
        return Change(recreate=True)
    parts = [f"{name.upper()} = {pair.new.get(name) or 'NONE'}" for name in sorted(pair.changes)]
    signature = f"{quote(pair.key.name[0])}.{pair.key.name[1]} ({', '.join(pair.key.name[2:])})"
    return Change([f"ALTER OPERATOR {signature} SET ({', '.join(parts)})"])


# ------------------------------------------------------------------------------------ the database


def _extension(pair: Pair) -> Change:
    statements = []
    if "schema" in pair.changes:
        statements.append(f"ALTER EXTENSION {pair.key.text} SET SCHEMA {quote(pair.new['schema'])}")
    if "version" in pair.changes:
        version = literal(pair.new["version"])
        statements.append(f"ALTER EXTENSION {pair.key.text} UPDATE TO {version}")
    return Change(statements)


def _event_trigger(pair: Pair) -> Change:
    return Change([enable(pair.new)]) if set(pair.changes) == {"enabled"} else Change(recreate=True)


def _with_options(pair: Pair) -> Change:
    statements = []
    if "version" in pair.changes:
        version = pair.new.get("version")
        text = literal(version) if version else "NULL"
        statements.append(f"ALTER {named(pair.key)} VERSION {text}")
    if "options" in pair.changes:
        options = change_foreign_options(*pair.changes["options"])
        statements.append(f"ALTER {named(pair.key)} {options}")
    return Change(statements, missing=pair.among("version", "options"))


def _publication(pair: Pair) -> Change:
    if "all_tables" in pair.changes:
        return Change(recreate=True)
    statement = f"ALTER PUBLICATION {pair.key.text} SET ({publication_options(pair.new)})"
    if pair.changes.get("generated_columns", (None, None))[0]:
        statement = statement.removesuffix(")") + ", publish_generated_columns = none)"
    return Change([statement])


_ALTERS: dict[str, Callable[[Pair], Change]] = {
    "table": alter_table,
    "foreign_table": alter_table,
    "column": alter_column,
    "default": alter_default,
    "constraint": alter_constraint,
    "index": alter_index,
    "sequence": _sequence,
    "view": _view,
    "materialized_view": _materialized_view,
    "function": _routine,
    "procedure": _routine,
    "aggregate": recreate,
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
        recreate,
    ),
}  # fmt: skip
