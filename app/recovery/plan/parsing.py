"""Plans out of the JSON that the database gives."""

from __future__ import annotations

from typing import Any

from app.recovery.artifacts.companions import parse_companions
from app.recovery.core.options import options_of
from app.recovery.plan.model import (
    Check,
    Choice,
    Choices,
    Conflict,
    Drift,
    EventTrigger,
    Loss,
    Plan,
    Step,
)


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
        companions=parse_companions(data.get("companions")),
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
        waits_for=tuple(item.get("waits_for") or ()),
    )
