"""Connection services, as libpq reads them: PGSERVICE or service= names a section of a file.

asyncpg takes no service from the environment, and connects elsewhere where a URL names one that is
not there.
"""

from __future__ import annotations

import os
from pathlib import Path

from app.recovery.core.errors import WrongUsage
from app.recovery.db.conninfo import is_url, parameters, to_url

# Keywords of libpq that say how it behaves, and nothing about where to connect.
_IGNORED = frozenset(
    {
        *("connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval"),
        *("keepalives_count", "tcp_user_timeout", "fallback_application_name", "gssencmode"),
        *("load_balance_hosts", "sslcompression", "client_encoding"),
    }
)
# What promises more than asyncpg keeps.
_REFUSED = frozenset({"require_auth", "channel_binding", "requirepeer", "ldap"})


def resolve(text: str | None, *, environment: bool = True) -> str | None:
    """Return the URL of a connection string, with what its service and the environment add.

    What the string says itself stands before its service, and that before PGHOSTADDR. Without
    ``environment`` neither PGSERVICE nor PGHOSTADDR is looked at. WrongUsage where the service is
    in no file, or its file or the string cannot be read.
    """
    given = parameters(text) if text else {}
    name = given.pop("service", None) or (os.environ.get("PGSERVICE") if environment else None)
    address = os.environ.get("PGHOSTADDR") if environment else None
    special = {"hostaddr", *_REFUSED, *_IGNORED} & set(given)
    if not (name or address or special) and (not text or is_url(text)):
        return text
    found = _usable(given, "the connection string")
    if name:
        found = {**_usable(_read(name), f"the service {name}"), **found}
    if address and "host" not in found and found.get("sslmode") != "verify-full":
        found["host"] = address
    return to_url(found)


def _usable(given: dict[str, str], what: str) -> dict[str, str]:
    """Return what asyncpg can do something with; WrongUsage where that would be less safe."""
    found = dict(given)
    if "host" in found and "hostaddr" in found:  # there is one place for both
        del found["hostaddr" if found.get("sslmode") == "verify-full" else "host"]
    for key in _REFUSED & set(found):
        raise WrongUsage(
            f"{what} sets {key}, which Zanith does not support",
            hint="write the connection as ZANITH_DATABASE_URL, without it",
        )
    names = {"hostaddr": "host", "database": "dbname"}
    return {names.get(key, key): value for key, value in found.items() if key not in _IGNORED}


def _read(name: str) -> dict[str, str]:
    looked_at = []
    for path in _files():
        looked_at.append(str(path))
        if (found := _section(path, name)) is not None:
            return found
    raise WrongUsage(
        f"there is no connection service {name}",
        detail=f"looked for [{name}] in {', '.join(looked_at) or 'no file'}",
        hint="add it to a service file, or set PGSERVICEFILE to the file that has it",
    )


def _files() -> list[Path]:
    """Return the person's own file, then the system's, in libpq's order."""
    own = os.environ.get("PGSERVICEFILE")
    files = [Path(own) if own else Path.home() / ".pg_service.conf"]
    directories = [os.environ.get("PGSYSCONFDIR"), "/etc/postgresql-common", "/etc"]
    files += [Path(directory) / "pg_service.conf" for directory in directories if directory]
    if own and not files[0].is_file():
        raise WrongUsage(
            f"PGSERVICEFILE names {own}, which is no file", hint="create it, or unset it"
        )
    return [file for file in files if file.is_file()]


def _section(path: Path, name: str) -> dict[str, str] | None:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise WrongUsage(f"the service file {path} cannot be read", detail=str(exc)) from None
    found: dict[str, str] | None = None
    for number, raw in enumerate(lines, 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            if found is not None:
                break
            found = {} if line == f"[{name}]" else None
        elif found is not None:
            key, equals, value = line.partition("=")
            if not equals or key.strip() == "service":
                raise WrongUsage(
                    f"syntax error in the service file {path}, line {number}",
                    hint="write each line as keyword=value",
                )
            found.setdefault(key.strip(), value.strip())
    return found
