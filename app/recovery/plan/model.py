"""The plan of a restore: data that prints itself and decides nothing."""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from app.recovery.artifacts.companions import Companion
from app.recovery.core.errors import Refused, WrongUsage
from app.recovery.core.options import option, options_of, options_to_json, read_options
from app.recovery.plan.estimate import Estimate, estimate_step, estimate_verification, total


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
    fill: str | None = option(
        "Give this value to rows inserted since the capture.", metavar="VALUE"
    )
    fill_default: bool = option(
        "Give rows inserted since the capture the column's default, or an identity's next numbers.",
        default=False,
        flag="--fill default",
    )
    allow_null: bool = option(
        "Restore without NOT NULL if new rows have no value.",
        default=False,
        label="Allow NULL",
    )
    not_valid: bool = option(
        "Restore constraints as NOT VALID if current rows violate them.",
        default=False,
        label="Not valid",
    )
    unverified: bool = option(
        "Restore without checking the archive against its seal. The audit log records this.",
        default=False,
        label="Skip the seal",
    )
    search_path: str | None = option(
        "The search path of the owner's functions, such as app, public. Default: the path of the "
        "session that dropped the object.",
        label="Search path of the owner's code",
        metavar="SCHEMAS",
    )
    without: tuple[str, ...] = option(
        "Leave out a part that cannot come back, such as 'foreign key orders_customer_fkey' or "
        "'grants to reporting'; the plan names such parts.",
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
        "Restore an archived column as text, if its type was dropped or changed.",
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
    waits_for: tuple[str, ...] = ()
    """The ids of artifacts whose restore changes the answer."""

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
    waits_for: tuple[str, ...] = ()

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
    out by choice. ``companions`` came with it and are parked still: they come back after it.
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
    companions: tuple[Companion, ...] = ()

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
        hint="look at the new plan, and confirm it",
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
