"""How SQL names an object, its options and its privileges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from app.migrate.schema.model import RELATIONS, ROUTINES, TYPES, Key
from app.recovery.core.names import quote

# What COMMENT ON, ALTER … OWNER TO and DROP call a kind, where the kind's own words are others.
_WORDS = {
    "default_privileges": "DEFAULT PRIVILEGES",
    "enum": "TYPE",
    "range": "TYPE",
    "composite_type": "TYPE",
    "base_type": "TYPE",
    "shell_type": "TYPE",
    "domain_constraint": "CONSTRAINT",
}
_ON_TABLES = ("constraint", "trigger", "policy", "rule")
# What acldefault() is asked for, and what GRANT calls the kind.
_GRANTS = {
    **dict.fromkeys(RELATIONS, ("table", "TABLE")),
    **dict.fromkeys(TYPES, ("type", "TYPE")),
    **dict.fromkeys(ROUTINES, ("function", "ROUTINE")),
    "sequence": ("sequence", "SEQUENCE"),
    "schema": ("schema", "SCHEMA"),
    "language": ("language", "LANGUAGE"),
    "foreign_data_wrapper": ("foreign_data_wrapper", "FOREIGN DATA WRAPPER"),
    "server": ("server", "FOREIGN SERVER"),
}


def word(key: Key) -> str:
    """Return what SQL calls the kind."""
    return _WORDS.get(key.kind, key.label.upper())


def table_of(key: Key) -> str:
    """Return the table that the object is a part of."""
    return quote(key.name[:2])


def last(key: Key) -> str:
    """Return the last part of the name, quoted."""
    return quote(key.name[-1])


def named(key: Key) -> str:
    """Return the object as COMMENT ON and DROP name it, such as TRIGGER t ON s."""
    if key.kind in _ON_TABLES:
        return f"{word(key)} {last(key)} ON {table_of(key)}"
    if key.kind == "domain_constraint":
        return f"CONSTRAINT {last(key)} ON DOMAIN {table_of(key)}"
    if key.kind == "user_mapping":
        return f"USER MAPPING FOR {key.name[1]} SERVER {quote(key.name[0])}"
    if key.kind == "transform":
        return f"TRANSFORM FOR {key.name[0]} LANGUAGE {quote(key.name[1])}"
    return f"{word(key)} {key.text}"


def grant_type(key: Key) -> str | None:
    """Return the name of the privileges that such an object begins with, if it has any."""
    return _GRANTS[key.kind][0] if key.kind in _GRANTS else None


def granted_on(key: Key) -> str:
    """Return the object as GRANT … ON names it."""
    if key.kind == "column":
        return f"TABLE {table_of(key)}"
    return f"{_GRANTS[key.kind][1]} {key.text}"


def literal(value: str) -> str:
    """Return a text as a literal that no setting changes the meaning of."""
    quoted = value.replace("'", "''")
    return "E'" + quoted.replace("\\", "\\\\") + "'" if "\\" in value else f"'{quoted}'"


def joined(parts: Iterable[str | None]) -> str:
    """Return the parts that are there, with a blank between them."""
    return " ".join(part for part in parts if part)


def split_option(option: str) -> tuple[str, str]:
    """Return the name and the value of an option as the catalog keeps it."""
    name, _, value = option.partition("=")
    return name, value


def settings(options: Iterable[str]) -> str:
    """Return options for WITH and SET, without the parentheses."""
    found = []
    for option in options:
        name, value = split_option(option)
        space, dot, rest = name.partition(".")
        text = f"{space}.{quote(rest)}" if dot else quote(name)
        found.append(f"{text}={literal(value)}")
    return ", ".join(found)


def set_options(old: list[str] | None, new: list[str] | None) -> Iterator[str]:
    """Yield the actions that change storage parameters: RESET (…) and SET (…)."""
    gone = {split_option(one)[0] for one in old or []} - {split_option(one)[0] for one in new or []}
    if gone:
        names = [
            f"{name.split('.', 1)[0]}.{quote(name.split('.', 1)[1])}"
            if "." in name
            else quote(name)
            for name in sorted(gone)
        ]
        yield f"RESET ({', '.join(names)})"
    changed = [one for one in new or [] if one not in (old or [])]
    if changed:
        yield f"SET ({settings(changed)})"


def foreign_options(options: list[str] | None) -> str:
    """Return OPTIONS (…) of a foreign object that is created; an empty text if it has none."""
    if not options:
        return ""
    parts = [f"{quote(name)} {literal(value)}" for name, value in map(split_option, options)]
    return f"OPTIONS ({', '.join(parts)})"


def change_foreign_options(old: list[str] | None, new: list[str] | None) -> str:
    """Return OPTIONS (ADD …, SET …, DROP …)."""
    before, after = (dict(map(split_option, options or [])) for options in (old, new))
    parts = [f"DROP {quote(name)}" for name in before if name not in after]
    parts += [
        f"{'SET' if name in before else 'ADD'} {quote(name)} {literal(value)}"
        for name, value in after.items()
        if before.get(name) != value
    ]
    return f"OPTIONS ({', '.join(parts)})"


def text_of(parts: Any) -> str:
    """Return a name that an attribute has in parts."""
    return quote(tuple(parts))
