"""Both oracles on every table and column of a database that is there, on copies of it.

Each object is captured on one copy and dropped on another, in transactions that are rolled back, with
the same statements between. Then each is captured and restored for good, by psql and by the engine in
turn, and the copy must be what it was.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from app.recovery.core.actor import Actor
from app.recovery.core.errors import ZanithError
from app.recovery.db.database import Database as Engine
from app.recovery.restore.restore import restore
from tests import clusters
from tests.clusters import CommandFailed, Server
from tests.conftest import Database, install_zanith
from tests.definitions import DEFINITIONS, refused_definitions
from tests.oracle.judges import (
    capture_call,
    quote,
    restore_by_psql,
    see,
    show_difference,
    unfaithful,
)
from tests.oracle.outcome import outcome_of, refuses_alike
from tests.oracle.probe import make_statements, play

DBA = Actor("oracle", None, "staff")
USERS = ("oracle_reader", "oracle_writer", "oracle_owner", "oracle_other")
STRATEGIES = ("soft_drop_table", "archive_table", "soft_drop_column", "archive_column")
OWN_REFUSALS = ("0A000", "55000")  # not supported; no key to store archived values by
CHUNK = 60  # objects judged on one set of copies
OPTIONS = "on_dependents => 'cascade', published_ok => true"
OBJECTS = """
SELECT n.nspname::text AS schema, c.relname::text AS name, a.attname::text AS column
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND $1
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_'
  AND n.nspname NOT IN ('information_schema', 'zanith', '_zanith_shadow')
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
  AND (a.attnum IS NOT NULL OR NOT $1)
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C", a.attnum
"""
POPULATED = """
SELECT format('REFRESH MATERIALIZED VIEW %s;', oid::regclass) FROM pg_class
WHERE relkind = 'm' AND relispopulated ORDER BY oid
"""
NEAR = """
SELECT DISTINCT c.relname::text FROM pg_class c
WHERE c.oid = $1::text::regclass
   OR c.oid IN (SELECT conrelid FROM pg_constraint WHERE confrelid = $1::text::regclass)
   OR c.oid IN (SELECT confrelid FROM pg_constraint WHERE conrelid = $1::text::regclass)
   OR c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = $1::text::regclass)
   OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = $1::text::regclass)
   OR c.oid IN (SELECT r.ev_class FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
                WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid = $1::text::regclass)
