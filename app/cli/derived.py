"""What Typer takes of the options that the engine declares, and commands that take them whole.

A command's parameter that is annotated with :class:`Taking` stands for several options:
:func:`expanded` puts them in its place, and calls the command with what is made of them.
"""

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any, Literal, get_type_hints

import typer

from app.recovery.core.options import Option, options_of, read_options

# What is so on the command line only.
_ALSO = {
    "fill": "default means the column's default, or the next numbers of an identity.",
    "online": "The same command resumes a run that ended.",
    "unverified": "The command asks again.",
    "without": "You can repeat this option.",
}
_METAVARS = {"fill": "VALUE|default"}


@dataclass(frozen=True)
class Taking:
    """Several parameters of a command, and what is made of their values."""

    parameters: tuple[inspect.Parameter, ...]
    make: Callable[..., Any]


def taking(make: Callable[..., Any]) -> Taking:
    """Return the parameters of a function, annotated as Typer takes them, and what it makes."""
    hints = get_type_hints(make, include_extras=True)
    parameters = inspect.signature(make).parameters.values()
    return Taking(tuple(_parameter(p.name, hints[p.name], p.default) for p in parameters), make)


def options(
    cls: type[Any], *, but: Collection[str] = (), make: Callable[[dict[str, Any]], Any]
) -> Taking:
    """Return the options of a request but some, and what is made of their values."""
    wanted = [o for o in options_of(cls) if o.name not in but and o.name != "fill_default"]

    def made(**given: Any) -> Any:
        if given.get("fill") == "default":
            given |= {"fill": None, "fill_default": True}
        return make(read_options(cls, given))

    return Taking(tuple(map(_declare, wanted)), made)


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command with the options in place of the parameters that stand for several."""
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    takings: dict[str, Taking] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        found = [m for m in getattr(hints[name], "__metadata__", ()) if isinstance(m, Taking)]
        if found:
            takings[name] = found[0]
            parameters += found[0].parameters
        else:
            parameters.append(_parameter(name, hints[name], parameter.default))

    @wraps(command)
    def run(**given: Any) -> None:
        for name, taken in takings.items():
            given[name] = taken.make(**{p.name: given.pop(p.name) for p in taken.parameters})
        command(**given)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def _declare(item: Option) -> inspect.Parameter:
    kind: Any = bool if item.is_flag else (list[str] if item.is_many else str) | None
    default: Any = False if item.is_flag else None
    if item.words:
        kind, default = Literal[item.words], item.default
    declared = typer.Option(
        item.flag.split()[0],
        metavar=None if item.is_flag or item.words else _METAVARS.get(item.name, item.metavar),
        help=" ".join(filter(None, (item.help, _ALSO.get(item.name)))),
        rich_help_panel=item.group,
    )
    return _parameter(item.name, Annotated[kind, declared], default)
