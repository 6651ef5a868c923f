"""`zanith migrate snapshot …`: the schema at any time, and what changed between two times."""

from typing import Annotated

import typer

from app.cli.options import DatabaseUrl, Json
from app.cli.render.snapshots import compared, snapshot_list, taken
from app.cli.session import Session, run
from app.migrate.schema.ddl.generate import described, generate
from app.migrate.schema.difference import OWNERSHIP, Difference, difference
from app.migrate.schema.model import Schema
from app.migrate.schema.snapshots import (
    find_migration,
    find_schema,
    list_snapshots,
    load_snapshot,
    needs_database,
    take,
)
from app.recovery.core.errors import WrongUsage
from app.recovery.db.installer import require_installed

app = typer.Typer(no_args_is_help=True)

Name = Annotated[
    str,
    typer.Argument(
        metavar="SNAPSHOT",
        help="live, the number of a snapshot, MIGRATION:before, MIGRATION:after, or a file that "
        "show --json wrote. MIGRATION is an id or a version; a number alone is a snapshot.",
    ),
]
Sql = Annotated[bool, typer.Option("--sql", help="Print the statements and nothing else.")]
NoOwner = Annotated[
    bool,
    typer.Option("--no-owner", help="Leave out owners, grants and default privileges."),
]


@app.callback()
def _snapshot_group() -> None:
    """
    Show the schema at any time, and what changed between two times.

    Example:

    $ zanith migrate snapshot list
    $ zanith migrate snapshot diff 0042:before live
    """


@app.command("take")
def take_command(as_json: Json = False, database_url: DatabaseUrl = None) -> None:
    """
    Store the schema as it is now.

    Equal schemas are stored once.

    Example:

    $ zanith migrate snapshot take
    """

    async def body(session: Session) -> None:
        async with session.db.acquire() as connection, connection.transaction():
            number = await take(connection, by=session.actor.name)
            snapshot, _ = await load_snapshot(connection, number)
        session.terminal.show(taken(snapshot))
        if as_json:
            session.terminal.emit({"snapshot": snapshot.to_json()})

    run(body, url=database_url, json=as_json)


@app.command("list")
def list_command(
    *,
    migration: Annotated[
        str | None,
        typer.Option(
            "--migration", metavar="ID", help="Only those of this migration, by its id or version."
        ),
    ] = None,
    limit: Annotated[
        int,
        typer.Option(
            "--limit", metavar="N", min=1, max=10000, help="Show N snapshots at most, newest first."
        ),
    ] = 50,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    List the stored snapshots, newest first.

    Example:

    $ zanith migrate snapshot list
    $ zanith migrate snapshot list --migration 0042_add_code --json
    """

    async def body(session: Session) -> None:
        async with session.db.acquire() as connection:
            wanted = None if migration is None else await find_migration(connection, migration)
            found = await list_snapshots(connection, limit, wanted)
        session.terminal.page(snapshot_list(found))
        if as_json:
            session.terminal.emit({"snapshots": [one.to_json() for one in found]})

    run(body, url=database_url, json=as_json, read_only=True)


@app.command("show")
def show_command(
    name: Name = "live",
    *,
    no_owner: NoOwner = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Print the schema of a snapshot as SQL, or as JSON.

    The JSON can be kept in a file, and compared later with diff.

    Example:

    $ zanith migrate snapshot show live
    $ zanith migrate snapshot show 12 --json > schema.json
    """

    if as_json and no_owner:
        raise WrongUsage(
            "--json shows the whole schema, and --no-owner has no effect",
            hint="leave --no-owner out; diff takes both",
        )

    async def body(session: Session) -> None:
        schema = await _find(session, name)
        if as_json:
            session.terminal.emit({"schema": schema.to_json()})
            return
        empty = Schema({}, schema.version, schema.defaults)
        _write(difference(empty, schema, _ignored(no_owner=no_owner)), session)

    run(body, url=database_url, json=as_json, installed=False, read_only=True)


@app.command("diff")
def diff_command(
    before: Name,
    after: Name = "live",
    *,
    sql: Sql = False,
    no_owner: NoOwner = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Show what changed between two snapshots, object by object.

    A dropped and a created object that are alike are named as a possible rename. With --sql it
    prints the statements that turn the first schema into the second. A comment names what this
    version does not generate.

    Example:

    $ zanith migrate snapshot diff 12 live
    $ zanith migrate snapshot diff 0042:before 0042:after --sql
    $ zanith migrate snapshot diff schema.json live --json
    """
    if sql and as_json:
        raise WrongUsage("--json and --sql exclude each other", hint="give one")

    async def body(session: Session) -> None:
        old, new = await _find(session, before), await _find(session, after)
        found = difference(old, new, _ignored(no_owner=no_owner))
        if sql:
            _write(found, session)
            return
        ddl = generate(found)
        session.terminal.page(compared(found, ddl))
        if as_json:
            session.terminal.emit(described(found, ddl))

    run(body, url=database_url, json=as_json, installed=False, read_only=True)


def _write(found: Difference, session: Session) -> None:
    """Print SQL as it is: a terminal must not wrap it."""
    session.terminal.out.file.write(generate(found).sql)


def _ignored(*, no_owner: bool) -> frozenset[str]:
    return OWNERSHIP if no_owner else frozenset()


async def _find(session: Session, name: str) -> Schema:
    if needs_database(name):
        await require_installed(session.db)
    async with session.db.acquire() as connection:
        return await find_schema(connection, name)
