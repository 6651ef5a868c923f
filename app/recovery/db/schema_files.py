"""The files of migrations/: numbered ones, applied once, and those that hold functions."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

NUMBERED = re.compile(r"(\d{4})_\w+\.sql")
_CREATES = re.compile(
    r"^CREATE(?:\s+OR\s+REPLACE)?\s+(?:FUNCTION|AGGREGATE)\s+zanith\.(\w+)",
    re.MULTILINE | re.IGNORECASE,
)


@dataclass(frozen=True)
class SchemaFile:
    """One file of migrations/: its path there and its text."""

    path: str
    text: str

    @property
    def hash(self) -> str:
        """The SHA-256 of the text, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def numbered(self) -> bool:
        """Whether it is applied once, rather than replaced whenever it changed."""
        return NUMBERED.fullmatch(self.path) is not None

    @property
    def functions(self) -> list[str]:
        """The names of the functions that it creates."""
        return sorted(set(_CREATES.findall(self.text)))


@cache
def files() -> tuple[SchemaFile, ...]:
    """Return the files in the order in which they are applied: numbered ones, then functions."""
    root = _root()
    numbered = sorted(entry.name for entry in root.iterdir() if NUMBERED.fullmatch(entry.name))
    manifest = root / "functions" / "manifest"
    listed = manifest.read_text(encoding="utf-8").splitlines() if manifest.is_file() else []
    names = [line.partition("#")[0].strip() for line in listed]
    paths = [*numbered, *(f"functions/{name}" for name in names if name)]
    return tuple(SchemaFile(path, _read(root.joinpath(path))) for path in paths)


def _read(file: Traversable) -> str:
    """Return a file's text in ASCII: a database of LATIN1 has no ellipsis."""
    return file.read_text("utf-8").replace("\u2026", "...")


def _root() -> Traversable:
    packaged = resources.files("app") / "migrations"
    if packaged.is_dir():
        return packaged
    return Path(__file__).resolve().parents[3] / "migrations"
