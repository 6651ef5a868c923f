"""The plan of a restore: data that prints itself, decides nothing, and is what then runs."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

import asyncpg

from app.recovery.database import Actor, Connection, Database, require_rows
from app.recovery.errors import Refused, WrongUsage, raised_by_owner, translate
from app.recovery.estimate import Estimate, estimate_step, estimate_verification, total
from app.recovery.looking import look
from app.recovery.options import option, options_of, options_to_json, read_options
from app.recovery.sql import load, to_jsonb

SQL = load("plan")
EXAMPLES = 3
OWN_PATH = "pg_catalog, pg_temp"
"""What everything runs under that calls no code of an owner's."""
# What a query about rows meets that is no answer to it: the server, its resources, a lock, a
# cancel. All else is one: names that are gone, values that cannot be cast, what a function raises.
_NO_ANSWER = ("08", "25", "40", "53", "55", "57", "58", "XX")
_LEFT_TO_THE_PROOF = (asyncpg.InsufficientPrivilegeError, asyncpg.LockNotAvailableError)


@dataclass(frozen=True)
class Choices:
    """What the person restoring decided; empty is to restore exactly as it was.

    ``without`` names parts that are left out, as conflicts call them.
    """

    as_name: str | None = option(
        "Restore under this name, if another object has the old one.",
        key="as",
        label="Restore as",
        metavar="NAME",
        longest=300,
    )
    fill: str | None = option("For rows inserted since the drop: this value.", metavar="VALUE")
    fill_default: bool = option(
        "For rows inserted since the drop: the column's default.",
        default=False,
        flag="--fill default",
    )
    allow_null: bool = option(
        "Restore without NOT NULL if rows inserted since have no value.",
        default=False,
        label="Allow NULL",
    )
    not_valid: bool = option(
        "Restore constraints as NOT VALID if current rows violate them.",
        default=False,
        label="Not valid",
    )
    unverified: bool = option(
        "Restore without checking the archive against its seal. The audit log keeps that.",
        default=False,
        label="Skip the seal",
    )
    search_path: str | None = option(
        "The search_path of the owner's functions, such as app, public. Default: that of the "
        "session that dropped it.",
        label="Search path of the owner's code",
        metavar="SCHEMAS",
    )
    without: tuple[str, ...] = option(
        "Leave out a part that cannot come back, such as 'foreign key orders_customer_fkey' or "
        "'grants to reporting'; the plan says what.",
        default=(),
        label="Leave out",
        metavar="WHAT",
    )
    current_owner: bool = option(
        "Restore the table for its current owner, if it was given to another role since.",
        default=False,
        label="For its current owner",
    )
    as_text: bool = option(
        "Restore an archived column as text, where its type was dropped or changed.",
        default=False,
        label="As text",
    )
    online: bool = option(
        "Work in batches, with short locks, while reads and writes go on.",
        default=False,
        label="Online",
        group="Online",
    )
    fire_triggers: bool = option(
        "Fire triggers for the rows that the backfill updates.",
        default=False,
        label="Fire triggers",
        group="Online",
    )

    def to_json(self) -> dict[str, Any]:
        """Return the choices made, in the form that the database takes and the job keeps."""
        return options_to_json(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Choices:
        """Return the choices that :meth:`to_json` gave; WrongUsage where a key means nothing."""
        names = {item.key: item.name for item in options_of(cls)}
        if unknown := sorted(set(data) - set(names)):
            raise WrongUsage(f"there is no choice {unknown[0]!r}", hint=", ".join(sorted(names)))
        return cls(**read_options(cls, {names[key]: value for key, value in data.items()}))


@dataclass(frozen=True)
class Step:
    """One statement: its purpose in words, the strongest lock that it takes and on which tables.

    ``grows`` says that its time grows with the rows. Steps of transaction 1 are the change; those
    of 0 go before it, in the online form; those of 2 run afterwards, each in a transaction of its
    own, or ``concurrently`` in none. ``batches`` says that the engine runs it batch by batch after
    this pattern. ``role`` is who runs it: the owner, where it evaluates what the owner wrote; None
    for the operator. ``path`` is the search path that the owner's functions run under, where they
    are called; None for ours. ``proves`` is the constraint that it is a part of proving, ``makes``
    the index that it is a part of making. ``guards`` are the tables whose code it could run: they
    are locked and looked at before it runs.
    """

    sql: str
    purpose: str
    lock: str | None
    tables: tuple[str, ...]
    grows: bool = False
    transaction: int = 1
    role: str | None = None
    path: str | None = None
    proves: str | None = None
    concurrently: bool = False
    batches: bool = False
    makes: str | None = None
    guards: tuple[str, ...] = ()

    @property
    def locks(self) -> bool:
        """Whether it takes a lock and does nothing else."""
        return self.sql.startswith("LOCK TABLE ")

    @property
    def subject(self) -> str | None:
        """What a chain of steps is about: after a failure, the rest of the chain is left alone."""
        return self.proves or self.makes


@dataclass(frozen=True)
class Conflict:
    """What stops the plan, whatever the data; ``choices`` are the flags that resolve it.

    ``waits_for`` are the ids of artifacts whose restore resolves it; ``artifacts`` of those that it
    is about; ``without`` the parts that can be left out to resolve it.
    """

    code: str
    message: str
    detail: str | None
    hint: str | None
    choices: tuple[str, ...]
    waits_for: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    @property
    def to_look_at(self) -> tuple[str, ...]:
        """The ids of all artifacts that have to do with it."""
        return tuple(dict.fromkeys((*self.waits_for, *self.artifacts)))

    @property
    def ways_out(self) -> tuple[str, ...]:
        """The options of the command line that resolve it."""
        return (*self.choices, *(f"--without {shlex.quote(part)}" for part in self.without))


@dataclass(frozen=True)
class Check:
    """A question to the data, as SQL; blocks where the answer is not nought."""

    kind: str
    object: str | None
    message: str
    count_sql: str
    examples_sql: str | None
    blocks: bool
    choices: tuple[str, ...]
    hint: str | None
    role: str | None = None
    path: str | None = None
    guards: tuple[str, ...] = ()
    unknown: str | None = None
    """Why nobody can know the answer; it is not asked then."""

    @property
    def writes(self) -> bool:
        """Whether it needs a transaction that is not read-only: for a sandbox, or for locks."""
        return self.role is not None or bool(self.guards)


@dataclass(frozen=True)
class Drift:
    """What live traffic changed since: how many, and up to three examples.

    ``count`` is None where the check did not run, or got no answer; ``reason`` says why. Of a check
    that asks whether one expression can be evaluated it is 1 where it cannot.
    """

    kind: str
    object: str | None
    message: str
    count: int | None
    examples: tuple[str, ...]
    blocks: bool
    choices: tuple[str, ...]
    hint: str | None
    reason: str | None = None

    @property
    def counted(self) -> bool:
        """Whether the check ran and was answered."""
        return self.count is not None


@dataclass(frozen=True)
class Loss:
    """What cannot come back exactly."""

    code: str
    message: str


@dataclass(frozen=True)
class Choice:
    """A choice that applies here, and the flag that makes it."""

    name: str
    flag: str
    help: str


@dataclass(frozen=True)
class EventTrigger:
    """An event trigger that is on, and its function; ``short`` is that without its schema."""

    name: str
    function: str
    short: str


@dataclass(frozen=True)
class Plan:
    """Steps, and all that is to be said before they run.

    ``search_path`` is what code of the owner's runs under; None where none is called.
    ``waits_for`` are the ids of artifacts that come back first; what follows then is planned then.
    ``owners`` tells whose the tables were that the change locks first, ``left_out`` what was left
    out by choice.
    """

    artifact_id: str
    object: str
    target: dict[str, Any]
    steps: tuple[Step, ...]
    checks: tuple[Check, ...]
    conflicts: tuple[Conflict, ...]
    drift: tuple[Drift, ...]
    losses: tuple[Loss, ...]
    choices: tuple[Choice, ...]
    archive: dict[str, Any]
    sizes: dict[str, Any] = field(default_factory=dict)
    waits_for: tuple[str, ...] = ()
    search_path: str | None = None
    event_triggers: tuple[EventTrigger, ...] = ()
    owners: dict[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    @property
    def estimates(self) -> tuple[Estimate | None, ...]:
        """What each step costs; None for one that does not grow with the rows."""
        since = next((drift.count for drift in self.drift if drift.kind == "rows_added"), None)
        return tuple(estimate_step(step, self.sizes, since) for step in self.steps)

    @property
    def costs(self) -> dict[Step, Estimate | None]:
        """The estimates by step."""
        return dict(zip(self.steps, self.estimates, strict=True))

    @property
    def not_counted(self) -> tuple[Drift, ...]:
        """The checks that did not run, or got no answer: what they ask is not known."""
        return tuple(drift for drift in self.drift if not drift.counted)

    @property
    def clear(self) -> bool:
        """Whether nothing stands in the way: no conflict, and every check ran and found nothing."""
        return not self.conflicts and all(drift.count == 0 for drift in self.drift)

    @property
    def verification(self) -> float | None:
        """Seconds that comparing the archive with its seal takes; None where that is not done."""
        skipped = any(loss.code == "unverified" for loss in self.losses)
        return None if skipped or not self.steps else estimate_verification(self.archive)

    @property
    def estimate(self) -> Estimate:
        """What all of it costs, verification included."""
        return total(self.estimates, self.verification)

    @property
    def digest(self) -> str:
        """SHA-256 of the steps: what a person confirmed is what runs, or nothing does."""
        return digest_of(self.steps)

    @property
    def blocked(self) -> list[str]:
        """The reasons why it cannot run; empty where it can."""
        stops = [conflict.message for conflict in self.conflicts]
        return stops + [drift.message for drift in self.drift if drift.blocks]

    @property
    def locks(self) -> list[tuple[str, str]]:
        """Each table and the strongest lock taken on it, in the order of first use."""
        taken: dict[str, str] = {}
        for step in self.steps:
            for table in step.tables if step.lock else ():
                taken[table] = _stronger(taken.get(table), step.lock or "")
        return list(taken.items())

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON shows it."""
        data = asdict(self)
        for internal in ("checks", "sizes", "event_triggers", "owners"):
            del data[internal]
        for step, estimate in zip(data["steps"], self.estimates, strict=True):
            step["estimate"] = asdict(estimate) if estimate else None
        for item, drift in zip(data["drift"], self.drift, strict=True):
            item["counted"] = drift.counted
        return {
            **data,
            "estimate": {**asdict(self.estimate), "verify_seconds": self.verification},
            "digest": self.digest,
            "blocked": self.blocked,
        }


def digest_of(steps: tuple[Step, ...]) -> str:
    """Return the SHA-256 of steps, in hex."""
    text = json.dumps([asdict(step) for step in steps], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Planned(Protocol):
    """A plan that somebody looks at before it runs."""

    @property
    def object(self) -> str:
        """What it is about."""
        ...

    @property
    def digest(self) -> str:
        """What tells it from another plan."""
        ...


def check_digest(plan: Planned, expected: str | None) -> None:
    """Raise Refused, carrying the plan, where it is not the one that was confirmed."""
    if expected is not None and plan.digest != expected:
        raise changed_plan(plan.object, plan)


def changed_plan(name: str, plan: Planned | None = None) -> Refused:
    """Return the error for a plan that is not the one that was confirmed."""
    error = Refused(
        f"the plan for {name} is not the one that was confirmed: nothing was changed",
        detail="the catalog changed meanwhile",
        hint="look at the plan as it is now, and confirm that",
    )
    error.plan = plan
    return error


LOCKS = (
    "ACCESS SHARE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
)


def _stronger(one: str | None, other: str) -> str:
    return max((lock for lock in (one, other) if lock in LOCKS), key=LOCKS.index, default=other)


def parse_steps(data: list[dict[str, Any]]) -> tuple[Step, ...]:
    """Return the steps of the database's JSON."""
    return tuple(
        Step(
            sql=item["sql"],
            purpose=item["purpose"],
            lock=item.get("lock"),
            tables=tuple(item.get("tables") or ()),
            grows=bool(item.get("grows")),
            transaction=int(item.get("transaction", 1)),
            role=item.get("role"),
            path=item.get("path"),
            proves=item.get("proves"),
            concurrently=bool(item.get("concurrently")),
            batches=bool(item.get("batches")),
            makes=item.get("makes"),
            guards=tuple(item.get("guards") or ()),
        )
        for item in data
    )


def parse_conflicts(data: list[dict[str, Any]]) -> tuple[Conflict, ...]:
    """Return the conflicts of the database's JSON."""
    return tuple(
        Conflict(
            item["code"],
            item["message"],
            item.get("detail"),
            item.get("hint"),
            tuple(item.get("choices") or ()),
            tuple(item.get("waits_for") or ()),
            tuple(item.get("artifacts") or ()),
            tuple(item.get("without") or ()),
        )
        for item in data
    )


def parse_plan(data: dict[str, Any], drift: tuple[Drift, ...] = ()) -> Plan:
    """Return the plan of the database's JSON, with the drift found."""
    return Plan(
        artifact_id=data["artifact_id"],
        object=data["object"],
        target=data["target"],
        steps=parse_steps(data["steps"]),
        checks=tuple(parse_check(item) for item in data["checks"]),
        conflicts=parse_conflicts(data["conflicts"]),
        drift=drift,
        losses=tuple(Loss(item["code"], item["message"]) for item in data["losses"]),
        choices=tuple(
            Choice(item.key, item.flag, item.help)
            for item in options_of(Choices)
            if item.key in data["choices"]
        ),
        archive=data["archive"],
        sizes=data.get("sizes") or {},
        search_path=data.get("search_path"),
        event_triggers=tuple(
            EventTrigger(item["name"], item["function"], item["short"])
            for item in data.get("event_triggers") or ()
        ),
        owners=data.get("owners") or {},
        left_out=tuple(data.get("left_out") or ()),
    )


def parse_check(item: dict[str, Any]) -> Check:
    """Return a check of the database's JSON."""
    return Check(
        kind=item["kind"],
        object=item.get("object"),
        message=item["message"],
        count_sql=item["count_sql"],
        examples_sql=item.get("examples_sql"),
        blocks=bool(item.get("blocks")),
        choices=tuple(item.get("choices") or ()),
        hint=item.get("hint"),
        role=item.get("role"),
        path=item.get("path"),
        guards=tuple(item.get("guards") or ()),
        unknown=item.get("unknown"),
    )


def found(check: Check, count: int, examples: tuple[str, ...]) -> Drift:
    """Return what a check found."""
    return Drift(
        kind=check.kind,
        object=check.object,
        message=count_in(check.message, count),
        count=count,
        examples=examples,
        blocks=check.blocks and count > 0,
        choices=check.choices,
        hint=check.hint,
    )


def count_in(message: str, count: int | None) -> str:
    """Return a message with its count in place of {count}, and of {one|many} what goes with it.

    None is a number that nobody knows.
    """
    chosen = r"\1" if count == 1 else r"\2"
    number = "an unknown number of" if count is None else f"{count:,}"
    return re.sub(r"\{([^{}|]*)\|([^{}|]*)\}", chosen, message).replace("{count}", number)


# Checks that count nothing: they ask whether an expression can be evaluated, and fail where not.
_UNCOUNTED = {"fill_value", "expression"}


def not_counted(check: Check, reason: str) -> Drift:
    """Return what is said of a check that did not run: nobody knows its answer, and why."""
    return Drift(
        kind=check.kind,
        object=check.object,
        message=f"whether {check.object} can be used was not checked"
        if check.kind in _UNCOUNTED
        else count_in(check.message, None),
        count=None,
        examples=(),
        blocks=False,
        choices=check.choices,
        hint=check.hint,
        reason=reason,
    )


def with_seal(plan: Plan, choices: Choices) -> Plan:
    """Return the plan with a conflict where the last verification found another checksum.

    A restore verifies again and decides by that; whoever looks at a plan learns of it before.
    """
    if not plan.archive.get("changed") or choices.unverified or not plan.steps:
        return plan
    conflict = Conflict(
        "seal_broken",
        f"{plan.object} did not match its seal when it was last verified",
        None,
        f"zanith recover verify {plan.artifact_id} reads it again. Find out who changed it;"
        " --unverified restores it as it is, and is audited",
        (),
    )
    return replace(plan, conflicts=(*plan.conflicts, conflict))


def unanswered(check: Check, exc: asyncpg.PostgresError) -> Drift:
    """Return what is said of a check that the schema of today gives no answer to: it blocks.

    Where the check asks whether one expression can be evaluated, the error is the answer. Not where
    the owner may not look into another's table, or somebody has locked it: the second transaction
    proves that.
    """
    error = translate(exc)
    left = isinstance(exc, _LEFT_TO_THE_PROOF) and not raised_by_owner(exc)
    if check.kind in _UNCOUNTED:
        said = error.message if check.kind == "fill_value" else error.for_log
        message = f"{check.message}: {said}"
    else:
        message = f"{check.object or check.kind} cannot be checked: {error.for_log}"
    return Drift(
        kind=check.kind,
        object=check.object,
        message=message,
        count=1 if check.kind in _UNCOUNTED and not left else None,
        examples=(),
        blocks=check.blocks and not left,
        choices=check.choices,
        hint=check.hint or error.hint,
        reason=error.for_log,
    )


async def read_plan(
    connection: Connection,
    artifact_id: str,
    choices: Choices,
    *,
    decisive: bool = False,
    checks: bool = True,
    examples: bool = True,
) -> Plan:
    """Plan and run the checks on this connection, in its transaction where it is in one.

    ``decisive`` leaves out checks that only inform: each reads all rows, and whoever restores has
    read what they say, or does not want to. Without ``checks`` none is run; without ``examples``
    none of the values is shown. A check that is not run is in the plan as one that was not counted.
    """
    text = await connection.fetchval(SQL["plan_restore"], artifact_id, to_jsonb(choices.to_json()))
    data = json.loads(text)
    plan = parse_plan(data)
    read_only: str | None = await connection.fetchval(SQL["read_only"])

    def skipped(check: Check) -> str | None:
        if check.unknown:
            return check.unknown
        if not checks or (decisive and not check.blocks):
            return "the restore decides without it"
        return read_only if check.writes else None

    async with prepared(connection, () if read_only else data.get("prepares") or ()):
        drift = tuple(
            [
                await _run_check(connection, check, show=examples)
                if (reason := skipped(check)) is None
                else not_counted(check, reason)
                for check in plan.checks
            ]
        )
    return parse_plan(data, drift)


@asynccontextmanager
async def prepared(connection: Connection, statements: Sequence[str]) -> AsyncIterator[None]:
    """Execute statements for the length of some checks, and roll them back.

    Where the operator may not, the checks say what they lack.
    """
    if not statements:
        yield
        return
    savepoint = connection.transaction()
    await savepoint.start()
    try:
        for statement in statements:
            with suppress(asyncpg.InsufficientPrivilegeError):
                async with connection.transaction():
                    await connection.execute(statement)
        yield
    finally:
        await savepoint.rollback()


async def _run_check(connection: Connection, check: Check, *, show: bool) -> Drift:
    examples: tuple[str, ...] = ()
    try:
        async with connection.transaction():
            asked = (connection, check.role)
            await guard(connection, check.role, check.guards, nowait=True)
            count = (await query_as(*asked, check.count_sql, check.path))[0]
            if count and check.examples_sql and show:
                shown = await query_as(*asked, check.examples_sql, check.path)
                examples = tuple(map(str, shown[:EXAMPLES]))
    except asyncpg.PostgresError as exc:
        theirs = raised_by_owner(exc)
        busy = check.guards and isinstance(exc, asyncpg.LockNotAvailableError)
        if (exc.sqlstate or "").startswith(_NO_ANSWER) and not theirs and not busy:
            raise
        answer = unanswered(check, exc)
        if show:
            return answer
        # PostgreSQL quotes the value that it could not read.
        said = f"{check.object or check.kind} cannot be checked"
        reason = "PostgreSQL gave no answer; the error may quote a value"
        return replace(answer, message=said, hint=check.hint, reason=reason)
    return found(check, count, examples)


async def guard(
    connection: Connection, role: str | None, tables: tuple[str, ...], *, nowait: bool = False
) -> None:
    """Lock these tables, and raise where one of another role than ``role`` calls code."""
    if tables:
        await connection.execute(SQL["guard"], role, list(tables), nowait)


async def query_as(
    connection: Connection, role: str | None, sql: str, path: str | None = None
) -> list[Any]:
    """Return the first column of a query that runs as that role, under that search path.

    No role is the operator, no path is ours.
    """
    if role is None and path is None:
        return [row[0] for row in await connection.fetch(sql)]
    asked = (role, sql, "values", path or OWN_PATH)
    found: list[Any] = json.loads(await connection.fetchval(SQL["run_as"], *asked))
    return found


async def run_step(connection: Connection, step: Step) -> float:
    """Execute one step as whom it says, under its path, in the caller's transaction.

    Return its seconds. One that takes no transaction about it runs in none.
    """
    started = time.monotonic()
    await guard(connection, step.role, step.guards)
    if step.role is None and step.path is None:
        await connection.execute(step.sql)
    elif step.concurrently:
        # in no transaction: the path is the session's until the step is done
        before = await connection.fetchval(SQL["session_path"], step.path)
        try:
            await connection.execute(step.sql)
        finally:
            await connection.fetchval(SQL["session_path"], before)
    else:
        asked = (step.role, step.sql, "rows", step.path or OWN_PATH)
        await connection.execute(SQL["run_as"], *asked)
    return round(time.monotonic() - started, 4)


async def plan_restore(
    db: Database,
    artifact_id: str,
    choices: Choices | None = None,
    *,
    decisive: bool = False,
    actor: Actor | None = None,
    strict: bool = False,
) -> Plan:
    """Return the plan against the catalog as it is now; it reads, and changes nothing.

    ``strict`` raises WrongUsage where a part that was to be left out is none of the artifact.

    ``decisive`` as for `read_plan`; a plan that is blocked is returned whole. For an ``actor``
    who may not see rows it shows no value of any. NotPermitted where such a one gives a value to
    fill in: the plan would say how many rows have it.
    """
    if actor is not None and choices is not None and choices.fill is not None:
        require_rows(actor, "try a value")
    reading = look(db, artifact_id, bounded=not decisive, isolation="repeatable_read")
    examples = actor is None or actor.sees_rows
    async with reading as connection:
        await connection.execute(SQL["settings"])
        choices = choices or Choices()
        plan = await read_plan(
            connection, artifact_id, choices, decisive=decisive, examples=examples
        )
        if decisive and plan.blocked:
            plan = await read_plan(connection, artifact_id, choices, examples=examples)
        if strict:
            _require_parts(plan, choices)
        return plan


def _require_parts(plan: Plan, choices: Choices) -> None:
    unknown = [part for part in choices.without if part not in plan.left_out]
    if unknown:
        offered = [part for conflict in plan.conflicts for part in conflict.without]
        raise WrongUsage(
            f"{plan.object} has no part {unknown[0]!r} to leave out",
            hint=f"one of: {', '.join(dict.fromkeys(offered))}"
            if offered
            else "nothing that it needs is gone: leave --without out",
        )
