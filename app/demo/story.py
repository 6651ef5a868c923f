"""The shop's history, told in order: its tables, what was dropped, and what happened since."""

from collections.abc import Callable
from importlib import resources
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from app.recovery.artifacts.listing import ArtifactFilter, list_artifacts
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.core.actor import Actor
from app.recovery.db.database import Database
from app.recovery.db.grants import grant_capture
from app.recovery.db.installer import install
from app.recovery.guard.rules import Mode, Rule, read_guard, turn_on
from app.recovery.plan.model import Choices
from app.recovery.purge.hold import hold
from app.recovery.restore.restore import restore
from app.recovery.rows.seal import seal, verify

DATABASE = "shop"
_DRAFT = "shop_draft"
_PATH = "shop, public"
"""So that `orders` means shop.orders, as in the README."""
_ACTOR = Actor(name="ana")


async def prepare(url: str, *, fresh: bool, tell: Callable[[str], None]) -> str:
    """Make the shop's database unless it is there; returns its URL.

    It gets its name when the whole story is told: a demo that was interrupted starts again.
    """
    server = await asyncpg.connect(url)
    try:
        if fresh:
            await server.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        if not await _exists(server):
            tell("creating a shop with some history; this happens once")
            # A demo may lose its last moments in a crash, and need not wait for the disk.
            await server.execute("ALTER SYSTEM SET synchronous_commit = off")
            await server.execute("SELECT pg_reload_conf()")
            await server.execute(f"DROP DATABASE IF EXISTS {_DRAFT} WITH (FORCE)")
            await server.execute(f"CREATE DATABASE {_DRAFT}")
            await server.execute(f"ALTER DATABASE {_DRAFT} SET search_path = {_PATH}")
            await _tell_story(_on(url, _DRAFT))
            await server.execute(f"ALTER DATABASE {_DRAFT} RENAME TO {DATABASE}")
    finally:
        await server.close()
    await _upgrade(_on(url, DATABASE), tell)
    return _on(url, DATABASE)


async def _exists(server: "asyncpg.Connection[asyncpg.Record]") -> bool:
    query = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)"
    return bool(await server.fetchval(query, DATABASE))


async def _upgrade(url: str, tell: Callable[[str], None]) -> None:
    """Bring what an earlier version left up to date, and say whether the guard is on."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"ALTER DATABASE {DATABASE} SET search_path = {_PATH}")
        await install(connection)
    finally:
        await connection.close()
    db = await Database.open(url, max_size=2, application_name="zanith demo")
    try:
        guard = await read_guard(db)
        if not guard.rules:  # a demo of a version without it; one who turned it off left a rule
            guard = await turn_on(db, _ACTOR, Rule(Mode.CAPTURE))
    finally:
        await db.close()
    if guard.state == "on":
        tell("the guard is on: drop a table in psql, and the page Guard shows it")


async def _tell_story(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await install(connection)
        await connection.execute(_sql("shop"))
        await grant_capture(connection, "shop_owner")
        await connection.execute(_sql("captures"))
        db = await Database.open(url, max_size=3, application_name="zanith demo")
        try:
            await turn_on(db, _ACTOR, Rule(Mode.CAPTURE))
            await connection.execute(_sql("plain"))
            await _seal_all(db)
            await connection.execute(_sql("since"))
            await _look_after(db)
        finally:
            await db.close()
        await connection.execute(_sql("dates"))
    finally:
        await connection.close()


async def _seal_all(db: Database) -> None:
    for artifact in await _artifacts(db):
        if artifact.health == "unsealed":
            await seal(db, artifact.id, _ACTOR)


async def _look_after(db: Database) -> None:
    """What people did since: a hold, two verifications, one restore."""
    points = await get_artifact(db, "shop.customers.loyalty_points")
    await hold(db, points.id, _ACTOR, "tax audit until spring")
    for name in ("shop.orders.legacy_code", "shop.products.legacy_sku"):
        await verify(db, (await get_artifact(db, name)).id, _ACTOR)
    fax = await get_artifact(db, "shop.employees.fax")
    await restore(db, fax.id, Choices(), _ACTOR)


async def _artifacts(db: Database) -> list[Artifact]:
    return list((await list_artifacts(db, ArtifactFilter(limit=100))).items)


def _sql(name: str) -> str:
    return resources.files("app.demo").joinpath(f"{name}.sql").read_text("utf-8")


def _on(url: str, database: str) -> str:
    """The same server, another database."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{database}"))
