"""`python -m tests.migrate.round_trip`: generated migrations, up and down again.

Each is applied to a fresh database and reverted without a down part. Then the schema must be the
one of before, and each row must have the values of before; a migration that cannot be reversed must
say so before anything runs. A column that came back may stand last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from app.migrate.apply.down import DownRequest, migrate_down
from app.migrate.apply.up import UpRequest, migrate_up
from app.migrate.read.layouts import read_migrations
from app.migrate.review.plan import Gates
from app.migrate.schema.difference import difference
from app.migrate.schema.read import read_schema
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Refused, ZanithError
from app.recovery.core.names import quote
from app.recovery.db.database import Database
from tests import clusters
from tests.clusters import Server
from tests.conftest import install_zanith

DBA = Actor("dba", None, "cli")
BASE = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE SEQUENCE numbers START 7;
CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL, mood mood DEFAULT 'ok', born date,
    "Odd ""Name" numeric(8, 2), CHECK (id > 0));
CREATE INDEX people_name ON people (lower(name));
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, person int NOT NULL
    REFERENCES people ON DELETE CASCADE, code text UNIQUE, total numeric DEFAULT 0, tags text[]);
CREATE TABLE logs (at timestamptz PRIMARY KEY, what text) PARTITION BY RANGE (at);
CREATE TABLE logs_2025 PARTITION OF logs FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE VIEW totals AS SELECT person, sum(total) AS total FROM orders GROUP BY person;
CREATE FUNCTION twice(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a * 2';
COMMENT ON TABLE people IS 'who';
INSERT INTO people SELECT g, 'n' || g, 'happy', date '2000-01-01' + g, g * 1.5
    FROM generate_series(1, 20) AS g;
INSERT INTO orders (person, code, total, tags) SELECT 1 + g % 20, 'c' || g, g, ARRAY['a', NULL]
    FROM generate_series(1, 50) AS g;
INSERT INTO logs SELECT timestamptz '2025-03-01' + g * interval '1 h', 'w' || g
    FROM generate_series(1, 10) AS g;
"""
TYPES = ("int", "text", "numeric(6, 2)", "timestamptz", "mood", "text[]", "boolean DEFAULT true")


@dataclass
class _World:
    """The tables with their columns, as the statements so far leave them."""

    chance: random.Random
    tables: dict[str, list[str]] = field(
        default_factory=lambda: {
            "people": ["name", "mood", "born", 'Odd "Name'],
            "orders": ["code", "total", "tags"],
            "logs": ["what"],
        }
    )
    number: int = 0

    def table(self) -> str:
        return self.chance.choice(sorted(self.tables))

    def column(self, table: str) -> str | None:
        return self.chance.choice(self.tables[table]) if self.tables[table] else None

    def new(self, stem: str) -> str:
        self.number += 1
        odd = self.chance.choice(("", "", " Big", 'q"q', "é"))
        return f"{stem}_{self.number}{odd}"


def _create_table(world: _World) -> str:
    name = world.new("made")
    world.tables[name] = ["a", "b"]
    return (
        f"CREATE TABLE {quote(name)}"
        f" (id serial PRIMARY KEY, a {world.chance.choice(TYPES)}, b int);"
        f"\nINSERT INTO {quote(name)} (b) VALUES (1), (2)"
    )


def _add_column(world: _World) -> str:
    table, name = world.table(), world.new("col")
    world.tables[table].append(name)
    return f"ALTER TABLE {quote(table)} ADD COLUMN {quote(name)} {world.chance.choice(TYPES)}"


def _drop_column(world: _World) -> str | None:
    table = world.table()
    column = world.column(table)
    if column is None or (table, column) == ("orders", "total"):  # a view needs it
        return None
    world.tables[table].remove(column)
    return f"ALTER TABLE {quote(table)} DROP COLUMN {quote(column)}"


def _rename_column(world: _World) -> str | None:
    table = world.table()
    column = world.column(table)
    if column is None:
        return None
    name = world.new("was")
    world.tables[table][world.tables[table].index(column)] = name
    return f"ALTER TABLE {quote(table)} RENAME COLUMN {quote(column)} TO {quote(name)}"


def _rename_table(world: _World) -> str:
    table, name = world.table(), world.new("renamed")
    world.tables[name] = world.tables.pop(table)
    return f"ALTER TABLE {quote(table)} RENAME TO {quote(name)}"


def _drop_table(world: _World) -> str | None:
    table = world.table()
    if len(world.tables) < 3 or table == "people" or table.startswith("renamed"):
        return None
    if table == "orders":
        return None
    del world.tables[table]
    return f"DROP TABLE {quote(table)}"


def _index(world: _World) -> str | None:
    table = world.table()
    column = world.column(table)
    if column is None:
        return None
    return f"CREATE INDEX {quote(world.new('ix'))} ON {quote(table)} ({quote(column)})"


def _default(world: _World) -> str | None:
    table = world.table()
    column = world.column(table)
    if column is None:
        return None
    verb = world.chance.choice(("SET DEFAULT NULL", "DROP DEFAULT"))
    return f"ALTER TABLE {quote(table)} ALTER COLUMN {quote(column)} {verb}"


def _check(world: _World) -> str:
    table = world.table()
    return f"ALTER TABLE {quote(table)} ADD CONSTRAINT {quote(world.new('ck'))} CHECK (true)"


def _comment(world: _World) -> str:
    return f"COMMENT ON TABLE {quote(world.table())} IS 'changed {world.number}'"


def _view(world: _World) -> str:
    table = world.table()
    return f"CREATE VIEW {quote(world.new('v'))} AS SELECT count(*) AS n FROM {quote(table)}"


def _grant(world: _World) -> str:
    return f"GRANT SELECT ON {quote(world.table())} TO PUBLIC"


