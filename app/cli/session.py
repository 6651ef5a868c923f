"""One run of a command: settings, the database, and every way that it can end."""

import asyncio
import getpass
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import SecretStr
from rich.text import Text

from app.cli import connection
from app.cli.console import Terminal, leave_pipe
from app.cli.exits import stop
from app.cli.humanize import printable
from app.profiles import chosen_profile
from app.recovery.core.actor import Actor
from app.recovery.core.errors import WrongUsage
from app.recovery.core.translate import ADDRESS_FROM
from app.recovery.db.database import Database
from app.recovery.db.installer import require_installed
from app.settings import Settings, load_settings, open_database

T = TypeVar("T")


@dataclass(frozen=True)
class Session:
    """What every command body gets: the open database, who acts, and where to speak."""

    db: Database
    actor: Actor
    terminal: Terminal
    settings: Settings


def run(
    body: Callable[[Session], Awaitable[T]],
    *,
    url: str | None = None,
    settings: Settings | None = None,
    json: bool = False,
    installed: bool = True,
    read_only: bool = False,
) -> T:
    """Open the database, run the body with it, close it; returns what the body returns.

    Errors leave as ZanithError; app.cli shows them. `installed=False` is for `init` alone.
    """
    known = settings or settings_with(database_url=url)
    try:
        return asyncio.run(_run(body, known, json=json, installed=installed, read_only=read_only))
    except BrokenPipeError:
        stop(leave_pipe())


def run_alone(body: Callable[[], Awaitable[T]]) -> T:
    """Run a body that opens no database of the settings; SIGTERM ends it as Ctrl-C does."""

    async def alone() -> T:
        task = asyncio.current_task()
        if task is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await body()

    try:
        return asyncio.run(alone())
    except BrokenPipeError:
        stop(leave_pipe())


async def _run(
    body: Callable[[Session], Awaitable[T]],
    settings: Settings,
    *,
    json: bool,
    installed: bool,
    read_only: bool,
) -> T:
    # SIGTERM ends as Ctrl-C does: what is under way is cancelled, and says so.
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    db = await open_database(settings, "zanith", read_only=read_only)
    try:
        if installed:
            await require_installed(db)
        return await body(Session(db, actor(), Terminal(json=json), settings))
    finally:
        await db.close()


def settings_with(*, database_url: str | None = None, **given: Any) -> Settings:
    """The settings of the environment and a profile, with what the command line gave on top."""
    profile = chosen_profile(connection.given().profile)
    values = {**profile.values} if profile else {}
    values |= {name: value for name, value in given.items() if value is not None}
    try:
        settings = load_settings(**values)
    except WrongUsage as exc:
        if profile:
            exc.detail = exc.detail or f"with the profile {profile.name} of {profile.file}"
        raise
    if profile and profile.exposed:
        words = f"others may read {profile.file}, which holds a password: chmod 600 it"
        Terminal().say(Text.assemble(("warning: ", "warn"), printable(words)))
    base = settings.database_url.get_secret_value() if settings.database_url else None
    url = connection.combine(database_url, base)
    ADDRESS_FROM.set(connection.source())
    return settings.model_copy(update={"database_url": SecretStr(url) if url else None})


def actor() -> Actor:
    """Who the audit log names: the operating system's user."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"uid {os.getuid()}"
    return Actor(name=name, address=None, role="cli")
