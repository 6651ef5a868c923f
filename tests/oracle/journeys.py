"""Journeys: a table and its columns captured, restored, renamed and purged in any order.

Between them the table gets another owner, and the type of its column another name and other labels.

A reference copy takes the plain way: what is captured and restored stays as it is there, a purge is
DROP … CASCADE, a rename is a rename. At the end all that is still parked comes back, in whatever
order it can, and the two copies must be equal.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import asyncpg
from hypothesis import strategies as st

from app.recovery.core.errors import ZanithError
from app.recovery.db.database import Database as Engine
from app.recovery.purge.purge import purge
from app.recovery.restore.restore import restore
from tests.clusters import CommandFailed, Server
from tests.conftest import Database
from tests.oracle.features import FEATURES, PLAIN, Feature
from tests.oracle.forms import OWN
from tests.oracle.generate import Case, cases
from tests.oracle.judges import capture_call, quote, restore_by_psql, see, show_difference
from tests.oracle.outcome import outcome_of
from tests.oracle.run import DBA, Batch
from tests.oracle.verdict import Verdict

DOES = (
    *("capture", "capture", "capture", "restore", "restore", "purge", "rename", "anew"),
    *("give", "retype", "remake"),
)
OF_A_TYPE = "column: type: made here"
WHAT = ("c", "b", "a", "up", "id", "t")
# Where columns meet, so that the parked part of one is in the way of another.
MEETING = (
    "check over two",
    "unique include",
    "foreign key of two",
    "primary key of two",
    "primary key grouped",
    "primary key includes",
    "referenced",
    "self reference by key",
    "index of two",
    "index include",
    "unique expression",
    "partial index",
    "policy of column",
    "rule of column",
    "trigger when",
    "column grants",
    "column statistics object",
    "view",
    "view beside",
    "views upon views",
    "materialized view",
    "function body",
    "function of row",
    "generated",
    "generated and view",
    "generated together",
    "view options",
    "publication columns",
    "other owner",
)
STRATEGY = "SELECT artifact_type FROM zanith._zanith_migration_artifacts WHERE id = $1"
RECORDED = "SELECT source_table FROM zanith._zanith_migration_artifacts WHERE id = $1"
OPTIONS = "on_dependents => 'cascade', published_ok => true"
# A type that nothing but the column names, and how it is made again.
REMADE = {
    "mood": "CREATE TYPE {name} AS ENUM ({labels})",
    "frange": "CREATE TYPE {name} AS RANGE (subtype = float8)",
}
LABELS = """
SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) FROM pg_enum e
WHERE e.enumtypid = to_regtype($1)
"""


@dataclass(frozen=True)
class Step:
    """One thing done: to the table or a column of it, or to an artifact, counted from the end."""

    does: str
    what: str
    archive: bool  # else a rename
    back: int
    by_psql: bool

    def __str__(self) -> str:
        if self.does == "capture":
            kind = "table" if self.what == "t" else "column"
            return f"{'archive' if self.archive else 'soft_drop'}_{kind} [{self.what}]"
        if self.does == "restore":
            return f"restore {self.back} from the end, by {'psql' if self.by_psql else 'engine'}"
        if self.does in {"rename", "give"}:
            return f"{self.does} [t]"
        if self.does in {"retype", "remake"}:
            return f"{self.does} the type of [c]"
        return f"{self.does} {self.back} from the end"


@dataclass(frozen=True)
class Journey:
    """A case to start with, and what is done to it."""

    case: Case
    steps: tuple[Step, ...]

    def smaller(self) -> list[Journey]:
        """Return journeys with one step or one piece of the schema less."""
        shorter = [
            replace(self, steps=self.steps[:n] + self.steps[n + 1 :])
            for n in range(len(self.steps))
        ]
        return shorter + [replace(self, case=case) for case in self.case.smaller()]


def fits(case: Case, feature: Feature, version: int) -> bool:
    """Whether a feature can stand on the plain table of a case."""
    able = PLAIN in feature.kinds and version >= feature.since
    return able and (case.form.number or not feature.number)


@st.composite
def journeys(draw: st.DrawFn, version: int) -> Journey:
    """Draw a plain table with what a column can have, and up to nine steps."""
    wanted = draw(st.sampled_from((*MEETING, *[OF_A_TYPE] * 6)))
    drawn = draw(cases(version, "archive_column", wanted))
    more = st.lists(st.sampled_from([f for f in FEATURES if f.name in MEETING]), max_size=3)
    features = dict.fromkeys(f for f in (*drawn.features, *draw(more)) if fits(drawn, f, version))
    keyed = next((f for f in drawn.features if f.keyed), None)  # a table has one primary key
    chosen = tuple(f for f in features if f is keyed or not f.keyed)
    case = replace(drawn, kind=PLAIN, features=chosen, traffic=False, sealed=False)
    step = st.builds(
        Step,
        st.sampled_from(DOES),
        st.sampled_from(WHAT),
        st.booleans(),
        st.integers(0, 3),
        st.booleans(),
    )
    return Journey(case, tuple(draw(st.lists(step, min_size=2, max_size=9))))


@dataclass
class Traveller:
    """One journey under way: on the copy where things are captured, and on the reference."""

    schema: str
    journey: Journey
    table: str
    directory: Path
    one: asyncpg.Connection
    other: asyncpg.Connection
    engine: Engine
    database: Database
    owner: str  # a role that is no superuser, to give the table to
    parked: list[tuple[str, str]] = field(default_factory=list)  # artifact, what it was
    refused: list[str] = field(default_factory=list)
    renames: int = 0
    given: bool = False
    type: str | None = None  # the present name of the column's type, where it is one of its own
    types: list[str] = field(default_factory=list)  # the names that it had before
    gone: bool = False  # the table was purged

    @property
    def relation(self) -> str:
        return f"{self.schema}.{quote(self.table)}"

    def is_parked(self, what: str) -> bool:
        return what in {stem for _, stem in self.parked}

    async def take(self, step: Step) -> None:
        await {
            "capture": self.capture,
            "restore": self.restore,
            "purge": self.purge,
            "rename": self.rename,
            "anew": self.anew,
            "give": self.give,
            "retype": self.retype,
            "remake": self.remake,
        }[step.does](step)

    async def capture(self, step: Step) -> None:
        if self.gone or self.is_parked(step.what) or self.is_parked("t"):
            return
        kind = "table" if step.what == "t" else "column"
        column = None if step.what == "t" else self.journey.case.raw(step.what)
        strategy = f"{'archive' if step.archive else 'soft_drop'}_{kind}"
        ended = await outcome_of(self.one, capture_call(strategy, self.relation, column, OPTIONS))
        if len(ended) == 12:
            self.parked.append((ended, step.what))
        elif ended[:5] in {"0A000", "55000", "42703"}:  # judged by the other oracles; or purged
            self.refused.append(f"capture {ended}")
        else:
            raise WrongTurn(f"{strategy} [{step.what}]: {ended}")

    async def restore(self, step: Step) -> None:
        if self.parked:
            await self.bring_back(-1 - step.back % len(self.parked), by_psql=step.by_psql)

    async def bring_back(self, which: int, *, by_psql: bool) -> bool:
        """Restore the artifact; return whether it came back, else keep what was said."""
        artifact, what = self.parked[which]
        try:
            if by_psql:
                restore_by_psql(self.database, artifact, self.directory)
            else:
                await restore(self.engine, artifact, None, DBA)
        except (ZanithError, CommandFailed) as error:
            detail = f"; {error.detail}" if isinstance(error, ZanithError) else ""
            told = str(error).partition("\n")[2] if by_psql else f"{error}{detail}"
            self.refused.append(f"restore [{what}]: {told}")
            return False
        del self.parked[which]
        return True

    async def purge(self, step: Step) -> None:
        if not self.parked:
            return
        which = -1 - step.back % len(self.parked)
        artifact, what = self.parked[which]
        try:
            await purge(self.engine, artifact, DBA, confirm=None, confirmed=True)
        except ZanithError as error:
            self.refused.append(f"purge [{what}]: {error}; {error.detail}")
            return
        del self.parked[which]
        if what == "t":
            self.gone = True
            self.parked.clear()  # its columns went with it
            await self.other.execute(f"DROP TABLE {self.relation} CASCADE")
        else:
            name = self.journey.case.quoted(what)
            await self.other.execute(f"ALTER TABLE {self.relation} DROP COLUMN {name} CASCADE")

    async def rename(self, _: Step) -> None:
        if self.gone or self.is_parked("t"):
            return
        await self._call_it(self.journey.case.raw("t", f"r{self.renames}"))
        self.renames += 1

    async def _call_it(self, name: str) -> None:
        for connection in (self.one, self.other):
            await connection.execute(f"ALTER TABLE {self.relation} RENAME TO {quote(name)}")
        self.table = name

    async def anew(self, step: Step) -> None:
        """Make something under a name that must be free now, and drop it again."""
        if not self.parked:
            return
        what = self.parked[-1 - step.back % len(self.parked)][1]
        if what == "t":
            made = f"CREATE TABLE {self.relation} (x serial PRIMARY KEY)"
            undone = f"DROP TABLE {self.relation}"
        elif self.is_parked("t"):
            return
        else:
            name = self.journey.case.quoted(what)
            made = f"ALTER TABLE {self.relation} ADD {name} text NOT NULL DEFAULT 'new'"
            undone = f"ALTER TABLE {self.relation} DROP {name}"
        for sql in (made, undone):
            await self.one.execute(sql)

    async def give(self, _: Step) -> None:
        """Give the table to another owner, or back.

        Not where row security hides its rows from them. Not where its code finds names by the
        search path either: the path that a former owner recorded is not used for the next one.
        """
        names = {one.name for one in self.journey.case.features}
        stays = any(n == "force row security" or n.startswith("path in ") for n in names)
        if self.gone or self.is_parked("t") or stays:
            return
        self.given = not self.given
        owner = quote(self.owner) if self.given else "SESSION_USER"
        for connection in (self.one, self.other):
            await connection.execute(f"ALTER TABLE {self.relation} OWNER TO {owner}")

    async def retype(self, step: Step) -> None:
        """Rename the type of the column, or the first label of an enum."""
        own = self.journey.case.form.sql
        if self.type is None:
            return
        self.renames += 1
        name, change = f"{self.schema}.{quote(self.type)}", f"RENAME TO y{self.renames}"
        if step.archive and own == "mood":
            labels = await self.one.fetchval(LABELS, name)
            change = f"RENAME VALUE {labels.partition(', ')[0]} TO 'glad {self.renames}'"
        else:
            self.types.append(self.type)
            self.type = f"y{self.renames}"
        for connection in (self.one, self.other):
            await connection.execute(f"ALTER TYPE {name} {change}")

    async def remake(self, _: Step) -> None:
        """Drop the type with all that depends on it, and make it again: an archive keeps its values."""
        statement = REMADE.get(self.journey.case.form.sql)
        parked = [artifact for artifact, what in self.parked if what == "c"]
        if not (statement and parked and self.type):
            return
        kind = await self.one.fetchval(STRATEGY, parked[0])
        if kind != "archive_column":
            return
        name = f"{self.schema}.{quote(self.type)}"
        labels = await self.one.fetchval(LABELS, name)
        await self.one.execute(f"DROP TYPE {name} CASCADE")
        await self.one.execute(statement.format(name=name, labels=labels))

    async def arrive(self) -> None:
        """Bring back all that is parked: what is refused waits for what it was refused for.

        What was recorded of a table names it as it was called then: where nothing else helps, the
        table gets that name again, on the reference too.
        """
        while self.parked:
            self.refused.clear()
            if await self._bring_back_any() or await self._call_as_recorded():
                continue
            if await self._name_type_as_recorded():
                continue
            if not self.given or self.is_parked("t"):
                raise WrongTurn("stuck: " + "\n".join(self.refused))
            await self.give(self.journey.steps[0])  # what it needs belongs to the first owner

    async def _name_type_as_recorded(self) -> bool:
        """Give the type a former name again: what was recorded of a view has that in its text."""
        for name in [one for one in self.types if one != self.type]:
            for connection in (self.one, self.other):
                await connection.execute(
                    f"ALTER TYPE {self.schema}.{quote(str(self.type))} RENAME TO {quote(name)}"
                )
            self.type = name
            if await self._bring_back_any():
                return True
        return False

    async def _call_as_recorded(self) -> bool:
        if self.is_parked("t"):
            return False
        for artifact, _ in reversed(self.parked):
            name = str(await self.one.fetchval(RECORDED, artifact))
            if name != self.table:
                await self._call_it(name)
                if await self._bring_back_any():
                    return True
        return False

    async def _bring_back_any(self) -> bool:
        for which in range(-1, -1 - len(self.parked), -1):
            if await self.bring_back(which, by_psql=False):
                return True
        return False


def name_type(case: Case) -> str | None:
    """Return the name of the column's type, where it is one that the case makes."""
    name = case.form.sql.removesuffix("[]")
    return name if name in {own.removesuffix("[]") for own in OWN} else None


