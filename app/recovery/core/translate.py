"""What PostgreSQL and the system raise, as errors of ours: what happened, why, and what to do."""

from __future__ import annotations

import asyncio
import errno
import re
from collections.abc import Callable
from contextvars import ContextVar

import asyncpg

from app.recovery.core.errors import (
    Cancelled,
    Failed,
    Locked,
    NotFound,
    NotPermitted,
    Refused,
    WrongUsage,
    ZanithError,
)

_BY_STATE: dict[str, type[ZanithError]] = {
    "0A000": Refused,
    "22004": WrongUsage,
    "22023": WrongUsage,
    "25006": Refused,
    "28000": NotPermitted,
    "28P01": NotPermitted,
    "2BP01": Refused,
    "3D000": NotFound,
    "P0002": NotFound,
    "3F000": NotFound,
    "40001": Locked,
    "40P01": Locked,
    "42501": NotPermitted,
    "42703": NotFound,
    "42704": NotFound,
    "42P01": NotFound,
    "55000": Refused,
    "55006": Locked,
    "55P03": Locked,
    "57014": Cancelled,
}

# PostgreSQL has one code for a cancel that somebody wanted and for a time that ran out.
_TIMED_OUT = "statement timeout"

_Maker = Callable[[BaseException], ZanithError]

# What says that the caller named something wrong, or may not. Somebody's function that looks for a
# table of its own in vain says nothing of the kind.
_ABOUT_THE_CALLER = (NotFound, WrongUsage, NotPermitted)

_BY_CLASS: dict[str, type[ZanithError]] = {"22": Refused, "23": Refused, "42": Refused}

# The way out of a setting that a role, database or server has.
_SET = "ALTER ROLE … SET {} = {}"

TRANSACTION_TIMEOUT = (
    "transaction_timeout is too short for this role: take an online form, or "
    + _SET.format("transaction_timeout", "0")
)

_HINTS = {
    "22021": "a database of SQL_ASCII can hold bytes that are not UTF-8, which cannot be"
    " sealed or exported: convert the values, or restore with --unverified",
    "25006": "a standby lists, inspects, verifies and exports: make changes on the primary. On a"
    " primary default_transaction_read_only is on for this role or database: "
    + _SET.format("default_transaction_read_only", "off"),
    "28000": "check the role in {address}, and pg_hba.conf on the server",
    "28P01": "check the role in {address}, and its password (also PGPASSWORD, ~/.pgpass)",
    "3D000": "check the database's name in {address}",
    "25P03": "idle_in_transaction_session_timeout is too short for this role: nothing was changed; "
    + _SET.format("idle_in_transaction_session_timeout", "'10min'"),
    "25P04": TRANSACTION_TIMEOUT,
    "55P03": "lock_timeout of this role may be too short: try again, or "
    + _SET.format("lock_timeout", "'2s'"),
    "42P01": "write its schema too, if it is not on your search_path",
    "53100": "free space on the server's disk, then try again",
    "53300": "the server has no connection to spare: raise max_connections, or try again later",
    "57P03": "the server is starting up or shutting down: try again in a moment",
}

# PostgreSQL's own hint for what others depend on, which would delete those too.
_CASCADE = "Use DROP ... CASCADE to drop the dependent objects too."

_DEPENDED_ON = "first move or change the objects that depend on it"

_DISK_FULL = "free space on the disk, or write to another one"

_STATEMENT_TIMEOUT = (
    "statement_timeout is too short for this role and this much data: take an online form, or "
    + _SET.format("statement_timeout", "0")
)

# A value takes twice its bytes as text, and a text of PostgreSQL has 1 GB at most.
_TOO_LARGE = (
    "PostgreSQL cannot print a bytea value above 512 MB. Copy it out in parts (substr), shorten it,"
    " then try again"
)

# A role that zanith init --grant let capture sees the artifacts and none of the other tables.
_BOOKS = re.compile(r"^permission denied for table _zanith_")

_CAPTURES_ONLY = "this role may capture with Zanith and list artifacts, and nothing more"

