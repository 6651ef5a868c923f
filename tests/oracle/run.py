"""Batches: many cases side by side in one database, each in a schema of its own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path

import asyncpg

from app.recovery.core.actor import Actor
from app.recovery.core.errors import ZanithError
from app.recovery.db.database import Database as Engine
from app.recovery.rows.seal import seal
from tests.clusters import CommandFailed, Server
from tests.conftest import Database
from tests.definitions import DEFINITIONS, FILE, refused_definitions
from tests.oracle.features import STRATEGIES
from tests.oracle.generate import Case
from tests.oracle.judges import (
    any_order,
    by_schema,
    capture_call,
    dump_entries,
    grant_capture,
    literal,
    quote,
    read_rows,
    recovery_sql,
    show_difference,
    unfaithful,
)
from tests.oracle.manual import SPACE
from tests.oracle.outcome import outcome_of, refuses_alike
from tests.oracle.probe import look_at_parked, make_statements, play
from tests.oracle.two_owners import is_unvalidated, restore_as_offered, validate_keys
from tests.oracle.verdict import Verdict

serial = count(1)
# The plan says so as a loss: the views are computed before what was dropped with the table is back.
VIEWS_OF_CASE = """
SELECT format('REFRESH MATERIALIZED VIEW %s;', c.oid::regclass)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'm' AND c.relispopulated
  AND (n.nspname = $1 OR n.nspname ~* (' of ' || $1 || '(?![0-9])'))
