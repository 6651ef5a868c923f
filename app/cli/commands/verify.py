"""`zanith migrate verify`: pending migrations on a shadow, before the live database has them."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from app.cli.commands.migrate import read_named, refuse_contradictions
from app.cli.connection import given
from app.cli.console import Terminal
from app.cli.exits import Exit, stop
from app.cli.humanize import printable
from app.cli.migrations import (
    DeclaredSchema,
    DirectoryBeside,
    LayoutOption,
    Shadow,
    ShadowUrl,
    choose_shadow,
    refuse_useless,
)
from app.cli.options import DatabaseUrl, Json
from app.cli.render.verify import observed, verdict
from app.cli.session import Session, run, run_alone, settings_with
from app.migrate.apply.status import read_status
from app.migrate.read.layouts import read_one
from app.migrate.read.migrations import Layout, Migration, Script
from app.migrate.review.live import read_live as read_world
from app.migrate.review.plan import divide, plan_migrations
from app.migrate.review.world import World
from app.migrate.shadow.findings import Verdict
from app.migrate.shadow.model import Live, Pattern, read_live
from app.migrate.shadow.provision import remove_kept
from app.migrate.shadow.replay import Source
from app.migrate.shadow.report import to_markdown
from app.migrate.shadow.verify import Request, Verification, verify
from app.recovery.core.errors import WrongUsage, ZanithError
from app.recovery.db.installer import require_installed
from app.settings import load_settings

app = typer.Typer()
_EXITS = {
    Verdict.OK: Exit.DONE,
    Verdict.DRIFT: Exit.REFUSED,
    Verdict.FAILED: Exit.REFUSED,
    Verdict.INCONCLUSIVE: Exit.FAILED,
}


@app.command("verify")
def verify_command(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="PATH",
            help="A SQL file, a directory of migrations, or - for stdin. Default: --dir.",
        ),
    ] = None,
    *,
    directory: DirectoryBeside = None,
    layout: LayoutOption = None,
    after: Annotated[
        str | None,
        typer.Option(
            "--after",
            metavar="ID",
            help="The last migration that was applied: those after it are verified. Default: what "
            "zanith migrate status says of the live database; without one all, from empty.",
        ),
    ] = None,
    shadow: Shadow = None,
    shadow_url: ShadowUrl = None,
    replay: Annotated[
        Source,
        typer.Option(
            "--replay",
            help="Where the schema of now comes from: files, the applied migrations; live, the "
            "live database by pg_dump, without rows.",
        ),
    ] = Source.FILES,
    schema: DeclaredSchema = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the shadow, and print its address.")
    ] = False,
    remove: Annotated[
        bool,
        typer.Option("--remove-kept", help="Remove the shadows that --keep left, and do no more."),
    ] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")
    ] = False,
    as_json: Json = False,
    database_url: DatabaseUrl = None,
) -> None:
    """
    Run pending migrations on a shadow, and compare with the plan.

    The shadow is a database without rows: on an embedded server, beside the
    live database (--shadow same-server), or at --shadow-url. It gets the schema
    of now, and then each pending statement. Its locks, scans and rewrites are
    compared with the plan. A down part must take all back. With -d, -h, -p, -U
    or --profile the schema is compared with that database, which is read and
    never changed.

    Exit 4 for the verdicts failed and drift, and 1 for inconclusive.

    Example:

    $ zanith migrate verify migrations/
    $ zanith migrate verify migrations/ --after 0041 -d shop
    $ zanith migrate verify migrations/0042_drop_code.sql --replay live -d shop
    $ zanith migrate verify migrations/ --schema schema.sql --markdown
    """
    if markdown and as_json:
        raise WrongUsage("--json and --markdown exclude each other", hint="give one")
    if remove:
        _refuse_beside_remove(
            {
                "PATH": path,
                "--dir": directory,
                "--layout": layout,
                "--after": after,
                "--shadow": shadow,
                "--shadow-url": shadow_url,
                "--replay live": replay is Source.LIVE,
                "--schema": schema,
                "--keep": keep,
                "--markdown": markdown,
            }
        )
    refuse_contradictions(path, directory, after)
    terminal = Terminal(json=as_json)
    pattern, shadow_url = choose_shadow(shadow, shadow_url)
    named = database_url is not None or bool(given().parts) or given().profile is not None

    def tell(text: str) -> None:
        if not as_json:
            terminal.say(printable(text))

    if remove:
        _remove(_text_of(database_url), terminal, tell, named=named)
        return
    known = directory or load_settings().migrations
    named_files = read_named(path, known, layout)
    if replay is Source.LIVE and not named:
        raise WrongUsage("--replay live needs the live database", hint="name it with -d")
    choice = _Choice(
        named_files.layout,
        named_files.migrations,
        named_files.before,
        after,
        pattern,
        shadow_url,
        replay,
        read_one(schema, Layout.FILE)[1][0].up if schema else None,
        keep,
    )
    result = _run(choice, database_url, tell, named=named, json=as_json)
    _show(result, terminal, markdown=markdown)
    if result.verdict is not Verdict.OK:
        stop(_EXITS[result.verdict])


@dataclass(frozen=True)
class _Choice:
    """What was given on the command line, as far as it needs no database."""

    layout: Layout
    migrations: Sequence[Migration]
    before: Sequence[Migration]
    """Those that come before the file that is named."""
    after: str | None
    pattern: Pattern
    url: str | None
    source: Source
    declared: Script | None
    keep: bool

    def request(
        self,
        applied: Sequence[Migration],
        pending: Sequence[Migration],
        world: World | None = None,
        live: Live | None = None,
        forbidden: Live | None = None,
    ) -> Request:
        plan = plan_migrations(self.layout, pending, applied=applied, live=world, together=True)
        return Request(
            self.layout,
            applied,
            pending,
            plan,
            self.pattern,
            self.url,
            live,
            forbidden,
            self.source,
            self.declared,
            self.keep,
        )


def _run(
    choice: _Choice, url: str | None, tell: Callable[[str], None], *, named: bool, json: bool
) -> Verification:
    text = _text_of(url)

    async def alone() -> Verification:
        forbidden = None
        if text is not None:  # the database of the settings is never a shadow
            with suppress(ZanithError):
                forbidden = await read_live(text)
        done, pending = divide(choice.migrations, choice.after)
        return await verify(
            choice.request([*choice.before, *done], pending, forbidden=forbidden), tell
        )

    async def beside(session: Session) -> Verification:
        applied, pending = await _divide(session, choice)
        world = await read_world(session.db, pending)
        live = await read_live(text)
        return await verify(choice.request(applied, pending, world, live, live), tell)

    if not named:
        return run_alone(alone)
    return run(beside, url=url, json=json, installed=False, read_only=True)


async def _divide(
    session: Session, choice: _Choice
) -> tuple[Sequence[Migration], Sequence[Migration]]:
    """Return what is applied and what is pending: as named, else as the history says."""
    if choice.after is not None or choice.before or len(choice.migrations) == 1:
        done, pending = divide(choice.migrations, choice.after)
        return [*choice.before, *done], pending
    try:
        await require_installed(session.db)
    except ZanithError:
        raise WrongUsage(
            "which migrations are pending is not known, because the database has no history",
            hint="name the last one that was applied with --after, or name one file",
        ) from None
    status = await read_status(session.db, choice.layout, choice.migrations)
    wanted = {entry.id for entry in status.pending}
    applied = [one for one in choice.migrations if one.id not in wanted]
    return applied, [one for one in choice.migrations if one.id in wanted]


def _show(result: Verification, terminal: Terminal, *, markdown: bool) -> None:
    if markdown:
        sys.stdout.write(to_markdown(result))
        return
    terminal.page(observed(result))
    terminal.say(verdict(result))
    if terminal.json:
        terminal.emit(result.to_json())


def _refuse_beside_remove(others: Mapping[str, object]) -> None:
    refuse_useless(
        *(
            (
                bool(value),
                f"--remove-kept does no more, and {option} has no effect",
                f"leave {option} out, or verify in a command of its own",
            )
            for option, value in others.items()
        )
    )


def _remove(
    url: str | None, terminal: Terminal, tell: Callable[[str], None], *, named: bool
) -> None:
    removed = run_alone(lambda: remove_kept(url, named=named, tell=tell))
    if not removed:
        terminal.say("no shadow was kept")
    if terminal.json:
        terminal.emit({"removed": removed})


def _text_of(url: str | None) -> str | None:
    found = settings_with(database_url=url).database_url
    return found.get_secret_value() if found else None
