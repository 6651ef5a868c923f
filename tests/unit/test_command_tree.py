"""The part of the tree that arguments name: the same commands as in the whole, and little else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.cli import commands
from app.cli.tree import FAMILIES, GROUPS, VERBS, command
from tests.command_tree import leaves

WHOLE = dict(leaves(command()))
NO_COMMANDS = {"__init__", "shared"}
PARTS = {"snapshots"}
"""Modules that another one of the package adds."""
LOADED = (
    "import sys; from app.cli.tree import command; command(sys.argv[1:]);"
    "print(*sorted(name for name in sys.modules if name.count('.') < 2))"
)


@pytest.mark.parametrize("words", WHOLE, ids=" ".join)
def test_the_named_part_has_the_command(words):
    part = command(list(words))
    for word in words:
        part = part.commands[word]
    whole = WHOLE[words]
    assert [one.opts for one in part.params] == [one.opts for one in whole.params]
    assert [one.help for one in (part, whole)] == [whole.help] * 2


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], ["-h"], ["no-such-verb"], ["--no-such-option", "list"]]
)
def test_what_names_no_command_has_the_whole(arguments):
    assert dict(leaves(command(arguments))).keys() == WHOLE.keys()


def test_every_module_is_in_the_tree():
    places = {place.partition(".")[0] for place in GROUPS.values()}
    named = {*VERBS, *places, *(one for families in FAMILIES.values() for one in families)}
    there = {one.stem for one in Path(commands.__file__).parent.glob("*.py")}
    assert named == there - NO_COMMANDS - PARTS


@pytest.mark.parametrize(
    ("words", "never"),
    [
        (["list"], {"app.migrate", "fastapi", "postgast"}),
        (["recover", "restore"], {"app.migrate", "fastapi", "postgast"}),
        (["guard", "status"], {"app.migrate", "fastapi", "postgast"}),
        (["migrate", "plan"], {"fastapi"}),
        (["--version"], {"app.migrate", "fastapi", "pydantic"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_imports_what_it_needs(words, never):
    loaded = subprocess.run(
        [sys.executable, "-c", LOADED, *words], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not never & set(loaded)