_BY_PSQL = (
    "connect as the role that runs Zanith, or restore with psql. The script is recovery_sql in"
    " zanith._zanith_migration_artifacts: SELECT recovery_sql FROM"
    " zanith._zanith_migration_artifacts WHERE id = '…'"
)

_TEMP = "the role needs TEMPORARY on the database: GRANT TEMPORARY ON DATABASE … TO …"

_SERVER_GONE = "check that the server is running, and its address in {address}"


# Where the address of the server was given, as hints name it: a setting, or the command's options.
ADDRESS_FROM: ContextVar[str] = ContextVar("address_from", default="ZANITH_DATABASE_URL")


def _naming_address(hint: str) -> str:
    return hint.format(address=ADDRESS_FROM.get())


def translate(exc: BaseException) -> ZanithError:
    """Return what happened as a ZanithError, with the server's message, detail and hint kept.

    A ZanithError comes back as it is. Messages of the client library are never shown where they
    could hold a connection string.
    """
    if isinstance(exc, ZanithError):
        return exc
    if isinstance(exc, asyncpg.PostgresError):
        return _from_server(exc)
    for kinds, make in _BY_KIND:
        if isinstance(exc, kinds):
            return make(exc)
    return Failed(
        f"internal error in Zanith: {type(exc).__name__}",
        hint="nothing that was not committed has changed; please report it",
    )


def _from_server(exc: asyncpg.PostgresError) -> ZanithError:
    state = exc.sqlstate or ""
    kind, hint = _meaning(exc, state)
    message, detail = getattr(exc, "message", None) or str(exc), getattr(exc, "detail", None)
    if state == "42501" and _BOOKS.search(message):
        message, detail, hint = _CAPTURES_ONLY, message, _BY_PSQL
    error = kind(
        message,
        detail=detail,
        hint=hint,
        sqlstate=state or None,
    )
    error.by_owner = raised_by_owner(exc)
    return error if _holds_no_values(exc, state) else _withheld(error, exc, state)


def _meaning(exc: asyncpg.PostgresError, state: str) -> tuple[type[ZanithError], str | None]:
    """Return the class of the server's error, and the hint: the server's own, or ours."""
    said = getattr(exc, "hint", None)
    if raised_by_owner(exc):
        return Refused, said
    kind = _BY_STATE.get(state) or _BY_CLASS.get(state[:2], Failed)
    # the latter where the session had temporary objects before the privilege was revoked
    if state == "42501" and ("temporary" in str(exc) or "schema pg_temp_" in str(exc)):
        return kind, _TEMP
    if issubclass(kind, _ABOUT_THE_CALLER) and _THEIRS.search(_context(exc)):
        return Refused, said
    text, hint = str(exc), said or _naming_address(_HINTS.get(state, "")) or None
    if hint == _CASCADE:
        hint = _DEPENDED_ON
    if state in {"54000", "XX000"} and "invalid memory alloc request size" in text:
        return Refused, _TOO_LARGE
    if state == "57014" and _TIMED_OUT in text:
        kind, hint = Failed, hint or _STATEMENT_TIMEOUT
    if "due to transaction timeout" in text:
        hint = TRANSACTION_TIMEOUT
    if not hint and (state.startswith("08") or state in {"57P01", "57P02"}):
        hint = _naming_address(_SERVER_GONE)
    return kind, hint


def _is_hint_of_ours(error: ZanithError, exc: asyncpg.PostgresError) -> bool:
    return error.hint != getattr(exc, "hint", None) or _OURS.match(_context(exc)) is not None


# Classes of errors whose text, where PostgreSQL itself wrote it, names objects and settings only.
_ABOUT_OBJECTS = frozenset(
    {"08", "0A", "25", "28", "2B", "3D", "3F", "40", "42", "53", "54", "55", "57", "58"}
)

# Of these the message names objects, and the detail holds values.
_ABOUT_ROWS = frozenset({"23", "44"})

# What raises in somebody's function: its text can be anything.
_RAISED = frozenset({"pl_exec.c", "plperl.c", "plpy_elog.c", "pltcl.c"})

_OURS = re.compile(r"PL/pgSQL function zanith\.\w+\(")

