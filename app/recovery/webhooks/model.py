"""Receivers, events and deliveries, and what the settings say of them."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from app.recovery.core.errors import WrongUsage


@dataclass(frozen=True)
class Receiver:
    """An address of the settings. It has secrets: nothing but the host is ever shown."""

    url: str = field(repr=False)

    @classmethod
    def read(cls, text: str) -> Receiver:
        """Return the receiver of an address; WrongUsage if it is none, without repeating it."""
        try:
            parts = urlsplit(text)
            parts.port  # noqa: B018 - it is read here
        except ValueError:
            raise WrongUsage("an address cannot be read") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise WrongUsage("an address must begin with https:// or http:// and name a host")
        if not text.isascii() or any(char.isspace() or not char.isprintable() for char in text):
            raise WrongUsage("an address has a character that must be percent-encoded")
        return cls(text)

    @property
    def id(self) -> str:
        """SHA-256 of the address: what the database knows it by."""
        return hashlib.sha256(self.url.encode()).hexdigest()

    @property
    def host(self) -> str:
        """The host, and the port where the address names one."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        return f"{host}:{parts.port}" if parts.port else host


@dataclass(frozen=True)
class Webhooks:
    """What the settings say: who receives, what signs, and where the pages are."""

    receivers: tuple[Receiver, ...] = ()
    secrets: tuple[bytes, ...] = field(default=(), repr=False)
    public_url: str | None = None

    def page(self, path: str) -> str | None:
        """Return the address of a page of the studio; None where nobody said where it is."""
        return f"{self.public_url}{path}" if self.public_url else None


@dataclass(frozen=True)
class Event:
    """Something to tell; ``facts`` are what its words are made of."""

    id: str
    type: str
    at: datetime
    artifact_id: str | None
    job_id: str | None
    object: str | None
    facts: dict[str, Any]


@dataclass(frozen=True)
class Claim:
    """An event that this process sends to one receiver now, the ``attempts``-th time."""

    event: Event
    receiver: Receiver
    lease: str
    attempts: int


@dataclass(frozen=True)
class ReceiverState:
    """A receiver as the database knows it; ``here`` is whether this process has its address."""

    id: str
    host: str
    first_seen_at: datetime
    seen_at: datetime
    stopped_at: datetime | None
    waiting: int
    given_up: int
    delivered: int
    next_attempt_at: datetime | None
    last_delivered_at: datetime | None
    last_error: str | None
    last_failed_at: datetime | None
    here: bool

    @property
    def short_id(self) -> str:
        """What tells two receivers of one host apart."""
        return self.id[:8]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON shows it; times in ISO 8601."""
        return _json(asdict(self))


@dataclass(frozen=True)
class Delivery:
    """One event to one receiver."""

    event: Event
    message: str
    path: str | None
    receiver_id: str
    host: str
    state: str
    attempts: int
    next_attempt_at: datetime
    last_attempt_at: datetime | None
    last_status: int | None
    last_error: str | None
    ended_at: datetime | None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON shows it; times in ISO 8601."""
        event = self.event
        told = {"id": event.id, "type": event.type, "time": event.at, "message": self.message}
        about = {"artifact_id": event.artifact_id, "job_id": event.job_id, "object": event.object}
        apart = {"event", "message", "path"}
        own = {key: value for key, value in asdict(self).items() if key not in apart}
        return _json({**told, **about, **own})


@dataclass(frozen=True)
class Overview:
    """Who receives, what waits, and the newest deliveries."""

    receivers: tuple[ReceiverState, ...]
    deliveries: tuple[Delivery, ...]
    signed: bool
    linked: bool

    @property
    def waiting(self) -> int:
        """How many deliveries wait."""
        return sum(one.waiting for one in self.receivers)

    @property
    def given_up(self) -> int:
        """How many did not arrive."""
        return sum(one.given_up for one in self.receivers)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        return {
            "receivers": [one.to_json() for one in self.receivers],
            "deliveries": [one.to_json() for one in self.deliveries],
            "waiting": self.waiting,
            "given_up": self.given_up,
            "signed": self.signed,
            "linked": self.linked,
        }


def _json(values: dict[str, Any]) -> dict[str, Any]:
    return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in values.items()}
