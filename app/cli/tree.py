"""The tree of commands. It imports only what the arguments name: all of it takes a second."""

from collections.abc import Sequence
from functools import cache, partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import typer

VERBS = ("look", "database", "coverage", "rewrite", "serve", "work")
"""The families of the verbs that follow `zanith` itself."""
GROUPS = {
    "drop": "drop.app",
    "recover": "recover.app",
    "guard": "guard.app",
    "migrate": "migrate.app",
    "jobs": "work.group",
    "webhooks": "webhooks.group",
    "approvals": "approvals.group",
}
"""Where each group is, in the order of the help."""
FAMILIES = {
    "recover": ("look", "diff", "restore", "rows", "export", "keep", "erase", "purge", "cleanup"),
    "migrate": ("apply", "baseline", "down", "generate", "verify"),
}
"""The families whose verbs a group has beside its own."""


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


def command(arguments: Sequence[str] = ()) -> Any:
    """Return the tree of commands; if arguments are given, at least the part that they name."""
    root = typer.Typer(
        name="zanith",
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )
    root.callback()(_root)
    if not _add_named(root, arguments[0] if arguments else ""):
        for family in VERBS:
            root.add_typer(_find(f"{family}.app"))
        for name in GROUPS:
            root.add_typer(_group(name), name=name)
    tree = typer.main.get_command(root)
    _share(tree)
    _plain_help(tree, None)
    _summarize(tree)
    return tree


def _add_named(root: typer.Typer, word: str) -> bool:
    """Add the group of a name, or the family of a verb; return whether there is one."""
    if word in GROUPS:
        root.add_typer(_group(word), name=word)
        return True
    if not word or word.startswith("-"):
        return word == "--version"
    for family in VERBS:
        app = _find(f"{family}.app")
        if any(verb.name == word for verb in app.registered_commands):
            root.add_typer(app)
            return True
    return False


@cache
def _group(name: str) -> typer.Typer:
    group = _find(GROUPS[name])
    for family in FAMILIES.get(name, ()):
        group.add_typer(_find(f"{family}.app"))
    return group


def _find(place: str) -> typer.Typer:
    module, _, name = place.partition(".")
    found: typer.Typer = getattr(import_module(f"app.cli.commands.{module}"), name)
    return found


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
        from app.cli.commands.shared import add_shared

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
