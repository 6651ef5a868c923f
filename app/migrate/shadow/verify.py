"""`zanith migrate verify`: the pending migrations on a shadow, before the live database has them.

Provision, replay, apply, compare. The live database is read, and never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.migrate.apply.prepare import Prepared, prepare
from app.migrate.read.migrations import Layout, Migration, Script
from app.migrate.review.plan import MigrationPlan, PlannedMigration
from app.migrate.schema.model import Schema
from app.migrate.shadow.engine import install_zanith, names_zanith
from app.migrate.shadow.failure import UNDEFINED, StatementFailed
from app.migrate.shadow.findings import Finding, Kind, Verdict, verdict_of
from app.migrate.shadow.model import Live, Pattern, Shadow
from app.migrate.shadow.provision import provision
from app.migrate.shadow.replay import Source, load, replay_files, replay_live
from app.migrate.shadow.run import Runner, Statement, WholeServer
from app.migrate.shadow.schemas import Change, changes, read_at
from app.text import plural

NO_ROWS = (
    "the shadow has no rows: a failure because of rows does not show here;"
    " zanith migrate plan --preflight looks for it in the live database"
)
NO_OWNERS = "owners and grants are not compared, and rights are not checked"
NO_LIVE = "no live database was named: drift was not looked for"


@dataclass(frozen=True)
class Request:
    """What to verify, where, and against what."""

    layout: Layout
    applied: Sequence[Migration]
    pending: Sequence[Migration]
    plan: MigrationPlan
    """The plan of the pending ones, as it is shown."""
    pattern: Pattern = Pattern.EMBEDDED
    url: str | None = None
    live: Live | None = None
    forbidden: Live | None = None
    """A database that must not be the shadow, even if it is not compared."""
    source: Source = Source.FILES
    declared: Script | None = None
    keep: bool = False


@dataclass(frozen=True)
class Verified:
    """A migration that ran on the shadow. `down` is True or False if it has a down part."""

    id: str
    path: Path
    statements: tuple[Statement, ...]
    down: bool | None = None
    left: tuple[Change, ...] = ()
    """What the down part did not take back."""

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "path": str(self.path),
            "statements": [one.to_json() for one in self.statements],
            "down": self.down,
            "down_left": [one.to_json() for one in self.left],
        }


@dataclass
class Verification:
    """What a verification found; None for what was not compared."""

    source: Source
    replayed: int = 0
    pending: int = 0
    pattern: Pattern = Pattern.EMBEDDED
    server: str | None = None
    live: str | None = None
    address: str | None = None
    """Where a shadow is that was kept."""
    migrations: list[Verified] = field(default_factory=list)
    drift: tuple[Change, ...] | None = None
    declared: tuple[Change, ...] | None = None
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        return verdict_of(self.findings)

    def to_json(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict.value,
            "findings": [one.to_json() for one in self.findings],
            "shadow": {"pattern": self.pattern.value, "version": self.server, "kept": self.address},
            "live": {"version": self.live} if self.live else None,
            "replay": {"source": self.source.value, "migrations": self.replayed},
            "pending": self.pending,
            "migrations": [one.to_json() for one in self.migrations],
            "drift": _listed(self.drift),
            "declared": _listed(self.declared),
            "notes": self.notes,
        }


def _listed(found: tuple[Change, ...] | None) -> list[dict[str, Any]] | None:
    return None if found is None else [one.to_json() for one in found]


async def verify(request: Request, tell: Callable[[str], None]) -> Verification:
    """Verify the pending migrations; `tell` gets one line for each stage.

    ZanithError if no shadow can be made, or if the live database cannot be read.
    """
    found = Verification(request.source, pattern=request.pattern, pending=len(request.pending))
    if not request.applied and request.source is Source.FILES:
        found.source = Source.NOTHING
    tell(f"making a shadow: {request.pattern.value}")
    shadow_of = provision(request.pattern, request.live, request.url, keep=request.keep, tell=tell)
    async with shadow_of as shadow:
        work = _Work(request, shadow, found, tell)
        work.note()
        if await work.replay():
            await work.compare_live()
            if await work.apply():
                await work.compare_declared()
    return found


@dataclass
class _Work:
    request: Request
    shadow: Shadow
    found: Verification
    tell: Callable[[str], None]
    runner: Runner = field(init=False)

    def __post_init__(self) -> None:
        self.runner = Runner(self.shadow)

    def note(self) -> None:
        """Say what the shadow is, and what it cannot show."""
        found, live = self.found, self.request.live
        found.server = self.shadow.server.version_text
        found.notes = [NO_ROWS, NO_OWNERS]
        if self.request.keep:
            found.address = self.shadow.address
        if live is None:
            found.notes.append(NO_LIVE)
            return
        found.live = live.server.version_text
        ours, theirs = self.shadow.server.version, live.server.version
        if ours < theirs:
            found.findings.append(
                Finding(
                    Kind.OLDER_SERVER,
                    f"the shadow is PostgreSQL {ours}, and the live database {theirs}:"
                    " an older version may lock and fail in other ways",
                    "use a shadow of the same version: --shadow same-server, or --shadow-url",
                )
            )
        elif ours > theirs:
            found.notes.append(
                f"the shadow is PostgreSQL {ours}, and the live database {theirs}:"
                " what the older version does not know is not found"
            )

    # ----------------------------------------------------------------------------------- stages

    async def replay(self) -> bool:
        request, live = self.request, self.request.live
        if names_zanith((*request.applied, *request.pending)):
            self.tell("installing Zanith in the shadow: migrations call its functions")
            await install_zanith(self.shadow)
        try:
            if request.source is Source.LIVE and live is not None:
                self.tell(f"loading the schema of {live.server.name}, without rows")
                await replay_live(self.shadow, live)
            else:
                self.tell(f"replaying {plural(len(request.applied), 'applied migration')}")
                await replay_files(self.runner, request.layout, request.applied)
                self.found.replayed = len(request.applied)
        except StatementFailed as failure:
            self._fail(Kind.REPLAY_FAILED, failure, None)
            return False
        return True

    async def compare_live(self) -> None:
        live = self.request.live
        if live is None:
            return
        self.tell(f"comparing the shadow with {live.server.name}")
        expected = await read_at(self.shadow.url)
        self.found.drift = changes(expected, await read_at(live.url))
        for one in self.found.drift:
            message = _WORDS_OF_LIVE[one.change].format(_named(one))
            self.found.findings.append(Finding(Kind.DRIFT, message, _DRIFT_HINT))

    async def apply(self) -> bool:
        """Apply each pending migration: up, down, and up again."""
        for migration, planned in zip(
            self.request.pending, self.request.plan.migrations, strict=True
        ):
            self.tell(f"applying {migration.id}")
            prepared = prepare(
                self.request.layout, migration, migration.up, planned, captures=False
            )
            before = await read_at(self.shadow.url) if migration.down else None
            try:
                statements = await self.runner.observe(prepared)
            except StatementFailed as failure:
                if failure.sqlstate in UNDEFINED and self.request.source is not Source.LIVE:
                    failure.hint = "; ".join(filter(None, (failure.hint, FROM_LIVE)))
                self._fail(Kind.STATEMENT_FAILED, failure, migration.id)
                return False
            self._note_under(migration, planned, statements)
            down, left = await self._down(migration, prepared, before)
            self.found.migrations.append(
                Verified(migration.id, migration.up.path, tuple(statements), down, left)
            )
            if down is False and not left:
                return False
        return True

    async def compare_declared(self) -> None:
        declared = self.request.declared
        if declared is None:
            return
        self.tell(f"comparing the result with {declared.path}")
        reached = await read_at(self.shadow.url)
        await self.shadow.reset()
        try:
            await load(self.shadow, declared)
        except StatementFailed as failure:
            self._fail(Kind.REPLAY_FAILED, failure, None)
            return
        self.found.declared = changes(await read_at(self.shadow.url), reached)
        for one in self.found.declared:
            message = _WORDS_OF_DECLARED[one.change].format(_named(one), declared.path)
            self.found.findings.append(
                Finding(Kind.DIFFERS_FROM_DECLARED, message, "change the file, or a migration")
            )

    # ------------------------------------------------------------------------------------ parts

    async def _down(
        self, migration: Migration, prepared: Prepared, before: Schema | None
    ) -> tuple[bool | None, tuple[Change, ...]]:
        """Run the down part and the migration again; return whether all was as before."""
        if migration.down is None or before is None:
            return None, ()
        down = prepare(self.request.layout, migration, migration.down, captures=False)
        try:
            await self.runner.run(down)
        except StatementFailed as failure:
            self._fail(Kind.DOWN_FAILED, failure, migration.id)
            return False, ()
        left = changes(before, await read_at(self.shadow.url), owners=True)
        for one in left:
            message = _WORDS_OF_DOWN[one.change].format(_named(one))
            self.found.findings.append(
                Finding(
                    Kind.DOWN_DIFFERS,
                    message,
                    "correct the down part",
                    migration.id,
                    migration.down.path,
                    down.units[0].line if down.units else 1,
                    1,
                )
            )
        try:  # observed, so that the objects are known as new under their new OIDs
            await self.runner.observe(prepared)
        except StatementFailed as failure:
            self._fail(Kind.DOWN_DIFFERS, failure, migration.id)
            return False, ()
        return not left, left

    def _note_under(
        self, migration: Migration, planned: PlannedMigration, statements: Sequence[Statement]
    ) -> None:
        for one in statements:
            for fault in one.under:
                self.found.findings.append(
                    Finding(
                        Kind.UNDER_PREDICTED,
                        f"PostgreSQL did more than the plan says: {fault}",
                        "judge the statement by what was observed",
                        migration.id,
                        planned.path,
                        one.line,
                        one.column,
                    )
                )

    def _fail(self, kind: Kind, failure: StatementFailed, migration: str | None) -> None:
        found = Kind.WHOLE_SERVER if isinstance(failure, WholeServer) else kind
        self.found.findings.append(Finding.of(found, failure, migration))


FROM_LIVE = "if no migration creates it, give --replay live to begin with the live schema"
_DRIFT_HINT = "write a migration for it, or change the live database back"
_WORDS_OF_LIVE = {
    "created": "{} is only in the live database",
    "dropped": "{} is not in the live database",
    "changed": "{} is different in the live database",
}
_WORDS_OF_DECLARED = {
    "created": "{} is the result of the migrations, and {} does not have it",
    "dropped": "{} is not the result of the migrations, and {} has it",
    "changed": "{} is different in {}",
}
_WORDS_OF_DOWN = {
    "created": "the down part leaves {}",
    "dropped": "the down part does not bring back {}",
    "changed": "the down part leaves {} different",
}


def _named(one: Change) -> str:
    return f"{one.object} ({', '.join(one.attributes)})" if one.attributes else one.object