def _other(world: _World) -> str:
    return world.chance.choice(
        (
            f"CREATE SEQUENCE {quote(world.new('seq'))} INCREMENT 5",
            f"CREATE TYPE {quote(world.new('en'))} AS ENUM ('x', 'y')",
            f"CREATE DOMAIN {quote(world.new('dom'))} AS int CHECK (value > 0)",
            f"CREATE SCHEMA {quote(world.new('sch'))}",
            f"CREATE FUNCTION {quote(world.new('fn'))}(a int) RETURNS int"
            " LANGUAGE sql AS 'SELECT a'",
            "CREATE OR REPLACE FUNCTION twice(a int) RETURNS int LANGUAGE sql IMMUTABLE"
            " AS 'SELECT a + a'",
            "DROP INDEX IF EXISTS people_name",
            "ALTER FUNCTION twice(int) RENAME TO " + quote(world.new("tw")),
        )
    )


MAKERS: tuple[Callable[[_World], str | None], ...] = (
    _create_table, _add_column, _add_column, _drop_column, _drop_column, _rename_column,
    _rename_table, _drop_table, _index, _default, _check, _comment, _view, _grant, _other, _other,
)  # fmt: skip


def generate(seed: int) -> str:
    """Return a migration of one to five statements, the same for the same seed."""
    world = _World(random.Random(seed))
    statements: list[str] = []
    once: set[str] = set()
    for _ in range(world.chance.randint(1, 5)):
        made = world.chance.choice(MAKERS)(world)
        first = made.split("(")[0] if made else ""
        if made and first not in once:
            once.add(first)
            statements.append(made)
    return "".join(f"{one};\n" for one in statements) or "SELECT 1;\n"


async def round_trip(url: str, seed: int) -> tuple[str, str]:
    """Return how a generated migration went up and down: an outcome, and the details."""
    text = generate(seed)
    connection = await asyncpg.connect(url)
    db = await Database.open(url)
    try:
        before, rows = await read_schema(connection), await read_rows(connection)
        with tempfile.TemporaryDirectory() as place:
            (Path(place) / "1_made.sql").write_text(text)
            layout, migrations = read_migrations(Path(place))
            gates = UpRequest(gates=Gates(allow_destructive=True))
            try:
                await migrate_up(db, layout, migrations, DBA, gates)
            except ZanithError as error:
                return "not applied", f"{error.message}\n{text}"
            try:
                await migrate_down(db, layout, migrations, DBA, DownRequest())
            except Refused as error:
                return "refused", f"{error.message}; {error.detail}\n{text}"
            except ZanithError as error:
                return "failed", f"{error.message}; {error.detail}\n{text}"
        after = await read_schema(connection)
        left = difference(before, after, frozenset({"columns"}))
        if left:
            said = [*map(str, (*left.created, *left.dropped)), *map(str, left.changed.items())]
            return "differs", f"{'; '.join(said)}\n{text}"
        if await read_rows(connection) != rows:
            return "rows differ", text
    finally:
        await db.close()
        await connection.close()
    return "same", text


async def read_rows(connection: Any) -> dict[str, list[str]]:
    """Return the rows of each table as JSON, whose keys have no order."""
    tables = await connection.fetch(
        "SELECT c.oid::regclass::text FROM pg_class AS c WHERE c.relkind = 'r'"
        " AND c.relnamespace = 'public'::regnamespace ORDER BY 1"
    )
    found = {}
    for (name,) in tables:
        rows = await connection.fetch(f"SELECT to_jsonb(t)::text AS r FROM {name} AS t")
        found[name] = sorted(_without_parked(row["r"]) for row in rows)
    return found


def _without_parked(row: str) -> str:
    values = {key: one for key, one in json.loads(row).items() if not key.startswith("_zanith_")}
    return json.dumps(values, sort_keys=True)


def run(
    version: int, seeds: range, directory: Path, *, told: bool = False
) -> list[tuple[int, str, str]]:
    """Do each seed on a database of its own, on a server of its own.

    With `told`, it prints refused migrations and those that came back too.
    """
    server = Server(version, clusters.find_versions()[version], directory)
    server.create()
    try:
        template = clusters.obtain_template(directory, server, install_zanith)
        server.create_database("round_trip", template)
        server.psql("round_trip", BASE)
        found = []
        for seed in seeds:
            server.create_database("one", "round_trip")
            try:
                outcome, details = asyncio.run(round_trip(server.url("one"), seed))
            except Exception:  # noqa: BLE001 - a fault of ours, and the others are tried
                outcome, details = "broken", f"{traceback.format_exc()}\n{generate(seed)}"
            server.psql("postgres", "DROP DATABASE one WITH (FORCE)")
            found.append((seed, outcome, details))
            if told or outcome not in {"same", "refused"}:
                print(f"seed {seed}: {outcome}: {details}", file=sys.stderr, flush=True)
        return found
    finally:
        server.remove()


def main() -> int:
    """Run the command; 1 if a migration did not come back."""
    parser = argparse.ArgumentParser(prog="python -m tests.migrate.round_trip")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--version", type=int, default=18)
    parser.add_argument("--verbose", action="store_true", help="print each migration")
    options = parser.parse_args()
    directory = clusters.create_run_directory()
    reaper = clusters.start_reaper(directory)
    try:
        seeds = range(options.first, options.first + options.count)
        place = directory / str(options.version)
        found = run(options.version, seeds, place, told=options.verbose)
    finally:
        reaper.communicate(timeout=60)
    counts = Counter(outcome for _, outcome, _ in found)
    print(", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())))
    return int(any(outcome not in {"same", "refused", "not applied"} for outcome in counts))


if __name__ == "__main__":
    sys.exit(main())
