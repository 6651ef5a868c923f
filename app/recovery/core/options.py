"""The options of a capture and of a restore, each declared once for every interface.

A field of a request that is made by :func:`option` is one. `app.cli.options` makes of it what
Typer takes, `app.routes.options` what the API and the pages take: a new option is one new field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, get_type_hints

LONGEST = 2_000
MOST = 100
"""Values that an option takes which can be given several times."""


@dataclass(frozen=True)
class Option:
    """One option: ``help`` is one sentence, ``label`` what stands beside its field on a page.

    ``key`` is its name in JSON and in addresses, ``flag`` what one types on the command line.
    ``words`` are the values that it can have, where these are few. ``group`` is the heading that it
    is listed under, ``read`` makes its value of a text, and ``write`` makes that text again.
    """

    help: str
    label: str = ""
    key: str = ""
    flag: str = ""
    metavar: str = "TEXT"
    longest: int = LONGEST
    words: tuple[str, ...] = ()
    group: str | None = None
    read: Callable[[str], Any] | None = None
    write: Callable[[Any], str] | None = None
    name: str = ""
    type: object = None
    default: Any = None

    @property
    def is_flag(self) -> bool:
        """Whether it is given or not, and has no value."""
        return self.type is bool

    @property
    def is_many(self) -> bool:
        """Whether it can be given several times."""
        return self.type == tuple[str, ...]


def option(help: str, *, default: Any = None, **words: Any) -> Any:  # noqa: A002 - its word
    """Return the field of a dataclass that is an option; ``words`` as `Option` has them."""
    return field(default=default, metadata={"option": Option(help, default=default, **words)})


def options_of(cls: type[Any]) -> tuple[Option, ...]:
    """Return the options among the fields of a dataclass, in their order."""
    types = get_type_hints(cls)
    return tuple(
        _named(item.metadata["option"], item.name, types[item.name])
        for item in fields(cls)
        if "option" in item.metadata
    )


def _named(declared: Option, name: str, kind: Any) -> Option:
    key = declared.key or name
    flag = "--" + key.replace("_", "-") + ("" if kind is bool else f" {declared.metavar}")
    return replace(declared, name=name, type=kind, key=key, flag=declared.flag or flag)


def read_options(cls: type[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that a request is made with, of what an interface was given by name.

    None is an option that was not given. Raises what `read` of one raises.
    """
    values: dict[str, Any] = {}
    for item in options_of(cls):
        value = given.get(item.name)
        if value is None:
            continue
        if item.read is not None:
            value = item.read(value)
        values[item.name] = tuple(value) if item.is_many else value
    return values


def options_to_json(made: Any) -> dict[str, Any]:
    """Return the options of a request that differ from their defaults, by key."""
    found: dict[str, Any] = {}
    for item in options_of(type(made)):
        value = getattr(made, item.name)
        if value != item.default:
            value = item.write(value) if item.write is not None else value
            found[item.key] = list(value) if item.is_many else value
    return found
