"""Settings that PostgreSQL must have while it works for Zanith, whatever a role or database sets.

A role that may create objects in a schema of the search path decides what an unqualified operator
means there. Other settings change how PostgreSQL parses a text, or how it prints a definition or a
value. The list itself is zanith._fixed_settings(), in migrations/functions/lib/names.sql.
"""

from __future__ import annotations

import json
import re
from functools import cache

from app.recovery import queries
from app.recovery.core.strategies import CAPTURES
from app.recovery.db.schema_files import files
from app.recovery.queries import load

_LIST = re.compile(r"FUNCTION zanith\._fixed_settings\(\).*?'(\{.*?\})'::jsonb", re.DOTALL)
_DECLARED = re.compile(r"\bSET ([\w.]+) = '?(.*?)'?(?= SET [\w.]+ =| AS\b|\s*$)", re.MULTILINE)
_HEAD = "FUNCTION zanith."

# Those of a connection alone: what a transaction begins as, where new tables go, and how plans and
# scans are chosen. A function keeps what its caller has of these.
_OF_CONNECTIONS = {
    "default_tablespace": "",
    "default_transaction_deferrable": "off",
    "default_transaction_isolation": "read committed",
    "idle_in_transaction_session_timeout": "0",  # a shared snapshot waits; locks.begin sets one
    "jit": "off",
    "plan_cache_mode": "auto",
    "synchronize_seqscans": "off",
}


@cache
def of_functions() -> dict[str, str]:
    """Return the settings of every function that others can call."""
    text = next(file.text for file in files() if file.path == "functions/lib/names.sql")
    found = _LIST.search(text)
    if found is None:
        raise ValueError("functions/lib/names.sql has no list of fixed settings")
    values: dict[str, str] = json.loads(found.group(1))
    return values


@cache
def of_connections() -> dict[str, str]:
    """Return the settings of every connection, to be given when it starts."""
    return {**of_functions(), **_OF_CONNECTIONS}


@cache
def set_locally() -> str:
    """Return the statements that give them to a transaction where the connection lacks them."""
    return "".join(
        f"SET LOCAL {name} TO {value if name == 'search_path' else _literal(value)};"
        for name, value in of_connections().items()
        if not name.startswith("default_transaction")  # BEGIN says how a transaction begins
    )


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _must_be_fixed() -> str:
    captures = ", ".join(_literal(name) for name in CAPTURES)
    return queries.fill(load("installer")["must_be_fixed"], captures=captures)


def fill(text: str) -> str:
    """Return a query with the list in place of {fixed}, and who must have it of {must_be_fixed}."""
    parts = {
        "must_be_fixed": f"({_must_be_fixed()})",
        "fixed": f"'{json.dumps(of_functions())}'::jsonb",
    }
    return queries.fill(text, **{name: parts[name] for name in queries.places(text)})


def declared(text: str, source: str) -> list[set[str]]:
    """Return the settings that a file of functions gives to those with this body, as pg_proc does.

    Several functions of a file can have the same body.
    """
    body = f"$${source}$$"
    heads = [part.rpartition(_HEAD)[2] for part in text.split(body)[:-1]]
    return [{f"{name}={value}" for name, value in _DECLARED.findall(head)} for head in heads]
