"""Options of many commands that none has to pass on: each is remembered where it is used."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from app.cli.complete import complete_profile
from app.cli.connection import given
from app.cli.options import COMMON_PANEL
from app.cli.render.steps import SQL

_plans = typer.Typer(add_completion=False)


@_plans.command()
def _of_plans(
    *,
    sql: Annotated[
        bool,
        typer.Option(
            "--sql",
            help="Show every statement of the plan.",
            callback=lambda wanted: SQL.set(bool(wanted)),
        ),
    ] = False,
) -> None:
    """Take what commands that show a plan take."""


_connection = typer.Typer(add_completion=False)


def _part(key: str) -> Callable[[str | None], str | None]:
    def keep(value: str | None) -> str | None:
        if value is not None:
            given().parts[key] = value
        return value

    return keep


def _profile(name: str | None) -> str | None:
    given().profile = name
    return name


@_connection.command()
def _of_connections(
    *,
    host: Annotated[
        str | None,
        typer.Option(
            "--host",
            "-h",
            metavar="HOST",
            help="The server, or the directory of its socket.",
            callback=_part("host"),
            rich_help_panel=COMMON_PANEL,
        ),
    ] = None,
    port: Annotated[
        str | None,
        typer.Option(
            "--port",
            "-p",
            metavar="PORT",
            help="The server's port.",
            callback=_part("port"),
            rich_help_panel=COMMON_PANEL,
        ),
    ] = None,
    username: Annotated[
        str | None,
        typer.Option(
            "--username",
            "-U",
            metavar="ROLE",
            help="The role to connect as.",
            callback=_part("user"),
            rich_help_panel=COMMON_PANEL,
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            metavar="NAME",
            help="A profile of the configuration file. Default: ZANITH_PROFILE.",
            callback=_profile,
            autocompletion=complete_profile,
            rich_help_panel=COMMON_PANEL,
        ),
    ] = None,
) -> None:
    """Take what commands that connect take."""


def add_shared(leaf: Any) -> None:
    """Give a command the options of its kind."""
    taken = {name for option in leaf.params for name in option.opts}
    if "--database-url" in taken:
        _add(leaf, _connection)
    if leaf.name != "cleanup" and ("--dry-run" in taken or leaf.name == "inspect"):
        _add(leaf, _plans)


def _add(leaf: Any, options: typer.Typer) -> None:
    """Append the options; one whose long name means something else here is left out."""
    taken = {name for option in leaf.params for name in option.opts}
    for option in typer.main.get_command(options).params:
        if taken.isdisjoint(option.opts):
            option.expose_value = False
            leaf.params.append(option)
