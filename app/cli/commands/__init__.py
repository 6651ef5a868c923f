"""The tree of commands: one module for each family of verbs."""

from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import typer

from app.cli.commands import (
    apply,
    approvals,
    baseline,
    cleanup,
    coverage,
    database,
    diff,
    down,
    drop,
    erase,
    export,
    generate,
    guard,
    keep,
    look,
    migrate,
    purge,
    restore,
    rewrite,
    rows,
    serve,
    verify,
    webhooks,
    work,
)
from app.cli.commands.shared import add_shared

root = typer.Typer(
    name="zanith",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
recover = typer.Typer(no_args_is_help=True)


@recover.callback()
def _recover() -> None:
    """
    List, inspect, restore, export and purge dropped objects.

    Example:

    $ zanith recover list
    $ zanith recover inspect orders.legacy_code
    $ zanith recover restore orders.legacy_code --dry-run
    """


@root.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and exit.",
            is_eager=True,
            callback=lambda wanted: _print_version() if wanted else None,
        ),
    ] = False,
) -> None:
    """
    Drop columns and tables in PostgreSQL so that you can restore them.

    Example:

    $ zanith demo
    $ zanith init
    $ zanith drop column orders.legacy_code --strategy archive --dry-run
    $ zanith list
    $ zanith recover restore --last
    """


def _print_version() -> None:
    try:
        typer.echo(f"zanith {version('zanith')}")
    except PackageNotFoundError:
        from app.recovery.core.version import VERSION

        typer.echo(f"zanith {VERSION}")
    raise typer.Exit


for family in (look, diff, restore, rows, export, keep, erase, purge, cleanup):
    recover.add_typer(family.app)
for family in (look, database, coverage, rewrite, serve, work):
    root.add_typer(family.app)
for family in (apply, baseline, down, generate):
    migrate.app.add_typer(family.app)
root.add_typer(drop.app, name="drop")
root.add_typer(recover, name="recover")
root.add_typer(guard.app, name="guard")
migrate.app.add_typer(verify.app)
root.add_typer(migrate.app, name="migrate")
root.add_typer(work.group, name="jobs")
root.add_typer(webhooks.group, name="webhooks")
root.add_typer(approvals.group, name="approvals")


def command() -> Any:
    """The whole tree, ready to be run."""
    tree = typer.main.get_command(root)
    _share(tree)
    _plain_help(tree, None)
    _summarize(tree)
    return tree


def _summarize(tree: Any) -> None:
    """Let a list of commands show the first paragraph of each, whose lines were broken for 80."""
    for child in getattr(tree, "commands", {}).values():
        if child.help and not child.short_help:
            child.short_help = " ".join(child.help.strip().split("\n\n")[0].split())
        _summarize(child)


def _share(tree: Any) -> None:
    """Give every command the options of its kind."""
    children = getattr(tree, "commands", None)
    if children is None:
        add_shared(tree)
    for child in (children or {}).values():
        _share(child)


_RANGE = "_get_number_range_help_str"
"""Typer prints [1<=x<=8] with this method; an error names the range in words."""


def _plain_help(tree: Any, parent: Any) -> None:
    """Show help as man pages do, without Python's types and ranges. -h is help but for hosts."""
    taken = {name for option in tree.params for name in option.opts}
    tree.context_settings["help_option_names"] = ["--help"] if "-h" in taken else ["-h", "--help"]
    context = typer.Context(tree, parent=parent, **tree.context_settings)
    for option in (*tree.params, tree.get_help_option(context)):
        setattr(option, _RANGE, str)
        if getattr(option, "is_flag", False):
            option.metavar = ""  # no <bool>
        if option.param_type_name == "argument":
            option.display_type_rich = _no_type  # no <str>
            option.get_usage_pieces = partial(_usage, option)  # no braces
    for child in getattr(tree, "commands", {}).values():
        _plain_help(child, context)


def _no_type(ctx: Any) -> str:  # noqa: ARG001 - Typer passes it
    return ""


def _usage(argument: Any, ctx: Any) -> list[str]:  # noqa: ARG001 - Typer passes it
    many = "..." if argument.nargs != 1 else ""
    return [(f"{argument.metavar}" if argument.required else f"[{argument.metavar}]") + many]
