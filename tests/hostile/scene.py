"""A database with two owners, one of them hostile, for attacks of several objects, owners or moments at once."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.recovery.core.actor import Actor
from app.recovery.db.database import Database
from tests.conftest import Database as Place
from tests.hostile.trap import Trap, describe

DBA = Actor("dba")
ROWS = "SELECT n, n, n FROM generate_series(1, 5) n"


@dataclass(frozen=True)
class Scene:
    """A database, its two owners, and what Mallory's code says of whom it ran as."""

    place: Place
    mallory: str
    alice: str
    trap: Trap

    def by(self, role: str | None, sql: str) -> str:
        """Run statements as an owner, or as the superuser, in a session of that role."""
        return self.place.psql(sql, user=role) if role else self.place.psql(sql)

    def artifact(self, role: str | None, call: str) -> str:
        """Capture by SQL and return the artifact's id."""
        return self.by(role, f"SELECT zanith.{call}").splitlines()[-1]

    @asynccontextmanager
    async def opened(self):
        """Lend the engine's database, as a superuser."""
        db = await Database.open(self.place.url)
        try:
            yield db
        finally:
            await db.close()

    def quiet(self) -> None:
        """Fail where anything of Mallory's ran as somebody else."""
        escapes = self.trap.escapes()
        assert not escapes, describe(escapes)
