"""The files of a new migration, as each layout names them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.migrate.read.layouts import find_layout, is_empty, read_migrations, require_directories
from app.migrate.read.migrations import Layout
from app.recovery.core.errors import NotFound, WrongUsage

_COUNTED = 6
"""Versions of at most so many digits are counted; longer ones are dates."""
_LONGEST = 80


@dataclass(frozen=True)
class Draft:
    """One migration to write: what is added to the name, the SQL, and how it is to run."""

    suffix: str = ""
    sql: str = ""
    transaction: bool = True


def slug(name: str) -> str:
    """Return a name as a part of a file's name; WrongUsage if nothing is left of it."""
    found = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:_LONGEST]
    if not found:
        raise WrongUsage(
            f"{name!r} cannot name a migration", hint="use letters and digits, such as add_code"
        )
    return found


def layout_of(directory: Path, layout: Layout | None) -> Layout:
    """Return the layout of a directory; an empty one is for Zanith's own."""
    if not directory.is_dir():
        raise NotFound(f"{directory} is not a directory", hint="create it first")
    if layout is not None:
        require_directories(directory, layout)
        return layout
    return Layout.ZANITH if is_empty(directory) else find_layout(directory)


def plan_files(
    directory: Path, layout: Layout, name: str, drafts: Sequence[Draft], now: datetime | None = None
) -> list[tuple[Path, str]]:
    """Return the files of new migrations in their order, with their text.

    The version is the time, in UTC; in a directory that counts its migrations, the next number.
    """
    if layout not in _NAMES:
        tool = {Layout.SQITCH: "sqitch add", Layout.DRIZZLE: "drizzle-kit generate --custom"}
        raise WrongUsage(
            f"a migration of the layout {layout} needs its tool", hint=f"use: {tool[layout]}"
        )
    word = slug(name)
    versions = _versions(directory, layout, len(drafts), now or datetime.now(UTC))
    found: list[tuple[Path, str]] = []
    for version, draft in zip(versions, drafts, strict=True):
        stem = f"{word}{'_' + draft.suffix if draft.suffix else ''}"
        path = directory / _NAMES[layout].format(version=version, name=stem)
        found.append((path, _text(layout, draft)))
        if layout is Layout.UP_DOWN:
            found.append((path.with_name(path.name.replace(".up.sql", ".down.sql")), ""))
    return found


def write_new(files: Sequence[tuple[Path, str]]) -> None:
    """Write files that do not exist yet; WrongUsage if one does, and nothing is written then."""
    there = [path for path, _ in files if path.exists()]
    if there:
        raise WrongUsage(f"{there[0]} exists already", hint="choose another name")
    for path, text in files:
        try:
            path.parent.mkdir(exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise WrongUsage(
                f"{path} cannot be written: {error.strerror}", hint="check its permissions"
            ) from None


_NAMES = {
    Layout.ZANITH: "{version}_{name}.sql",
    Layout.SUPABASE: "{version}_{name}.sql",
    Layout.PRISMA: "{version}_{name}/migration.sql",
    Layout.FLYWAY: "V{version}__{name}.sql",
    Layout.UP_DOWN: "{version}_{name}.up.sql",
    Layout.GOOSE: "{version}_{name}.sql",
    Layout.DBMATE: "{version}_{name}.sql",
}


def _versions(directory: Path, layout: Layout, wanted: int, now: datetime) -> list[str]:
    known = _known(directory, layout)
    newest = max((int(text) for text in known), default=0)
    width = max((len(text) for text in known), default=0)
    if known and width <= _COUNTED:
        return [f"{newest + number:0{width}}" for number in range(1, wanted + 1)]
    first = max(int(f"{now:%Y%m%d%H%M%S}"), newest + 1)
    return [str(first + number) for number in range(wanted)]


def _known(directory: Path, layout: Layout) -> list[str]:
    _, migrations = read_migrations(directory, layout, may_be_empty=True)
    found = [re.match(r"V?(\d+)", one.id) for one in migrations]
    return [match[1] for match in found if match]


def _text(layout: Layout, draft: Draft) -> str:
    body = draft.sql
    if layout is Layout.GOOSE:
        head = "" if draft.transaction else "-- +goose NO TRANSACTION\n"
        blocks = (
            f"-- +goose StatementBegin\n{body}-- +goose StatementEnd\n" if "$" in body else body
        )
        return f"{head}-- +goose Up\n{blocks}\n-- +goose Down\n"
    if layout is Layout.DBMATE:
        how = "" if draft.transaction else " transaction:false"
        return f"-- migrate:up{how}\n{body}\n-- migrate:down\n"
    return body if draft.transaction else f"-- zanith: no-transaction\n\n{body}"
