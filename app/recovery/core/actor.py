"""Who asks, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.recovery.core.errors import NotPermitted, WrongReason, WrongUsage


@dataclass(frozen=True)
class Actor:
    """Who asks: a person or a token's name, from where, and in which role."""

    name: str
    address: str | None = None
    role: Literal["dev", "staff", "viewer", "cli"] = "cli"
    sees_rows: bool = True
    """Whether it may see rows of the parked object, and export them."""
    named: bool = True
    """Whether the name is a person's: not that of a studio without tokens, or a place in a list."""

    @property
    def through(self) -> Literal["studio", "cli"]:
        """Where it asks: in a studio, which checked a token, or on the command line."""
        return "cli" if self.role == "cli" else "studio"


def require_rows(actor: Actor, what: str) -> None:
    """Raise NotPermitted where the actor may not see parked rows."""
    if not actor.sees_rows:
        raise NotPermitted(
            f"viewers may not {what} here",
            detail="this studio shows viewers no rows (ZANITH_VIEWER_EXPORT is off)",
            hint="sign in with a staff token",
        )


# How many characters are kept at most; rows from before these bounds stay as they are.
LONGEST_REASON = 2_000

LONGEST_NAME = 200


def check_words(actor: Actor, reason: str | None = None, migration_id: str | None = None) -> None:
    """Raise WrongUsage where a text that would be kept is too long."""
    for what, said, longest in (
        ("reason", reason, LONGEST_REASON),
        ("migration id", migration_id, LONGEST_NAME),
        ("name of the person", actor.name, LONGEST_NAME),
    ):
        if said is not None and len(said) > longest:
            kind = WrongReason if what == "reason" else WrongUsage
            raise kind(
                f"the {what} has {len(said):,} characters, and {longest:,} are kept at most",
                hint="shorten it; keep the longer text elsewhere, such as in a ticket",
            )


def require_named_person(actor: Actor) -> None:
    """Raise NotPermitted where nobody can tell who the actor is: approvals need two people."""
    if not actor.named:
        raise NotPermitted(
            "nobody can tell who you are here, and an approval needs two people",
            detail="this studio has no tokens, or your token or your proxy names nobody",
            hint="give each person a token: ZANITH_AUTH_TOKEN=ana:TOKEN,bob:TOKEN",
        )


def require_change(actor: Actor, what: str) -> None:
    """Raise NotPermitted where the actor may only look."""
    if actor.role == "viewer":
        raise NotPermitted(
            f"{actor.name} may look, verify and export, not {what}",
            hint="sign in with a staff token",
        )
