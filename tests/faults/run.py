"""One operation, struck once: run, judged, gone on with, judged again, and all brought back."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import os
import shutil
import sys
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg

from app.recovery.core.errors import ZanithError
from app.recovery.db import database as engine
from app.recovery.db.database import Database
from app.recovery.jobs import leases, throttle
from app.recovery.restore.restore import restore
from app.recovery.rows.seal import verify
from tests.clusters import SUPERUSER, Server
from tests.faults import judge
from tests.faults.operations import DBA, Operation
from tests.faults.proxy import Link, Proxy
from tests.faults.strike import Fault, Scene
from tests.faults.world import TABLES, Values, read_all

# The longest that an operation may take, struck or not: what takes longer hangs.
PATIENCE = 40.0
BROKEN = "internal error in Zanith"
ROOT = Path(__file__).resolve().parent.parent.parent
serial = itertools.count(1)


@dataclass(frozen=True)
class Outcome:
    """What came of one strike: `letter` is of the message that was struck, None for too late."""

    operation: str
    fault: str
    at: int
    letter: str | None = None
    raised: str | None = None  # what the engine said, None where it had not noticed
    violations: tuple[str, ...] = ()


@dataclass
class Copy:
    """What an operation starts from, and what its end is compared with."""

    template: str
    original: dict[tuple[str, str], Values]
    by_hand: dict[tuple[str, str], Values] | None
    dump: str


@dataclass
class Arena:
    """A server of one's own, and a template database for each operation."""

    server: Server
    base: str  # a database in which `zanith init` ran
    directory: Path
    copies: dict[str, Copy] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def settle(self) -> None:
        """Make commits survive the crash of the server, which the tests' own servers need not."""
        self.server.psql(
            "postgres",
            "ALTER SYSTEM SET synchronous_commit = on; ALTER SYSTEM SET max_connections = 100",
        )
        self.server.stop()
        self.server.start()

    def clone(self, template: str) -> str:
        """Return the name of a fresh copy of a database."""
        name = f"f_{os.getpid()}_{next(serial)}"
        self.server.create_database(name, template)
        return name

    def drop(self, name: str) -> None:
        """Drop a copy, and end its connections."""
        self.server.psql("postgres", f"DROP DATABASE {name} WITH (FORCE)")

    def dump(self, name: str) -> str:
        """Return the schema that applications see."""
        return self.server.pg_dump(name, "--schema-only", "--schema", "public")

    async def copy_for(self, operation: Operation) -> Copy:
        """Return what the operation starts from, made once."""
        if operation.name in self.copies:
            return self.copies[operation.name]
        twin = self.clone(self.base)
        self.server.psql(twin, TABLES)
        template = self.clone(twin)
        original = await self._read(twin)
        by_hand = None
        if operation.by_hand:
            self.server.psql(twin, operation.by_hand)
            by_hand = await self._read(twin)
        dump = self.dump(twin)
        self.drop(twin)
        async with self._engine(template) as db:
            await operation.prepare(db, self.directory)
        self.copies[operation.name] = Copy(template, original, by_hand, dump)
        return self.copies[operation.name]

    async def _read(self, name: str) -> dict[tuple[str, str], Values]:
        connection = await asyncpg.connect(self.server.url(name))
        try:
            return await read_all(connection)
        finally:
            await connection.close()

    @asynccontextmanager
    async def _engine(self, name: str) -> Any:
        db = await Database.open(self.server.url(name), application_name="zanith-judge")
        try:
            yield db
        finally:
            await db.close()

    # ---------------------------------------------------------------------------------- striking

    async def count(self, operation: Operation) -> int:
        """Return how many messages the operation sends, undisturbed; counted once."""
        if operation.name not in self.counts:
            outcome, counted = await self._strike(operation, None, 0)
            if outcome.violations:
                raise AssertionError(f"undisturbed, {operation.name}: {outcome.violations}")
            self.counts[operation.name] = counted
        return self.counts[operation.name]

    async def strike(self, operation: Operation, fault: Fault, at: int) -> Outcome:
        """Run the operation on a fresh copy with the fault at one of its messages, and judge."""
        return (await self._strike(operation, fault, at))[0]

    async def _strike(
        self, operation: Operation, fault: Fault | None, at: int
    ) -> tuple[Outcome, int]:
        copy = await self.copy_for(operation)
        name = self.clone(copy.template)
        if fault is not None and fault.name == "crash":
            # A sequence whose page was copied logs its next values only after a checkpoint: a
            # copy that crashes before would give them out again (nextval() in sequence.c).
            self.server.psql("postgres", "CHECKPOINT")
        place = self.directory / name
        place.mkdir()
        proxy = Proxy(self.server.host, self.server.port)
        await proxy.start()
        scene = Scene(self.server, proxy, name)
        if fault is not None:
            proxy.at, proxy.act = at, partial(_act, scene, fault)
        try:
            scene.meanwhile = partial(self._reap, name)
            play = play_apart if fault is not None and fault.name == "client" else play_here
            raised, told = await play(scene, operation, place)
            await proxy.settle()
            for task in scene.later:
                await task
            await proxy.close()
            missed = proxy.struck is None
            if fault is None or not missed:
                told += await self._judge(name, operation, copy, place)
                if fault is None or fault.name != "client":  # which cannot tidy up any more
                    told += [f"half-written: {one.name}" for one in place.glob(".*")]
        except TimeoutError:
            missed, raised, told = proxy.struck is None, None, ["the operation hangs"]
        finally:
            await proxy.close()
            self.drop(name)
            shutil.rmtree(place, ignore_errors=True)
        label = fault.name if fault else ""
        outcome = Outcome(operation.name, label, at, proxy.struck, raised, tuple(told))
        return outcome, proxy.counted

    async def _reap(self, name: str) -> None:
        async with self._engine(name) as db:
            await leases.reap_expired(db)

    # ----------------------------------------------------------------------------------- judging

    async def _judge(self, name: str, operation: Operation, copy: Copy, place: Path) -> list[str]:
        connection = await asyncpg.connect(self.server.url(name))
        try:
            async with self._engine(name) as db:
                told = await judge.await_quiet(connection)
                told += await judge.judge_leases(connection)
                told += await judge.judge_values(connection, copy.original, copy.by_hand)
                told += await judge.judge_parked(connection)
                told += await judge.judge_health(db, judge.UNDER_WAY)
                told += await self._go_on(connection, db, operation, place)
                told += await judge.judge_values(
                    connection, copy.by_hand or copy.original, copy.by_hand
                )
                told += await judge.judge_parked(connection)
                told += await judge.judge_health(db, set())
                told += await self._bring_back(connection, db)
                told += await judge.judge_values(
                    connection, copy.by_hand or copy.original, copy.by_hand
                )
                if self.dump(name) != copy.dump:
                    told.append("pg_dump is not the same after all was restored")
        finally:
            await connection.close()
        return told

    async def _go_on(
        self, connection: asyncpg.Connection, db: Database, operation: Operation, place: Path
    ) -> list[str]:
        """Do it again, once leases ran out, where it is not done."""
        await connection.execute(
            "UPDATE zanith._zanith_jobs SET lease_expires_at = now() - interval '1 s'"
            " WHERE lease_expires_at IS NOT NULL"
        )
        try:
            if not await operation.done(db, place):
                await (operation.go_on or operation.run)(db, place)
            if not await operation.done(db, place):
                return ["gone on with, it is not done"]
        except ZanithError as exc:
            return [f"it cannot be gone on with: {exc.message}; {exc.detail}"]
        return []

    async def _bring_back(self, connection: asyncpg.Connection, db: Database) -> list[str]:
        told: list[str] = []
        await connection.execute("UPDATE zanith._zanith_migration_artifacts SET held_by = NULL")
        for row in reversed(await connection.fetch(judge.ARTIFACTS)):
            if row["artifact_type"] == "rebuild_table" or row["status"] == "restored":
                continue
            try:
                sealed = row["artifact_type"] != "soft_drop_column"
                if sealed and not (await verify(db, row["id"], DBA)).matches:
                    told.append(f"the seal of {row['id']} is broken")
                report = await restore(db, row["id"], None, DBA)
                told += [
                    f"restored, but {loss.message}"
                    for loss in report.losses
                    if loss.code == "not_validated"
                ]
            except ZanithError as exc:
                told.append(f"it cannot be restored: {exc.message}; {exc.detail}")
        return told