class WrongTurn(Exception):
    """A journey came to where it can neither go on nor is there a reason not to."""


async def judge_journeys(
    server: Server, template: str, roles: dict[str, str], directory: Path, drawn: list[Journey]
) -> tuple[Verdict, Counter[str]]:
    """Take every journey, compare with the reference; return what came of each, and the steps taken."""
    batch = Batch(server, template, roles, directory)
    taken: Counter[str] = Counter()
    with batch.databases():
        original = batch.clone(template)
        await batch.build(original, [journey.case for journey in drawn])
        captured, reference = batch.clone(original.name), batch.clone(original.name)
        engine = await Engine.open(captured.url, lock_timeout=timedelta(seconds=5), max_size=3)
        try:
            async with captured.connect() as one, reference.connect() as other:
                for schema, case in batch.verdict.cases.items():
                    journey = drawn[int(schema.removeprefix("case"))]
                    table = case.raw("t")
                    traveller = Traveller(
                        *(schema, journey, table, directory, one, other, engine, captured),
                        owner=roles["owner"],
                        type=name_type(case),
                    )
                    await _travel(traveller, batch, taken)
        finally:
            await engine.close()
        batch.check_definitions(captured)
        before, after = see(reference, moved=True), see(captured, moved=True)
        for schema, _ in batch.going():
            if difference := show_difference(before.get(schema, []), after.get(schema, [])):
                batch.fault(schema, "not as on the plain way", "\n" + difference)
    return batch.verdict, taken


async def _travel(traveller: Traveller, batch: Batch, taken: Counter[str]) -> None:
    schema = traveller.schema
    for connection in (traveller.one, traveller.other):
        await connection.execute(f"SET search_path = {schema}")
    try:
        for step in traveller.journey.steps:
            await traveller.take(step)
            taken[step.does] += 1
        await traveller.arrive()
    except WrongTurn as error:
        batch.fault(schema, str(error).partition(":")[0], str(error))
    except asyncpg.PostgresError as error:
        batch.fault(schema, "a step failed", f"{error.sqlstate} {error}; {error.detail}")


def describe_journey(journey: Journey, fault: str) -> str:
    """Return a journey as SQL that a person can paste, its steps in words, and what went wrong."""
    steps = "\n".join(f"-- {step}" for step in journey.steps)
    return f"CREATE SCHEMA s; SET search_path = s;\n{journey.case.sql('s')};\n{steps}\n-- {fault}"
