"""What the shell offers on Tab: ids and names, if the database answers quickly."""

import asyncio
import contextlib
import io
import os
import re
import signal
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from app.recovery.database import Database

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


def complete_table(ctx: typer.Context, incomplete: str) -> Iterator[Offer]:
    """Tables, with their schema; those of public also without."""
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
    from app.recovery.artifacts import ArtifactFilter, list_artifacts

    page = await list_artifacts(db, ArtifactFilter(limit=MOST))
    names: dict[str, str] = {}
    ids = []
    for artifact in page.items:
        words = f"{artifact.artifact_type}, {artifact.status}"
        short = artifact.object_name.partition(".")[2]
        for name in (artifact.object_name, short):
            if name.startswith(incomplete):
                names.setdefault(name, f"{words}, {artifact.id}")
                break
        if artifact.id.startswith(incomplete):
            ids.append((artifact.id, f"{artifact.object_name}, {words}"))
    return [*names.items(), *ids]


async def _dropped_tables(db: "Database", incomplete: str) -> list[Offer]:
    from app.recovery.artifacts import ArtifactFilter, list_artifacts
    from app.recovery.names import quote

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
    from app.recovery.catalog import name_tables

    found = []
    for qualified in await name_tables(db, incomplete, MOST):
        for name in (qualified, qualified.removeprefix("public.")):
            if name.startswith(incomplete):
                found.append((name + end, "table"))
                break
    return found


async def _columns(db: "Database", incomplete: str) -> list[Offer]:
    from app.recovery.catalog import describe_relation
    from app.recovery.errors import ZanithError
    from app.recovery.names import parse_name, quote

    table, dot, _ = incomplete.rpartition(".")
    found: list[Offer] = []
    if dot:
        with contextlib.suppress(ZanithError):
            *schema, name = parse_name(table)
            _, columns = await describe_relation(db, schema[0] if schema else "public", name)
            found = [(f"{table}.{quote(column.name)}", column.type) for column in columns]
    found = [offer for offer in found if offer[0].startswith(incomplete)]
    return found or await _tables(db, incomplete, ".")
