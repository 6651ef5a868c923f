"""Files of migrations: regular ones of a bounded size, whose names can be written down."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from app.recovery.core.errors import NotFound, WrongUsage

LARGEST = 64 * 1024**2
"""Bytes of a file that are read at most."""
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a directory",
}


def read_file(path: Path) -> bytes:
    """Return the bytes of a regular file; it never waits for a writer.

    Raises NotFound where there is none, and WrongUsage for what is not a regular file, for more
    than 64 MB, and where the file cannot be read.
    """
    check_name(path)
    try:
        _check_kind(path, path.stat())
        # it may have become a pipe since
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            _check_kind(path, os.fstat(file.fileno()))
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise _cannot_be_read(path, error) from None
    if len(data) > LARGEST:
        raise WrongUsage(
            f"{path} has more than {LARGEST // 1024**2} MB", hint="divide it into several files"
        )
    return data


def is_file(path: Path) -> bool:
    """Return whether a regular file has this name, which may be one that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def exists(path: Path) -> bool:
    """Return whether anything has this name, which may be one that nothing can have."""
    try:
        return path.exists()
    except OSError:
        return False


def check_name(path: Path) -> None:
    """Raise WrongUsage for a name that is not UTF-8: no page and no table can hold it."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise WrongUsage(f"the name of {shown} is not UTF-8", hint="rename it") from None


def _check_kind(path: Path, found: os.stat_result) -> None:
    kind = stat.S_IFMT(found.st_mode)
    if kind != stat.S_IFREG:
        raise WrongUsage(
            f"{path} is {_KINDS.get(kind, 'not a file')}, not a regular file",
            hint="put a file of SQL in its place, or remove it",
        )


def _cannot_be_read(path: Path, error: OSError) -> NotFound | WrongUsage:
    if not isinstance(error, FileNotFoundError):
        return WrongUsage(f"{path} cannot be read: {error.strerror}", hint="check its permissions")
    if path.is_symlink():
        return NotFound(
            f"{path} is a link to nothing: {str(path.readlink())!r} does not exist",
            hint="let it point to a file, or remove it",
        )
    return NotFound(f"{path} does not exist", hint="check its name, or restore it")
