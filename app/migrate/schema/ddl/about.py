"""What any object can have: a comment, security labels, an owner and grants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.migrate.schema.ddl.words import grant_type, granted_on, literal, named
from app.migrate.schema.model import Key, Object, Schema
from app.recovery.core.names import quote

Privilege = tuple[str, str | None, str, bool]
"""To whom, by whom if not by the owner, the privilege, and whether it can be granted on."""


def about(old: Object | None, new: Object, after: Schema, ignored: frozenset[str]) -> Iterator[str]:
    """Yield what gives the new object its owner, grants, comment and labels.

    `old` is the object as it is by then; None if it was just created.
    """
    if "owner" not in ignored and new.get("owner"):
        changed = old is None or old.get("owner") != new["owner"]
        if changed:
            yield f"ALTER {named(new.key)} OWNER TO {quote(new['owner'])}"
    if "grants" not in ignored:
        yield from _grants(old, new, after)
    if (old.get("comment") if old else None) != new.get("comment"):
        comment = new.get("comment")
        yield f"COMMENT ON {named(new.key)} IS {literal(comment) if comment else 'NULL'}"
    before = (old.get("security_labels") if old else None) or {}
    labels = new.get("security_labels") or {}
    for provider in sorted({*before, *labels}):
        if before.get(provider) != labels.get(provider):
            label = literal(labels[provider]) if provider in labels else "NULL"
            yield f"SECURITY LABEL FOR {quote(provider)} ON {named(new.key)} IS {label}"
    yield from _extensions(old, new)


def _extensions(old: Object | None, new: Object) -> Iterator[str]:
    before = (old.get("extensions") if old else None) or []
    after = new.get("extensions") or []
    for name in after:
        if name not in before:
            yield f"ALTER {named(new.key)} DEPENDS ON EXTENSION {quote(name)}"
    for name in before:
        if name not in after:
            yield f"ALTER {named(new.key)} NO DEPENDS ON EXTENSION {quote(name)}"


def _grants(old: Object | None, new: Object, after: Schema) -> Iterator[str]:
    if new.key.kind == "default_privileges":
        yield from _default_privileges(old, new)
        return
    if grant_type(new.key) is None and new.key.kind != "column":
        return
    has = _privileges(old, new.key, after)
    wanted = _privileges(new, new.key, after)
    owner = new.get("owner")
    yield from _revokes(has - wanted, wanted, new.key, owner)
    for granted in sorted(wanted - has, key=_by_the_owner_first):
        yield from _by(granted, _grant(granted, new.key, owner))


def _by_the_owner_first(privilege: Privilege) -> tuple[bool, str]:
    return privilege[1] is not None, str(privilege)


def _revokes(
    gone: set[Privilege], wanted: set[Privilege], key: Key, owner: str | None
) -> Iterator[str]:
    passed_on = {(one[1], one[2]) for one in gone if one[1] is not None}
    for one in sorted(gone, key=_by_the_owner_first):
        if one[1] is None and (one[0], None, one[2], True) in wanted:
            continue  # the grant that follows adds the option
        if one[1] is not None and (one[1], None, one[2], True) in gone:
            continue  # it goes by CASCADE
        cascade = " CASCADE" if (one[0], one[2]) in passed_on else ""
        yield from _by(one, f"{_revoke(one, key, owner)}{cascade}")


def _privileges(one: Object | None, key: Key, schema: Schema) -> set[Privilege]:
    listed = one.get("grants") if one is not None else None
    if listed is None:
        listed = schema.defaults.get(grant_type(key) or "", [])
    return _split(listed)


def _split(listed: list[dict[str, Any]]) -> set[Privilege]:
    return {
        (one["to"], one.get("by"), privilege.removesuffix("*"), privilege.endswith("*"))
        for one in listed
        for privilege in one["privileges"]
    }


def _role(name: str, owner: str | None) -> str:
    return quote(owner) if name == "OWNER" and owner else name


def _what(privilege: Privilege, key: Key) -> str:
    column = f" ({quote(key.name[2])})" if key.kind == "column" else ""
    return f"{privilege[2]}{column} ON {granted_on(key)}"


def _grant(privilege: Privilege, key: Key, owner: str | None) -> str:
    option = " WITH GRANT OPTION" if privilege[3] else ""
    return f"GRANT {_what(privilege, key)} TO {_role(privilege[0], owner)}{option}"


def _revoke(privilege: Privilege, key: Key, owner: str | None) -> str:
    return f"REVOKE {_what(privilege, key)} FROM {_role(privilege[0], owner)}"


def _by(privilege: Privilege, statement: str) -> Iterator[str]:
    if privilege[1] is None:
        yield statement
    else:
        yield f"SET ROLE {privilege[1]}"
        yield statement
        yield "RESET ROLE"


def _default_privileges(old: Object | None, new: Object) -> Iterator[str]:
    role, schema, kind = new.key.name
    has = _split((old.get("grants") if old else None) or _begun(schema, kind))
    wanted = _split(new.get("grants") or _begun(schema, kind))
    head = f"ALTER DEFAULT PRIVILEGES FOR ROLE {quote(role)}"
    head += f" IN SCHEMA {quote(schema)}" if schema else ""
    for one in sorted(has - wanted, key=str):
        yield f"{head} REVOKE {one[2]} ON {kind} FROM {_role(one[0], role)}"
    for one in sorted(wanted - has, key=str):
        option = " WITH GRANT OPTION" if one[3] else ""
        yield f"{head} GRANT {one[2]} ON {kind} TO {_role(one[0], role)}{option}"


def without_default_privileges(old: Object) -> Iterator[str]:
    """Yield what takes default privileges back to those that PostgreSQL begins with."""
    key = old.key
    yield from _default_privileges(old, Object(key, {}))


def _begun(schema: str, kind: str) -> list[dict[str, Any]]:
    """The default privileges of a role without any; those of a schema are only added to them."""
    if schema:
        return []
    begun: dict[str, list[dict[str, Any]]] = {
        "TABLES": [
            {
                "to": "OWNER",
                "privileges": [
                    "DELETE", "INSERT", "REFERENCES", "SELECT", "TRIGGER", "TRUNCATE", "UPDATE",
                ],
            }
        ],
        "SEQUENCES": [{"to": "OWNER", "privileges": ["SELECT", "UPDATE", "USAGE"]}],
        "FUNCTIONS": [
            {"to": "OWNER", "privileges": ["EXECUTE"]},
            {"to": "PUBLIC", "privileges": ["EXECUTE"]},
        ],
        "TYPES": [
            {"to": "OWNER", "privileges": ["USAGE"]},
            {"to": "PUBLIC", "privileges": ["USAGE"]},
        ],
        "SCHEMAS": [{"to": "OWNER", "privileges": ["CREATE", "USAGE"]}],
    }  # fmt: skip
    return begun.get(kind, [])
