"""Dates and times in UTC, as the fields of the pages and the API give them."""

from __future__ import annotations

from datetime import UTC, datetime

from app.recovery.core.errors import WrongUsage


def moment(text: str | None) -> datetime | None:
    """Return the moment; None where nothing was given; WrongUsage for what is none."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise WrongUsage(
            f"{text!r} is not a date", hint="write 2025-01-31 or 2025-01-31T12:00"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
