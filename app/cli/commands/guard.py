"""`zanith guard`: make a plain DROP of any tool recoverable, or see what it would do."""

import os
import sys
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from app.cli.confirm import confirm_word, require_person
from app.cli.exits import Exit, stop
from app.cli.humanize import printable
from app.cli.options import DatabaseUrl, Json, Yes
from app.cli.render.guard import described, still_pinned, tried
from app.cli.render.outcome import done
from app.cli.session import Session, run
from app.recovery.core.durations import parse_duration
from app.recovery.core.errors import WrongUsage
from app.recovery.core.names import parse_name, quote
from app.recovery.guard.pin import Pin, set_pin
from app.recovery.guard.rules import (
    Mode,
    Rule,
    keep_database,
    read_guard,
    remove_rule,
    turn_off,
    turn_on,
)
from app.recovery.guard.trial import try_statements
from app.recovery.guard.truncate import keep_rows

app = typer.Typer(no_args_is_help=True)

_Schema = Annotated[
    str | None,
    typer.Option("--schema", metavar="NAME", help="Only for tables in this schema."),
]
_Role = Annotated[
    str | None,
    typer.Option("--role", metavar="ROLE", help="Only for statements that this role runs."),
]


@app.callback()
def _guard() -> None:
    """
    Make plain drops and lossy changes of a type recoverable, or refuse them.

    Example:

    $ zanith guard on
    $ zanith guard status
    $ zanith guard test 'DROP TABLE orders'
    """


