"""What the API and the pages take of the options that the engine declares."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field, StringConstraints, create_model

from app.recovery.core.options import MOST, Option, options_of, read_options

M = TypeVar("M", bound=type[BaseModel])
V = TypeVar("V")
# PostgreSQL's text takes every character but NUL, and UTF-8 has no lone surrogates.
NO_NUL = r"^[^\x00]*$"
# Of the parameters: FastAPI makes a model of them, whose attributes have names of their own.
_PREFIX = "given_"
MOST_TYPED = 20_000
"""Characters of a text in a form of a page; beyond that nobody typed it."""


def declaring(cls: type[Any], but: Collection[str] = ()) -> Callable[[M], M]:
    """Return what gives a model of the API the options of a request, but some, as fields."""

    def extended(model: M) -> M:
        declared: dict[str, Any] = {
            item.name: _in_json(item) for item in options_of(cls) if item.name not in but
        }
        made = create_model(model.__name__, __base__=model, __module__=model.__module__, **declared)
        made.__doc__ = model.__doc__
        return made  # type: ignore[return-value]

    return extended


def _in_json(item: Option) -> tuple[Any, Any]:
    text: Any = Annotated[str, Field(pattern=NO_NUL, max_length=item.longest)]
    words: dict[str, Any] = {"description": item.help, "alias": item.key}
    if item.is_flag:
        return bool, Field(False, **words)
    if item.words:
        return Literal[item.words], Field(item.default, **words)
    if item.is_many:
        return Annotated[list[text], Field(max_length=MOST)], Field([], **words)
    return text | None, Field(None, **words)


def reading(
    where: Any, make: Callable[[dict[str, Any]], V], *classes: type[Any]
) -> Callable[..., V]:
    """Return a dependency that reads options from an address or a form, by name.

    ``where`` is FastAPI's Query or Form. Where two classes have an option, the first one's counts.
    """
    items = {item.name: item for cls in reversed(classes) for item in options_of(cls)}

    def given(**values: Any) -> V:
        return make({name.removeprefix(_PREFIX): value for name, value in values.items()})

    given.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [_on_page(item, where) for item in items.values()]
    )
    return given


def _on_page(item: Option, where: Any) -> inspect.Parameter:
    # The engine refuses what is too long to be kept: the page says it with the text in its field.
    text: Any = Annotated[str, StringConstraints(max_length=MOST_TYPED)]
    kind: Any = str
    default: Any = ""
    bounds: dict[str, int] = {"max_length": MOST_TYPED}
    if item.is_flag:
        kind, default, bounds = bool, False, {}
    elif item.words:
        kind, default, bounds = Literal[item.words], item.default, {}
    elif item.is_many:
        kind, default, bounds = list[text], [], {"max_length": MOST}
    return inspect.Parameter(
        _PREFIX + item.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, where(alias=item.key, **bounds)],
    )


def read_page(cls: type[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that a request is made with, of what an address or a form has.

    A field that is empty there is an option that was not given.
    """
    said = {
        name: value.strip() if isinstance(value, str) else value for name, value in given.items()
    }
    return read_options(cls, {name: value for name, value in said.items() if value not in ("", [])})
