"""The migrations that a person names: a directory, one file, or one file of a directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.migrate.read.layouts import read_migrations, read_one
from app.migrate.read.migrations import Layout, Migration
from app.recovery.core.errors import NotFound, WrongUsage


@dataclass(frozen=True)
class Chosen:
    """The migrations that are named, and those that count as applied before them.

    `down` is the file that was named, where it is the down part of the migration.
    """

    layout: Layout
    migrations: Sequence[Migration]
    before: Sequence[Migration] = ()
    down: Path | None = None


def choose_file(path: Path, directory: Path, layout: Layout | None = None) -> Chosen:
    """Return the migration of a directory that a file is a part of.

    A file outside the directory comes after all of its migrations. WrongUsage for a file in the
    directory that the layout does not read: `up` would never run it.
    """
    if not path.exists():
        raise NotFound(f"{path} does not exist", hint="name a directory of migrations, or a file")
    require_directory(directory)
    found, known = read_migrations(directory, layout)
    whole = path.resolve()
    for place, migration in enumerate(known):
        if migration.up.path.resolve() == whole:
            return Chosen(found, [migration], known[:place])
        if migration.down is not None and migration.down.path.resolve() == whole:
            return Chosen(found, [migration], known[:place], path)
    if whole.is_relative_to(directory.resolve()):
        raise WrongUsage(
            f"{path} is not a migration of the layout {found}: zanith migrate up does not run it",
            hint="name it as docs/migrate.md shows for the layout, choose another --layout,"
            " or move it out of the directory",
        )
    alone, migrations = read_one(path)
    return Chosen(alone, migrations, known)


def require_directory(directory: Path) -> None:
    """Raise WrongUsage where a file is named instead of the directory of migrations."""
    if directory.is_file():
        raise WrongUsage(
            f"--dir needs a directory of migrations, and {directory} is a file",
            hint=f"name its directory: {directory.parent}",
        )