# ------------------------------------------------------------------------------------ who runs it


async def _act(scene: Scene, fault: Fault, link: Link, letter: str) -> None:
    await fault.act(scene, link, letter)
    scene.proxy.struck = letter


@contextmanager
def impatient() -> Iterator[None]:
    """Let leases, and what waits for them, last two seconds, and batches be small."""
    kept = (leases.LEASE, leases.HEARTBEAT, engine.LEASE_SECONDS, throttle.FIRST_BATCH)
    leases.LEASE, leases.HEARTBEAT = timedelta(seconds=2), timedelta(seconds=0.3)
    engine.LEASE_SECONDS, throttle.FIRST_BATCH = 1, 60
    try:
        yield
    finally:
        leases.LEASE, leases.HEARTBEAT, engine.LEASE_SECONDS, throttle.FIRST_BATCH = kept


async def play_here(
    scene: Scene, operation: Operation, place: Path
) -> tuple[str | None, list[str]]:
    """Run it in a task of this process; return what it raised and what it should not have done."""
    told: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(f"unheard: {_words(context)}"))
    db = await Database.open(scene.proxy.url(scene.dbname, SUPERUSER))
    scene.proxy.counting = True
    scene.task = asyncio.ensure_future(operation.run(db, place))
    done, _ = await asyncio.wait({scene.task}, timeout=PATIENCE)
    scene.proxy.counting = False
    if not done:
        scene.proxy.cut_all()
        scene.task.cancel()
        await asyncio.wait({scene.task}, timeout=5)
        told.append("the operation hangs")
    async with asyncio.timeout(PATIENCE):
        await db.close()
    raised = raised_by(scene.task, told) if scene.task.done() else None
    scene.task = None
    gc.collect()
    await asyncio.sleep(0)
    loop.set_exception_handler(None)
    return raised, told


