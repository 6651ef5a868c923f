"""Turn the guard on and off, and say what it does: event triggers, rules, and who may capture."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from typing import Any

from app.recovery.core.actor import Actor
from app.recovery.core.durations import format_duration
from app.recovery.core.errors import NotFound, NotPermitted, Refused, WrongUsage
from app.recovery.core.names import quote
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.guard_triggers import (
    TRIGGERS,
    create_triggers,
    drop_triggers,
    drop_truncate_triggers,
)
from app.recovery.db.transactions import lock_timeout_text
from app.recovery.jobs import audit
from app.recovery.jobs.operation import attempt
from app.recovery.queries import load

SQL = load("guard")
ACTION = "guard"


class Mode(StrEnum):
    """What the guard does with a plain DROP of a table or column."""

    CAPTURE = "capture"
    REFUSE = "refuse"
    WARN = "warn"
    OFF = "off"


@dataclass(frozen=True)
class Rule:
    """What to do with drops in a schema, by a role; None is every schema, or every role."""

    mode: Mode
    schema: str | None = None
    role: str | None = None
    may_turn_off: bool | None = None
    expires_in: timedelta | None = None

    @property
    def scope(self) -> str:
        """Say for which drops it is."""
        parts = [f"schema {quote(self.schema)}"] if self.schema is not None else []
        parts += [f"role {quote(self.role)}"] if self.role is not None else []
        return ", ".join(parts) or "the whole database"

    def to_json(self) -> dict[str, Any]:
        """Return the rule as JSON shows it."""
        expiry = None if self.expires_in is None else format_duration(self.expires_in)
        return {**asdict(self), "expires_in": expiry}


@dataclass(frozen=True)
class RuleInForce(Rule):
    """A rule of the database, with when it was set, and by which role."""

    set_at: datetime | None = None
    set_by_role: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the rule as JSON shows it; times in ISO 8601."""
        return {**super().to_json(), "set_at": self.set_at.isoformat() if self.set_at else None}


@dataclass(frozen=True)
class Truncated:
    """A table whose TRUNCATE the guard sees, and its partitions and children where it does not."""

    table: str
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pinned:
    """A table whose plain DROP fails.

    ``columns``: that of its columns fails too, but for those of ``lacking``, which were added
    since. ``without`` are its partitions and children without a pin.
    """

    table: str
    columns: bool
    lacking: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Guard:
    """Whether the guard acts, and how.

    ``state`` is on, off, or damaged where an event trigger is missing or not ENABLE ALWAYS;
    ``available`` is false where Zanith belongs to a role that is no superuser.
    """

    state: str
    available: bool
    triggers: dict[str, str]
    rules: tuple[RuleInForce, ...]
    may_not_capture: dict[str, int]
    captured: int
    deleted: int
    database_kept: bool
    truncated: tuple[Truncated, ...]
    pins: tuple[Pinned, ...]
    looked_at: datetime

    @property
    def expected(self) -> dict[str, str | None]:
        """Return how each event trigger of the guard is enabled; None where it is missing."""
        return {**dict.fromkeys(TRIGGERS), **self.triggers}

    @property
    def protection(self) -> tuple[str, ...]:
        """Return what keeps data from a plain statement; empty where nothing does."""
        kinds = {
            "event triggers": self.state == "on",
            "pins": bool(self.pins),
            "TRUNCATE triggers": self.state == "on" and bool(self.truncated),
        }
        return tuple(name for name, acts in kinds.items() if acts)

    def to_json(self) -> dict[str, Any]:
        """Return the guard as JSON shows it."""
        return {
            "state": self.state,
            "protection": self.protection,
            "available": self.available,
            "triggers": self.triggers,
            "rules": [rule.to_json() for rule in self.rules],
            "may_not_capture": self.may_not_capture,
            "captured": self.captured,
            "deleted": self.deleted,
            "database_kept": self.database_kept,
            "truncate": [asdict(one) for one in self.truncated],
            "pins": [asdict(one) for one in self.pins],
            "looked_at": self.looked_at.isoformat(),
        }


async def read_guard(db: Database) -> Guard:
    """Return whether the guard acts, its rules, and the roles whose drops it can only refuse."""
    async with db.side() as connection:
        triggers = {row["name"]: row["enabled"] for row in await connection.fetch(SQL["triggers"])}
        (fitness,) = await connection.fetch(SQL["fitness"])
        rules = await connection.fetch(SQL["rules"])
        lacking = await connection.fetch(SQL["lacking"])
        (counts,) = await connection.fetch(SQL["counts"])
        (database,) = await connection.fetch(SQL["database"])
        truncated = await connection.fetch(SQL["truncated"])
        pins = await connection.fetch(SQL["pins"])
        now = await connection.fetchval("SELECT clock_timestamp()")
    return Guard(
        _state(triggers),
        fitness["trusted"],
        triggers,
        tuple(
            RuleInForce(
                Mode(row["mode"]),
                row["schema_name"],
                row["role_name"],
                row["may_turn_off"],
                row["expires_in"],
                row["set_at"],
                row["set_by"],
            )
            for row in rules
        ),
        {row["name"]: row["tables"] for row in lacking},
        counts["captured"],
        counts["deleted"],
        database["kept"],
        tuple(Truncated(row["name"], tuple(row["without"])) for row in truncated),
        tuple(
            Pinned(row["name"], row["columns"], tuple(row["lacking"]), tuple(row["without"]))
            for row in pins
        ),
        now,
    )


