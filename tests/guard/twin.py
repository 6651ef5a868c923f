"""The same drops on two databases: one has the guard on, the other is PostgreSQL alone.

Each statement must end alike (the same command tag or SQLSTATE), leave the same catalog and rows,
and every dropped value must come back; or the guard refuses it, and nothing changed.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from app.recovery.core.actor import Actor
from app.recovery.db.database import Database as Engine
from app.recovery.db.guard_triggers import TRIGGERS
from app.recovery.guard.rules import Mode, Rule, turn_on
from app.recovery.guard.truncate import keep_rows
from tests.clusters import SUPERUSER, CommandFailed
from tests.conftest import Database
from tests.guard.forms import EXTENDED, Form
from tests.oracle.judges import (
    Shape,
    Trial,
    any_order,
    literal,
    quote,
    restore_by_psql,
    see,
)
from tests.oracle.normalise import PARKED

DBA = Actor("dba")
PARKED_VALUE = re.compile(rf'"{PARKED}[^"]*": (?:null|"(?:[^"\\]|\\.)*")(?:, )?')
PLACE = "-- tablespace: ''"  # said or not, by what pg_dump wrote before
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PARKED_NAME = re.compile(rf'"?{PARKED}\S+_[0-9a-f]{{12}}(?:_\d+)?"?')


def turn_guard_on(database: Database, rule: Rule | None = None, *, public: bool = False) -> None:
    """Do what `zanith guard on` does."""
    turn_guard_on_at(database.url, rule, public=public)


def turn_guard_on_at(url: str, rule: Rule | None = None, *, public: bool = False) -> None:
    """Do so in a thread: a test's own event loop may be running here."""

    async def turn() -> None:
        engine = await Engine.open(url)
        try:
            await turn_on(engine, DBA, rule or Rule(Mode.CAPTURE), public=public)
        finally:
            await engine.close()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, turn()).result()


def guard_truncate(database: Database, *tables: str) -> None:
    """Do what `zanith guard truncate` does, for each of these tables."""
    guard_truncate_at(database.url, *tables)


def guard_truncate_at(url: str, *tables: str) -> None:
    """Do so in a thread: a test's own event loop may be running here."""

    async def keep() -> None:
        engine = await Engine.open(url)
        try:
            for table in tables:
                await keep_rows(engine, DBA, table, kept=True)
        finally:
            await engine.close()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, keep()).result()


def turn_guard_off(database: Database) -> None:
    """Drop the event triggers: a role is dropped with what it owns."""
    database.psql("".join(f"DROP EVENT TRIGGER IF EXISTS {name};" for name in TRIGGERS))


@dataclass(frozen=True)
class Case:
    """A drop of a shape, in a form."""

    name: str
    shape: Shape
    form_name: str
    form: Form
    number: int

    @property
    def kind(self) -> str:
        if "CREATE VIEW kept_v" in self.shape.sql:
            return "DEFINITION"
        if self.truncates:
            return "TRUNCATE"
        if "c_old" in self.form.undo_after:
            return "ALTER TYPE"
        return "DROP TABLE" if self.shape.column is None else "DROP COLUMN"

    @property
    def truncates(self) -> bool:
        """Whether the form deletes rows, and the table stays."""
        return any("TRUNCATE" in text for _, text in self.form.steps)

    def fill(self, text: str) -> str:
        """Return a text of the form with the names of the shape."""
        names = {
            "schema": quote(self.name),
            "name": quote(self.shape.table),
            "table": f"{quote(self.name)}.{quote(self.shape.table)}",
            "column": quote(self.shape.column or ""),
            "n": str(self.number),
        }
        return re.sub(r"\{(schema|name|table|column|n)\}", lambda found: names[found[1]], text)


@dataclass
class Session:
    """One connection, and a function that runs a form in it."""

    runner: asyncio.Runner
    connection: asyncpg.Connection

    def run(self, case: Case) -> tuple[list[str], str | None]:
        """Return the tag or SQLSTATE of each step, and the guard's message where it refused."""
        ends, said = [], None
        for protocol, text in case.form.steps:
            try:
                ends.append(self._step(protocol, case.fill(text)))
            except asyncpg.PostgresError as error:
                ends.append(str(error.sqlstate))
                if str(error).startswith("guard: "):
                    said = str(error)  # with its detail and its hint
        self.runner.run(self.connection.execute("ROLLBACK; RESET ALL; DISCARD TEMP"))
        return ends, said

    def _step(self, protocol: str, text: str) -> str:
        if protocol == EXTENDED:
            statement = self.runner.run(self.connection.prepare(text))
            self.runner.run(statement.fetch())
            return str(statement.get_statusmsg())
        return self.runner.run(self.connection.execute(text))


@contextmanager
def open_session(database: Database) -> Iterator[Session]:
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(database.url_of(SUPERUSER), timeout=60))
        connection_session = Session(runner, connection)
        try:
            yield connection_session
        finally:
            runner.run(connection.close(timeout=5))


@dataclass
class Outcome:
    """What came of all cases; `faults` by the name of a case."""

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)

    def report(self) -> str:
        """Return the counts by form, then what the guard refused, then the faults."""
        lines = []
        for (kind, form, what), number in sorted(self.counts.items()):
            lines.append(f"{kind:12} {form:24} {what:10} {number:5}")
        lines += [f"refused {number}: {said}" for said, number in self.refusals.most_common()]
        lines += [f"=== {name}: {text}" for name, text in sorted(self.faults.items())]
        return "\n".join(lines)


