"""The changes that can need the approval of a second person, and how a setting names them."""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Any

from app.recovery.core.errors import Refused, WrongReason, WrongUsage


class Change(StrEnum):
    """A change that a person asks for."""

    PURGE = "purge"
    ERASE = "erase"
    UNVERIFIED = "unverified"
    """A restore that skips the seal."""
    LIFT = "lift"
    """That this database no longer requires approvals of some change."""


GUARDED = (Change.PURGE, Change.ERASE, Change.UNVERIFIED)
"""The changes that a setting or a rule of the database can name."""

TITLES = {
    Change.PURGE: "purge of",
    Change.ERASE: "erasure in",
    Change.UNVERIFIED: "restore without the seal of",
    Change.LIFT: "end of the rule for",
}
"""What stands before the object's name."""


class ApprovalNeeded(Refused):
    """A second person must approve this first: nothing was changed."""

    code = "approval_needed"


def parse_changes(text: str) -> frozenset[Change]:
    """Return the changes that a list by commas names; WrongUsage where one is unknown."""
    known = {change.value: change for change in GUARDED}
    words = [word.strip().lower() for word in text.split(",") if word.strip()]
    unknown = [word for word in words if word not in known]
    if unknown:
        raise WrongUsage(
            f"there is no change {unknown[0]!r} that an approval can be required of",
            hint=f"write some of {', '.join(known)}, separated by commas",
        )
    return frozenset(known[word] for word in words)


def in_order(changes: frozenset[Change]) -> list[Change]:
    """Return them in the order in which they are listed everywhere."""
    return [change for change in GUARDED if change in changes]


def require_reason(text: str | None, hint: str = "say why: the other person decides by it") -> str:
    """Return the reason of a request without space around it; WrongReason where there is none."""
    words = (text or "").strip()
    if not words:
        raise WrongReason("no reason was given", hint=hint)
    return words


def digest_of_request(*parts: Any) -> str:
    """Return the SHA-256 of what a request is about, where its plan alone does not say it."""
    text = json.dumps(parts, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