# Somebody's function in the chain of calls: it may have made a statement out of values. PostgreSQL
# gives the schema of a function in PL/pgSQL, and none of a function in SQL. So a function of ours
# that stands in a chain is in PL/pgSQL: one in SQL becomes part of the query around it. A DO block
# can be ours or somebody's: the statements that it executes as text can be made of values.
_THEIRS = re.compile(
    r"^(SQL function |PL/\w+ function (?!zanith\.|pg_temp_\d+\._|inline_code_block line)"
    r"|PL/\w+ function inline_code_block line \d+ at (EXECUTE|OPEN|FOR over EXECUTE))",
    re.MULTILINE,
)

# Which of PostgreSQL's sources tell of a name that stands in a statement. A value that is cast to
# regclass or regconfig, or given to current_setting(), is a name too: others tell of that.
_ABOUT_NAMES = frozenset({"28", "2B", "3D", "3F", "42"})

_READ_FROM_STATEMENT = re.compile(
    r"(parse_\w+|analyze|gram|scan|rewriteHandler|aclchk|miscinit|postinit|auth|heap|index|dependency"
    r"|objectaddress|user|\w+cmds|\w+commands|lockcmds|trigger|policy|statscmds|dbcommands|pl_\w+)\.[cly]"
)


def _context(exc: asyncpg.PostgresError) -> str:
    return getattr(exc, "context", None) or ""


def _raised(exc: asyncpg.PostgresError) -> bool:
    return getattr(exc, "server_source_filename", None) in _RAISED


def raised_by_owner(exc: asyncpg.PostgresError) -> bool:
    """Whether somebody's function raised it, whose text and state can be anything.

    So it decides no exit code, no HTTP status, and not whether something is tried again.
    """
    return _raised(exc) and _OURS.match(_context(exc)) is None


def _holds_no_values(exc: asyncpg.PostgresError, state: str) -> bool:
    if _raised(exc):
        return not raised_by_owner(exc)
    if _THEIRS.search(_context(exc)):
        return False
    source = getattr(exc, "server_source_filename", None) or ""
    if state[:2] in _ABOUT_NAMES and not _READ_FROM_STATEMENT.fullmatch(source):
        return False
    return state[:2] in _ABOUT_OBJECTS


def _withheld(error: ZanithError, exc: asyncpg.PostgresError, state: str) -> ZanithError:
    """Let the state and the names of objects be all that is kept of an error."""
    named = {
        "table": getattr(exc, "table_name", None),
        "column": getattr(exc, "column_name", None),
        "type": getattr(exc, "data_type_name", None),
        "constraint": getattr(exc, "constraint_name", None),
    }
    detail = ", ".join(f"{kind} {name}" for kind, name in named.items() if name) or None
    ours = _is_hint_of_ours(error, exc)
    if state[:2] in _ABOUT_ROWS and not raised_by_owner(exc):
        return error.withhold(detail, hint=ours)
    condition = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(exc).__name__.removesuffix("Error"))
    said = f"PostgreSQL reported an error of the kind {state}, {condition.lower()}"
    return error.withhold(detail, said, hint=ours)


def _from_system(exc: BaseException) -> ZanithError:
    filename = getattr(exc, "filename", None)
    hint = _DISK_FULL if getattr(exc, "errno", None) == errno.ENOSPC else None
    if hint is None:
        hint = f"look at {filename}" if filename else _naming_address(_SERVER_GONE)
    return Failed(getattr(exc, "strerror", None) or "the operating system refused", hint=hint)


# First match decides: the narrower classes stand above those that they derive from.
_BY_KIND: list[tuple[type[BaseException] | tuple[type[BaseException], ...], _Maker]] = [
    (
        asyncpg.exceptions.ClientConfigurationError,
        lambda _: WrongUsage(
            "the database URL cannot be read",
            hint="write it as postgresql://user@host:5432/database",
        ),
    ),
    (
        TimeoutError,
        lambda _: Failed("the server did not answer in time", hint=_naming_address(_SERVER_GONE)),
    ),
    (
        (ConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError),
        lambda _: Failed(
            "the connection to the server was lost", hint=_naming_address(_SERVER_GONE)
        ),
    ),
    (OSError, _from_system),
    (asyncio.CancelledError, lambda _: Cancelled()),
]