@app.command("on")
def on_command(
    mode: Annotated[
        Mode,
        typer.Option(
            "--mode", metavar="MODE", help="capture, refuse, warn or off: what to do with a drop."
        ),
    ] = Mode.CAPTURE,
    schema: _Schema = None,
    role: _Role = None,
    expires_in: Annotated[
        str | None,
        typer.Option(
            "--expires-in", metavar="30d", help="How long to keep the artifacts of this rule."
        ),
    ] = None,
    may_turn_off: Annotated[
        bool | None,
        typer.Option(
            "--may-turn-off/--may-not-turn-off",
            help="Whether SET LOCAL zanith.guard = off lets a drop pass (recorded). Default: yes.",
        ),
    ] = None,
    public: Annotated[
        bool,
        typer.Option("--public", help="Let every role capture its own tables."),
    ] = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Turn the guard on: capture what a plain DROP deletes, and values that a
    plain ALTER COLUMN TYPE loses.

    It creates event triggers, so it needs a superuser. A role that may not
    capture (zanith init --grant, or --public) has its drops refused. With
    --schema or --role it sets what to do there; the more specific rule counts.

    Example:

    $ zanith guard on
    $ zanith guard on --public
    $ zanith guard on --role retention_job --mode off
    $ zanith guard on --schema scratch --expires-in 1d
    """

    async def body(session: Session) -> None:
        rule = Rule(
            mode, _name(schema, "schema"), _name(role, "role"), may_turn_off, _expiry(expires_in)
        )
        found = await turn_on(session.db, session.actor, rule, public=public)
        words = f"the guard is on: {mode.value} for {printable(rule.scope)}"
        session.terminal.show(done(words))
        session.terminal.show(described(found))
        if as_json:
            session.terminal.emit(found.to_json())

    run(body, url=database_url, json=as_json)


@app.command("off")
def off_command(
    schema: _Schema = None,
    role: _Role = None,
    yes: Yes = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Turn the guard off: a plain DROP deletes again.

    With --schema or --role only drops in that schema, or by that role, pass.
    Without these options the command drops the event triggers, and asks for the
    name of the database. The rules stay for the next time. Pins stay too: zanith
    guard pin TABLE --off removes one.

    Example:

    $ zanith guard off --role retention_job
    $ zanith guard off
    """

    async def body(session: Session) -> None:
        if schema is None and role is None:
            require_person(session.terminal, yes=yes, dry_run=False)
            why = "to turn the guard off: a plain DROP deletes for good"
            confirm_word(session.terminal, session.db.server.database, why=why, yes=yes)
        names = _name(schema, "schema"), _name(role, "role")
        found = await turn_off(session.db, session.actor, *names)
        scope = Rule(Mode.OFF, *names).scope
        session.terminal.show(done(f"the guard is off for {printable(scope)}"))
        if found.pins and schema is None and role is None:
            session.terminal.show(still_pinned(found))
        if as_json:
            session.terminal.emit(found.to_json())

    run(body, url=database_url, json=as_json)


@app.command("reset")
def reset_command(
    schema: _Schema = None,
    role: _Role = None,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Remove the rule of a schema or a role, so that a more general rule applies.

    The schema or role may be gone.

    Example:

    $ zanith guard reset --schema scratch
    $ zanith guard reset --role retention_job
    """

    async def body(session: Session) -> None:
        names = _name(schema, "schema"), _name(role, "role")
        found = await remove_rule(session.db, session.actor, *names)
        scope = Rule(Mode.OFF, *names).scope
        session.terminal.show(done(f"removed the rule for {printable(scope)}"))
        session.terminal.show(described(found))
        if as_json:
            session.terminal.emit(found.to_json())

    run(body, url=database_url, json=as_json)


@app.command("status")
def status_command(as_json: Json = False, database_url: DatabaseUrl = None) -> None:
    """
    Show which protection is in force: the guard and its rules, pins, and
    triggers of TRUNCATE.

    Exit 4 if some of the event triggers of the guard are missing or disabled,
    but not all. If all are, the guard is off, and the exit code is 0.

    Example:

    $ zanith guard status
    $ zanith guard status --json | jq -r .state
    """

    async def body(session: Session) -> None:
        found = await read_guard(session.db)
        session.terminal.show(described(found))
        if as_json:
            session.terminal.emit(found.to_json())
        if found.state == "damaged":
            stop(Exit.REFUSED)

    run(body, url=database_url, json=as_json, read_only=True)


@app.command("truncate")
def truncate_command(
    name: Annotated[
        str, typer.Argument(metavar="TABLE", help="The table, quoted as in SQL if needed.")
    ],
    off: Annotated[
        bool, typer.Option("--off", help="Drop the triggers: TRUNCATE deletes again.")
    ] = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Keep the rows of a table when somebody runs TRUNCATE.

    No event trigger fires for TRUNCATE, so this command creates triggers on the
    table, its partitions and the tables that inherit from it. A TRUNCATE then
    copies the rows first, and the artifact can restore them. A TRUNCATE of more
    than zanith.guard_copy_limit (64MB) is refused. Run the command again after
    you create a partition.

    Example:

    $ zanith guard truncate orders
    $ zanith guard truncate orders --off
    """

    async def body(session: Session) -> None:
        table = quote(parse_name(name))
        found = await keep_rows(session.db, session.actor, table, kept=not off)
        words = "passes" if off else "keeps its rows"
        session.terminal.show(done(f"TRUNCATE {printable(table)} {words}"))
        if as_json:
            session.terminal.emit(found.to_json())

    run(body, url=database_url, json=as_json)


@app.command("pin")
def pin_command(
    name: Annotated[
        str, typer.Argument(metavar="TABLE", help="The table, quoted as in SQL if needed.")
    ],
    table_only: Annotated[
        bool,
        typer.Option("--table-only", help="Do not pin the columns: their drops pass."),
    ] = False,
    off: Annotated[bool, typer.Option("--off", help="Remove the pin: DROP deletes again.")] = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Let a plain DROP of a table or of its columns fail, without a superuser.

    It needs no event triggers: a function depends on the table, its partitions
    and the tables that inherit from it, and PostgreSQL's error names that
    function. ALTER COLUMN TYPE fails too. DROP … CASCADE is not stopped. Zanith's
    own captures and restores work. Run the command again after you add a column
    or a partition.

    Example:

    $ zanith guard pin orders
    $ zanith guard pin orders --off
    """
    if table_only and off:
        raise WrongUsage("--table-only and --off exclude each other", hint="leave one of them out")

    async def body(session: Session) -> None:
        table = quote(parse_name(name))
        pin = Pin.OFF if off else Pin.TABLE if table_only else Pin.COLUMNS
        found = await set_pin(session.db, session.actor, table, pin)
        words = "deletes again" if off else "fails"
        session.terminal.show(done(f"a plain DROP of {printable(table)} {words}"))
        if as_json:
            session.terminal.emit(found.to_json())

    run(body, url=database_url, json=as_json)


class _Switch(StrEnum):
    """On, or off."""

    ON = "on"
    OFF = "off"


@app.command("database")
def database_command(
    switch: Annotated[
        _Switch,
        typer.Argument(metavar="on|off", help="on: refuse DROP DATABASE. off: let it pass."),
    ],
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Refuse DROP DATABASE of this database, or let it pass again.

    No event trigger fires for DROP DATABASE, but PostgreSQL refuses to drop a
    template. This command marks the database as a template (IS_TEMPLATE). Roles
    with CREATEDB may then copy the database: CREATE DATABASE … TEMPLATE.

    Example:

    $ zanith guard database on
    """

    async def body(session: Session) -> None:
        found = await keep_database(session.db, session.actor, kept=switch is _Switch.ON)
        name = printable(session.db.server.database)
        words = "is refused" if found.database_kept else "passes again"
        session.terminal.show(done(f"DROP DATABASE {name} {words}"))
        if as_json:
            session.terminal.emit(found.to_json())

    run(body, url=database_url, json=as_json)


@app.command("test")
def try_command(
    statements: Annotated[
        str, typer.Argument(metavar="SQL|FILE", help="Statements, a file of them, or - for stdin.")
    ],
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Show what the guard would do with each statement, and change nothing.

    The statements run in one transaction, which is rolled back. They take
    their locks until then, and wait briefly for them. COPY FROM STDIN is
    skipped with its data, and so are commands of psql. Exit 4 if one would be
    refused, would fail, or would delete data.

    Example:

    $ zanith guard test 'ALTER TABLE orders DROP COLUMN legacy_code'
    $ zanith guard test migrations/0042_cleanup.sql
    """
    text = _read(statements)

    async def body(session: Session) -> None:
        verdicts = await try_statements(session.db, text)
        session.terminal.show(tried(verdicts))
        if as_json:
            session.terminal.emit({"statements": [verdict.to_json() for verdict in verdicts]})
        if any(verdict.outcome in {"refused", "failed", "deleted"} for verdict in verdicts):
            stop(Exit.REFUSED)

    run(body, url=database_url, json=as_json)


def _name(text: str | None, what: str) -> str | None:
    if text is None:
        return None
    parts = parse_name(text)
    if len(parts) > 1:
        raise WrongUsage(
            f"{text!r} is not the name of a {what}",
            hint='quote a name that has a full stop in it, as in SQL: "a.b"',
        )
    return parts[0]


def _expiry(text: str | None) -> timedelta | None:
    if text is None:
        return None
    found = parse_duration(text)
    if found is None:
        raise WrongUsage(
            "--expires-in of the guard cannot be never",
            hint="write a duration, such as --expires-in 3650d",
        )
    return found


def _read(text: str) -> str:
    try:
        if text == "-":
            return sys.stdin.read()
        if _is_path(text):
            return Path(text).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        raise WrongUsage(
            f"{text} cannot be read: {reason}", hint="name a file, or write the statements"
        ) from exc
    return text


def _is_path(text: str) -> bool:
    """Whether it names a file, be it there or not: no statement is one word with a slash."""
    if len(text) < 256 and Path(text).exists():
        return True
    one_line = "\n" not in text and ";" not in text
    word = not any(character.isspace() for character in text) and os.sep in text
    return one_line and (word or text.lower().endswith(".sql"))
