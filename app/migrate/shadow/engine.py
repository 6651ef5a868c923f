"""Zanith in a shadow, for migrations that call its functions."""

from __future__ import annotations

from collections.abc import Iterable

from app.migrate.read.migrations import Migration
from app.migrate.shadow.model import Shadow
from app.recovery.db.installer import install

_CALL = b"zanith."


def names_zanith(migrations: Iterable[Migration]) -> bool:
    """Return whether a migration may call a function of Zanith, such as zanith.archive_table()."""
    return any(
        _CALL in script.data.lower()
        for migration in migrations
        for script in (migration.up, migration.down)
        if script is not None
    )


async def install_zanith(shadow: Shadow) -> None:
    """Install what `zanith init` installs. ZanithError if the role of the shadow may not."""
    connection = await shadow.connect()
    try:
        if shadow.elevate is not None:
            await shadow.elevate(True)
        await install(connection)
    finally:
        await connection.close(timeout=5)
        if shadow.elevate is not None:
            await shadow.elevate(False)
