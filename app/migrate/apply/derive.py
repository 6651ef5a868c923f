"""The statements that reverse a migration without a down part, and each as it will run.

They are the renames undone, and the difference of the snapshots after and before the migration.
What others changed since is no part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.migrate.apply.prepare import Unit
from app.migrate.apply.recorded import Recorded
from app.migrate.observe.catalog import own_path
from app.migrate.read.migrations import Layout, Migration, Script
from app.migrate.read.scripts import Steered, read_script
from app.migrate.review.live import read_world
from app.migrate.review.plan import plan_migrations
from app.migrate.rewriting.rewrite import Strategy, drops_column, rewrite
from app.migrate.schema.ddl.generate import Ddl, generate
from app.migrate.schema.difference import difference
from app.migrate.schema.model import Key, Object, Schema
from app.recovery.db.connections import Connection

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = "the derived statements"


def derive_drops(recorded: Recorded, live: Schema) -> tuple[Ddl, Schema]:
    """Return what has to go before the restores, and the schema without it."""
    gone = {key for key in recorded.found.dropped if key in live.objects}
    # a table or column of the migration that took the name of one that comes back
    gone |= {
        key for key in recorded.captured if key in live.objects and key in recorded.after.objects
    }
    gone |= {key for key in live.objects if _is_below(live, key, gone)}
    left = replace_objects(live, dict.fromkeys(gone))
    return generate(difference(live, left)), left


def foresee_rest(recorded: Recorded, left: Schema) -> Ddl:
    """Return what is changed and created after the restores, before they ran."""
    found, back = recorded.found, recorded.captured
    ours = {*found.created, *found.dropped, *found.changed} - back
    before = recorded.before
    wanted = {key: before.objects.get(key) for key in ours if not _is_below(before, key, back)}
    target = replace_objects(left, wanted)
    return generate(difference(left, target, frozenset({"columns"})))


def derive_rest(recorded: Recorded, live: Schema) -> Ddl:
    """Return what is changed and created after the restores; `live` is the schema with them."""
    found = recorded.found
    ours = {*found.created, *found.dropped, *found.changed, *recorded.passing}
    target = replace_objects(live, {key: recorded.before.objects.get(key) for key in ours})
    return generate(difference(live, target, frozenset({"columns"})))


def replace_objects(schema: Schema, objects: Mapping[Key, Any]) -> Schema:
    """Return the schema with other objects; None removes one."""
    known = {**schema.objects, **objects}
    found = {key: one for key, one in known.items() if one is not None}
    return replace(schema, objects={key: _with_columns(one, found) for key, one in found.items()})


def _with_columns(one: Object, objects: Mapping[Key, Any]) -> Object:
    """Return a relation with the columns that are there; those that were added come last."""
    columns = one.get("columns")
    if columns is None or one.key.kind == "column":
        return one
    name = one.key.name
    there = [column for column in columns if Key("column", (*name, column)) in objects]
    known = set(there)
    there += sorted(
        key.name[2]
        for key in objects
        if key.kind == "column" and key.name[:2] == name and key.name[2] not in known
    )
    return (
        one if there == columns else replace(one, attributes={**one.attributes, "columns": there})
    )


def _is_below(schema: Schema, key: Key, above: set[Key]) -> bool:
    """Whether an object is a part of one of these."""
    parent = schema.parent(key)
    while parent is not None:
        if parent in above:
            return True
        parent = schema.parent(parent)
    return False


# ----------------------------------------------------------------------------- as they will run


async def read_units(connection: Connection, texts: Sequence[str], first: int = 1) -> list[Unit]:
    """Return statements as they will run, each with its level; drops are captures.

    It reads the catalog as the open transaction leaves it.
    """
    migrations = [
        Migration(str(number), Script(Path(_NAME), text.encode()))
        for number, text in enumerate(texts)
    ]
    async with own_path(connection):
        world = await read_world(connection, "pg_catalog", migrations)
    plan = plan_migrations(Layout.ZANITH, migrations, live=world, together=True)
    pairs = [
        pair
        for migration, planned in zip(migrations, plan.migrations, strict=True)
        for pair in zip(read_script(migration.up).statements, planned.statements, strict=True)
    ]
    return [
        Unit(number, steered, planned, capture_of(steered))
        for number, (steered, planned) in enumerate(pairs, first)
    ]


def capture_of(steered: Steered) -> str | None:
    """Return the capture that runs instead of a drop; None for other statements.

    The archive of a column needs a key of its table, and a parked column needs none.
    """
    strategy: Strategy = "soft_drop" if drops_column(steered.statement) else "archive"
    changes = rewrite(steered.text.encode(), strategy, None, _NAME).changes
    return changes[0].now if changes else None
