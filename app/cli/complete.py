"""What the shell offers on Tab: ids and names, if the database answers quickly."""

import asyncio
import contextlib
import io
import os
import re
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import typer

from app.text import plural

if TYPE_CHECKING:
    from app.recovery.db.database import Database

PATIENCE = 1.0
"""Seconds that a Tab may take; a database that is slower offers nothing."""
MOST = 200

_EASY = re.compile(r"[a-z0-9_.$]+")
"""A name that a shell leaves as it is; others are picked by id."""

Offer = tuple[str, str]
"""What is offered, and what it is."""


def complete_artifact(ctx: typer.Context, incomplete: str) -> Iterator[Offer]:
    """Names of what was dropped, with and without its schema, and ids."""
    yield from _ask(ctx, lambda db: _artifacts(db, incomplete))


def complete_dropped_table(ctx: typer.Context, incomplete: str) -> Iterator[Offer]:
    """Tables of which something was dropped, or that were dropped."""
    yield from _ask(ctx, lambda db: _dropped_tables(db, incomplete))


def complete_dropped_column(ctx: typer.Context, incomplete: str) -> Iterator[Offer]:
    """Columns that were dropped and can come back."""
    yield from _ask(ctx, lambda db: _restorable(db, incomplete, "column"))


def complete_parked_table(ctx: typer.Context, incomplete: str) -> Iterator[Offer]:
    """Tables that were dropped and can come back."""
    yield from _ask(ctx, lambda db: _restorable(db, incomplete, "table"))


def complete_migration(ctx: typer.Context, incomplete: str) -> Iterator[Offer]:
    """Migrations of which something can come back."""
    yield from _ask(ctx, lambda db: _migrations(db, incomplete))


def complete_job(ctx: typer.Context, incomplete: str) -> Iterator[Offer]:
    """Ids of jobs, the newest first."""
    yield from _ask(ctx, lambda db: _jobs(db, incomplete))


def complete_profile(incomplete: str) -> Iterator[str]:
    """Names of the profiles of the configuration file."""
    from app.profiles import profile_names

    yield from (name for name in profile_names() if name.startswith(incomplete))


def complete_table(ctx: typer.Context, incomplete: str) -> Iterator[Offer]:
    """Tables, with their schema; those that the search path finds also without."""
    yield from _ask(ctx, lambda db: _tables(db, incomplete))


def complete_column(ctx: typer.Context, incomplete: str) -> Iterator[Offer]:
    """Columns once a table is written, before that tables."""
    yield from _ask(ctx, lambda db: _columns(db, incomplete))


def _ask(
    context: typer.Context, find: Callable[["Database"], Awaitable[Iterable[Offer]]]
) -> list[Offer]:
    """What is found in time; nothing at all where anything goes wrong."""
    hidden = io.StringIO()
    # An address that is looked up cannot be cancelled: the process ends, and has offered nothing.
    before = signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        with contextlib.redirect_stderr(hidden), contextlib.redirect_stdout(hidden):
            found = list(asyncio.run(_find(context.params.get("database_url"), find)))
    except Exception:  # noqa: BLE001 - a failing Tab must print nothing into the user's line
        return []
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return [offer for offer in found if _EASY.fullmatch(offer[0])][:MOST]


async def _find(
    url: str | None, find: Callable[["Database"], Awaitable[Iterable[Offer]]]
) -> Iterable[Offer]:
    from app.cli.session import settings_with
    from app.settings import open_database

    db = await open_database(settings_with(database_url=url), "zanith", read_only=True, max_size=1)
    try:
        return await find(db)
    finally:
        await db.close()


