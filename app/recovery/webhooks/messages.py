"""The words of an event, the page that it names, and the body and headers of its request.

A new type of event is one entry of ``TYPES``, and a call of ``outbox.tell``, or of
``zanith._tell`` in SQL, in the transaction in which it happens.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.recovery.core.version import VERSION
from app.recovery.webhooks.model import Event, Webhooks

SHOWN = 300
"""So many characters of a part of a message are sent."""


_NOUNS = {
    "erase": "erasure of rows",
    "restore_rows": "restore of rows",
    "verify": "verification",
    "unverified": "restore without its seal",
}


@dataclass(frozen=True)
class EventType:
    """One type: what it is for, its words, and the path of the page to open."""

    about: str
    words: Callable[[Event], str]
    page: Callable[[Event], str]


def _artifact_page(event: Event) -> str:
    if event.artifact_id is None:
        return "/studio?sort=expires"
    return f"/studio/artifacts/{event.artifact_id}"


def _job_page(event: Event) -> str:
    return f"/studio/jobs/{event.job_id}"


def _approval_page(event: Event) -> str:
    return f"/studio/approvals/{event.facts.get('approval')}"


def _expiring(event: Event) -> str:
    expiry = _moment(event.facts.get("expires_at"))
    if event.facts.get("count"):
        return (
            f"{event.facts['count']} artifacts were never exported, and expire within three days:"
            f" the first on {expiry}"
        )
    return f"{_named(event)} was never exported, and expires on {expiry}"


def _unsealed(event: Event) -> str:
    if event.facts.get("count"):
        return f"{event.facts['count']} artifacts have had no seal for an hour"
    return f"{_named(event)} has had no seal for an hour: nobody can prove that it is unchanged"


def _changed(event: Event) -> str:
    check = "An export" if event.facts.get("kind") == "export" else "A verification"
    return f"{_named(event)} does not match its seal. {check} found other rows than were sealed"


def _blocked(event: Event) -> str:
    by = "; ".join(str(line) for line in event.facts.get("blockers") or ()) or "an unknown session"
    return f"The {_work(event)} waits for a lock. It is held by {by}"


def _ended(event: Event) -> str:
    state, error = str(event.facts.get("state")), event.facts.get("error")
    words = f"The {_work(event)} by {event.facts.get('actor')} ended: {state}"
    return f"{words}. {error}" if error and state != "done" else words


def _requested(event: Event) -> str:
    kind = str(event.facts.get("kind"))
    if kind == "lift":
        return f"{event.facts.get('actor')} asks for an approval: changes no longer need one"
    return (
        f"{event.facts.get('actor')} asks for an approval: {_NOUNS.get(kind, kind)}"
        f" of {_named(event)}. It lapses on {_moment(event.facts.get('lapses_at'))}"
    )


def _tested(event: Event) -> str:
    return f"This is a test of Zanith's webhooks, sent by {event.facts.get('actor')}"


TYPES: dict[str, EventType] = {
    "artifact.expiring": EventType(
        "an artifact that was never exported expires within three days", _expiring, _artifact_page
    ),
    "artifact.changed": EventType(
        "a verification or an export found other rows than were sealed", _changed, _artifact_page
    ),
    "artifact.unsealed": EventType(
        "an artifact has had no seal for an hour", _unsealed, _artifact_page
    ),
    "verify.failed": EventType("a scheduled verification failed", _ended, _artifact_page),
    "job.blocked": EventType("a job did not get a lock in two tries", _blocked, _job_page),
    "restore.ended": EventType(
        "a restore of an object, of rows or of a migration ended", _ended, _job_page
    ),
    "purge.ended": EventType("a purge ended", _ended, _job_page),
    "cleanup.ended": EventType("a cleanup ended", _ended, _job_page),
    "erase.ended": EventType("an erasure ended", _ended, _job_page),
    "deploy.ended": EventType("a deploy of migrations ended", _ended, _job_page),
    "approval.requested": EventType(
        "somebody asks for an approval",
        _requested,
        _approval_page,
    ),
    "test": EventType("somebody sent a test", _tested, lambda _: "/studio/webhooks"),
}


def message_of(event: Event) -> str:
    """Return what an event says, in one line without characters that cannot be seen."""
    kind = TYPES.get(event.type)
    text = kind.words(event) if kind else f"{event.type}: {_named(event)}"
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def path_of(event: Event) -> str | None:
    """Return the path of the page to open; None for a type of a later version."""
    kind = TYPES.get(event.type)
    return kind.page(event) if kind else None


def body_of(event: Event, webhooks: Webhooks, database: str) -> bytes:
    """Return the body of the request: the same in every attempt."""
    message = message_of(event)
    path = path_of(event)
    url = webhooks.page(path) if path else None
    about = event.facts
    said = {
        "type": event.type,
        "id": event.id,
        "time": event.at.astimezone(UTC).isoformat(),
        "message": message,
        "url": url,
        "database": database,
        "artifact": {"id": event.artifact_id, "object": event.object}
        if event.artifact_id
        else None,
        "job": {key: about.get(key) for key in ("kind", "state", "actor")} | {"id": event.job_id}
        if event.job_id
        else None,
        "facts": about,
        "text": slack_text(f"{message} (database {database})", url),
        "mrkdwn": False,
    }
    return json.dumps(said, ensure_ascii=False, default=str).encode()


def slack_text(message: str, url: str | None) -> str:
    """Return the text of a message for Slack, in which a name cannot be a link or a mention."""
    text = f"{message}\n{url}" if url else message
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def headers_of(event: Event, body: bytes, secrets: tuple[bytes, ...]) -> dict[str, str]:
    """Return the headers by which a receiver knows the event, and checks who sent it."""
    stamp = str(int(time.time()))
    headers = {
        "content-type": "application/json",
        "user-agent": f"zanith/{VERSION}",
        "webhook-id": event.id,
        "webhook-timestamp": stamp,
    }
    if secrets:
        signatures = [signature(secret, event.id, stamp, body) for secret in secrets]
        headers["webhook-signature"] = " ".join(signatures)
    return headers


def signature(secret: bytes, event_id: str, stamp: str, body: bytes) -> str:
    """Return what the Standard Webhooks specification says: over id, time and body."""
    signed = f"{event_id}.{stamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


def _named(event: Event) -> str:
    return event.object or event.artifact_id or "an object"


def _work(event: Event) -> str:
    kind = str(event.facts.get("kind") or "job")
    if kind == "restore_migration":
        return f"restore of the migration {event.object}"
    noun = _NOUNS.get(kind, kind)
    return f"{noun} of {event.object}" if event.object else noun


def _moment(text: Any) -> str:
    try:
        return f"{datetime.fromisoformat(str(text)).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return str(text)
