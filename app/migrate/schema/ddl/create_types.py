"""The statements that create types, routines and what belongs to the whole database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from app.migrate.schema.ddl.words import foreign_options, joined, last, literal, named, table_of
from app.migrate.schema.model import Key, Object, Schema
from app.recovery.core.names import quote

# ------------------------------------------------------------------------------- types and routines


def _enum(one: Object) -> Iterator[str]:
    yield f"CREATE TYPE {one.key.text} AS ENUM ({', '.join(map(literal, one['labels']))})"


def create_composite(one: Object, schema: Schema) -> Iterator[str]:
    parts = []
    for name in one.get("columns") or []:
        column = schema.objects[Key("column", (*one.key.name, name))]
        collation = f" COLLATE {column['collation']}" if "collation" in column.attributes else ""
        parts.append(f"{quote(name)} {column['type']}{collation}")
    yield f"CREATE TYPE {one.key.text} AS ({', '.join(parts)})"


def _range(one: Object) -> Iterator[str]:
    parts = {
        "SUBTYPE": one["subtype"],
        "SUBTYPE_OPCLASS": one.get("opclass"),
        "COLLATION": one.get("collation"),
        "CANONICAL": one.get("canonical"),
        "SUBTYPE_DIFF": one.get("subtype_diff"),
        "MULTIRANGE_TYPE_NAME": one["multirange"],
    }
    yield f"CREATE TYPE {one.key.text} AS RANGE ({_list(parts)})"


def _list(parts: dict[str, Any]) -> str:
    return ", ".join(
        name if value is True else f"{name} = {value}"
        for name, value in parts.items()
        if value is not None
    )


def create_domain(one: Object, schema: Schema) -> Iterator[str]:
    has_constraint = any(
        key.kind == "domain_constraint"
        and key.name[:2] == one.key.name
        and found["definition"].startswith("NOT NULL")
        for key, found in schema.objects.items()
    )
    yield joined(
        (
            f"CREATE DOMAIN {one.key.text} AS {one['type']}",
            f"COLLATE {one['collation']}" if "collation" in one.attributes else None,
            f"DEFAULT {one['default']}" if "default" in one.attributes else None,
            "NOT NULL" if one.get("not_null") and not has_constraint else None,
        )
    )


def _domain_constraint(one: Object) -> Iterator[str]:
    domain = table_of(one.key)
    yield f"ALTER DOMAIN {domain} ADD CONSTRAINT {last(one.key)} {one['definition']}"


def _shell(one: Object) -> Iterator[str]:
    yield f"CREATE TYPE {one.key.text}"


_MODIFY = {"r": "READ_ONLY", "s": "SHAREABLE", "w": "READ_WRITE"}


def _aggregate(one: Object) -> Iterator[str]:
    # READ_WRITE is what an ordered-set aggregate begins with, READ_ONLY any other
    usual = "w" if one.get("kind") else "r"
    final, moving = one["finalfunc_modify"], one.get("mfinalfunc_modify")
    parts = {
        "SFUNC": one["sfunc"],
        "STYPE": one["stype"],
        "SSPACE": one.get("sspace"),
        "FINALFUNC": one.get("finalfunc"),
        "FINALFUNC_EXTRA": one.get("finalfunc_extra"),
        "FINALFUNC_MODIFY": _MODIFY[final] if final != usual else None,
        "COMBINEFUNC": one.get("combinefunc"),
        "SERIALFUNC": one.get("serialfunc"),
        "DESERIALFUNC": one.get("deserialfunc"),
        "INITCOND": literal(one["initcond"]) if "initcond" in one.attributes else None,
        "MSFUNC": one.get("msfunc"),
        "MINVFUNC": one.get("minvfunc"),
        "MSTYPE": one.get("mstype"),
        "MSSPACE": one.get("msspace"),
        "MFINALFUNC": one.get("mfinalfunc"),
        "MFINALFUNC_EXTRA": one.get("mfinalfunc_extra"),
        "MFINALFUNC_MODIFY": _MODIFY[moving] if moving and moving != usual else None,
        "MINITCOND": literal(one["minitcond"]) if "minitcond" in one.attributes else None,
        "SORTOP": _operator(one["sortop"]) if "sortop" in one.attributes else None,
        "PARALLEL": one.get("parallel"),
        "HYPOTHETICAL": True if one.get("kind") == "hypothetical-set" else None,
    }
    name, arguments = quote(one.key.name[:2]), one["arguments"] or "*"
    yield f"CREATE AGGREGATE {name}({arguments}) ({_list(parts)})"


def _operator(signature: str) -> str:
    return f"OPERATOR({signature.partition('(')[0]})"


def _create_operator(one: Object) -> Iterator[str]:
    left, right = one.key.name[2:]
    parts = {
        "FUNCTION": one["function"],
        "LEFTARG": left if left != "NONE" else None,
        "RIGHTARG": right,
        "COMMUTATOR": f"OPERATOR({one['commutator']})" if one.get("commutator") else None,
        "NEGATOR": f"OPERATOR({one['negator']})" if one.get("negator") else None,
        "RESTRICT": one.get("restrict"),
        "JOIN": one.get("join"),
        "HASHES": one.get("hashes"),
        "MERGES": one.get("merges"),
    }
    yield f"CREATE OPERATOR {quote(one.key.name[0])}.{one.key.name[1]} ({_list(parts)})"


def _operator_family(one: Object) -> Iterator[str]:
    yield f"CREATE OPERATOR FAMILY {one.key.text}"
    if one.get("members"):
        yield f"ALTER OPERATOR FAMILY {one.key.text} ADD {', '.join(one['members'])}"


def _operator_class(one: Object) -> Iterator[str]:
    members = list(one.get("members") or [])
    if one.get("storage"):
        members.append(f"STORAGE {one['storage']}")
    default = "DEFAULT " if one.get("default") else ""
    name, method = quote(one.key.name[:2]), quote(one.key.name[2])
    yield (
        f"CREATE OPERATOR CLASS {name} {default}FOR TYPE {one['type']} USING {method}"
        f" FAMILY {one['family']} AS {', '.join(members) or 'STORAGE ' + one['type']}"
    )


def _cast(one: Object) -> Iterator[str]:
    method = {
        "function": f"WITH FUNCTION {one.get('function')}",
        "inout": "WITH INOUT",
        "binary": "WITHOUT FUNCTION",
    }[one["method"]]
    context = {"explicit": None}.get(one["context"], f"AS {one['context'].upper()}")
    yield joined((f"CREATE CAST {one.key.text}", method, context))


def _transform(one: Object) -> Iterator[str]:
    parts = [
        f"{words} WITH FUNCTION {one[name]}"
        for name, words in (("from_sql", "FROM SQL"), ("to_sql", "TO SQL"))
        if name in one.attributes
    ]
    yield f"CREATE {named(one.key)} ({', '.join(parts)})"


def _collation(one: Object) -> Iterator[str]:
    locale = one.get("locale")
    parts = {
        "PROVIDER": one["provider"],
        "DETERMINISTIC": "false" if one.get("deterministic") is False else None,
        "LOCALE": literal(locale) if locale else None,
        "RULES": literal(one["rules"]) if one.get("rules") else None,
        "LC_COLLATE": literal(one["lc_collate"]) if one.get("lc_collate") and not locale else None,
        "LC_CTYPE": literal(one["lc_ctype"]) if one.get("lc_ctype") and not locale else None,
    }
    yield f"CREATE COLLATION {one.key.text} ({_list(parts)})"


def _conversion(one: Object) -> Iterator[str]:
    default = "DEFAULT " if one.get("default") else ""
    yield (
        f"CREATE {default}CONVERSION {one.key.text} FOR {literal(one['from'])}"
        f" TO {literal(one['to'])} FROM {one['function']}"
    )


def _text_search(*names: str) -> Callable[[Object], Iterator[str]]:
    def make(one: Object) -> Iterator[str]:
        parts = {name.upper(): one.get(name) for name in names}
        yield f"CREATE {named(one.key)} ({_list(parts)})"

    return make


def _dictionary(one: Object) -> Iterator[str]:
    options = f", {one['options']}" if one.get("options") else ""
    yield f"CREATE {named(one.key)} (TEMPLATE = {one['template']}{options})"


def _configuration(one: Object) -> Iterator[str]:
    yield f"CREATE {named(one.key)} (PARSER = {one['parser']})"
    for token, dictionaries in sorted(one["mappings"].items()):
        listed = ", ".join(dictionaries)
        yield f"ALTER {named(one.key)} ADD MAPPING FOR {quote(token)} WITH {listed}"


# ------------------------------------------------------------------------------------ the database


def _schema(one: Object) -> Iterator[str]:
    yield f"CREATE SCHEMA {one.key.text}"


def _extension(one: Object) -> Iterator[str]:
    yield f"CREATE EXTENSION {one.key.text} WITH SCHEMA {quote(one['schema'])}"


def _language(one: Object) -> Iterator[str]:
    yield joined(
        (
            f"CREATE {'TRUSTED ' if one.get('trusted') else ''}LANGUAGE {one.key.text}",
            f"HANDLER {_function(one['handler'])}",
            f"INLINE {_function(one['inline'])}" if one.get("inline") else None,
            f"VALIDATOR {_function(one['validator'])}" if one.get("validator") else None,
        )
    )


def _function(signature: str) -> str:
    return signature.partition("(")[0]


def _access_method(one: Object) -> Iterator[str]:
    yield f"CREATE ACCESS METHOD {one.key.text} TYPE {one['type']} HANDLER {one['handler']}"


def _event_trigger(one: Object) -> Iterator[str]:
    tags = ", ".join(map(literal, one.get("tags") or []))
    yield joined(
        (
            f"CREATE EVENT TRIGGER {one.key.text} ON {one['event']}",
            f"WHEN TAG IN ({tags})" if tags else None,
            f"EXECUTE FUNCTION {one['function']}()",
        )
    )


def _wrapper(one: Object) -> Iterator[str]:
    yield joined(
        (
            f"CREATE FOREIGN DATA WRAPPER {one.key.text}",
            f"HANDLER {one['handler']}" if one.get("handler") else None,
            f"VALIDATOR {one['validator']}" if one.get("validator") else None,
            foreign_options(one.get("options")),
        )
    )


def _server(one: Object) -> Iterator[str]:
    yield joined(
        (
            f"CREATE SERVER {one.key.text}",
            f"TYPE {literal(one['type'])}" if one.get("type") else None,
            f"VERSION {literal(one['version'])}" if one.get("version") else None,
            f"FOREIGN DATA WRAPPER {quote(one['wrapper'])}",
            foreign_options(one.get("options")),
        )
    )


def _user_mapping(one: Object) -> Iterator[str]:
    yield f"CREATE {named(one.key)}"


def _publication(one: Object) -> Iterator[str]:
    everything = " FOR ALL TABLES" if one.get("all_tables") else ""
    yield f"CREATE PUBLICATION {one.key.text}{everything} WITH ({publication_options(one)})"


def publication_options(one: Object) -> str:
    """Return the options of a publication, all of them."""
    via_root = "true" if one.get("via_root") else "false"
    text = f"publish = {literal(one['publish'])}, publish_via_partition_root = {via_root}"
    generated = one.get("generated_columns")
    return f"{text}, publish_generated_columns = {generated}" if generated else text


def _publication_table(one: Object) -> Iterator[str]:
    columns = one.get("columns")
    listed = f" ({', '.join(map(quote, columns))})" if columns else ""
    condition = f" WHERE ({one['condition']})" if one.get("condition") else ""
    name = quote(one.key.name[1:])
    yield f"ALTER PUBLICATION {quote(one.key.name[0])} ADD TABLE ONLY {name}{listed}{condition}"


def _publication_schema(one: Object) -> Iterator[str]:
    publication, name = map(quote, one.key.name)
    yield f"ALTER PUBLICATION {publication} ADD TABLES IN SCHEMA {name}"


ALONE: dict[str, Callable[[Object], Iterator[str]]] = {
    "enum": _enum,
    "range": _range,
    "domain_constraint": _domain_constraint,
    "shell_type": _shell,
    "aggregate": _aggregate,
    "operator": _create_operator,
    "operator_family": _operator_family,
    "operator_class": _operator_class,
    "cast": _cast,
    "transform": _transform,
    "collation": _collation,
    "conversion": _conversion,
    "text_search_parser": _text_search("start", "gettoken", "end", "headline", "lextypes"),
    "text_search_template": _text_search("init", "lexize"),
    "text_search_dictionary": _dictionary,
    "text_search_configuration": _configuration,
    "schema": _schema,
    "extension": _extension,
    "language": _language,
    "access_method": _access_method,
    "event_trigger": _event_trigger,
    "foreign_data_wrapper": _wrapper,
    "server": _server,
    "user_mapping": _user_mapping,
    "publication": _publication,
    "publication_table": _publication_table,
    "publication_schema": _publication_schema,
}
