"""Files that get their name when they are whole, and what is left of those that never were.

Until then a file is hidden beside its name, and locked by its writer. The kernel unlocks it when
that process ends, however it ends (flock(2)): so what a killed one left is told from what another
is writing.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def unfinished(path: Path) -> Iterator[IO[bytes]]:
    """Lend a new file that is to be ``path``; without :func:`give_name` it is gone at the end.

    Takes away what killed processes left of the same file. Raises OSError.
    """
    _take_away_left(path)
    file = _begin(path)
    try:
        with file:
            yield file
    finally:
        Path(file.name).unlink(missing_ok=True)


def settle(file: IO[bytes]) -> None:
    """Have on the disk what was written; raises OSError."""
    file.flush()
    os.fsync(file.fileno())


def give_name(file: IO[bytes], path: Path) -> None:
    """Let a settled file be what it was to be, instead of what was there; raises OSError."""
    Path(file.name).replace(path)


def _begin(path: Path) -> IO[bytes]:
    """Return a new file, locked where the file system can."""
    while True:
        file = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part").open("xb")
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        if _is_still_there(file.fileno(), Path(file.name)):
            return file
        file.close()  # somebody took it for left before it was locked


def _take_away_left(path: Path) -> None:
    """Remove the hidden files of a name that no living process holds; what fails stays."""
    named = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.part")
    left: list[Path] = []
    with suppress(OSError):  # a folder may be written to and not read
        left = [found for found in path.parent.iterdir() if named.fullmatch(found.name)]
    for found in left:
        with suppress(OSError):
            _take_away(found)


def _take_away(left: Path) -> None:
    descriptor = os.open(left, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still_there(descriptor, left):
                left.unlink()
    finally:
        os.close(descriptor)


def _is_still_there(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