def without_ours(seen: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return what is seen without the guard's event triggers and the columns that are parked."""
    return {
        schema: any_order(
            "\n".join(
                PARKED_VALUE.sub("", line).replace(", }", "}")
                for line in entry.splitlines()
                if PARKED not in PARKED_VALUE.sub("", line) and line != PLACE
            )
            for entry in entries
            if "Name: zanith_guard_" not in entry
            and f"-- Name: {PARKED}" not in entry
            and "~zanith_truncate" not in entry
        )
        for schema, entries in seen.items()
    }


def twinned(seen: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return what is seen without values that each database made at random."""
    return {
        schema: [UUID.sub("uuid", entry) for entry in entries]
        for schema, entries in without_ours(seen).items()
    }


def run_cases(
    cases: list[Case],
    database: Database,
    twin: Database,
    roles: Mapping[str, str],
    directory: Path,
) -> Outcome:
    """Run every case on both databases; `database` gets the guard."""
    outcome = Outcome()
    shapes = {case.name: case.shape for case in cases}
    trial = Trial.build(database, shapes, roles)
    Trial.build(twin, shapes, roles)
    before = see(database, moved=True)
    turn_guard_on(database)
    guard_truncate(database, *(case.fill("{table}") for case in cases if case.truncates))
    refused = _run_all(cases, database, twin, trial, outcome)
    left = [case for case in cases if case.name in refused]  # with what their earlier steps made
    database.psql(_undo(left, set()) + _undo(left, set(), after=True))
    after_plain, after_guard = see(twin, moved=True), see(database, moved=True)
    for name in refused:
        after_plain[name] = before.get(name, [])
        after_plain |= _aside(before, name, shapes)
    trial.blame("not as after the drop", twinned(after_plain), twinned(after_guard))
    artifacts = _artifacts(database)
    for case in cases:
        what = "captured" if artifacts.get(case.name) else "passed"
        outcome.counts[case.kind, case.form_name, "refused" if case.name in refused else what] += 1
    database.psql(_undo(cases, refused))

    def restore_all(name: str, _shape: Shape) -> None:
        waiting = artifacts.get(name, [])
        while waiting:
            left = [artifact for artifact in waiting if not restored(artifact)]
            if left == waiting:  # rows come after those that they refer to
                restore_by_psql(database, left[0], directory)
            waiting = left

    def restored(artifact: str) -> bool:
        try:
            restore_by_psql(database, artifact, directory)
        except CommandFailed as error:
            if "violates foreign key constraint" not in str(error):
                raise
            return False
        return True

    trial.each("recovery_sql", restore_all)
    for name in artifacts.keys() - shapes.keys():  # a partition in a schema of its own
        restore_all(name, Shape(""))
    database.psql(_undo(cases, refused, after=True))
    trial.blame("not as it was", without_ours(before), without_ours(see(database, moved=True)))
    turn_guard_off(database)
    forms = {case.name: case.form_name for case in cases}
    outcome.faults = {name: f"{forms.get(name, '')}: {text}" for name, text in trial.faults.items()}
    return outcome


def _aside(
    before: Mapping[str, list[str]], name: str, shapes: Mapping[str, Shape]
) -> dict[str, list[str]]:
    """Return the schemas that a shape made beside its own: those that name it."""
    return {
        schema: entries
        for schema, entries in before.items()
        if schema not in shapes and any(f" {name}." in entry for entry in entries)
    }


def _run_all(
    cases: list[Case], database: Database, twin: Database, trial: Trial, outcome: Outcome
) -> set[str]:
    """Run the cases on both, and return those that the guard refused: nothing is to change."""
    refused = set()
    with open_session(database) as guarded, open_session(twin) as plain:
        for case in cases:
            expected, _ = plain.run(case)
            ends, said = guarded.run(case)
            if said is not None:
                refused.add(case.name)
                outcome.refusals[PARKED_NAME.sub("…", said)] += 1
            elif ends != expected:
                trial.faults[case.name] = f"{expected} became {ends}"
    return refused


def _artifacts(database: Database) -> dict[str, list[str]]:
    """Return the artifacts of each schema, in the order to restore them."""
    text = database.psql(
        "SELECT jsonb_object_agg(s.source_schema, s.ids) FROM (SELECT source_schema,"
        " jsonb_agg(id ORDER BY capture_order DESC) AS ids FROM zanith._zanith_migration_artifacts"
        " GROUP BY 1) s"
    )
    return json.loads(text) if text else {}


def _undo(cases: list[Case], refused: set[str], *, after: bool = False) -> str:
    """Return the statements that take away what forms made besides, where it is there."""
    texts = ["SET zanith.guard = off;"]
    for case in cases:
        undo = case.form.undo_after if after else case.form.undo
        if undo and (after or case.name not in refused):
            body = f"EXECUTE {literal(case.fill(undo))}"
            texts.append(
                f"DO $undo$ BEGIN {body}; EXCEPTION WHEN undefined_table OR undefined_column"
                " OR undefined_function THEN NULL; END $undo$;"
            )
    return "\n".join(texts)
