"""`zanith migrate baseline`: adopt a database whose migrations another tool applied."""

from typing import Annotated

import typer

from app.cli.confirm import confirm_word, require_person
from app.cli.console import Terminal
from app.cli.migrations import Directory, LayoutOption, Wait, read_directory, refuse_useless
from app.cli.options import DatabaseUrl, Json, Yes
from app.cli.render.baseline import baseline_view
from app.cli.session import Session, run
from app.migrate.apply.baseline import Baseline, Tool, adopt, plan_baseline, require_found
from app.recovery.core.durations import parse_duration
from app.text import plural

app = typer.Typer()


@app.command("baseline")
def baseline_command(
    *,
    directory: Directory = None,
    layout: LayoutOption = None,
    tool: Annotated[
        Tool | None,
        typer.Option("--tool", help="The tool whose table says what is applied. Default: found."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="ID", help="Count all migrations up to this one as applied instead."
        ),
    ] = None,
    wait: Wait = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Show what would be adopted.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Record the migrations that another tool applied, so that up runs only the
    others.

    It reads the table of Alembic, Django, Prisma, Flyway, goose, Rails, dbmate,
    golang-migrate, Drizzle, Knex, Sequelize or Supabase by the rules of the
    tool, shows what it found, and asks. It runs no migration, and leaves the
    table of the tool as it is.

    Example:

    $ zanith migrate baseline --dir migrations --dry-run
    $ zanith migrate baseline --dir migrations --tool flyway
    $ zanith migrate baseline --dir migrations --to 0042 --yes
    """
    refuse_useless(
        (
            tool is not None and to is not None,
            "--tool and --to exclude each other",
            "give --tool to read the table of a tool, or --to if there is none",
        )
    )
    found, migrations = read_directory(directory, layout)

    async def body(session: Session) -> Baseline:
        planned = await plan_baseline(session.db, migrations, tool, to)
        require_found(planned)
        session.terminal.say(baseline_view(planned))
        if dry_run or not planned.adopted:
            return planned
        require_person(session.terminal, yes=yes)
        count = str(len(planned.adopted))
        confirm_word(session.terminal, count, why="to adopt them", yes=yes)
        limit = parse_duration(wait) if wait else None
        return await adopt(session.db, found, migrations, session.actor, tool, to, limit)

    result = run(body, url=database_url, json=as_json)
    terminal = Terminal(json=as_json)
    if result.done:
        terminal.say(f"✓ {plural(len(result.adopted), 'migration')} recorded as applied")
    if as_json:
        terminal.emit(result.to_json())