async def _artifacts(db: "Database", incomplete: str) -> list[Offer]:
    from app.recovery.artifacts.listing import ArtifactFilter, list_artifacts

    page = await list_artifacts(db, ArtifactFilter(limit=MOST))
    names: dict[str, str] = {}
    ids = []
    for artifact in page.items:
        words = f"{artifact.artifact_type}, {artifact.status}"
        short = artifact.object_name.partition(".")[2]
        for name in (artifact.object_name, short):
            if artifact.kept_kind is None and name.startswith(incomplete):
                names.setdefault(name, f"{words}, {artifact.id}")
                break
        if artifact.id.startswith(incomplete):
            ids.append((artifact.id, f"{artifact.title}, {words}"))
    return [*names.items(), *ids]


async def _restorable(db: "Database", incomplete: str, kind: str) -> list[Offer]:
    from app.recovery.artifacts.listing import ArtifactFilter, list_artifacts

    page = await list_artifacts(db, ArtifactFilter(status="recoverable", limit=MOST))
    names: dict[str, str] = {}
    for artifact in page.items:
        of_column = artifact.source_column is not None
        whole = artifact.artifact_type != "rebuild_table" and artifact.kept_kind is None
        if of_column != (kind == "column") or not whole:
            continue
        for name in (artifact.object_name, artifact.object_name.partition(".")[2]):
            if name.startswith(incomplete):
                names.setdefault(name, f"{artifact.artifact_type}, {artifact.id}")
                break
    return list(names.items())


async def _migrations(db: "Database", incomplete: str) -> list[Offer]:
    from app.recovery.artifacts.listing import ArtifactFilter, list_artifacts

    page = await list_artifacts(db, ArtifactFilter(status="recoverable", limit=MOST))
    counts = Counter(
        artifact.migration_id
        for artifact in page.items
        if artifact.migration_id and artifact.artifact_type != "rebuild_table"
    )
    return [
        (name, plural(number, "artifact"))
        for name, number in counts.items()
        if name.startswith(incomplete)
    ]


async def _jobs(db: "Database", incomplete: str) -> list[Offer]:
    from app.recovery.jobs.model import list_jobs

    return [
        (job.id, f"{job.kind} of {job.object or 'several'}, {job.state}")
        for job in await list_jobs(db, limit=MOST)
        if job.id.startswith(incomplete)
    ]


async def _dropped_tables(db: "Database", incomplete: str) -> list[Offer]:
    from app.recovery.artifacts.listing import ArtifactFilter, list_artifacts
    from app.recovery.core.names import quote

    page = await list_artifacts(db, ArtifactFilter(limit=MOST))
    names = {
        name: "table"
        for artifact in page.items
        for name in (
            quote([artifact.source_schema, artifact.source_table]),
            quote(artifact.source_table),
        )
        if name.startswith(incomplete)
    }
    return list(names.items())


async def _tables(db: "Database", incomplete: str, end: str = "") -> list[Offer]:
    from app.recovery.artifacts.catalog import name_tables
    from app.recovery.core.names import quote

    found = []
    for table in await name_tables(db, incomplete, MOST):
        qualified, short = quote([table.schema, table.name]), quote(table.name)
        for name in (qualified, *([short] if table.on_path else [])):
            if name.startswith(incomplete):
                found.append((name + end, "table"))
                break
    return found


async def _columns(db: "Database", incomplete: str) -> list[Offer]:
    from app.recovery.artifacts.catalog import describe_relation, name_tables
    from app.recovery.core.errors import ZanithError
    from app.recovery.core.names import parse_name, quote

    table, dot, _ = incomplete.rpartition(".")
    found: list[Offer] = []
    if dot:
        with contextlib.suppress(ZanithError, IndexError):
            *schema, name = parse_name(table)
            if not schema:
                named = await name_tables(db, name, MOST)
                schema = [one.schema for one in named if one.on_path and one.name == name]
            _, columns = await describe_relation(db, schema[0], name)
            found = [(f"{table}.{quote(column.name)}", column.type) for column in columns]
    found = [offer for offer in found if offer[0].startswith(incomplete)]
    return found or await _tables(db, incomplete, ".")
