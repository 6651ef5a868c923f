"""Which database is meant: the options of psql over a profile, the environment and libpq."""

import os
from contextvars import ContextVar
from dataclasses import dataclass, field

from app.recovery.db.conninfo import is_name, parameters, to_url


@dataclass
class Given:
    """What stood on the command line: libpq's keywords, and the name of a profile."""

    parts: dict[str, str] = field(default_factory=dict)
    profile: str | None = None
    text: str | None = None


GIVEN: ContextVar[Given] = ContextVar("given")


def given() -> Given:
    """Return what was given to the command that runs."""
    found = GIVEN.get(None)
    if found is None:
        GIVEN.set(found := Given())
    return found


def combine(text: str | None, base: str | None) -> str | None:
    """Return the connection string of -d over what the settings say, with -h, -p and -U.

    As in psql a string says more than the options beside it. A bare name, and the options, replace
    their part of the settings' string. Its password is for its own server and user: it is left out
    where another is named.
    """
    given().text = text
    parts = given().parts
    if text is not None and not is_name(text):
        return to_url({**parts, **parameters(text)}) if parts else text
    named = {**parts, **({"dbname": text} if text else {})}
    if not named:
        return base
    found = parameters(base) if base else {}
    if any(found.get(key) != value for key, value in parts.items()):
        found.pop("password", None)
    if "host" in parts:
        found.pop("hostaddr", None)
    return to_url({**found, **named})


_OPTIONS = {"host": "-h", "port": "-p", "user": "-U"}
_VARIABLES = ("PGSERVICE", "PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER")
_SETTING = "ZANITH_DATABASE_URL"


def source() -> str:
    """Return where the server was named, as `-h and -p`: options, a profile, then variables."""
    found = given()
    options = ["-d"] if found.text else []
    options += [option for part, option in _OPTIONS.items() if part in found.parts]
    if found.text and not is_name(found.text):
        return _joined(options)
    profile = found.profile or (None if _SETTING in os.environ else os.getenv("ZANITH_PROFILE"))
    if profile:
        rest = [f"the profile {profile}"]
    elif os.environ.get(_SETTING):
        rest = [_SETTING]
    else:
        rest = [name for name in _VARIABLES if os.environ.get(name)]
    return _joined([*options, *rest]) or f"-d or {_SETTING} (neither is set)"


def _joined(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