def _words(context: dict[str, Any]) -> str:
    return f"{context.get('message')}: {context.get('exception')!r}"


def raised_by(task: asyncio.Future[Any], told: list[str]) -> str | None:
    """Return what the operation raised, and tell where it should not have been that."""
    if task.cancelled():
        return "cancelled"
    exc = task.exception()
    if exc is None:
        return None
    if not isinstance(exc, ZanithError):
        told.append(f"a raw exception: {exc!r}")
    elif not exc.message or exc.message.startswith(BROKEN):
        told.append(f"an error that says nothing: {exc.message!r} from {exc.__cause__!r}")
    return str(exc)


async def play_apart(
    scene: Scene, operation: Operation, place: Path
) -> tuple[str | None, list[str]]:
    """Run it in a process of its own, which can be killed."""
    url = scene.proxy.url(scene.dbname, SUPERUSER)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.client", url, operation.name, str(place)),
        stdin=PIPE,
        stdout=PIPE,
        cwd=ROOT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    scene.process = process
    try:
        async with asyncio.timeout(PATIENCE):
            assert await process.stdout.readline() == b"ready\n"
            scene.proxy.counting = True
            process.stdin.write(b"go\n")
            answer = await process.stdout.readline()
            await process.wait()
    finally:
        scene.proxy.counting = False
        if process.returncode is None:
            process.kill()
            await process.wait()
        process.stdin.close()
        with suppress(BrokenPipeError, ConnectionResetError):  # of one that was killed
            await process.stdin.wait_closed()
    raised, told = json.loads(answer) if answer else (None, [])
    return raised, told


async def strike_each(
    arena: Arena,
    operation: Operation,
    fault: Fault,
    choose: Callable[[int], list[int]],
    tell: Callable[[Outcome], Awaitable[None] | None] = lambda _: None,
) -> list[Outcome]:
    """Strike the operation at each message that is chosen of all, and return what came of it."""
    number = await arena.count(operation)
    found: list[Outcome] = []
    for at in choose(number):
        outcome = await arena.strike(operation, fault, at)
        tell(outcome)
        found.append(outcome)
    return found