ORDER BY c.oid
"""
OF_ROW = re.compile(r"case[0-9]+/|(?i:[^/]* of case[0-9]+)[^/]*/")
OTHER_SCHEMA = re.compile(r"(?i) of (case[0-9]+)")
DBA = Actor("oracle", None, "staff")
ROLE = re.compile(r"(?<!:):(owner|reader|writer|other)\b")
TRAFFIC = "DELETE FROM {t} WHERE {id} % 4 = 0; UPDATE {t} SET {b} = {b} || '!' WHERE {id} % 4 = 1"


@dataclass
class Batch:
    """Cases in one database, its copies, and what went wrong with each case."""

    server: Server
    template: str
    roles: dict[str, str]
    directory: Path
    verdict: Verdict = field(default_factory=Verdict)
    artifacts: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)  # how PostgreSQL's own DROP ended
    names: list[str] = field(default_factory=list)
    by_hand: list[str] = field(default_factory=list)  # schemas whose keys somebody validates

    # ------------------------------------------------------------------------------- databases

    @contextmanager
    def databases(self) -> Iterator[None]:
        try:
            yield
        finally:
            for name in self.names:
                self.server.psql("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def clone(self, of: str) -> Database:
        name = f"o_{Path(self.directory).name.replace('-', '_').lower()}_{next(serial)}"
        self.server.create_database(name, of)
        self.names.append(name)
        return Database(self.server, name)

    def fault(self, schema: str, does: str, text: str) -> None:
        self.verdict.faults.setdefault(schema, f"{does}: {text}")

    def check_definitions(self, database: Database) -> None:
        """Note each case whose recorded definition is not as the JSON Schema says."""
        for schema, text in refused_definitions(database.psql(DEFINITIONS)):
            self.fault(schema, f"recorded otherwise than {FILE.name} says", text)

    def going(self) -> list[tuple[str, Case]]:
        gone = self.verdict.faults | self.verdict.refused
        return [(schema, case) for schema, case in self.verdict.cases.items() if schema not in gone]

    # ----------------------------------------------------------------------------------- build

    async def build(self, database: Database, cases: list[Case]) -> None:
        """Make each case in a schema of its own; what PostgreSQL does not take is no case."""
        grant_capture(database, self.roles["owner"])
        make_tablespace(self.server)
        async with database.connect() as connection:
            for number, case in enumerate(cases):
                schema = f"case{number}"
                sql = ROLE.sub(lambda m: quote(self.roles[m[1]]), case.sql(schema))
                try:
                    async with connection.transaction():
                        await connection.execute(
                            f"CREATE SCHEMA {schema}; GRANT USAGE, CREATE ON SCHEMA {schema} TO "
                            f"{', '.join(self.roles.values())}; SET LOCAL search_path = {schema};"
                            f"SET LOCAL client_min_messages = error;{sql};"
                            "SET CONSTRAINTS ALL IMMEDIATE"
                        )
                        # a restore computes them too, under the privileges and policies of then
                        for (refresh,) in await connection.fetch(VIEWS_OF_CASE, schema):
                            await connection.execute(refresh)
                except asyncpg.PostgresError as error:
                    self.verdict.invalid[schema] = f"{error.sqlstate} {error}".partition("\n")[0]
                else:
                    self.verdict.cases[schema] = case

    # ------------------------------------------------------------------------------ gone, back

    async def drop(self, twin: Database) -> None:
        async with twin.connect() as connection:
            for schema, case in self.going():
                if not case.is_dropped:
                    continue
                cascade = " CASCADE" if case.on_dependents == "cascade" else ""
                sql = (
                    f"ALTER TABLE {_target(schema, case)} DROP COLUMN {case.column}{cascade}"
                    if case.column
                    else f"DROP TABLE {_target(schema, case)}{cascade}"
                )
                self.dropped[schema] = await outcome_of(connection, sql)

    async def capture(self, database: Database) -> None:
        """Capture each case, and hold a refusal against that of DROP."""
        async with database.connect() as connection:
            for schema, case in self.going():
                options = [
                    *(
                        ["keep_rows => true"]
                        if case.strategy == "rebuild_table"
                        else [f"on_dependents => '{case.on_dependents}'"]
                    ),
                    *(
                        ["published_ok => true"]
                        if case.published and case.strategy != "rebuild_table"
                        else []
                    ),
                ]
                call = capture_call(
                    case.strategy,
                    _target(schema, case),
                    case.raw("c") if case.column else None,
                    ", ".join(options),
                )
                await connection.execute(f"SET search_path = {schema}")
                ended = await outcome_of(connection, call)
                if len(ended) == 12:
                    self.artifacts[schema] = ended
                    if self.dropped.get(schema, "").startswith("2BP01"):
                        self.fault(schema, "captured, though DROP refuses", self.dropped[schema])
                elif ended.startswith("2BP01") and self.dropped.get(schema, "").startswith("2BP01"):
                    if not refuses_alike(ended, self.dropped[schema]):
                        self.fault(
                            schema,
                            "other dependents than DROP's",
                            f"capture {ended}\nDROP {self.dropped[schema]}",
                        )
                    else:
                        self.verdict.refused[schema] = "2BP01 as DROP does"
                elif ended.startswith(("0A000", "42501 code of another role would run")):
                    self.verdict.refused[schema] = ended
                else:
                    self.fault(schema, "capture", f"{ended}; DROP: {self.dropped.get(schema)}")

    async def probe(self, captured: Database, twin: Database, before: Database) -> None:
        """Run the same statements where it was captured and where it was dropped."""
        roles = [self.roles[name] for name in ("reader", "writer", "owner", "other")]
        async with before.connect() as plan, captured.connect() as one, twin.connect() as other:
            for schema, case in self.going():
                if not case.is_dropped:
                    continue
                column = case.raw("c") if case.column else None
                statements = await make_statements(
                    plan, schema, case.raw(case.target), column, roles
                )
                if case.strategy == "soft_drop_column" and (
                    shown := await look_at_parked(
                        one, _target(schema, case), case.quoted("id"), roles[:2] + roles[3:]
                    )
                ):
                    self.fault(schema, "still felt", shown)
                ours, theirs = await play(one, statements), await play(other, statements)
                for statement, mine, wanted in zip(statements, ours, theirs, strict=True):
                    if mine != wanted:
                        self.fault(
                            schema,
                            "not as after DROP",
                            f"{statement}\n  captured: {mine[:400]}\n  dropped:  {wanted[:400]}",
                        )
                        break

    async def engine(self, url: str, does: str) -> None:
        """Seal, or restore, with the engine."""
        db = await Engine.open(url, lock_timeout=timedelta(seconds=5), max_size=3)
        try:
            for schema, case in self.going():
                if case.strategy == "rebuild_table" and does == "restore":
                    continue
                try:
                    if does == "restore":
                        report, late = await restore_as_offered(db, self.artifacts[schema], DBA)
                        if late:
                            self.by_hand.append(schema)
                        self._check_report(schema, report.to_json())
                        for companion in report.companions:
                            found, _ = await restore_as_offered(db, companion.id, DBA)
                            self._check_report(schema, found.to_json())
                        if report.companions:
                            async with db.acquire() as connection:
                                for (sql,) in await connection.fetch(VIEWS_OF_CASE, schema):
                                    await connection.execute(sql)
                    elif case.sealed and case.strategy != "soft_drop_column":
                        await seal(db, self.artifacts[schema], DBA)
                except ZanithError as error:
                    self.fault(schema, does, f"{error.message}; {error.detail}; {error.hint}")
        finally:
            await db.close()

    def _check_report(self, schema: str, report: dict) -> None:
        fidelity = report["fidelity"]
        if any(loss["code"] == "inheritance" for loss in report["losses"]):
            fidelity["different"] = [x for x in fidelity["different"] if not _is_local(x)]
        if schema in self.by_hand:
            fidelity["different"] = [x for x in fidelity["different"] if not is_unvalidated(x)]
        if faults := unfaithful(fidelity):
            self.fault(schema, "fidelity report", "; ".join(faults))
        late = [
            x["message"]
            for x in report["losses"]
            if x["code"] == "not_validated" and schema not in self.by_hand
        ]
        if late:
            self.fault(schema, "second transaction", "; ".join(late))

    def restore_by_psql(self, database: Database) -> None:
        for schema, case in self.going():
            if case.strategy == "rebuild_table":
                continue
            for number in [self.artifacts[schema], *_companions(database, self.artifacts[schema])]:
                file = self.directory / f"{number}.sql"
                file.write_text(recovery_sql(database, number), "utf-8")
                try:
                    database.psql(file=file)
                except CommandFailed as error:
                    self.fault(schema, "recovery_sql", str(error).partition("\n")[2])
            if number != self.artifacts[schema]:
                sql = VIEWS_OF_CASE.replace("$1", literal(schema))
                database.psql(database.psql(sql))

    async def validate_by_hand(self, reference: Database, *restored: Database) -> None:
        """Validate the keys that a restore leaves NOT VALID between tables of two owners."""
        for database in restored:
            async with reference.connect() as there, database.connect() as here:
                for schema in self.by_hand:
                    await validate_keys(schema, there, here)

    # --------------------------------------------------------------------------------- compare

    def compare(
        self, does: str, before: dict, after: dict, strategies: tuple[str, ...] = STRATEGIES
    ) -> None:
        for schema, case in self.going():
            if case.strategy not in strategies:
                continue
            one, two = before.get(schema, []), after.get(schema, [])
            if case.traffic:
                one, two = (_only_table(part, case) for part in (one, two))
            if difference := show_difference(one, two):
                self.fault(schema, does, "\n" + difference)

    async def traffic(self, reference: Database, captured: Database) -> None:
        """Change rows on both alike, where the reference lets them be changed."""
        async with reference.connect() as there, captured.connect() as here:
            for schema, case in self.going():
                if not case.traffic:
                    continue
                names = {stem: case.quoted(stem) for stem in ("id", "b")}
                for connection in (there, here):
                    await connection.execute(f"SET search_path = {schema}")
                sql = f"DO $traffic$BEGIN {TRAFFIC.format(t=_target(schema, case), **names)}; END$traffic$"
                wanted = await outcome_of(there, sql)
                if wanted == "None" and (ended := await outcome_of(here, sql)) != wanted:
                    self.fault(schema, "live traffic", ended)


def _companions(database: Database, artifact: str) -> list[str]:
    """Return what its cascade made an artifact of, in the order in which it comes back."""
    return database.psql(
        "SELECT id FROM zanith._zanith_migration_artifacts"
        f" WHERE cascade_of = '{artifact}' ORDER BY capture_order DESC"
    ).split()


def make_tablespace(server: Server) -> None:
    """Give the server a tablespace, within its own directory, where it has none yet."""
    found = f"SELECT count(*) FROM pg_tablespace WHERE spcname = '{SPACE}'"
    if server.psql("postgres", found) == "0":
        with suppress(CommandFailed):  # another process made it just now: what needs it would tell
            server.psql(
                "postgres",
                f"SET allow_in_place_tablespaces = on; CREATE TABLESPACE {SPACE} LOCATION ''",
            )


def _is_local(entry: dict) -> bool:
    """Whether only that is said of a NOT NULL, that it is its table's own now: a stated loss."""
    return [entry["recorded"], entry.get("now")] == [{"local": False}, {"local": True}]


