"""Webhooks that are hard to show: receivers that are gone, down and well, and hostile names."""

from __future__ import annotations

import json

import asyncpg

from tests.hard_names import NAMES, VALUES

# Nobody has these addresses: seen so long ago that they get nothing of what the tests do.
WEBHOOKS = """
INSERT INTO zanith._zanith_webhook_receivers (id, host, first_seen_at, seen_at, stopped_at) VALUES
    (repeat('a1', 32), 'hooks.slack.com',
     now() - interval '40 days', now() - interval '8 days', NULL),
    (repeat('b2', 32), 'alerts.a-host-with-a-very-long-name.operations.example.com:8443',
     now() - interval '40 days', now() - interval '8 days', NULL),
    (repeat('c3', 32), 'gone.example.com', now() - interval '40 days', now() - interval '9 days',
     now() - interval '8 days')
"""
EVENT = """
INSERT INTO zanith._zanith_webhook_events (id, key, type, at, artifact_id, job_id, object, facts)
VALUES ($1, $1, $2, now() - $3 * interval '7 hours', $4, $5, $6, $7::jsonb)
"""
DELIVERY = """
INSERT INTO zanith._zanith_webhook_deliveries (event_id, receiver_id, state, attempts,
    next_attempt_at, give_up_at, last_attempt_at, last_status, last_error, ended_at)
VALUES ($1, repeat($2, 32), $3, $4, now() + interval '40 minutes', now() + interval '2 days',
    now() - interval '20 minutes', $5, $6, CASE WHEN $3 <> 'waiting' THEN now() END)
"""


async def leave_webhooks(
    connection: asyncpg.Connection, artifacts: dict[str, str], job: str
) -> None:
    """Write receivers, and an event of each type with a delivery in each state."""
    await connection.execute(WEBHOOKS)
    hostile = f"public.{NAMES['script']}"
    work = {"kind": "restore", "actor": "ana <b>of</b> operations"}
    events: list[tuple[str, str | None, dict[str, object]]] = [
        ("artifact.expiring", "values", {"expires_at": "2024-02-29T12:00:00+00:00"}),
        ("artifact.expiring", None, {"expires_at": "2024-02-29T12:00:00+00:00", "count": 37}),
        ("artifact.changed", "damaged", {"kind": "verify", "state": "mismatch", "actor": "ana"}),
        ("artifact.unsealed", "unsealed", {"captured_at": "2024-02-29T12:00:00+00:00"}),
        ("job.blocked", "locked", {**work, "state": "running", "blockers": [
            "pid 4711 (app psql from 203.0.113.9, idle in transaction)",
        ]}),
        ("restore.ended", "script", {**work, "state": "failed", "error": VALUES[0]}),
        ("purge.ended", "purged", {**work, "kind": "purge", "state": "done"}),
        ("approval.requested", "image", {**work, "kind": "purge", "approval": "0123456789ab",
            "lapses_at": "2024-02-29T12:00:00+00:00"}),
        ("later.type", "image", {}),
        ("test", None, {"actor": "ana"}),
    ]  # fmt: skip
    for number, (kind, of, facts) in enumerate(events):
        event = f"msg_{number:032x}"
        about = (artifacts.get(of), job if "kind" in facts else None, hostile) if of else [None] * 3
        await connection.execute(EVENT, event, kind, number, *about, json.dumps(facts))
        await connection.execute(DELIVERY, event, "a1", "delivered", 1, 200, None)
        late = (event, "b2", "waiting", 4, None, "no answer came: [Errno 111] Connection refused")
        await connection.execute(DELIVERY, *late)
        if number < 3:
            gone = "it answered 410: it is gone, and gets nothing until you try again"
            await connection.execute(DELIVERY, event, "c3", "given_up", 9, 410, gone)
