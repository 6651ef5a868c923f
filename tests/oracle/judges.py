"""The judges of the engine: what pg_dump prints, which rows are there, what psql alone can do.

A `Shape` is a table (or a column of one) as somebody's schema might hold it. Many shapes live side
by side in one database, a schema each, so that all are captured before any comes back. What breaks
is told by shape; one failing shape hides no other.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.recovery.db import grants
from tests.clusters import SUPERUSER, CommandFailed
from tests.conftest import Database

ROLES = ("owner", "reader", "writer", "other")
OURS = ("zanith", "_zanith_shadow")
HEADER = re.compile(
    r"(?m)^--\n-- Name: .*; Type: (?P<type>[A-Z ]+); Schema: (?P<schema>.*?); .*\n--\n"
)


# pg_dump says where something is stored only where that changes: before whatever comes next
SETTING = re.compile(r"(?m)^SET default_(tablespace|table_access_method) = (.*);\n+")
STORED = {  # what each kind of entry is stored by
    "TABLE": ("tablespace", "table_access_method"),
    "MATERIALIZED VIEW": ("tablespace", "table_access_method"),
    "INDEX": ("tablespace",),
    "CONSTRAINT": ("tablespace",),
}


@dataclass(frozen=True)
class Shape:
    """One thing to capture: made by `sql` in a schema of its own, roles by name as in `:reader`."""

    sql: str
    table: str = "t"
    column: str | None = "c"
    options: str = ""  # further arguments of the capture, such as "published_ok => true"
    since: int = 15
    only: tuple[str, ...] = ()  # strategies that take it; empty for all
    then: str = ""  # what more to compare: a query, its rows read before and after
    losses: tuple[str, ...] = ()  # what compare() may name as different: stated beforehand

    def takes(self, strategy: str, version: int) -> bool:
        return version >= self.since and (not self.only or strategy in self.only)


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


# ---------------------------------------------------------------------------------- what is there


def dump_entries(database: Database) -> dict[str, list[str]]:
    """Return the entries of `pg_dump --schema-only` by schema ("-": of none), ours left out."""
    text = database.pg_dump("--schema-only", *(f"--exclude-schema={name}" for name in OURS))
    heads = list(HEADER.finditer(text))
    found: dict[str, list[str]] = {}
    if not heads:
        return found
    ends = [head.start() for head in heads[1:]] + [
        text.find("-- PostgreSQL database dump complete")
    ]
    stored = dict(SETTING.findall(text[: heads[0].start()]))
    for head, end in zip(heads, ends, strict=True):
        entry = text[head.start() : end]
        own = SETTING.sub("", entry).strip("\n").removesuffix("\n--").strip("\n")
        by = STORED.get(head["type"], ())
        if "PARTITION BY" in own:  # it says by itself what its partitions are stored by
            by = ("tablespace",)
        settings = [f"-- {name}: {stored[name]}" for name in by if name in stored]
        found.setdefault(head["schema"], []).append("\n".join([own, *settings]))
        stored |= dict(SETTING.findall(entry))  # for what comes after
    return found


def any_order(entries: Iterable[str]) -> list[str]:
    """Return entries with the lines of each sorted, and the entries too.

    A re-added column stands last: its line in CREATE TABLE, its comment and its grants move. What
    the table has does not, and no line is taken away.
    """
    return sorted(
        "\n".join(sorted(filter(None, map(without_place, e.splitlines())))) for e in entries
    )


def without_place(line: str) -> str:
    """Return a line of a dump without what tells a column's place in its table."""
    if line.startswith("CREATE STATISTICS"):  # columns are listed by their place
        head, _, tail = line.partition(" ON ")
        columns, _, table = tail.partition(" FROM ")
        return f"{head} ON {sorted(columns.split(', '))} FROM {table}"
    return line.rstrip(",") if line != "--" else ""


ROWS = """
SELECT format('SELECT %L, jsonb_object(ARRAY[%s]::text[], ARRAY[%s]::text[]) '
              'FROM ONLY %I.%I ORDER BY 2;',
              n.nspname || '/' || c.relname,
              string_agg(quote_literal(a.attname), ', ' ORDER BY a.attname),
              string_agg(quote_ident(a.attname) || '::text', ', ' ORDER BY a.attname),
              n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped AND (a.attnum > 0)
WHERE (c.relkind = 'r' OR c.relkind = 'm' AND c.relispopulated)
  AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'zanith', '_zanith_shadow')
GROUP BY n.nspname, c.relname
UNION ALL
SELECT format('SELECT %L, last_value, is_called FROM %I.%I;', n.nspname || '/' || c.relname,
              n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND n.nspname NOT IN ('zanith', '_zanith_shadow')
UNION ALL
SELECT format('SELECT %L, %L;', n.nspname || '/' || c.relname, c.relispopulated)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'm'
"""


