"""Plans against the catalog as it is now."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import asyncpg

from app.recovery.core.actor import Actor, require_rows
from app.recovery.core.durations import format_duration
from app.recovery.core.errors import WrongUsage
from app.recovery.db.bounded_reads import bounded_read
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.transactions import milliseconds
from app.recovery.plan.checks import not_counted, prepared, run_check
from app.recovery.plan.model import Check, Choices, Conflict, Drift, Plan
from app.recovery.plan.parsing import parse_plan
from app.recovery.queries import load

SQL = load("plan")

NOT_ASKED = "it has not run yet"
"""Why a plan that was made without its checks has no answer to one."""


def with_seal(plan: Plan, choices: Choices) -> Plan:
    """Return the plan with a conflict where the last verification found another checksum.

    A restore verifies again and decides by that; a reader of the plan learns of it before.
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


async def read_plan(
    connection: Connection,
    artifact_id: str,
    choices: Choices,
    *,
    decisive: bool = False,
    checks: bool = True,
    examples: bool = True,
    within: timedelta | None = None,
) -> Plan:
    """Plan and run the checks on this connection, in its transaction where it is in one.

    ``decisive`` leaves out checks that only inform: each reads all rows, and the person has read
    their results, or does not want to. Without ``checks`` none is run; without ``examples``
    none of the values is shown. ``within`` limits the time that all checks together may take. A
    check that is not run, or has no answer by then, is in the plan as one that was not counted.
    """
    data = await connection.fetchval(SQL["plan_restore"], artifact_id, choices.to_json())
    plan = parse_plan(data)
    prepares: list[str] = data.get("prepares") or []
    read_only: str | None = await connection.fetchval(SQL["read_only"])

    def skipped(check: Check) -> str | None:
        if check.unknown:
            return check.unknown
        if not checks:
            return NOT_ASKED
        if decisive and not check.blocks:
            return "the restore decides without it"
        return read_only if check.writes or prepares else None

    ends = time.monotonic() + within.total_seconds() if within else None
    drift = []
    async with prepared(connection, prepares if checks and not read_only else ()):
        for check in plan.checks:
            if (reason := skipped(check)) is not None:
                drift.append(not_counted(check, reason))
            else:
                drift.append(await _answer(connection, check, ends, within, show=examples))
    return parse_plan(data, tuple(drift))


async def _answer(
    connection: Connection,
    check: Check,
    ends: float | None,
    within: timedelta | None,
    *,
    show: bool,
) -> Drift:
    """Run a check until a moment of the clock; after it, nobody knows the answer."""
    if ends is None or within is None:
        return await run_check(connection, check, show=show)
    late = not_counted(check, f"it was not done within {format_duration(within)}")
    left = ends - time.monotonic()
    if left <= 0:
        return late
    try:
        async with connection.transaction():
            await connection.execute(SQL["time_left"], milliseconds(timedelta(seconds=left)))
            return await run_check(connection, check, show=show)
    except asyncpg.QueryCanceledError:
        if time.monotonic() < ends:
            raise  # somebody else cancelled it
        return late


async def plan_restore(
    db: Database,
    artifact_id: str,
    choices: Choices | None = None,
    *,
    decisive: bool = False,
    checks: bool = True,
    within: timedelta | None = None,
    actor: Actor | None = None,
    strict: bool = False,
) -> Plan:
    """Return the plan against the catalog as it is now; it reads, and changes nothing.

    ``strict`` raises WrongUsage where a part that was to be left out is none of the artifact.

    ``decisive``, ``checks`` and ``within`` as for `read_plan`; a decisive plan that is blocked is
    returned whole. A plan without checks reads the catalog only, so it waits for no other read. For
    an ``actor``
    who may not see rows it shows no value of any. NotPermitted where such a one gives a value to
    fill in: the plan would say how many rows have it.
    """
    if actor is not None and choices is not None and choices.fill is not None:
        require_rows(actor, "try a value")
    subject = artifact_id if checks else f"the plan of {artifact_id}"
    reading = bounded_read(db, subject, bounded=not decisive, isolation="repeatable_read")
    examples = actor is None or actor.sees_rows
    async with reading as connection:
        await connection.execute(SQL["settings"])
        choices = choices or Choices()
        plan = await read_plan(
            *(connection, artifact_id, choices),
            decisive=decisive,
            checks=checks,
            examples=examples,
            within=within,
        )
        if decisive and plan.blocked:
            plan = await read_plan(connection, artifact_id, choices, examples=examples)
        if strict:
            _require_parts(plan, choices)
        return plan


async def find_recorded_default(db: Database, artifact_id: str) -> str | None:
    """Return the default of a column that was parked, as it was recorded; None if it had none."""
    async with db.side() as connection:
        default: str | None = await connection.fetchval(SQL["recorded_default"], artifact_id)
    return default


def _require_parts(plan: Plan, choices: Choices) -> None:
    unknown = [part for part in choices.without if part not in plan.left_out]
    if unknown:
        offered = [part for conflict in plan.conflicts for part in conflict.without]
        raise WrongUsage(
            f"{plan.object} has no part {unknown[0]!r} to leave out",
            hint=f"one of: {', '.join(dict.fromkeys(offered))}"
            if offered
            else "all objects that it needs exist: leave --without out",
        )
