"""Companions: what the cascade of one capture took along, each as an artifact of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from app.recovery.artifacts.model import BLOCKS, compose
from app.recovery.db.database import Database


@dataclass(frozen=True)
class Companion:
    """One artifact that came with another; ``status`` is recoverable or restored."""

    id: str
    object: str
    artifact_type: str
    status: str


def parse_companions(data: Iterable[Mapping[str, Any]] | None) -> tuple[Companion, ...]:
    """Return the companions of the database's JSON."""
    return tuple(
        Companion(item["id"], item["object"], item["artifact_type"], item["status"])
        for item in data or ()
    )


async def find_companions(db: Database, artifact_id: str) -> tuple[Companion, ...]:
    """Return what was captured with an artifact, in the order in which it comes back."""
    async with db.side() as connection:
        rows = await connection.fetch(compose(BLOCKS["companions"]), artifact_id)
    return parse_companions([dict(row) for row in rows])