def read_rows(database: Database) -> list[str]:
    """Return every row of every table, by column name, and where each sequence stands."""
    queries = database.psql(ROWS)
    return sorted(database.psql("SET row_security = off;" + queries).splitlines())


def show_difference(before: Iterable[str], after: Iterable[str]) -> str:
    """Return the lines in which two lists of texts differ; empty where they are equal."""
    one = [line for text in before for line in text.splitlines()]
    two = [line for text in after for line in text.splitlines()]
    return "\n".join(difflib.unified_diff(one, two, "before", "after", lineterm="", n=1))


# ------------------------------------------------------------------------------- capture, restore


def capture_call(strategy: str, relation: str, column: str | None = None, options: str = "") -> str:
    """Return the statement that captures a table, or a column of it."""
    arguments = [literal(relation), *([literal(column)] if column else []), options]
    return f"SELECT zanith.{strategy}({', '.join(filter(None, arguments))})"


def capture(
    database: Database, strategy: str, relation: str, column: str | None = None, options: str = ""
) -> str:
    """Capture by plain SQL and return the artifact's id."""
    return database.psql(capture_call(strategy, relation, column, options))


@contextmanager
def open_session(database: Database, user: str = SUPERUSER) -> Iterator[Callable[[str], Any]]:
    """Lend a function that runs one statement in one session and returns its first value."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(database.url_of(user)))
        try:
            yield lambda sql: runner.run(connection.fetchval(sql))
        finally:
            runner.run(connection.close(timeout=5))


def recovery_sql(database: Database, artifact: str) -> str:
    return database.psql(
        f"SELECT recovery_sql FROM zanith._zanith_migration_artifacts WHERE id = '{artifact}'"
    )


def restore_by_psql(database: Database, artifact: str, directory: Path, **psql: str) -> None:
    """Save recovery_sql to a file, and let psql alone run it."""
    file = directory / f"{artifact}.sql"
    file.write_text(recovery_sql(database, artifact), "utf-8")
    database.psql(file=file, **psql)


def unfaithful(report: dict, losses: tuple[str, ...] = ()) -> list[str]:
    """Return what a fidelity report says did not come back, but for the losses stated before."""
    return [
        json.dumps(entry)
        for entry in report["different"] + report["missing"]
        if not (losses and entry["what"].startswith(losses))
    ]


def grant_capture(database: Database, role: str) -> None:
    """Do what `zanith init --grant ROLE` does, in a thread as `install_zanith` does."""

    async def grant() -> None:
        async with database.connect() as connection:
            await grants.grant_capture(connection, role)

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, grant()).result()


# --------------------------------------------------------------------------------- many at a time


@dataclass
class Trial:
    """Shapes in one database, and what went wrong with each."""

    database: Database
    shapes: Mapping[str, Shape]
    roles: Mapping[str, str]
    faults: dict[str, str]

    @classmethod
    def build(
        cls, database: Database, shapes: Mapping[str, Shape], roles: Mapping[str, str]
    ) -> Trial:
        """Make every shape, in a schema that bears its name."""
        trial = cls(database, shapes, roles, {})
        grant_capture(database, roles["owner"])
        trial.psql(
            "".join(
                f"CREATE SCHEMA {quote(name)};\n"
                f"GRANT USAGE, CREATE ON SCHEMA {quote(name)} TO {', '.join(roles.values())};\n"
                f"SET search_path = {quote(name)}, public;\n{shape.sql};\nRESET ROLE;\n"
                for name, shape in shapes.items()
            )
        )
        return trial

    def psql(self, sql: str) -> str:
        settings = "".join(f"\\set {name} {role}\n" for name, role in self.roles.items())
        return self.database.psql(settings + sql)

    def each(self, does: str, work: Callable[[str, Shape], None]) -> None:
        """Do something with every shape that has no fault yet; what fails is one from then on."""
        for name, shape in self.shapes.items():
            if name not in self.faults:
                try:
                    work(name, shape)
                except CommandFailed as error:
                    self.faults[name] = f"{does}: {str(error).partition(chr(10))[2]}"
                except asyncpg.PostgresError as error:
                    self.faults[name] = f"{does}: {error.sqlstate} {error} {error.detail or ''}"

    def blame(
        self, does: str, before: Mapping[str, list[str]], after: Mapping[str, list[str]]
    ) -> None:
        """Note, for each schema, how entries differ."""
        for name in before.keys() | after.keys():
            if name not in self.faults and (
                difference := show_difference(before.get(name, []), after.get(name, []))
            ):
                self.faults[name] = f"{does}:\n{difference}"

    def report(self) -> str:
        return "\n\n".join(f"=== {name}: {text}" for name, text in sorted(self.faults.items()))


def by_schema(rows: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row.partition("/")[0], []).append(row)
    return found


def see(database: Database, *, moved: bool) -> dict[str, list[str]]:
    """Return definitions and rows by schema; `moved`: a column may stand elsewhere in its table."""
    entries = dump_entries(database)
    rows = by_schema(read_rows(database))
    return {
        schema: (any_order if moved else list)(entries.get(schema, [])) + rows.get(schema, [])
        for schema in entries.keys() | rows.keys()
    }


def run_round_trips(
    database: Database,
    strategy: str,
    shapes: Mapping[str, Shape],
    roles: Mapping[str, str],
    directory: Path,
    twin: Database | None = None,
) -> None:
    """Capture all shapes, restore all by psql, and fail with what is not as it was, by shape.

    With a twin, PostgreSQL's own DROP is done there, and what is left must be the same.
    """
    chosen = {
        name: shape
        for name, shape in shapes.items()
        if shape.takes(strategy, database.server.version)
    }
    trial = Trial.build(database, chosen, roles)
    moved = strategy == "archive_column"
    before = see(database, moved=moved)
    more = {
        name: database.psql(s.then.replace("{schema}", quote(name))) for name, s in chosen.items()
    }
    artifacts: dict[str, str] = {}

    def capture_one(name: str, shape: Shape) -> None:
        relation = f"{quote(name)}.{quote(shape.table)}"
        artifacts[name] = session(capture_call(strategy, relation, shape.column, shape.options))

    def restore_one(name: str, shape: Shape) -> None:
        restore_by_psql(database, artifacts[name], directory)

    def compare_one(name: str, shape: Shape) -> None:
        report = json.loads(session(f"SELECT zanith.compare('{artifacts[name]}')"))
        if faults := unfaithful(report, shape.losses):
            trial.faults[name] = "compare(): " + "; ".join(faults)
        now = database.psql(shape.then.replace("{schema}", quote(name)))
        if now != more[name]:
            trial.faults[name] = f"{shape.then}: {more[name]!r} became {now!r}"

    with open_session(database) as session:
        trial.each("capture", capture_one)
        if twin is not None:
            compare_with_drop(trial, twin, strategy, moved=moved)
        trial.each("recovery_sql", restore_one)
        trial.blame("not as it was", before, see(database, moved=moved))
        trial.each("compare", compare_one)
    if trial.faults:
        pytest.fail(trial.report(), pytrace=False)


def compare_with_drop(trial: Trial, twin: Database, strategy: str, *, moved: bool) -> None:
    """Note where the capture left something else than PostgreSQL's own DROP does."""
    there = Trial.build(twin, trial.shapes, trial.roles)

    def drop_one(name: str, shape: Shape) -> None:
        relation = f"{quote(name)}.{quote(shape.table)}"
        if shape.column is not None:
            session(f"ALTER TABLE {relation} DROP COLUMN {quote(shape.column)} CASCADE")
        else:
            session(f"DROP TABLE {relation} CASCADE")

    with open_session(twin) as session:
        there.each("DROP", drop_one)
    trial.faults.update(there.faults)
    after_drop, after_capture = see(twin, moved=moved), see(trial.database, moved=moved)
    kept = {name for name, shape in trial.shapes.items() if "keep" in shape.options}
    own = set(trial.faults)
    for name in kept:
        after_drop[name] = after_capture[name]
    trial.blame("not as after DROP", after_drop, after_capture)
    for name in set(trial.faults) - own:  # told, and still to be restored
        trial.faults[f"{name} (twin)"] = trial.faults.pop(name)