"""


@dataclass
class Findings:
    """What came of a database, by strategy."""

    judged: Counter[str] = field(default_factory=Counter)
    alike: Counter[str] = field(default_factory=Counter)  # refused for dependents, as DROP does
    refused: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def add(self, other: Findings) -> None:
        self.judged.update(other.judged)
        self.alike.update(other.alike)
        self.refused.update(other.refused)
        self.faults += other.faults


@dataclass(frozen=True)
class Target:
    """A table, or a column of one."""

    schema: str
    name: str
    column: str | None

    @property
    def relation(self) -> str:
        return f"{quote(self.schema)}.{quote(self.name)}"

    def drop(self, cascade: str) -> str:
        if self.column is None:
            return f"DROP TABLE {self.relation}{cascade}"
        return f"ALTER TABLE {self.relation} DROP COLUMN {quote(self.column)}{cascade}"

    @property
    def bare(self) -> str:
        """The name as PostgreSQL writes it where nothing in it asks for quotes."""
        return ".".join(filter(None, (self.schema, self.name, self.column)))

    def __str__(self) -> str:
        return self.relation + (f".{quote(self.column)}" if self.column else "")


@dataclass(frozen=True)
class Sample:
    """So many tables or columns with each strategy, in place of all: of each table one before a second."""

    size: int
    seed: int

    def choose(self, targets: list[Target], turn: int) -> list[Target]:
        """Return a sample; the next turn begins with the tables that this one did not come to."""
        order = random.Random(self.seed)
        by_table: dict[str, list[Target]] = {}
        for target in targets:
            by_table.setdefault(target.relation, []).append(target)
        tables = list(by_table)
        order.shuffle(tables)  # first: alike for tables and columns
        for of_table in by_table.values():
            order.shuffle(of_table)
        longest = max(map(len, by_table.values()), default=0)
        ranked = [by_table[t][n] for n in range(longest) for t in tables if n < len(by_table[t])]
        begin = turn * self.size % max(len(ranked), 1)
        return (ranked[begin:] + ranked[:begin])[: self.size]


def judge_database(
    server: Server,
    source: str,
    directory: Path,
    name: str,
    pool: Executor,
    sample: Sample | None = None,
) -> Findings:
    """Judge every object of a database of this server, or a sample; `source` is only copied."""
    for role in USERS:
        server.psql(
            "postgres",
            f"DO $$BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN NULL; END$$",
        )
    original = _copy(server, source, f"{name}_original")
    try:
        _refresh(original)
        install_zanith(original.url)
        tasks = [
            pool.submit(
                _judge_chunk,
                (server.version, server.port, str(server.directory)),
                original.name,
                str(directory),
                strategy,
                chunk,
            )
            for strategy, chunk in asyncio.run(_list_chunks(original, sample))
        ]
        findings = Findings()
        for number, task in enumerate(tasks, 1):
            found = task.result()
            findings.add(found)
            _tell(name, number, len(tasks), findings, found.faults)
        return findings
    finally:
        server.psql("postgres", f"DROP DATABASE {original.name} WITH (FORCE)")


def _tell(name: str, number: int, of: int, findings: Findings, faults: list[str]) -> None:
    """Say how far it is: a large database takes an hour and more."""
    judged = sum(findings.judged.values())
    print(
        f"{name}: {number} of {of} groups, {judged} captured and restored, "
        f"{len(findings.faults)} differences",
        file=sys.stderr,
        flush=True,
    )
    for text in faults:
        print(text, "\n", flush=True)


async def _list_chunks(original: Database, sample: Sample | None) -> list[tuple[str, list[Target]]]:
    """Return every object, or those of a sample, with each strategy that can take it, some at a time."""
    chunks = []
    async with original.connect() as connection:
        for turn, strategy in enumerate(STRATEGIES):
            rows = await connection.fetch(OBJECTS, strategy.endswith("column"))
            targets = [Target(row["schema"], row["name"], row["column"]) for row in rows]
            if sample is not None:
                targets = sample.choose(targets, turn)
            chunks += [(strategy, targets[n : n + CHUNK]) for n in range(0, len(targets), CHUNK)]
    return chunks


def _refresh(database: Database) -> None:
    """Compute the materialized views that have rows: a restore computes them too."""
    database.psql(database.psql(POPULATED))


def _copy(server: Server, source: str, name: str) -> Database:
    server.create_database(name, source)
    return Database(server, name)


def _judge_chunk(
    at: tuple[int, int, str], source: str, directory: str, strategy: str, targets: list[Target]
) -> Findings:
    """Judge some objects with a strategy, in a process of its own and on copies of its own."""
    version, port, cluster = at
    server = Server(version, clusters.find_versions()[version], Path(cluster), port)
    found = Findings()
    # sequences that the statements moved stay moved: what comes back is judged on a copy of its own
    made = [_copy(server, source, f"{source}_{os.getpid()}_{which}") for which in range(3)]
    one, other, back = made
    try:
        asyncio.run(_judge(one, other, back, strategy, targets, Path(directory), found))
    finally:
        for copy in made:
            server.psql("postgres", f"DROP DATABASE {copy.name} WITH (FORCE)")
    return found


async def _judge(
    one: Database,
    other: Database,
    back: Database,
    strategy: str,
    targets: list[Target],
    directory: Path,
    found: Findings,
) -> None:
    for target in targets:
        if fault := await _gone(one, other, strategy, target, found):
            found.faults.append(f"{strategy} {target}: {fault}")
    await _back(back, strategy, targets, directory, found)


async def _gone(
    one: Database, other: Database, strategy: str, target: Target, found: Findings
) -> str | None:
    """Return how a capture differs from DROP, in what it refuses and in what comes after."""
    options = OPTIONS.replace("cascade", "refuse")
    async with one.connect() as ours, other.connect() as theirs:
        plain = await outcome_of(theirs, target.drop(""), undo=True)
        mine = await outcome_of(ours, _call(strategy, target, options), undo=True)
        refused = [ended for ended in (plain, mine) if ended.startswith("2BP01")]
        if refused and not mine.startswith(OWN_REFUSALS) and not refuses_alike(mine, plain):
            return f"refuses otherwise\n  capture: {mine}\n  DROP: {plain}"
        found.alike[strategy] += refuses_alike(mine, plain) and mine.startswith("2BP01")
        near = {row[0] for row in await theirs.fetch(NEAR, target.relation)}
        statements = await make_statements(
            theirs, target.schema, target.name, target.column, list(USERS), near
        )
        dropped, captured = theirs.transaction(), ours.transaction()
        await dropped.start()
        await captured.start()
        try:
            if len(await outcome_of(ours, _call(strategy, target, OPTIONS))) != 12:
                return None  # refused: told by the round trip
            await theirs.execute(target.drop(" CASCADE"))
            first = await play(ours, statements)
            second = await play(theirs, statements)
        finally:
            await dropped.rollback()
            await captured.rollback()
    for statement, was, wanted in zip(statements, first, second, strict=True):
        if was != wanted:
            return f"{statement}\n  captured: {was[:300]}\n  dropped: {wanted[:300]}"
    return None


def _call(strategy: str, target: Target, options: str) -> str:
    return capture_call(strategy, target.relation, target.column, options)


async def _back(
    copy: Database,
    strategy: str,
    targets: list[Target],
    directory: Path,
    found: Findings,
) -> None:
    """Capture and restore each in turn; then capture all before any comes back, newest first."""
    moved = strategy == "archive_column"
    before = see(copy, moved=moved)
    engine = await Engine.open(copy.url, lock_timeout=timedelta(seconds=5), max_size=3)
    try:
        for number, target in enumerate(targets):
            if artifact := await _capture(copy, strategy, target, found):
                ended = await _restore(copy, engine, artifact, number, directory)
                found.faults += [f"{strategy} {target}: {text}" for text in ended]
                found.judged[strategy] += 1
        _compare(found, f"{strategy}, one after another", before, see(copy, moved=moved))
        parked = [
            (target, artifact)
            for target in targets
            if (artifact := await _capture(copy, strategy, target, Findings()))
        ]
        for number, (target, artifact) in enumerate(reversed(parked)):
            ended = await _restore(copy, engine, artifact, number, directory)
            found.faults += [f"{strategy} {target}, of all at once: {text}" for text in ended]
        _compare(found, f"{strategy}, all at once", before, see(copy, moved=moved))
        found.faults += [
            f"{strategy}, a definition of a table in {schema}: {text}"
            for schema, text in refused_definitions(copy.psql(DEFINITIONS))
        ]
    finally:
        await engine.close()


async def _capture(copy: Database, strategy: str, target: Target, found: Findings) -> str | None:
    async with copy.connect() as connection:
        ended = await outcome_of(connection, _call(strategy, target, OPTIONS))
    if len(ended) == 12:
        return ended
    said = ended.partition("\n")[0].replace(str(target), "…").replace(target.bare, "…")
    found.refused[f"{strategy}: {said}"] += 1
    return None


async def _restore(
    copy: Database, engine: Engine, artifact: str, number: int, directory: Path
) -> list[str]:
    """Restore by psql and by the engine in turn; return what went wrong."""
    try:
        if number % 2:
            restore_by_psql(copy, artifact, directory)
            return []
        report = await restore(engine, artifact, None, DBA)
    except (CommandFailed, ZanithError) as error:
        detail = f"; {error.detail}" if isinstance(error, ZanithError) else ""
        return [f"restore: {error}{detail}"]
    faults = unfaithful(report.to_json()["fidelity"])
    return [f"fidelity {'; '.join(faults)}"] if faults else []


def _compare(found: Findings, what: str, before: dict, after: dict) -> None:
    for schema in before.keys() | after.keys():
        if difference := show_difference(before.get(schema, []), after.get(schema, [])):
            found.faults.append(f"{what}: schema {schema} is not as it was\n{difference}")


# ------------------------------------------------------------------------------ somebody's database


def judge_url(
    url: str, report: Callable[[Findings], bool], pool: Executor, sample: Sample | None = None
) -> bool:
    """Copy a database from anywhere to a server of one's own, and judge it there."""
    version = asyncio.run(_version_of(url))
    able = sorted(v for v in clusters.find_versions() if v >= version)
    if not able:
        raise SystemExit(f"the database is of PostgreSQL {version}: no server that new is here")
    directory = clusters.create_run_directory(in_memory=True)
    reaper = clusters.start_reaper(directory)
    try:
        server = clusters.obtain_server(directory, able[0])
        _load(server, url, directory)
        return report(judge_database(server, "source", directory, "any", pool, sample))
    finally:
        reaper.communicate(timeout=60)


async def _version_of(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(connection.get_server_version().major)
    finally:
        await connection.close()


def _load(server: Server, url: str, directory: Path) -> None:
    """Dump, with the roles by name, and load; the password goes by the environment."""
    parts = urlsplit(url)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", "@")))
    environment = {**os.environ, **({"PGPASSWORD": parts.password} if parts.password else {})}
    for role in asyncio.run(_roles_of(url)):
        server.psql("postgres", f"CREATE ROLE {quote(role)}")
    server.create_database("source")
    file = directory / "source.sql"
    subprocess.run(
        [
            server.bin_dir / "pg_dump",
            "--dbname",
            bare,
            "--file",
            file,
            "--exclude-schema=zanith",
            "--exclude-schema=_zanith_shadow",
        ],
        check=True,
        env=environment,
    )
    server.psql("source", file=file)


async def _roles_of(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' AND rolname <> 'postgres'"
        )
        return [row[0] for row in rows]
    finally:
        await connection.close()
