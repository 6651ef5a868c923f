"""What the shell offers on Tab for an artifact: ids and names, if the database answers quickly."""

import asyncio
from collections.abc import Iterator

PATIENCE = 1.0
"""Seconds that a Tab may take; a database that is slower offers nothing."""


def complete_artifact(incomplete: str) -> Iterator[tuple[str, str]]:
    """Ids that begin so, each with its object; nothing at all where anything goes wrong."""
    try:
        yield from asyncio.run(asyncio.wait_for(_candidates(incomplete), PATIENCE))
    except Exception:  # noqa: BLE001 - a failing Tab must print nothing into the user's line
        return


async def _candidates(incomplete: str) -> list[tuple[str, str]]:
    from app.cli.session import settings_with
    from app.recovery.artifacts import ArtifactFilter, list_artifacts
    from app.settings import open_database

    db = await open_database(settings_with(), "zanith", read_only=True, max_size=1)
    try:
        page = await list_artifacts(db, ArtifactFilter(limit=200))
    finally:
        await db.close()
    return [
        (artifact.id, f"{artifact.object_name}, {artifact.artifact_type}")
        for artifact in page.items
        if artifact.id.startswith(incomplete)
    ]