def _state(triggers: dict[str, str]) -> str:
    if not triggers or set(triggers.values()) == {"D"}:
        return "off"
    complete = triggers == dict.fromkeys(TRIGGERS, "A")
    return "on" if complete else "damaged"


async def turn_on(db: Database, actor: Actor, rule: Rule, *, public: bool = False) -> Guard:
    """Create the event triggers, and set the rule; with ``public`` every role may capture.

    Refused where Zanith belongs to a role that is no superuser: everybody's DDL would run functions
    that this role can replace.
    """
    async with _changing(db, actor, rule) as connection:
        await _check(connection)
        await create_triggers(connection)
        await connection.execute(SQL["open_schema"])
        if public:
            await connection.execute(SQL["open_captures"])
        await set_rule_of(connection, rule)
        await _record(connection, actor, rule, "on", public=public)
    return await read_guard(db)


async def turn_off(
    db: Database, actor: Actor, schema: str | None = None, role: str | None = None
) -> Guard:
    """Drop the triggers; with a schema or a role, let drops there, or by it, pass instead."""
    rule = Rule(Mode.OFF, schema, role)
    async with _changing(db, actor, rule) as connection:
        if schema is None and role is None:
            await drop_triggers(connection)
            await connection.execute(SQL["lock_timeout"], lock_timeout_text(db.lock_timeout))
            await drop_truncate_triggers(connection)
        else:
            await set_rule_of(connection, rule)
        await _record(connection, actor, rule, "off")
    return await read_guard(db)


async def remove_rule(db: Database, actor: Actor, schema: str | None, role: str | None) -> Guard:
    """Remove the rule of a schema, of a role, or of both: a more general one applies again.

    The schema and the role need not exist any more. WrongUsage for neither, NotFound where there is
    no such rule.
    """
    rule = Rule(Mode.OFF, schema, role)
    if schema is None and role is None:
        raise WrongUsage(
            "the rule of the whole database cannot be removed",
            hint="name a schema or a role, or change the rule: zanith guard on --mode MODE",
        )
    async with _changing(db, actor, rule) as connection:
        if not await connection.fetchval(SQL["remove_rule"], schema, role):
            raise NotFound(
                f"there is no rule for {rule.scope}", hint="see the rules: zanith guard status"
            )
        detail = {"turned": "reset", "schema": schema, "role": role}
        await audit.record(connection, actor, ACTION, "done", object=rule.scope, detail=detail)
    return await read_guard(db)


async def keep_database(db: Database, actor: Actor, *, kept: bool) -> Guard:
    """Let DROP DATABASE of this database fail, or let it pass again.

    No event trigger fires for it. PostgreSQL refuses to drop a template.
    """
    rule = Rule(Mode.REFUSE if kept else Mode.OFF)
    async with _changing(db, actor, rule) as connection:
        (found,) = await connection.fetch(SQL["database"])
        await connection.execute(
            f"ALTER DATABASE {quote(found['name'])} IS_TEMPLATE {'true' if kept else 'false'}"
        )
        await audit.record(
            connection,
            actor,
            ACTION,
            "done",
            object=quote(found["name"]),
            detail={"turned": "on" if kept else "off", "database": True},
        )
    return await read_guard(db)


@asynccontextmanager
async def _changing(db: Database, actor: Actor, rule: Rule) -> AsyncIterator[Connection]:
    """Open a transaction for a change of the guard; what goes wrong is recorded."""
    async with (
        attempt(db, actor, ACTION, None, rule.scope),
        db.acquire() as connection,
        connection.transaction(),
    ):
        yield connection


async def _record(
    connection: Connection, actor: Actor, rule: Rule, turned: str, **more: Any
) -> None:
    detail = {"turned": turned, **rule.to_json(), **more}
    await audit.record(connection, actor, ACTION, "done", object=rule.scope, detail=detail)


async def _check(connection: Connection) -> None:
    (found,) = await connection.fetch(SQL["fitness"])
    if not found["superuser"]:
        raise NotPermitted(
            "only a superuser can create event triggers",
            hint="run zanith guard on as a superuser; without one, use zanith drop, turn the"
            " drops of your migrations into captures (zanith rewrite), and let a plain DROP fail"
            " (zanith guard pin)",
        )
    if not found["trusted"]:
        raise Refused(
            f"Zanith in this database belongs to {quote(found['owner'])}, which is no superuser",
            detail="the guard's functions run as every role that runs DDL, superusers too;"
            " that role could replace them",
            hint="give Zanith to a superuser first: the guard and zanith init --operator exclude"
            " each other",
        )


async def set_rule_of(connection: Connection, rule: Rule) -> None:
    """Write a rule; what it leaves open stays as it is.

    NotFound where the schema or the role does not exist: the rule would apply to nothing.
    """
    for kind, name in (("schema", rule.schema), ("role", rule.role)):
        known = [] if name is None else [row["name"] for row in await connection.fetch(SQL[kind])]
        if name is not None and name not in known:
            near = get_close_matches(name, known, n=3)
            create = f"create it first: CREATE {kind.upper()} {quote(name)}"
            raise NotFound(
                f"there is no {kind} {quote(name)}",
                detail=f"similar: {', '.join(map(quote, near))}" if near else None,
                hint=f"check the name, or {create}",
            )
    await connection.execute(
        SQL["set_rule"],
        rule.schema,
        rule.role,
        rule.mode.value,
        rule.may_turn_off,
        rule.expires_in,
    )
