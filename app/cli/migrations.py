"""What the commands of `zanith migrate` share: the directory, the shadow, and the gates."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.derived import taking
from app.migrate.read.chosen import require_directory
from app.migrate.read.layouts import read_migrations
from app.migrate.read.migrations import Layout, Migration
from app.migrate.review.plan import Gates
from app.migrate.risk import Level, Reason
from app.migrate.shadow.model import Pattern, pattern_of
from app.recovery.core.errors import WrongUsage
from app.settings import load_settings

Directory = Annotated[
    Path | None,
    typer.Option(
        "--dir",
        metavar="DIR",
        help="The directory of migrations. Default: ZANITH_MIGRATIONS.",
    ),
]
DirectoryBeside = Annotated[
    Path | None,
    typer.Option(
        "--dir",
        metavar="DIR",
        help="The directory of migrations. With a file as PATH, those before it count as "
        "applied. Default: ZANITH_MIGRATIONS.",
    ),
]
"""The same for a command that also takes a PATH."""
LayoutOption = Annotated[
    Layout | None,
    typer.Option("--layout", help="The layout of the directory. Default: recognised."),
]
Steps = Annotated[
    int | None,
    typer.Option("--steps", metavar="N", help="Run N migrations at most."),
]
Wait = Annotated[
    str | None,
    typer.Option(
        "--wait",
        metavar="5min",
        help="Wait so long if migrations are already running. Default: do not wait.",
    ),
]
Shadow = Annotated[
    Pattern | None,
    typer.Option(
        "--shadow",
        help="Where the shadow is made. Default: ZANITH_SHADOW, else url with a --shadow-url, "
        "else embedded.",
    ),
]
ShadowUrl = Annotated[
    str | None,
    typer.Option(
        "--shadow-url",
        metavar="URL",
        help="An empty database for the pattern url, which is empty again afterwards. "
        "Default: SHADOW_DATABASE_URL.",
    ),
]
DeclaredSchema = Annotated[
    Path | None,
    typer.Option(
        "--schema",
        metavar="FILE",
        help="The declared schema: a file of SQL that the migrations have to lead to.",
    ),
]


def choose_shadow(shadow: Pattern | None, url: str | None) -> tuple[Pattern, str | None]:
    """Return the pattern and the address of the shadow: as the options say, else the settings."""
    if url is not None and shadow not in {None, Pattern.URL}:
        raise WrongUsage(
            f"--shadow {shadow} makes a shadow of its own, and --shadow-url names another",
            hint="give one of them, or --shadow url with --shadow-url",
        )
    settings = load_settings()
    url = url or settings.shadow_address
    return shadow or pattern_of(settings.shadow, url), url


def refuse_useless(*rules: tuple[bool, str, str]) -> None:
    """Raise WrongUsage for the first rule that holds: options that contradict, or have no effect.

    A rule is whether it holds, what is wrong, and the hint.
    """
    for holds, message, hint in rules:
        if holds:
            raise WrongUsage(message, hint=hint)


def refuse_without(needed: str, *options: tuple[str, object]) -> None:
    """Raise WrongUsage for the first option that is given, and has no effect without another."""
    refuse_useless(
        *(
            (bool(value), f"{option} needs {needed}", f"give {needed} too, or leave {option} out")
            for option, value in options
        )
    )


def find_directory(directory: Path | None) -> Path:
    """Return the directory of migrations that is named or set."""
    path = directory or load_settings().migrations
    if path is None:
        raise WrongUsage(
            "no directory of migrations is named", hint="name it with --dir, or ZANITH_MIGRATIONS"
        )
    return path


def read_directory(directory: Path | None, layout: Layout | None) -> tuple[Layout, list[Migration]]:
    """Return the layout and the migrations of the directory that is named or set."""
    path = find_directory(directory)
    require_directory(path)
    return read_migrations(path, layout)


def gates_of(
    max_risk: Annotated[
        str | None,
        typer.Option(
            "--max-risk",
            metavar="N|LEVEL",
            help="Exit 4 if an operation has a higher score (0 to 100) or level.",
        ),
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            "--fail-on",
            metavar="CODE,...",
            help="Exit 4 if an operation has one of these reasons.",
        ),
    ] = None,
    allow_destructive: Annotated[
        bool,
        typer.Option("--allow-destructive", help="Allow the loss of data that no capture covers."),
    ] = False,
) -> Gates:
    """Return what a plan may contain; WrongUsage for an unknown level or reason."""
    return Gates(read_risk(max_risk), read_codes(fail_on), allow_destructive)


GATES = taking(gates_of)


def read_risk(text: str | None) -> int | None:
    """Return the score of a level or number."""
    if text is None:
        return None
    words = {level.word: level.value for level in Level}
    if text.lower() in words:
        return words[text.lower()]
    if text.isdecimal() and int(text) <= 100:
        return int(text)
    raise WrongUsage(
        f"{text!r} is neither a level nor a score",
        hint=f"write a number from 0 to 100, or one of: {', '.join(words)}",
    )


def read_codes(text: str | None) -> frozenset[Reason]:
    """Return reasons by their codes."""
    codes = [code.strip() for code in (text or "").split(",") if code.strip()]
    unknown = [code for code in codes if code not in set(Reason)]
    if unknown:
        raise WrongUsage(
            f"{unknown[0]!r} is not a reason code", hint=f"name some of: {', '.join(Reason)}"
        )
    return frozenset(Reason(code) for code in codes)
