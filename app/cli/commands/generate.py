"""`zanith migrate generate`: a new migration, empty or from the difference to a declared schema."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from app.cli.confirm import ask
from app.cli.console import Terminal
from app.cli.exits import Exit, stop
from app.cli.humanize import printable
from app.cli.migrations import (
    DeclaredSchema,
    Directory,
    LayoutOption,
    Shadow,
    ShadowUrl,
    choose_shadow,
    find_directory,
    refuse_without,
)
from app.cli.options import DatabaseUrl, Json
from app.cli.render.layout import marked
from app.cli.session import Session, run
from app.migrate.generate.files import Draft, layout_of, plan_files, write_new
from app.migrate.generate.from_diff import Answers, Generated, generate_from
from app.migrate.schema.difference import Rename
from app.migrate.schema.read import read_schema
from app.migrate.shadow.model import read_live
from app.recovery.core.errors import WrongUsage

app = typer.Typer()


@app.command("generate")
def generate_command(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What the migration does, such as add_code.")
    ],
    *,
    directory: Directory = None,
    layout: LayoutOption = None,
    from_diff: Annotated[
        bool,
        typer.Option("--from-diff", help="Write what turns the database into --schema."),
    ] = False,
    schema: DeclaredSchema = None,
    shadow: Shadow = None,
    shadow_url: ShadowUrl = None,
    rename: Annotated[
        list[str] | None,
        typer.Option("--rename", metavar="OLD=NEW", help="This was renamed; may be repeated."),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option("--drop", metavar="NAME", help="This was not renamed; may be repeated."),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="With --from-diff: write nothing; exit 4 if there is a difference."
        ),
    ] = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Write a new migration: an empty file, or the SQL that gives a declared schema.

    With --from-diff it loads --schema into a shadow, and compares it with the database. A file
    for one transaction comes first. What takes long is in a file that runs outside a transaction:
    indexes, and the validation of constraints. Drops come last, as captures. Whether a column
    or table was renamed is asked. An existing file is never changed.

    Example:

    $ zanith migrate generate add_code --dir migrations/
    $ zanith migrate generate sync --dir migrations/ --from-diff --schema schema.sql -d shop
    $ zanith migrate generate sync --from-diff --schema schema.sql --rename public.a.x=public.a.y
    $ zanith migrate generate sync --from-diff --schema schema.sql --check
    """
    place = find_directory(directory)
    if from_diff != (schema is not None):
        raise WrongUsage("--from-diff and --schema need each other", hint="give both or neither")
    if not from_diff:
        refuse_without(
            "--from-diff",
            ("--check", check),
            ("--rename", rename),
            ("--drop", drop),
            ("--shadow", shadow),
            ("--shadow-url", shadow_url),
        )
    found = layout_of(place, layout)

    if schema is None:
        files = plan_files(place, found, name, [Draft()])
        write_new(files)
        _say(Terminal(json=as_json), files, None)
        return
    declared = schema

    async def body(session: Session) -> None:
        async with session.db.acquire() as connection:
            live = await read_schema(connection)
        url = session.settings.database_url
        pattern, address = choose_shadow(shadow, shadow_url)
        generated = await generate_from(
            live,
            await read_live(url.get_secret_value() if url else None),
            declared,
            Answers.of(rename or [], drop or []),
            pattern=pattern,
            url=address,
            ask=_asking(session.terminal),
            tell=session.terminal.say,
        )
        files = [] if check else plan_files(place, found, name, generated.drafts)
        write_new(files)
        _say(session.terminal, files, generated)
        if check and (generated.drafts or generated.ddl.missing):
            stop(Exit.REFUSED)

    run(body, json=as_json, url=database_url, installed=False, read_only=True)


def _asking(terminal: Terminal) -> Callable[[Rename], bool] | None:
    """Return what asks about a rename; None if there is nobody to ask."""
    if not terminal.interactive:
        return None

    def asked(one: Rename) -> bool:
        question = f"Was {one.before} renamed to {one.after.text}? [y/N] "
        answer = ask(terminal, printable(question))
        return (answer or "").strip().lower() in ("y", "yes")

    return asked


def _say(
    terminal: Terminal, files: Sequence[tuple[Path, str]], generated: Generated | None
) -> None:
    missing = generated.ddl.missing if generated else []
    for path, _ in files:
        terminal.show(marked(Text("✓", style="good"), f"wrote {path}"))
    for one in missing:
        terminal.show(marked(Text("✗", style="bad"), printable(f"not generated: {one}")))
    if generated and not files and not missing:
        equal = not generated.drafts
        mark = Text("✓" if equal else "○", style="good" if equal else "warn")
        words = "is as declared" if equal else "differs from the declared schema"
        terminal.show(marked(mark, f"The database {words}."))
    if terminal.json:
        found = generated.to_json() if generated else {}
        terminal.emit({"files": [str(path) for path, _ in files], **found})
