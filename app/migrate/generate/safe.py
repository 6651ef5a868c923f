"""The statements of a difference, divided so that traffic goes on: what locks for long comes apart.

The first file runs in one transaction. The second one runs outside a transaction: it builds indexes
concurrently, and validates what the first one added as NOT VALID. The last one drops, by captures.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from app.migrate.generate.files import Draft
from app.migrate.rewriting.rewrite import rewrite
from app.migrate.schema.ddl.generate import Ddl, Statement, printable_comment
from app.migrate.schema.ddl.words import last, table_of
from app.migrate.schema.difference import Difference
from app.migrate.schema.model import Key, Object
from app.recovery.core.names import quote

_CREATE_INDEX = re.compile(r"CREATE (UNIQUE )?INDEX ")
# Whose validation scans the table under a lock that stops writes, unless it comes apart.
_VALIDATED = ("check", "foreign key")
_VALIDATES_NOT_NULL = 180000


@dataclass
class _Parts:
    first: list[str] = field(default_factory=list)
    online: list[str] = field(default_factory=list)
    drops: list[str] = field(default_factory=list)


def divide(found: Difference, ddl: Ddl, renames: list[str]) -> list[Draft]:
    """Return the migrations that make the difference, in their order."""
    parts = _Parts(first=[f"{sql};" for sql in renames])
    created = {key for key in found.created if key.kind in ("table", "materialized_view")}
    late = _last_drops(ddl.statements)
    for place, statement in enumerate(ddl.statements):
        if place >= late:
            parts.drops.append(_captured(statement.sql))
        else:
            _add(parts, found, statement, created)
    missing = [f"-- not generated: {printable_comment(str(one))}" for one in ddl.missing]
    drafts = [Draft(sql=_join([*missing, *parts.first]))] if missing or parts.first else []
    if parts.online:
        drafts.append(Draft("online", _join(parts.online), transaction=False))
    if parts.drops:
        drafts.append(Draft("drops" if drafts else "", _join(parts.drops)))
    return drafts


def _join(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _last_drops(statements: list[Statement]) -> int:
    """Return the place of the first of the drops that nothing follows but drops."""
    place = len(statements)
    while place and statements[place - 1].action == "drop":
        place -= 1
    return place


def _captured(sql: str) -> str:
    return rewrite(f"{sql};".encode()).data.decode()


def _add(parts: _Parts, found: Difference, statement: Statement, created: set[Key]) -> None:
    one = found.after.objects.get(statement.key)
    if one is not None and not _is_new(one, found, created):
        if one.key.kind == "index" and _goes_online(one, found, statement):
            parts.online.append(_concurrently(statement.sql))
            return
        if (
            one.key.kind == "constraint"
            and statement.action == "create"
            and _add_constraint(parts, found, one, statement)
        ):
            return
        if one.key.kind == "column" and _add_not_null(parts, one, statement):
            return
    parts.first.append(f"{statement.sql};")


def _is_new(one: Object, found: Difference, created: set[Key]) -> bool:
    """Whether it belongs to a table that is created too, so that nobody waits for it."""
    table = tuple(one["table"]) if one.key.kind == "index" else one.key.name[:2]
    return found.after.relations.get(table) in created


def _goes_online(one: Object, found: Difference, statement: Statement) -> bool:
    table = found.after.objects[found.after.relations[tuple(one["table"])]]
    if table.get("partition_key") or table.get("partition_of") or one.get("constraint"):
        return False
    if one.get("clustered") or one.get("replica_identity"):
        return False
    needed = any(one.key in other.needs for other in found.after.objects.values())
    return not needed and statement.action == "create"


def _concurrently(sql: str) -> str:
    return f"{_CREATE_INDEX.sub(lambda m: f'{m[0]}CONCURRENTLY ', sql, count=1)};"


def _add_constraint(parts: _Parts, found: Difference, one: Object, statement: Statement) -> bool:
    table = found.after.objects[found.after.relations[one.key.name[:2]]]
    of_table = found.after.version >= _VALIDATES_NOT_NULL and one["type"] == "not null"
    if one["type"] not in _VALIDATED and not of_table:
        return False
    if " NOT VALID" in statement.sql or " NOT ENFORCED" in statement.sql:
        return False
    if "ADD CONSTRAINT" not in statement.sql or table.get("partition_key") or table.get("inherits"):
        return False
    parts.first.append(f"{statement.sql} NOT VALID;")
    parts.online.append(f"ALTER TABLE {table_of(one.key)} VALIDATE CONSTRAINT {last(one.key)};")
    return True


def _add_not_null(parts: _Parts, one: Object, statement: Statement) -> bool:
    """Let a CHECK that was validated before spare SET NOT NULL its scan under a lock."""
    if not statement.sql.endswith(" SET NOT NULL") or not statement.sql.startswith("ALTER TABLE "):
        return False
    table, column = table_of(one.key), last(one.key)
    helper = quote(f"{one.key.name[2][:40]}_is_not_null")
    parts.first.append(
        f"ALTER TABLE {table} ADD CONSTRAINT {helper} CHECK ({column} IS NOT NULL) NOT VALID;"
    )
    parts.online += [
        f"ALTER TABLE {table} VALIDATE CONSTRAINT {helper};",
        f"{statement.sql};",
        f"ALTER TABLE {table} DROP CONSTRAINT {helper};",
    ]
    return True