def _only_table(lines: list[str], case: Case) -> list[str]:
    """Return definitions, and the rows of the table alone: cascades elsewhere may differ."""
    mine = {f"/{case.raw(stem)}|" for stem in ("t", "p1", "p2", "p3", "p4", "p5")}
    return [
        line
        for line in lines
        if line.startswith("--") or not OF_ROW.match(line) or any(x in line for x in mine)
    ]


def _target(schema: str, case: Case) -> str:
    return f"{schema}.{case.quoted(case.target)}"


async def judge(
    server: Server, template: str, roles: dict[str, str], directory: Path, cases: list[Case]
) -> Verdict:
    """Build, drop, capture, probe, restore twice, and compare; return what came of each case."""
    batch = Batch(server, template, roles, directory)
    with batch.databases():
        original = batch.clone(template)
        await batch.build(original, cases)
        captured, twin = batch.clone(original.name), batch.clone(original.name)
        reference = batch.clone(original.name)
        await batch.drop(twin)
        await batch.capture(captured)
        batch.check_definitions(captured)
        if any(case.strategy == "rebuild_table" for _, case in batch.going()):
            batch.compare(
                "a rebuild's record changed something",
                _seen(batch, original),
                _seen(batch, captured),
                ("rebuild_table",),
            )
        await batch.engine(captured.url, "seal")
        await batch.probe(batch.clone(captured.name), twin, original)
        await batch.traffic(reference, captured)
        by_engine = batch.clone(captured.name)
        await batch.engine(by_engine.url, "restore")
        batch.restore_by_psql(captured)
        await batch.validate_by_hand(reference, captured, by_engine)
        before = _seen(batch, reference)
        batch.compare("not as it was, by psql", before, _seen(batch, captured))
        batch.compare("not as it was, by the engine", before, _seen(batch, by_engine))
    return batch.verdict


def _seen(batch: Batch, database: Database) -> dict[str, list[str]]:
    """Return what stands in each schema; a column may stand elsewhere where it was re-added."""
    entries = _by_case(dump_entries(database))
    rows = _by_case(by_schema(read_rows(database)))
    found = {}
    for schema, case in batch.verdict.cases.items():
        mine = entries.get(schema, [])
        found[schema] = [
            *(any_order(mine) if case.re_adds else mine),
            *rows.get(schema, []),
        ]
    return found


def _by_case(found: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return what was found by the schema of its case: a case may have other schemas too."""
    merged: dict[str, list[str]] = {}
    for schema, texts in found.items():
        of = OTHER_SCHEMA.search(schema)
        merged.setdefault(of[1].lower() if of else schema, []).extend(texts)
    return merged


def run_batch(
    server: Server, template: str, roles: dict[str, str], directory: Path, cases: list[Case]
) -> Verdict:
    """Judge in an event loop of its own."""
    return asyncio.run(judge(server, template, roles, directory, cases))
