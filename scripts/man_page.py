"""Write the man page of `zanith` from the help of its commands: no text stands in a second place.

The build hook puts it into the wheel as share/man/man1/zanith.1, where man finds it beside the
command.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.cli.exits import Exit
from app.cli.options import COMMON_PANEL
from app.cli.tree import command
from app.recovery.core.version import VERSION
from app.settings import Settings, env_name

_EXITS = {
    Exit.DONE: "Done.",
    Exit.FAILED: "Failed: server gone, disk full.",
    Exit.USAGE: "Wrong usage.",
    Exit.NOT_FOUND: "Nothing matches.",
    Exit.REFUSED: "Refused: conflict, dependents, checksum, hold, not confirmed.",
    Exit.LOCKED: "No lock in time, or a job on it is live.",
    Exit.NOT_PERMITTED: "Not permitted.",
}


def page() -> str:
    """Return the whole page in the man macros."""
    tree = command()
    lines = [
        f'.TH ZANITH 1 "" "zanith {VERSION}" "Zanith"',
        ".SH NAME",
        r"zanith \- drop columns and tables of PostgreSQL so that they can be restored",
        ".SH SYNOPSIS",
        r"\fBzanith\fR \fICOMMAND\fR [\fIOPTIONS\fR] [\fIARGUMENTS\fR]",
        ".SH DESCRIPTION",
        *_text(tree.help),
        ".SH COMMANDS",
    ]
    leaves = list(_leaves(tree, ()))
    shared = {option.name for option in _everywhere(leaves)}
    first: dict[Any, tuple[str, ...]] = {}
    for words, leaf in leaves:
        short = first.setdefault(leaf.help, words)
        lines += _command(words, leaf, shared) if short == words else _same(words, short)
    lines.append(".SH OPTIONS OF EVERY COMMAND")
    for option in _everywhere(leaves):
        lines += _option(option)
    lines.append(".SH EXIT STATUS")
    for code, meaning in _EXITS.items():
        lines += [".TP", rf"\fB{int(code)}\fR", _escape(meaning)]
    lines.append(".SH ENVIRONMENT")
    for name, field in Settings.model_fields.items():
        lines += [".TP", rf"\fB{env_name(name)}\fR", _escape(_sentence(field.description or ""))]
    return "\n".join(lines) + "\n"


def write(path: Path) -> None:
    """Write the page to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(), encoding="utf-8")


def _leaves(tree: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, child in getattr(tree, "commands", {}).items():
        if hasattr(child, "commands"):
            yield from _leaves(child, (*words, name))
        else:
            yield (*words, name), child


def _everywhere(leaves: list[tuple[tuple[str, ...], Any]]) -> list[Any]:
    """The options that stand in the panel of that name, each once."""
    found = {
        option.name: option
        for _, leaf in leaves
        for option in leaf.params
        if getattr(option, "rich_help_panel", None) == COMMON_PANEL
    }
    return list(found.values())


def _command(words: tuple[str, ...], leaf: Any, shared: set[str]) -> Iterator[str]:
    arguments = [one for one in leaf.params if one.param_type_name == "argument"]
    options = [
        one
        for one in leaf.params
        if one.param_type_name == "option" and one.name not in shared and not one.hidden
    ]
    shown = " ".join(
        rf"\fI{_escape(one.metavar or one.name.upper())}\fR"
        if one.required
        else rf"[\fI{_escape(one.metavar or one.name.upper())}\fR]"
        for one in arguments
    )
    shown += "..." if any(one.nargs != 1 for one in arguments) else ""
    yield rf".SS zanith {_escape(' '.join(words))} {shown}".rstrip()
    yield from _text(leaf.help)
    for one in arguments:
        if one.help:
            yield from (".TP", rf"\fI{_escape(one.metavar or one.name.upper())}\fR")
            yield _escape(_sentence(one.help))
    for option in options:
        yield from _option(option)


def _same(words: tuple[str, ...], short: tuple[str, ...]) -> Iterator[str]:
    yield rf".SS zanith {_escape(' '.join(words))}"
    yield _escape(f"The same as zanith {' '.join(short)}.")


def _option(option: Any) -> Iterator[str]:
    names = ", ".join(rf"\fB{_escape(name)}\fR" for name in option.opts)
    value = option.metavar or ("" if option.is_flag else _choices(option))
    yield ".TP"
    yield names + (rf" \fI{_escape(value)}\fR" if value else "")
    yield _escape(_sentence(option.help or ""))


def _choices(option: Any) -> str:
    found = getattr(option.type_descriptor, "annotation", None)
    members = getattr(found, "__members__", None)
    return "|".join(str(one.value) for one in members.values()) if members else "VALUE"


def _text(text: str | None) -> Iterator[str]:
    """The paragraphs of a help text; lines of an example stay as they are."""
    for block in re.split(r"\n\s*\n", inspect.cleandoc(text or "")):
        if block.lstrip().startswith("$ "):
            yield from (".PP", ".nf", ".RS", *map(_escape, block.split("\n")), ".RE", ".fi")
        elif block:
            yield from (".PP", _escape(" ".join(block.split())))


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if text.endswith((".", ":", "…")) else f"{text}."


def _escape(text: str) -> str:
    """The text as roff takes it: no request at a line's start, hyphens that can be copied."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    text = text.replace("'", r"\(aq").replace("…", "...")
    return rf"\&{text}" if text.startswith(".") else text


if __name__ == "__main__":
    write(Path(sys.argv[1]))
