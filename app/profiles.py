"""Profiles: settings under a name, in a file of the person's own."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.recovery.core.errors import WrongUsage, ZanithError
from app.recovery.db.conninfo import parameters
from app.settings import Settings, env_name

_SECRETS = frozenset({"auth_token", "read_only_auth_token"})
_URLS = frozenset({"database_url", "listen_url"})
_FORM = '[profiles.shop] on one line, database_url = "postgresql://…" on the next'


@dataclass(frozen=True)
class Profile:
    """The settings of one profile, by the names of their fields."""

    name: str
    file: Path
    values: dict[str, Any]
    exposed: bool
    """Whether others may read the file, and it holds a password or token."""


def config_file() -> Path:
    """Return the file: ZANITH_CONFIG, else zanith/config.toml in the folder for configuration."""
    if named := os.environ.get("ZANITH_CONFIG"):
        return Path(named)
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "zanith" / "config.toml"


def chosen_profile(name: str | None) -> Profile | None:
    """Return the profile of that name, else of ZANITH_PROFILE, else None.

    One that the environment names leaves out what the environment sets itself. WrongUsage where
    there is no such profile, or it says what is no setting.
    """
    wanted = name or os.environ.get("ZANITH_PROFILE")
    if not wanted:
        return None
    file = config_file()
    values = _values(wanted, file)
    if name is None:
        values = {key: value for key, value in values.items() if not os.environ.get(env_name(key))}
    return Profile(wanted, file, values, exposed=_secret(values) and _readable_by_others(file))


def profile_names() -> list[str]:
    """Return the names of all profiles; none where the file cannot be read."""
    file = config_file()
    try:
        found = _read("", file).get("profiles", {})
    except WrongUsage:
        return []
    return sorted(found) if isinstance(found, dict) else []


def _values(name: str, file: Path) -> dict[str, Any]:
    profiles = _read(name, file).get("profiles", {})
    found = profiles.get(name) if isinstance(profiles, dict) else None
    if not isinstance(found, dict):
        there = ", ".join(map(str, profiles)) if profiles else "none"
        raise WrongUsage(
            f"there is no profile {name}",
            detail=f"in {file}: {there}",
            hint=f"write {_FORM}",
        )
    for key in found:
        if key not in Settings.model_fields:
            raise WrongUsage(
                f"the profile {name} sets {key}, which is not a setting",
                detail=str(file),
                hint="a setting has the name of its variable in lower case, without zanith_",
            )
    return {key: _plain(value) for key, value in found.items()}


def _read(name: str, file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            return tomllib.load(opened)
    except FileNotFoundError:
        raise WrongUsage(
            f"there is no profile {name}: no file {file}", hint=f"write into it {_FORM}"
        ) from None
    except (OSError, UnicodeDecodeError) as exc:
        raise WrongUsage(f"the configuration file {file} cannot be read: {exc}") from None
    except tomllib.TOMLDecodeError as exc:
        raise WrongUsage(
            f"the configuration file {file} is not valid TOML: {exc}", hint=f"write {_FORM}"
        ) from None


def _plain(value: Any) -> Any:
    """The value in the form that an environment variable would have it."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    return value if isinstance(value, bool) else str(value)


def _secret(values: dict[str, Any]) -> bool:
    return not _SECRETS.isdisjoint(values) or any(
        _password(values[key]) for key in _URLS & {*values}
    )


def _password(url: str) -> bool:
    try:
        return "password" in parameters(url)
    except (ZanithError, ValueError):  # told where it is used
        return False


def _readable_by_others(file: Path) -> bool:
    return bool(file.stat().st_mode & 0o077)
