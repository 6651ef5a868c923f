"""Files of migrations: found, rewritten as a whole or not at all, and written atomically."""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.migrate.read.files import check_name, read_file
from app.migrate.read.statements import Unreadable
from app.migrate.rewriting.rewrite import Rewriting, Strategy, rewrite
from app.recovery.core.atomic_file import give_name, settle, unfinished
from app.recovery.core.errors import Failed, NotFound, WrongUsage


@dataclass(frozen=True)
class Rewritten:
    """A file, its bytes before and after, and whether it could not be read but drops nothing."""

    path: Path
    before: bytes
    result: Rewriting
    skipped: str | None = None

    @property
    def changed(self) -> bool:
        return self.result.data != self.before

    @property
    def diff(self) -> str:
        """A unified diff; empty where nothing changed."""
        before, after = (
            part.decode("utf-8").splitlines(keepends=True)
            for part in (self.before, self.result.data)
        )
        found = difflib.unified_diff(before, after, str(self.path), str(self.path))
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in found)

    def to_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "changes": [change.to_json() for change in self.result.changes],
            "left": [left.to_json() for left in self.result.left],
            "skipped": self.skipped,
        }


def find_files(paths: Iterable[Path]) -> list[Path]:
    """Return the files named, and the *.sql files below the directories named, by name.

    Raises NotFound where a path does not exist, and WrongUsage for a file of another kind.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found.update(dict.fromkeys(_below(path)))
        elif not path.exists():
            raise NotFound(f"{path} does not exist", hint="name a file or a directory")
        elif path.suffix.lower() not in (".sql", ".ddl", ".psql"):
            raise WrongUsage(
                f"{path} is not a SQL file",
                hint="print the SQL of the migration with its tool, and rewrite that",
            )
        else:
            found[path] = None
    return list(found)


def _below(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.rglob("*.sql")):
        hidden = any(part.startswith(".") for part in path.relative_to(directory).parts)
        if not path.is_dir() and not hidden:
            check_name(path)
            yield path


def rewrite_files(
    paths: Iterable[Path], strategy: Strategy = "archive", migration_id: str | None = None
) -> list[Rewritten]:
    """Return each file with its drops as captures; nothing is written.

    The name of a file without its suffix is the migration id of its captures, unless one is given;
    "" is none. Raises Unreadable for a file that is not SQL and has the word DROP or TRUNCATE.
    """
    return [_rewrite_one(path, strategy, migration_id) for path in paths]


def _rewrite_one(path: Path, strategy: Strategy, migration_id: str | None) -> Rewritten:
    before = read_file(path)
    try:
        result = rewrite(
            before, strategy, path.stem if migration_id is None else migration_id, str(path)
        )
    except Unreadable as error:
        if any(word in before.lower() for word in (b"drop", b"truncate")):
            raise
        return Rewritten(path, before, Rewriting(before), skipped=error.message)
    return Rewritten(path, before, result)


def write_files(files: Iterable[Rewritten]) -> int:
    """Replace the files that changed, each atomically, and return their number.

    A file keeps its mode. Raises Failed where one cannot be written; those before it are written.
    """
    written = 0
    for file in files:
        if not file.changed:
            continue
        path = file.path.resolve()
        try:
            with unfinished(path) as new:
                new.write(file.result.data)
                settle(new)
                shutil.copymode(path, new.name)
                give_name(new, path)
        except OSError as error:
            raise Failed(
                f"{file.path} cannot be written: {error.strerror}",
                hint=f"{written} files were written before it; run the same command again",
            ) from None
        written += 1
    return written
